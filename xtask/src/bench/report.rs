//! The figures as a page.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Options;
use super::cost;
use super::idle;
use super::layout::{self, Layout};
use super::lens::{self, LS, LS_ALL, LSNS, NSENTER, NSENTER_NET, SOUTE_ENTER, SOUTE_ENTER_NET};
use super::load::Load;
use super::networks::{self, BARE, FIRST, THOUSANDTH, WITHOUT};
use super::rates::{self, AT_ONCE};
use super::statistics::{error_of_ratio, median, p95, quartiles};
use super::subjects::{
    CRUN, CRUN_SECCOMP, DOCKER, FLOOR, PODMAN, RUNC, RUNC_SECCOMP, RUNTIME, RUNTIME_SECCOMP, SOUTE,
    YOUKI,
};
use crate::shell::{command, output};

/// All that was measured.
pub struct Figures {
    /// Each layout's figures, as its process wrote them.
    pub layouts: Vec<(Layout, Value)>,
    /// Networks' figures, as their process wrote them.
    pub networks: Value,
    /// What is told of namespaces, as its process wrote it.
    pub lens: Value,
    /// The layers.
    pub load: Load,
    /// How much was measured.
    pub options: Options,
}

/// A figure that the project has set itself.
struct Target {
    what: String,
    /// None: one of those that it is made of is missing.
    measured: Option<f64>,
    /// By which factor it may be off, where that is known ([`error_of_ratio`]).
    off: Option<f64>,
    limit: f64,
    unit: &'static str,
}

/// The page, in Markdown.
pub fn write(figures: &Figures) -> Result<String> {
    let mut page = String::from("# Figures\n\nMade by `cargo xtask bench`");
    page.push_str(if figures.options.quick {
        " --quick: few rounds, rough figures.\n"
    } else {
        ".\n"
    });
    page.push_str(
        "Whole processes, from start to end, in interleaved rounds; milliseconds. Only ratios within one run mean\n\
         anything on another machine. The floor is `bench/floor.c`: the kernel's work for `runc spec`'s bundle and nothing else.\n\n",
    );
    machine(&mut page, figures)?;
    targets(&mut page, figures);
    for (layout, value) in &figures.layouts {
        writeln!(page, "## cgroup {layout}\n")?;
        for (key, title) in [
            ("run", layout::RUN),
            ("idle", layout::IDLE),
            ("exec", layout::EXEC),
            ("life", layout::LIFE),
        ] {
            table(&mut page, title, &value[key])?;
        }
        costs(&mut page, &value["costs"])?;
        rates(&mut page, &value["rates"])?;
        memory(&mut page, &value["memory"])?;
        left_out(&mut page, &value["left out"])?;
    }
    networks(&mut page, &figures.networks)?;
    namespaces(&mut page, &figures.lens)?;
    load(&mut page, &figures.load)?;
    Ok(page)
}

fn machine(page: &mut String, figures: &Figures) -> Result<()> {
    let first = |file: &str, start: &str| -> Option<String> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(start))?;
        Some(
            line.split_once([':', '='])
                .map_or(line, |(_, value)| value)
                .trim()
                .trim_matches('"')
                .to_owned(),
        )
    };
    let kernel =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").context("no kernel version")?;
    let cpus = std::thread::available_parallelism()?;
    writeln!(
        page,
        "Machine: {} × {}, Linux {}, {}.\n",
        cpus,
        first("/proc/cpuinfo", "model name").unwrap_or_else(|| "CPU".into()),
        kernel.trim(),
        first("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| "unknown distribution".into()),
    )?;
    // The same in each layout.
    let versions = figures
        .layouts
        .iter()
        .flat_map(|(_, value)| value["versions"].as_array())
        .next()
        .context("no versions")?;
    let versions: Vec<&str> = versions.iter().filter_map(Value::as_str).collect();
    writeln!(page, "Versions: {}.\n", versions.join("; "))?;
    Ok(())
}

fn sample(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .collect()
}

/// The ratio of two medians of one table; none if either was not measured.
fn ratio(table: &Value, ours: &str, theirs: &str) -> Option<f64> {
    let (ours, theirs) = (sample(&table[ours]), sample(&table[theirs]));
    (!ours.is_empty() && !theirs.is_empty()).then(|| median(&ours) / median(&theirs))
}

fn collect(figures: &Figures) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: String, measured: Option<f64>, limit: f64, unit: &'static str| {
        targets.push(Target {
            what,
            measured,
            off: None,
            limit,
            unit,
        });
    };
    for (layout, value) in &figures.layouts {
        let (run, on) = (&value["run"], format!("on {layout}"));
        for (table, what, ours, peer, limit) in [
            ("run", "run", RUNTIME, FLOOR, 1.4),
            ("run", "run", RUNTIME, CRUN, 0.6),
            ("run", "run", RUNTIME, RUNC, 0.2),
            ("run", "run", RUNTIME, YOUKI, 0.25),
            ("run", "run", RUNTIME_SECCOMP, CRUN_SECCOMP, 0.6),
            ("run", "run", RUNTIME_SECCOMP, RUNC_SECCOMP, 0.12),
            ("exec", "exec", RUNTIME, CRUN, 0.6),
            ("exec", "exec", RUNTIME, RUNC, 0.15),
        ] {
            add(
                format!("{ours}: {what} {on} / {peer}"),
                ratio(&value[table], ours, peer),
                limit,
                "×",
            );
        }
        add(
            format!("{RUNTIME}: create, start, delete {on} / {CRUN}"),
            ratio(&value["life"], RUNTIME, CRUN),
            0.6,
            "×",
        );
        let cost = |name: &str, key: &str| value["costs"][name][key].as_f64();
        add(
            format!("{RUNTIME}: system calls of a run {on}"),
            cost(RUNTIME, "calls"),
            350.0,
            "",
        );
        add(
            format!("{RUNTIME}: peak memory of a run {on} / {CRUN}"),
            cost(RUNTIME, "kib")
                .zip(cost(CRUN, "kib"))
                .map(|(a, b)| a / b),
            1.0,
            "×",
        );
        for at_once in AT_ONCE {
            let rate = |name: &str| value["rates"][name][at_once.to_string()].as_f64();
            // As a time, of which less is better: 1 / 0.6.
            add(
                format!("{RUNTIME}: {at_once} at once {on}, time per container / {FLOOR}"),
                rate(FLOOR)
                    .zip(rate(RUNTIME))
                    .map(|(floor, ours)| floor / ours),
                1.667,
                "×",
            );
        }
        if *layout == Layout::V2 {
            add(
                format!("{RUNTIME}: run after 50 ms idle {on} / {CRUN}"),
                ratio(&value["idle"], RUNTIME, CRUN),
                0.35,
                "×",
            );
        }
        for (peer, limit) in [
            (FLOOR, 1.6),
            (CRUN_SECCOMP, 0.65),
            (PODMAN, 0.05),
            (DOCKER, 0.03),
        ] {
            add(
                format!("run {on} / {peer}"),
                ratio(run, SOUTE, peer),
                limit,
                "×",
            );
        }
        if *layout == Layout::V2 {
            add(
                format!("run after 50 ms idle {on} / {CRUN}"),
                ratio(&value["idle"], SOUTE, CRUN),
                0.4,
                "×",
            );
        }
        add(
            format!("exec {on} / {CRUN}"),
            ratio(&value["exec"], SOUTE, CRUN),
            0.6,
            "×",
        );
        add(
            format!("memory per idle container {on}"),
            value["memory"]["soute"]["kib"].as_f64(),
            200.0,
            "KiB",
        );
    }
    let networks = &figures.networks;
    let middle = |name: &str| {
        let sample = sample(&networks["run"][name]);
        (!sample.is_empty()).then(|| median(&sample))
    };
    add(
        "run on a bridge, more than without a network".into(),
        middle(SOUTE)
            .zip(middle(WITHOUT))
            .map(|(with, without)| with - without),
        3.0,
        "ms",
    );
    for peer in [PODMAN, DOCKER] {
        let run = ratio(&networks["run"], SOUTE, peer);
        add(format!("run on a bridge / {peer}"), run, 0.04, "×");
    }
    add(
        "publishing the 1,000th port / the first".into(),
        ratio(&networks["ports"], THOUSANDTH, FIRST),
        2.0,
        "×",
    );
    let load = median(&figures.load.soute) / median(&figures.load.tools);
    add(
        r"loading a gzip layer / gzip -dc \| tar x".into(),
        Some(load),
        1.0,
        "×",
    );
    add(
        "memory while loading".into(),
        Some(figures.load.peak as f64 / 1024.0),
        64.0,
        "MiB",
    );
    targets.extend(of_throughput(&networks["throughput"]));
    targets.extend(of_lens(&figures.lens));
    targets
}

/// The targets of throughput, of which more is better: how much more the other one lets through.
fn of_throughput(throughput: &Value) -> impl Iterator<Item = Target> {
    [
        ("between", "from container to container", BARE, 1.053),
        ("between", "from container to container", PODMAN, 1.0),
        ("between", "from container to container", DOCKER, 1.0),
        ("published", "through a published port", PODMAN, 1.0),
        ("published", "through a published port", DOCKER, 1.0),
    ]
    .into_iter()
    .map(|(table, what, peer, limit)| {
        let table = &throughput[table];
        Target {
            what: format!("throughput {what}: {peer} / soute"),
            measured: ratio(table, peer, SOUTE),
            off: error_of_ratio(&sample(&table[peer]), &sample(&table[SOUTE])),
            limit,
            unit: "×",
        }
    })
}

/// The targets of what is told of namespaces.
fn of_lens(lens: &Value) -> Vec<Target> {
    let kib = |name: &str| lens["kib"][name].as_f64();
    let memory = kib(LS).zip(kib(LSNS)).map(|(ours, theirs)| ours / theirs);
    [
        (
            format!("{LS} of 2,000 processes / {LSNS}"),
            ratio(&lens["list"], LS, LSNS),
            0.3,
        ),
        (
            format!("{LS_ALL} of 2,000 processes / {LSNS}"),
            ratio(&lens["list"], LS_ALL, LSNS),
            1.0,
        ),
        (format!("{LS}: peak memory / {LSNS}"), memory, 0.5),
        (
            format!("{SOUTE_ENTER} / {NSENTER}"),
            ratio(&lens["enter"], SOUTE_ENTER, NSENTER),
            1.0,
        ),
        (
            format!("{SOUTE_ENTER_NET} / {NSENTER_NET}"),
            ratio(&lens["enter net"], SOUTE_ENTER_NET, NSENTER_NET),
            1.0,
        ),
    ]
    .map(|(what, measured, limit)| Target {
        what,
        measured,
        off: None,
        limit,
        unit: "×",
    })
    .into()
}

/// The page with other figures of what is told of namespaces: those targets, the last ones, and that section.
///
/// # Errors
/// It is no page of [`write`]'s.
pub fn renew_lens(page: &str, lens: &Value) -> Result<String> {
    const HEAD: &str = "\n## ";
    let renewed = of_lens(lens);
    let is_old = |line: &str| {
        let mut heads = renewed.iter().map(|target| format!("| {} |", target.what));
        heads.any(|head| line.starts_with(&head))
    };
    let mut sections: Vec<String> = page.split(HEAD).map(str::to_owned).collect();
    sections.retain(|section| !section.starts_with("Namespaces\n"));
    let targets = sections
        .iter_mut()
        .find(|section| section.starts_with("Targets\n"))
        .context("there are no targets in the report")?;
    *targets = targets
        .split_inclusive('\n')
        .filter(|line| !is_old(line))
        .map(str::to_owned)
        .chain(renewed.iter().map(row))
        .collect();
    let mut section = String::new();
    namespaces(&mut section, lens)?;
    let section = section.strip_prefix(&HEAD[1..]).unwrap_or(&section);
    let section = section.strip_suffix('\n').unwrap_or(section);
    // The layers come last.
    sections.insert(sections.len() - 1, section.to_owned());
    Ok(sections.join(HEAD))
}

fn targets(page: &mut String, figures: &Figures) {
    page.push_str(
        "## Targets\n\n\
         Where an error is told, it is of the noise within this one run, with a chance of 1 in 20 that it is greater; what is\n\
         nearer to its limit is *not certain*.\n\n\
         | | measured | at most | |\n|---|---:|---:|---|\n",
    );
    page.extend(collect(figures).iter().map(row));
    page.push('\n');
}

/// A line of the table of targets.
fn row(target: &Target) -> String {
    let Target {
        what,
        measured,
        off,
        limit,
        unit,
    } = target;
    let Some(measured) = measured else {
        return format!("| {what} |  | {limit} {unit} | not measured |\n");
    };
    let met = match measured <= limit {
        true => "met",
        false => "**missed**",
    };
    let (noise, met) = match *off {
        None => (String::new(), met),
        Some(off) => {
            let certain = (measured * off <= *limit) == (measured / off <= *limit);
            let met = if certain { met } else { "*not certain*" };
            (format!(" ± {:.0} %", (off - 1.0) * 100.0), met)
        }
    };
    let measured = format!("{measured:.3} {unit}{noise}");
    format!("| {what} | {measured} | {limit} {unit} | {met} |\n")
}

fn table(page: &mut String, title: &str, value: &Value) -> Result<()> {
    let subjects = value
        .as_object()
        .with_context(|| format!("nothing was measured of: {title}"))?;
    let mut rows: Vec<(&String, Vec<f64>)> = subjects
        .iter()
        .map(|(name, value)| (name, sample(value)))
        .collect();
    rows.sort_by(|a, b| median(&a.1).total_cmp(&median(&b.1)));
    // Where the floor has no such thing, the quickest is what the others are compared with.
    let (base, floor) = match value.get(FLOOR) {
        Some(floor) => (FLOOR, median(&sample(floor))),
        None => (
            "the first",
            rows.first().map_or(f64::NAN, |(_, s)| median(s)),
        ),
    };
    writeln!(
        page,
        "### {title}\n\n| | median | p95 | × {base} | n |\n|---|---:|---:|---:|---:|"
    )?;
    for (name, sample) in rows {
        let middle = median(&sample);
        writeln!(
            page,
            "| {name} | {middle:.2} | {:.2} | {:.2} | {} |",
            p95(&sample),
            middle / floor,
            sample.len()
        )?;
    }
    page.push('\n');
    Ok(())
}

fn networks(page: &mut String, value: &Value) -> Result<()> {
    writeln!(page, "## Networks\n")?;
    table(page, networks::RUN, &value["run"])?;
    table(page, networks::PORTS, &value["ports"])?;
    writeln!(
        page,
        "### {}\n\n| | from container to container | from outside, by a published port |\n|---|---:|---:|",
        networks::THROUGHPUT
    )?;
    let throughput = &value["throughput"];
    for (name, between) in throughput["between"].as_object().into_iter().flatten() {
        let published = sample(&throughput["published"][name]);
        // How far single ones lie apart tells what a difference is worth.
        let told = |sample: &[f64]| {
            let (low, high) = quartiles(sample);
            format!("{:.1} (half: {low:.1} to {high:.1})", median(sample))
        };
        let published = match published.is_empty() {
            true => "".to_owned(),
            false => told(&published),
        };
        writeln!(
            page,
            "| {name} | {} | {published} |",
            told(&sample(between))
        )?;
    }
    page.push('\n');
    left_out(page, &value["left out"])
}

fn namespaces(page: &mut String, value: &Value) -> Result<()> {
    writeln!(page, "## Namespaces\n")?;
    table(page, lens::LIST, &value["list"])?;
    table(page, lens::ENTER, &value["enter"])?;
    table(page, lens::ENTER_NET, &value["enter net"])?;
    writeln!(page, "### {}\n\n| | KiB |\n|---|---:|", lens::PEAK)?;
    for (name, kib) in value["kib"].as_object().into_iter().flatten() {
        writeln!(page, "| {name} | {kib} |")?;
    }
    let version = value["version"].as_str().unwrap_or_default();
    writeln!(page, "\n{version}.\n")?;
    Ok(())
}

/// What is missing in the tables above it.
fn left_out(page: &mut String, value: &Value) -> Result<()> {
    for absence in value.as_array().into_iter().flatten() {
        let word = |key: &str| absence[key].as_str().unwrap_or_default().trim();
        writeln!(
            page,
            "Left out of “{}”: {}, which failed:\n\n```text\n{}\n```\n",
            word("of"),
            word("who"),
            word("why")
        )?;
    }
    Ok(())
}

fn memory(page: &mut String, value: &Value) -> Result<()> {
    writeln!(
        page,
        "### {}\n\n| | containers | KiB PSS each | processes | start all, s | remove all, s |\n|---|---:|---:|---:|---:|---:|",
        idle::TITLE
    )?;
    for (name, figures) in value.as_object().into_iter().flatten() {
        let number = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
        writeln!(
            page,
            "| {name} | {} | {:.0} | {} | {:.2} | {:.2} |",
            figures["containers"],
            number("kib"),
            figures["processes"],
            number("start"),
            number("remove")
        )?;
    }
    page.push('\n');
    Ok(())
}

fn costs(page: &mut String, value: &Value) -> Result<()> {
    writeln!(
        page,
        "### {}\n\n| | system calls of all processes | KiB of the largest process |\n|---|---:|---:|",
        cost::TITLE
    )?;
    for (name, cost) in value.as_object().into_iter().flatten() {
        writeln!(page, "| {name} | {} | {} |", cost["calls"], cost["kib"])?;
    }
    page.push('\n');
    Ok(())
}

fn rates(page: &mut String, value: &Value) -> Result<()> {
    writeln!(
        page,
        "### {}\n\n| | 1 at once | 2 | 4 | 10 |\n|---|---:|---:|---:|---:|",
        rates::TITLE
    )?;
    for (name, rates) in value.as_object().into_iter().flatten() {
        write!(page, "| {name} |")?;
        for at_once in AT_ONCE {
            let rate = rates[at_once.to_string()].as_f64().unwrap_or(f64::NAN);
            write!(page, " {rate:.0} |")?;
        }
        page.push('\n');
    }
    page.push('\n');
    Ok(())
}

fn load(page: &mut String, load: &Load) -> Result<()> {
    writeln!(
        page,
        "## A gzip layer: Debian with Python 3\n\n| | median | p95 | n |\n|---|---:|---:|---:|"
    )?;
    for (name, sample) in [
        ("soute import", &load.soute),
        ("gzip -dc \\| tar x", &load.tools),
    ] {
        writeln!(
            page,
            "| {name} | {:.0} | {:.0} | {} |",
            median(sample),
            p95(sample),
            sample.len()
        )?;
    }
    let tools = ["gzip", "tar"].map(|tool| output(&mut command(tool, ["--version"])));
    for tool in tools {
        let tool = tool?;
        writeln!(page, "\n{}.", tool.lines().next().unwrap_or_default())?;
    }
    writeln!(
        page,
        "\nsoute's largest resident set: {:.1} MiB. Its time has it that all is on disk (syncfs(2)), the tools' has not.",
        load.peak as f64 / 1024.0
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::left_out::EVERYTHING;
    use super::*;
    use serde_json::json;

    fn lens(ls: f64) -> Value {
        json!({
            "list": {LS: [ls], LS_ALL: [500.0], LSNS: [1000.0]},
            "enter": {SOUTE_ENTER: [6.0], NSENTER: [5.0]},
            "enter net": {SOUTE_ENTER_NET: [2.0], NSENTER_NET: [2.0]},
            "kib": {LS: 2000, LS_ALL: 2100, LSNS: 4000},
            "version": "lsns from util-linux 1",
        })
    }

    #[test]
    fn what_noise_may_have_decided_is_said_to_be_uncertain() {
        let row = |measured| {
            row(&Target {
                what: "rate".to_owned(),
                measured: Some(measured),
                off: Some(1.05),
                limit: 1.0,
                unit: "×",
            })
        };
        assert_eq!(row(0.9), "| rate | 0.900 × ± 5 % | 1 × | met |\n");
        assert_eq!(
            row(0.98),
            "| rate | 0.980 × ± 5 % | 1 × | *not certain* |\n"
        );
        assert_eq!(
            row(1.02),
            "| rate | 1.020 × ± 5 % | 1 × | *not certain* |\n"
        );
        assert_eq!(row(1.1), "| rate | 1.100 × ± 5 % | 1 × | **missed** |\n");
    }

    #[test]
    fn a_target_missed_is_said_to_be() {
        let layout = json!({
            "run": {"floor": [2.0, 2.0], "soute": [4.0, 4.0], "crun, seccomp": [10.0]},
            "idle": {"floor": [2.0], "soute": [1.0], "crun": [10.0]},
            "exec": {"floor": [1.0], "soute": [2.0], "crun": [4.0]},
            "life": {"soute runtime": [3.0], "crun": [6.0]},
            "costs": {"soute runtime": {"calls": 351, "kib": 3}, "crun": {"calls": 700, "kib": 4}},
            "rates": {"soute runtime": {"1": 50.0, "10": 90.0}, "floor": {"1": 100.0}},
            "memory": {"soute": {"containers": 100, "kib": 150.0, "processes": 100, "start": 1.0, "remove": 1.0}},
            "left out": [{"who": "runc", "of": layout::RUN, "why": "runc did not end within 20 s"}], "versions": ["soute 1"],
        });
        let load = Load {
            soute: vec![900.0],
            tools: vec![1000.0],
            peak: 32 << 10,
        };
        let options = Options {
            quick: true,
            docker: false,
            only_lens: false,
        };
        let figures = Figures {
            layouts: vec![(Layout::V2, layout)],
            networks: json!({
                "run": {"soute, none": [4.0], "soute": [6.5], "docker": [200.0]},
                "ports": {"with no other port": [8.0], "with 999 others": [12.0]},
                "throughput": {
                    "between": {"soute": [18.0], "bare namespaces": [18.0], "docker": [20.0]},
                    "published": {"soute": [17.0], "docker": [16.0]},
                },
                "left out": [{"who": "podman", "of": EVERYTHING, "why": "no image"}],
            }),
            lens: lens(400.0),
            load,
            options,
        };
        let page = write(&figures).unwrap();
        assert!(
            page.contains("| run on v2 / floor | 2.000 × | 1.6 × | **missed** |"),
            "{page}"
        );
        assert!(
            page.contains("| run on v2 / crun, seccomp | 0.400 × | 0.65 × | met |"),
            "{page}"
        );
        for line in [
            "| run on a bridge, more than without a network | 2.500 ms | 3 ms | met |",
            "| run on a bridge / docker | 0.033 × | 0.04 × | met |",
            "| throughput from container to container: docker / soute | 1.111 × | 1 × | **missed** |",
            "| publishing the 1,000th port / the first | 1.500 × | 2 × | met |",
            "| soute | 18.0 (half: 18.0 to 18.0) | 17.0 (half: 17.0 to 17.0) |",
            "| bare namespaces | 18.0 (half: 18.0 to 18.0) |  |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        for line in [
            "| soute runtime: create, start, delete on v2 / crun | 0.500 × | 0.6 × | met |",
            "| soute runtime: system calls of a run on v2 | 351.000  | 350  | **missed** |",
            "| soute runtime: peak memory of a run on v2 / crun | 0.750 × | 1 × | met |",
            "| soute runtime: 1 at once on v2, time per container / floor | 2.000 × | 1.667 × | **missed** |",
            "| crun | 6.00 | 6.00 | 2.00 | 1 |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        for line in [
            "| run on a bridge / podman |  | 0.04 × | not measured |",
            "| soute runtime: run on v2 / runc |  | 0.2 × | not measured |",
            "Left out of “One container, back to back”: runc, which failed:\n\n```text\nrunc did not end within 20 s\n```",
            "Left out of “everything”: podman, which failed:\n\n```text\nno image\n```",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(
            page.contains("| memory while loading | 32.000 MiB | 64 MiB | met |"),
            "{page}"
        );
        let missed = "| soute ns ls of 2,000 processes / lsns | 0.400 × | 0.3 × | **missed** |\n";
        for line in [
            missed,
            "| soute ns ls --all of 2,000 processes / lsns | 0.500 × | 1 × | met |",
            "| soute ns ls: peak memory / lsns | 0.500 × | 0.5 × | met |",
            "| soute enter / nsenter --all | 1.200 × | 1 × | **missed** |",
            "| soute enter --ns net / nsenter --net | 1.000 × | 1 × | met |",
            "| soute ns ls | 400.00 | 400.00 | 1.00 | 1 |",
            "| soute ns ls --all | 2100 |\n\nlsns from util-linux 1.\n\n## A gzip layer",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        // A part that is renewed stands where it stood, and the rest is as it was.
        assert_eq!(renew_lens(&page, &lens(400.0)).unwrap(), page);
        let renewed = renew_lens(&page, &lens(250.0)).unwrap();
        let met = "| soute ns ls of 2,000 processes / lsns | 0.250 × | 0.3 × | met |\n";
        let expected = page.replace(missed, met);
        let expected = expected.replace(
            "| soute ns ls | 400.00 | 400.00 | 1.00 | 1 |\n| soute ns ls --all | 500.00 | 500.00 | 1.25 |",
            "| soute ns ls | 250.00 | 250.00 | 1.00 | 1 |\n| soute ns ls --all | 500.00 | 500.00 | 2.00 |",
        );
        let expected = expected.replace(
            "| lsns | 1000.00 | 1000.00 | 2.50 |",
            "| lsns | 1000.00 | 1000.00 | 4.00 |",
        );
        assert_eq!(renewed, expected);
        // A page of before there was such a part.
        let (before, rest) = page.split_once("## Namespaces\n").unwrap();
        let (_, after) = rest.split_once("## A gzip").unwrap();
        let before: String = before
            .split_inclusive('\n')
            .filter(|line| !line.contains("ns ls") && !line.contains("enter"))
            .collect();
        let old = format!("{before}## A gzip{after}");
        assert_eq!(renew_lens(&old, &lens(400.0)).unwrap(), page);
    }
}
