//! One cgroup layout at a time, in namespaces that show nothing else.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Options;
use super::bed::Bed;
use super::docker::{Docker, import};
use super::left_out::{EVERYTHING, LeftOut};
use super::limit::LIMIT;
use super::measure::{Pace, measure as sample};
use super::subjects::{self, DOCKER, PODMAN};
use super::{bundle, cost, idle, peers, rates};
use crate::cgroups::Parents;
use crate::shell::{command, run};

const CGROUPS: &str = "/sys/fs/cgroup";

/// As the report calls the measurements.
pub const RUN: &str = "One container, back to back";
/// See [`RUN`].
pub const IDLE: &str = "One container, each after 50 ms idle";
/// See [`RUN`].
pub const EXEC: &str = "exec in a running container";
/// See [`RUN`].
pub const LIFE: &str = "create, start and delete --force";

/// A version of cgroups, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The version 1 hierarchies.
    V1,
    /// The unified hierarchy.
    V2,
}

impl Layout {
    /// As the floor and the report call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            other => bail!("no cgroup layout: {other}"),
        }
    }
}

/// The layouts that this machine can show.
pub fn available() -> Result<Vec<Layout>> {
    let mounts =
        std::fs::read_to_string("/proc/self/mounts").context("cannot read the mount table")?;
    let v1 = mounts
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup"));
    Ok(if v1 {
        vec![Layout::V1, Layout::V2]
    } else {
        vec![Layout::V2]
    })
}

/// Starts this program again in mount, network and PID namespaces of its own, and returns its figures.
/// Whatever a peer left running dies with the PID namespace.
pub fn measure_in_namespaces(layout: Layout, bed: &Bed, options: Options) -> Result<Value> {
    in_namespaces(
        &["bench-layout", layout.name()],
        bed,
        options,
        layout.name(),
    )
}

/// The same of another measurement: `words` call it in there, and it leaves its figures in `NAME.json` of the bed.
pub fn in_namespaces(words: &[&str], bed: &Bed, options: Options, name: &str) -> Result<Value> {
    in_namespaces_of(peers::root()?.as_deref(), words, bed, options, name)
}

/// The same with `root` for the peers' root; `None`: with the machine's own programs.
pub fn in_namespaces_of(
    root: Option<&Path>,
    words: &[&str],
    bed: &Bed,
    options: Options,
    name: &str,
) -> Result<Value> {
    let this = bed.path("xtask");
    std::fs::copy(std::env::current_exe()?, &this)?;
    // Whoever is measured is in a process group of its own, which the terminal's interrupt does not reach: all of it
    // ends with this process instead.
    let mut inside = command(
        "setpriv",
        [
            "--pdeathsig=KILL",
            "--",
            "unshare",
            "--mount",
            "--propagation=private",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ],
    );
    if let Some(root) = root {
        let enter = peers::command_in(root, bed);
        inside.arg(enter.get_program()).args(enter.get_args());
    }
    inside
        .arg(this)
        .args(words)
        .arg(bed.folder())
        .args(options.words());
    let _parents = Parents::watch()?;
    let measured = run(&mut inside);
    remove_peers_cgroups();
    measured?;
    let file = bed.path(&format!("{name}.json"));
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).context("the figures are no JSON")
}

/// In those namespaces: measures and leaves the figures in the bed.
pub fn measure(layout: Layout, bed: &Bed, options: Options) -> Result<()> {
    show_only(layout)?;
    run(command("mount", ["-t", "tmpfs", "tmpfs"]).arg(bed.run()))?;
    run(&mut command("ip", ["link", "set", "lo", "up"]))?;
    bundle::write_all(bed)?;
    let mut left_out = LeftOut::new(bed);
    let docker = if options.docker && layout == Layout::V1 {
        left_out.attempt(DOCKER, EVERYTHING, || Docker::start(bed))?
    } else {
        None
    };
    if !options.quick {
        left_out.attempt(PODMAN, EVERYTHING, || import(bed.podman(), bed))?;
    }
    let (rounds, batch) = if options.quick { (6, 5) } else { (24, 10) };
    let pace = Pace {
        rounds,
        batch,
        idle: None,
        limit: LIMIT,
    };
    let everyone = subjects::run(bed, layout, options, docker.is_some());
    let run = sample(RUN, &everyone, pace, &mut left_out)?;
    let quick = Options {
        quick: true,
        docker: false,
        ..options
    };
    let lean = subjects::run(bed, layout, quick, false);
    let idle_pace = Pace {
        batch: batch / 2,
        idle: Some(Duration::from_millis(50)),
        ..pace
    };
    let after_idle = sample(IDLE, &lean, idle_pace, &mut left_out)?;
    let life = sample(LIFE, &subjects::life(bed), pace, &mut left_out)?;
    let costs = cost::measure(bed, &lean, &mut left_out)?;
    let total = if options.quick { 100 } else { 1000 };
    let numbered = subjects::numbered(bed, layout);
    let rates = rates::measure(&numbered, total, &mut left_out)?;
    let held = subjects::Held::start(bed, layout, &mut left_out)?;
    let exec = sample(EXEC, &held.exec(), pace, &mut left_out)?;
    drop(held);
    let memory = idle::measure(bed, layout, options, &mut left_out)?;
    drop(docker);

    let versions = bed.versions(&mut left_out)?;
    let figures = json!({
        "run": run, "idle": after_idle, "exec": exec, "memory": memory, "life": life,
        "costs": costs, "rates": rates, "left out": left_out.figures(), "versions": versions,
    });
    std::fs::write(bed.path(&format!("{layout}.json")), figures.to_string())?;
    Ok(())
}

/// Leaves one layout at the usual place. The mounts are this namespace's own.
pub fn show_only(layout: Layout) -> Result<()> {
    match layout {
        Layout::V1 => {
            let unified = Path::new(CGROUPS).join("unified");
            if unified.exists() {
                run(command("umount", []).arg(&unified))?;
            }
            Ok(())
        }
        Layout::V2 => {
            if Path::new(CGROUPS).join("cgroup.controllers").exists() {
                return Ok(());
            }
            run(&mut command("umount", ["--recursive", CGROUPS]))?;
            run(&mut command("mount", ["-t", "cgroup2", "cgroup2", CGROUPS]))
        }
    }
}

/// The parents that Docker and Podman make for their cgroups and keep, and what a runtime that failed has left.
fn remove_peers_cgroups() {
    for parent in ["libpod_parent", "docker", subjects::PREFIX] {
        let search = Command::new("find")
            .args([
                CGROUPS,
                "-depth",
                "-type",
                "d",
                "-path",
                &format!("*/{parent}*"),
                "-exec",
                "rmdir",
                "{}",
                "+",
            ])
            .output();
        match search {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprint!("xtask: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("xtask: cannot run find: {error}"),
        }
    }
}
