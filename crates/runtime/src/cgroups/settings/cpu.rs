//! CPU time, CPUs, memory nodes, processes.

use super::Plan;
use crate::cgroups::{CgroupError, ResourceError, Resources};

impl Plan<'_> {
    pub(super) fn cpu(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(shares) = r.cpu_shares.filter(|&s| s != 0) {
            let limit = "--cpu-shares";
            let at = self.carrier(limit, "cpu", "cpu")?;
            if at.0.v2 {
                self.push(limit, at, "cpu.weight", weight(shares).to_string());
            } else if !(2..=262_144).contains(&shares) {
                // The kernel would take another number without a word.
                return Err(ResourceError::Range {
                    limit,
                    value: shares.to_string(),
                    range: "2 to 262144".to_owned(),
                }
                .into());
            } else {
                self.push(limit, at, "cpu.shares", shares.to_string());
            }
        }
        self.quota(r)?;
        if let Some(idle) = r.cpu_idle {
            let at = self.carrier("cpu.idle", "cpu", "cpu")?;
            let setting = self.push("cpu.idle", at, "cpu.idle", idle.to_string());
            setting.moot_if_absent = idle == 0;
            setting.why_absent = " (it came with Linux 5.15)";
        }
        // The period first: the kernel refuses more runtime than there is period.
        if let Some(period) = r.cpu_rt_period.filter(|&p| p != 0) {
            self.realtime("cpu.realtimePeriod", "cpu.rt_period_us", period.to_string())?;
        }
        if let Some(runtime) = r.cpu_rt_runtime.filter(|&t| t != 0) {
            let text = runtime.to_string();
            self.realtime("cpu.realtimeRuntime", "cpu.rt_runtime_us", text)?;
        }
        Ok(())
    }

    fn realtime(
        &mut self,
        limit: &'static str,
        file: &'static str,
        text: String,
    ) -> Result<(), CgroupError> {
        self.only_v1(limit, "cpu", file, text)?;
        if let Some(setting) = self.settings.last_mut() {
            setting.why_absent = " (CONFIG_RT_GROUP_SCHED)";
        }
        Ok(())
    }

    fn quota(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let quota = r.cpu_quota.filter(|&q| q != 0);
        let period = r.cpu_period.filter(|&p| p != 0);
        if quota.is_some() || period.is_some() {
            let limit = if quota.is_some() {
                "--cpu-quota (--cpus)"
            } else {
                "--cpu-period"
            };
            let at = self.carrier(limit, "cpu", "cpu")?;
            if at.0.v2 {
                let quota = match quota {
                    Some(q) if q > 0 => q.to_string(),
                    _ => "max".to_owned(),
                };
                // Without a second word the kernel keeps the period.
                let text = match period {
                    Some(period) => format!("{quota} {period}"),
                    None => quota,
                };
                self.push(limit, at, "cpu.max", text);
            } else {
                if let Some(period) = period {
                    self.push("--cpu-period", at, "cpu.cfs_period_us", period.to_string());
                }
                if let Some(quota) = quota {
                    self.push(limit, at, "cpu.cfs_quota_us", quota.max(-1).to_string());
                }
            }
        }
        // After the quota, which it may not exceed.
        if let Some(burst) = r.cpu_burst {
            let at = self.carrier("cpu.burst", "cpu", "cpu")?;
            let file = if at.0.v2 {
                "cpu.max.burst"
            } else {
                "cpu.cfs_burst_us"
            };
            let setting = self.push("cpu.burst", at, file, burst.to_string());
            setting.moot_if_absent = burst == 0;
            setting.why_absent = " (it came with Linux 5.14)";
        }
        Ok(())
    }

    pub(super) fn cpuset(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let lists = [
            ("--cpuset-cpus", "cpuset.cpus", &r.cpuset_cpus),
            ("--cpuset-mems", "cpuset.mems", &r.cpuset_mems),
        ];
        for (limit, file, list) in lists {
            if let Some(list) = list.as_ref().filter(|l| !l.is_empty()) {
                let at = self.carrier(limit, "cpuset", "cpuset")?;
                self.push(limit, at, file, list.clone());
            }
        }
        Ok(())
    }

    pub(super) fn pids(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(max) = r.pids_limit {
            let limit = "--pids-limit";
            // Without the controller there is no limit: then only a limit is an error.
            let at = match self.carrier(limit, "pids", "pids") {
                Err(_) if max <= 0 => return Ok(()),
                at => at?,
            };
            let text = if max <= 0 {
                "max".to_owned()
            } else {
                max.to_string()
            };
            self.push(limit, at, "pids.max", text);
        }
        Ok(())
    }
}

/// v1 shares (2 to 262144, 1024 unless set) as v2 weight (1 to 10000, 100 unless set).
///
/// The exponent is the parabola in log₂(shares) through both ends and the
/// default; the older straight line made 39 of the default, so that a
/// container with the default shares got less than one without any.
pub(in crate::cgroups) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // Less than a millionth above a whole number is a rounding error, not a share.
            (10f64.powf(exponent) - 1e-6).ceil() as u64
        }
    }
}
