//! What is told of all namespaces of a machine, and a program in those of one process: beside util-linux.
//!
//! Two thousand processes in forty groups of namespaces, in a PID namespace of this measurement's own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Options;
use super::bed::Bed;
use super::cost;
use super::left_out::LeftOut;
use super::limit::LIMIT;
use super::measure::{Pace, Subject, measure as rounds};
use crate::shell::{command, output, step};

/// As the report calls the measurements.
pub const LIST: &str = "All namespaces of 2,000 processes";
/// See [`LIST`].
pub const ENTER: &str = "A program in all namespaces of a process";
/// See [`LIST`].
pub const ENTER_NET: &str = "A program in the network namespace of a process";
/// See [`LIST`].
pub const PEAK: &str = "Peak memory, KiB";

/// The names that the report's ratios are made of.
pub const LS: &str = "soute ns ls";
/// See [`LS`].
pub const LS_ALL: &str = "soute ns ls --all";
/// See [`LS`].
pub const LSNS: &str = "lsns";
/// See [`LS`].
pub const SOUTE_ENTER: &str = "soute enter";
/// See [`LS`].
pub const SOUTE_ENTER_NET: &str = "soute enter --ns net";
/// See [`LS`].
pub const NSENTER: &str = "nsenter --all";
/// See [`LS`].
pub const NSENTER_NET: &str = "nsenter --net";

const GROUPS: usize = 40;
/// `unshare` itself, and those in its PID namespace.
const PROCESSES_OF_ONE: usize = 50;
/// How long it may take until all are there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes in namespaces of their own: these end with each group's `unshare`.
struct Groups(Vec<Child>);

impl Groups {
    fn start(busybox: &Path) -> Result<Self> {
        let sleepers = PROCESSES_OF_ONE - 2;
        let script = format!(
            r#"i=0; while [ $i -lt {sleepers} ]; do "$0" sleep 1000000 & i=$((i+1)); done; wait"#
        );
        let mut groups = Self(Vec::new());
        for _ in 0..GROUPS {
            let mut unshare = command(
                "unshare",
                [
                    "--mount",
                    "--uts",
                    "--ipc",
                    "--net",
                    "--pid",
                    "--cgroup",
                    "--fork",
                    "--kill-child",
                    "--",
                ],
            );
            unshare.arg(busybox).args(["sh", "-c", &script]);
            unshare.arg(busybox).stdin(Stdio::null());
            groups
                .0
                .push(unshare.spawn().context("cannot run unshare")?);
        }
        let start = Instant::now();
        while processes()? < GROUPS * PROCESSES_OF_ONE {
            if start.elapsed() > PATIENCE {
                bail!("after {} s not all processes are there", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(groups)
    }

    /// The first process in one group's PID namespace.
    fn inhabitant(&self) -> Result<String> {
        let pid = self.0.first().context("no group")?.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let first = children.split_whitespace().next();
        Ok(first.context("unshare has no child")?.to_owned())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &mut self.0 {
            let _ = group.kill();
        }
        for group in &mut self.0 {
            let _ = group.wait();
        }
    }
}

/// How many there are in sight.
fn processes() -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        count += usize::from(name.as_encoded_bytes()[0].is_ascii_digit());
    }
    Ok(count)
}

/// Measures, in namespaces of its own, and leaves the figures in the bed.
pub fn measure(bed: &Bed, options: Options) -> Result<()> {
    step("2,000 processes");
    let groups = Groups::start(&bed.rootfs().join("bin/busybox"))?;
    let target = groups.inhabitant()?;
    let soute = bed.path("soute");
    let subject = |name, words: &[&str]| Subject {
        name,
        commands: commands(words),
        clear: None,
        slow: false,
    };
    let soute = soute.to_str().context("the bed's path is not UTF-8")?;
    let list = [
        subject(LS, &[soute, "ns", "ls"]),
        subject(LS_ALL, &[soute, "ns", "ls", "--all"]),
        subject(LSNS, &["lsns"]),
    ];
    let enter = [
        subject(SOUTE_ENTER, &[soute, "enter", &target, "true"]),
        subject(NSENTER, &["nsenter", "--all", "--target", &target, "true"]),
    ];
    let enter_net = [
        subject(
            SOUTE_ENTER_NET,
            &[soute, "enter", "--ns", "net", &target, "true"],
        ),
        subject(
            NSENTER_NET,
            &["nsenter", "--net", "--target", &target, "true"],
        ),
    ];
    let pace = |rounds, batch| Pace {
        rounds,
        batch,
        idle: None,
        limit: LIMIT,
    };
    let (long, short) = match options.quick {
        true => (pace(4, 3), pace(6, 5)),
        false => (pace(12, 5), pace(24, 10)),
    };
    // Nobody is left out: without util-linux there is nothing to compare with.
    let mut left_out = LeftOut::new(bed);
    let figures = json!({
        "list": rounds(LIST, &list, long, &mut left_out)?,
        "enter": rounds(ENTER, &enter, short, &mut left_out)?,
        "enter net": rounds(ENTER_NET, &enter_net, short, &mut left_out)?,
        "kib": {
            LS: cost::peak(bed, &list[0])?,
            LS_ALL: cost::peak(bed, &list[1])?,
            LSNS: cost::peak(bed, &list[2])?,
        },
        "version": output(&mut command("lsns", ["--version"]))?.trim(),
    });
    drop(groups);
    std::fs::write(bed.path("lens.json"), figures.to_string())?;
    Ok(())
}

fn commands(words: &[&str]) -> Box<dyn Fn() -> Vec<Command>> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Box::new(move || {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        vec![command]
    })
}
