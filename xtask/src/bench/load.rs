//! Unpacking a gzip layer, beside the tools that do nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::bed::Bed;
use super::limit::Running;
use super::measure::time;
use super::statistics::Sample;
use crate::image::Images;
use crate::shell;

/// For one unpacking of 200 MB, which a slow disk takes its time to write.
const UNPACKING: Duration = Duration::from_secs(300);
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Milliseconds each, and soute's largest resident set.
pub struct Load {
    /// `soute import` of the gzip file, into an engine without any image.
    pub soute: Sample,
    /// `gzip -dc | tar x` of the same file into a new folder.
    pub tools: Sample,
    /// KiB.
    pub peak: u64,
}

/// Measures by turns. Each repetition has a folder of its own and nothing is deleted in
/// between: file systems are many times slower at writing where they have just deleted.
/// What the one before has left unwritten is written first: soute waits until all is on disk (syncfs(2)), the tools do not.
pub fn measure(bed: &Bed, images: &Images, rounds: usize) -> Result<Load> {
    let file = bed.path("debian.tar.gz");
    shell::run(
        Command::new("gzip")
            .arg("-c")
            .stdin(std::fs::File::open(&images.debian)?)
            .stdout(std::fs::File::create(&file)?),
    )?;
    let mut load = Load {
        soute: Vec::new(),
        tools: Vec::new(),
        peak: 0,
    };
    let write_all = || shell::run(&mut Command::new("sync"));
    // The first round fills the page cache and does not count.
    for round in 0..=rounds {
        write_all()?;
        let tools = time(
            &mut [tools(&file, &bed.path(&format!("unpacked-{round}")))],
            UNPACKING,
        )?;
        write_all()?;
        let mut import = bed.soute_at(&format!("loaded-{round}"));
        let (soute, peak) = time_and_peak(import.arg("import").arg(&file).arg("debian"))?;
        if round > 0 {
            load.tools.push(tools.as_secs_f64() * 1e3);
            load.soute.push(soute.as_secs_f64() * 1e3);
            load.peak = load.peak.max(peak);
        }
    }
    Ok(load)
}

fn tools(file: &Path, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            r#"mkdir "$2" && gzip -dc "$1" | tar -x -C "$2" -f -"#,
            "sh",
        ])
        .arg(file)
        .arg(folder);
    command
}

/// Runs `command` and watches its high-water mark (`VmHWM`, proc_pid_status(5)), which only grows.
fn time_and_peak(command: &mut Command) -> Result<(Duration, u64)> {
    let start = Instant::now();
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    let status_file = format!("/proc/{}/status", running.id());
    let mut peak = 0;
    let status = loop {
        if let Some(status) = running.wait(LOOK)? {
            break status;
        }
        if start.elapsed() > UNPACKING {
            let line = shell::line(command);
            bail!("{line} did not end within {} s", UNPACKING.as_secs());
        }
        let text = std::fs::read_to_string(&status_file).unwrap_or_default();
        peak = peak.max(high_water(&text).unwrap_or(0));
    };
    let took = start.elapsed();
    if !status.success() {
        bail!("{} ended with {status}", shell::line(command));
    }
    Ok((took, peak))
}

fn high_water(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_process_is_seen() {
        let (took, peak) = time_and_peak(Command::new("sleep").arg("0.05")).unwrap();
        assert!(
            took >= Duration::from_millis(50) && peak > 100,
            "{took:?} {peak}"
        );
    }
}
