//! Changing the limits of a cgroup that processes live in.

use std::path::PathBuf;

use rustix::io::Errno;

use super::cgroup::Cgroup;
use super::make::apply;
use super::settings::{self, Setting};
use super::{CgroupError, ResourceError, Resources, files};

/// Files of a cgroup and the texts that bring its limits back.
#[derive(Debug, Default)]
pub struct OldLimits(Vec<(PathBuf, String)>);

impl OldLimits {
    /// The limits are again what they were before the update; `why` with what failed meanwhile.
    pub(super) fn restore(self, why: CgroupError) -> CgroupError {
        why.undone(self.write())
    }

    /// As [`OldLimits::restore`], for a reason that is none of the cgroup's.
    pub fn bring_back(self) -> Result<(), CgroupError> {
        let mut failed = self.write();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.remove(0).undone(failed)),
        }
    }

    fn write(self) -> Vec<CgroupError> {
        let old = self.0.iter().rev();
        old.filter_map(|(file, old)| files::write(file, old).err().map(CgroupError::from))
            .collect()
    }
}

impl Cgroup {
    /// Sets the limits that `change` names and leaves the others; gives what brings back those that were. All or nothing:
    /// when the kernel refuses one (memory below what cannot be reclaimed: EBUSY), those before it get their old values
    /// back.
    pub fn update(&self, change: &Resources) -> Result<OldLimits, CgroupError> {
        let mut change = change.clone();
        self.complete(&mut change)?;
        change.check(&self.layout)?;
        self.check_usage(&change)?;
        let mut settings = settings::plan(&change, &self.layout)?;
        self.order(&change, &mut settings)?;

        let mut done = OldLimits::default();
        for setting in &settings {
            let dir = setting.hierarchy.dir(self.path());
            let result = old_values(setting, &dir).and_then(|old| {
                apply(setting, &dir)?;
                done.0.extend(old);
                Ok(())
            });
            if let Err(error) = result {
                return Err(done.restore(error));
            }
        }
        Ok(done)
    }

    /// Where the caller asked for it, refuses a limit that would have processes killed at once.
    fn check_usage(&self, change: &Resources) -> Result<(), CgroupError> {
        let Some(node) = self
            .carrier("memory")
            .filter(|_| change.memory_check_before_update)
        else {
            return Ok(());
        };
        let file = node.file(if node.hierarchy.v2 {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        });
        let used = match files::read_if_any(&file)? {
            Some(text) => files::number(&file, &text)?.unwrap_or(0),
            None => return Ok(()),
        };
        for (limit, bytes) in [
            ("--memory", change.memory),
            ("--memory-swap", change.memory_swap),
        ] {
            if let Some(bytes @ 1..) = bytes
                && bytes.unsigned_abs() <= used
            {
                return Err(CgroupError::BelowUsage {
                    limit,
                    asked: bytes.unsigned_abs(),
                    used,
                });
            }
        }
        Ok(())
    }

    /// Fills in what `change` leaves out but a conversion needs.
    fn complete(&self, change: &mut Resources) -> Result<(), CgroupError> {
        let memory = self.carrier("memory");
        if let Some(node) = memory
            && change.memory_swap.is_some_and(|s| s > 0)
            && change.memory.is_none_or(|m| m == 0)
        {
            let file = node.file(if node.hierarchy.v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            });
            change.memory = files::number(&file, &files::read(&file)?)?
                .filter(|&m| m < i64::MAX as u64 - (64 << 10))
                .and_then(|m| i64::try_from(m).ok());
        }
        // v2 has quota and period in one file.
        if let Some(node) = self.carrier("cpu").filter(|n| n.hierarchy.v2)
            && change.cpu_period.is_some_and(|p| p != 0)
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
    pub(super) fn order(
        &self,
        change: &Resources,
        settings: &mut [Setting<'_>],
    ) -> Result<(), CgroupError> {
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
            // -1 is more than any number.
            let memory = u64::try_from(memory).unwrap_or(u64::MAX);
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
        let file = dir.join(name.as_ref());
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
    // Lines per device, `8:0 50` or `mlx5_0 hca_handle=2 hca_object=max`, or per interface.
    let per_device =
        name == "rdma.max" || name == "net_prio.ifpriomap" || name.ends_with("weight_device");
    let weight_of_device = name.ends_with(".weight") && text.contains(':');
    if per_device || weight_of_device {
        let device = text.split(' ').next().unwrap_or_default();
        let line = now
            .lines()
            .find(|l| l.split_once(' ').is_some_and(|(d, _)| d == device));
        return match line {
            Some(line) => line.to_owned(),
            None if name == "rdma.max" => format!("{device} hca_handle=max hca_object=max"),
            None if weight_of_device => format!("{device} default"),
            None => format!("{device} 0"),
        };
    }
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
            ("io.weight", "8:0 50", "default 100\n8:0 70\n", "8:0 70"),
            ("io.bfq.weight", "8:1 50", "default 100\n", "8:1 default"),
            ("blkio.bfq.weight_device", "8:1 50", "", "8:1 0"),
            (
                "rdma.max",
                "m0 hca_handle=1",
                "m0 hca_handle=2 hca_object=max\n",
                "m0 hca_handle=2 hca_object=max",
            ),
            ("net_prio.ifpriomap", "lo 5", "lo 0\neth0 0\n", "lo 0"),
        ] {
            assert_eq!(old_value(name, text, now), old, "{name} {text}");
        }
    }
}
