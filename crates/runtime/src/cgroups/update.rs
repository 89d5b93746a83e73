//! Changing the limits of a cgroup that processes live in.

use std::path::PathBuf;

use rustix::io::Errno;

use super::cgroup::{Cgroup, apply};
use super::settings::{self, Setting};
use super::{CgroupError, ResourceError, Resources, files};

impl Cgroup {
    /// Sets the limits that `change` names and leaves the others. All or nothing: when the
    /// kernel refuses one (memory below what cannot be reclaimed: EBUSY), those
    /// before it get their old values back.
    pub fn update(&self, change: &Resources) -> Result<(), CgroupError> {
        let mut change = change.clone();
        self.complete(&mut change)?;
        change.validate(&self.layout)?;
        let mut settings = settings::plan(&change, &self.layout)?;
        self.order(&change, &mut settings)?;

        let mut done: Vec<(PathBuf, String)> = Vec::new();
        for setting in &settings {
            let dir = setting.hierarchy.dir(self.path());
            let result = old_values(setting, &dir).and_then(|old| {
                apply(setting, &dir)?;
                done.extend(old);
                Ok(())
            });
            if let Err(error) = result {
                let undo = done
                    .iter()
                    .rev()
                    .filter_map(|(file, old)| files::write(file, old).err().map(CgroupError::from))
                    .collect();
                return Err(error.undone(undo));
            }
        }
        Ok(())
    }

    /// Fills in what `change` leaves out but a conversion needs.
    fn complete(&self, change: &mut Resources) -> Result<(), CgroupError> {
        let memory = self.carrier("memory");
        let asked = |n: Option<u64>| n.is_some_and(|n| n != 0);
        if let Some(node) = memory
            && change.memory_swap.is_some_and(|s| s > 0)
            && !asked(change.memory)
        {
            let file = node.file(if node.hierarchy.v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            });
            change.memory = files::number(&file, &files::read(&file)?)?
                .filter(|&m| m < i64::MAX as u64 - (64 << 10));
        }
        // v2 has quota and period in one file.
        if let Some(node) = self.carrier("cpu").filter(|n| n.hierarchy.v2)
            && asked(change.cpu_period)
            && change.cpu_quota.is_none_or(|q| q == 0)
        {
            let file = node.file("cpu.max");
            let text = files::read(&file)?;
            let quota = text.split(' ').next().unwrap_or_default();
            change.cpu_quota = Some(match files::number(&file, quota)? {
                Some(quota) => i64::try_from(quota).map_err(|_| files::unexpected(&file, &text))?,
                None => -1,
            });
        }
        Ok(())
    }

    /// v1 refuses a memory limit above that on memory and swap, and a CPU period
    /// that makes the old quota too large: the one that makes room goes first.
    fn order(&self, change: &Resources, settings: &mut [Setting<'_>]) -> Result<(), CgroupError> {
        let at = |settings: &[Setting<'_>], file: &str| {
            settings.iter().position(|s| s.writes[0].0 == file)
        };
        let v1 = |controller| self.carrier(controller).filter(|n| !n.hierarchy.v2);
        if let (Some(node), Some(memory)) = (v1("memory"), change.memory.filter(|&m| m != 0)) {
            let file = node.file("memory.memsw.limit_in_bytes");
            let both = match files::read_if_any(&file)? {
                Some(text) => files::number(&file, &text)?,
                None => None,
            };
            if let Some(both) = both.filter(|&both| memory > both) {
                match (
                    at(settings, "memory.limit_in_bytes"),
                    at(settings, "memory.memsw.limit_in_bytes"),
                ) {
                    (Some(a), Some(b)) => settings.swap(a, b),
                    _ => {
                        return Err(ResourceError::SwapBelowMemory {
                            total: both,
                            memory,
                        }
                        .into());
                    }
                }
            }
        }
        if let (Some(node), Some(period)) = (v1("cpu"), change.cpu_period.filter(|&p| p != 0))
            && let (Some(a), Some(b)) = (
                at(settings, "cpu.cfs_period_us"),
                at(settings, "cpu.cfs_quota_us"),
            )
        {
            let file = node.file("cpu.cfs_period_us");
            let old = files::number(&file, &files::read(&file)?)?.unwrap_or(100_000);
            // A shorter period makes a larger share of the old quota, perhaps more than the parent has.
            if period < old {
                settings.swap(a, b);
            }
        }
        Ok(())
    }
}

/// Files with the texts that bring back what the setting is about to change.
fn old_values(
    setting: &Setting<'_>,
    dir: &std::path::Path,
) -> Result<Option<(PathBuf, String)>, CgroupError> {
    for (name, text) in &setting.writes {
        let file = dir.join(name);
        let now = match files::read(&file) {
            Ok(now) => now,
            Err(e) if e.errno() == Errno::NOENT => continue,
            Err(e) => return Err(e.into()),
        };
        return Ok(Some((file, old_value(name, text, &now))));
    }
    Ok(None)
}

/// The text that brings `now` back after `text` has been written to the file `name`.
fn old_value(name: &str, text: &str, now: &str) -> String {
    // Lines per device; a throttle that was not there is lifted.
    if name.starts_with("blkio.throttle.") || name == "io.max" {
        let (device, rest) = text.split_once(' ').unwrap_or((text, ""));
        let line = now
            .lines()
            .find(|l| l.split_once(' ').is_some_and(|(d, _)| d == device));
        return match (line, rest.split_once('=')) {
            (Some(line), _) => line.to_owned(),
            (None, Some((key, _))) => format!("{device} {key}=max"),
            (None, None) => format!("{device} 0"),
        };
    }
    if name == "memory.oom_control" {
        return files::keyed(now, "oom_kill_disable")
            .unwrap_or(0)
            .to_string();
    }
    // Weights have lines per device after the first.
    match now.lines().next() {
        // An empty write would not reach the kernel.
        None | Some("") => "\n".to_owned(),
        Some(line) => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_per_file() {
        for (name, text, now, old) in [
            ("memory.max", "5", "max\n", "max"),
            ("cpu.max", "5 10", "max 100000\n", "max 100000"),
            ("io.bfq.weight", "5", "default 100\n8:0 50\n", "default 100"),
            (
                "io.max",
                "8:0 rbps=1",
                "8:0 rbps=9 wbps=max\n",
                "8:0 rbps=9 wbps=max",
            ),
            ("io.max", "8:1 rbps=1", "8:0 rbps=9\n", "8:1 rbps=max"),
            (
                "blkio.throttle.read_bps_device",
                "8:1 5",
                "8:1 7\n8:2 9\n",
                "8:1 7",
            ),
            ("blkio.throttle.read_bps_device", "8:1 5", "", "8:1 0"),
            (
                "memory.oom_control",
                "1",
                "oom_kill_disable 0\nunder_oom 0\n",
                "0",
            ),
            ("cpuset.cpus", "0", "\n", "\n"),
        ] {
            assert_eq!(old_value(name, text, now), old, "{name} {text}");
        }
    }
}
