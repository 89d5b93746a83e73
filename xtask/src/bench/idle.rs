//! What an engine keeps in memory for containers that do nothing.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Options;
use super::bed::Bed;
use super::layout::Layout;
use super::left_out::LeftOut;
use super::limit::{LIMIT, REMOVAL, output};
use super::subjects::{PODMAN, SOUTE};
use crate::shell::step;

/// As the report calls it.
pub const TITLE: &str = "Idle detached containers";

/// As many as the project's target speaks of.
const CONTAINERS: usize = 100;
/// How long the last one has been there when all are looked at.
const SETTLE: Duration = Duration::from_secs(1);

/// Starts the containers detached, one after the other, and adds up the memory of the engine's own processes.
pub fn measure(
    bed: &Bed,
    layout: Layout,
    options: Options,
    left_out: &mut LeftOut,
) -> Result<Value> {
    step(TITLE);
    let mut figures = json!({});
    let soute = bed.path("soute");
    let of_soute = || engine(|| bed.soute(), &soute);
    if let Some(figure) = left_out.attempt(SOUTE, TITLE, of_soute)? {
        figures["soute"] = figure;
    }
    if !options.quick && layout == Layout::V1 {
        let conmon = Path::new("/usr/bin/conmon");
        let of_podman = || engine(|| bed.podman(), conmon);
        if let Some(figure) = left_out.attempt(PODMAN, TITLE, of_podman)? {
            figures["conmon"] = figure;
        }
    }
    Ok(figures)
}

fn engine(command: impl Fn() -> Command, keeper: &Path) -> Result<Value> {
    let mut ids = Vec::new();
    let kept = start_all(&command, keeper, &mut ids);
    let start = Instant::now();
    let removed = output(command().args(["rm", "--force"]).args(&ids), REMOVAL);
    let mut figure = kept?;
    removed?;
    figure["remove"] = json!(start.elapsed().as_secs_f64());
    Ok(figure)
}

/// All figures but the removal's; `ids` are to be removed even where there are none.
fn start_all(
    command: &impl Fn() -> Command,
    keeper: &Path,
    ids: &mut Vec<String>,
) -> Result<Value> {
    let start = Instant::now();
    for _ in 0..CONTAINERS {
        let words = [
            "run",
            "-d",
            "--network",
            "none",
            "busybox",
            "/bin/sleep",
            "1000000",
        ];
        let id = output(command().args(words), LIMIT)?;
        ids.push(id.trim().to_owned());
    }
    let started = start.elapsed().as_secs_f64();
    // One that has just started is not idle: soute's monitors give back what the start took when it has gone well.
    sleep(SETTLE);
    let (processes, kib) = proportional_set_size(keeper)?;
    Ok(json!({
        "containers": CONTAINERS,
        "processes": processes,
        "kib": kib as f64 / CONTAINERS as f64,
        "start": started,
    }))
}

/// How many processes have `executable`, and their proportional set sizes (proc_pid_smaps(5)) together, KiB.
fn proportional_set_size(executable: &Path) -> Result<(usize, u64)> {
    let (mut processes, mut kib) = (0, 0);
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let path = entry.path();
        if std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe == executable) {
            let rollup = std::fs::read_to_string(path.join("smaps_rollup"))
                .with_context(|| format!("cannot read the memory map of {}", path.display()))?;
            kib += pss(&rollup).with_context(|| format!("{} has no Pss", path.display()))?;
            processes += 1;
        }
    }
    if processes == 0 {
        bail!("no process runs {}", executable.display());
    }
    Ok((processes, kib))
}

fn pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_read_and_not_its_parts() {
        let rollup = "00400000-7ffe [rollup]\nRss:  900 kB\nPss:                 123 kB\nPss_Dirty:  60 kB\n";
        assert_eq!(pss(rollup), Some(123));
    }

    #[test]
    fn this_process_has_memory() {
        let (processes, kib) = proportional_set_size(&std::env::current_exe().unwrap()).unwrap();
        assert!(processes >= 1 && kib > 100);
    }
}
