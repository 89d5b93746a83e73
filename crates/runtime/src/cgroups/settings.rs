//! Limits → the files and texts by which the kernel takes them. Pure.
//!
//! v1: Documentation/admin-guide/cgroup-v1/; v2: Documentation/admin-guide/cgroup-v2.rst.
//! Where the versions count differently the conversion is that of the OCI
//! runtimes, so that a container gets the same share under any of them.

use super::{CgroupError, Hierarchy, Layout, Resources, Throttle};

/// Boot parameters decide on swap accounting; the most common reason for its files to be missing.
const NO_SWAP: &str = " (swap accounting is off: kernel parameter swapaccount, CONFIG_SWAP)";
const NO_WEIGHT: &str = " (weights need the BFQ scheduler or, in v2, the iocost controller)";

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting<'a> {
    /// The flag that asked, for errors.
    pub limit: &'static str,
    /// The kernel's name of the controller.
    pub controller: &'static str,
    /// The hierarchy that carries it.
    pub hierarchy: &'a Hierarchy,
    /// File and text; the first file that exists is taken.
    pub writes: Vec<(&'static str, String)>,
    /// "No limit" is asked, or a default: where the file is missing there is nothing to be done.
    pub moot_if_absent: bool,
    /// Why the file may be missing, or nothing.
    pub why_absent: &'static str,
}

/// Collects the settings, one method per shape of limit.
struct Plan<'a> {
    layout: &'a Layout,
    settings: Vec<Setting<'a>>,
}

impl<'a> Plan<'a> {
    /// The hierarchy with the controller, under its v1 or its v2 name.
    fn carrier(
        &self,
        limit: &'static str,
        v1: &'static str,
        v2: &'static str,
    ) -> Result<(&'a Hierarchy, &'static str), CgroupError> {
        let found = self.layout.hierarchies().iter().find_map(|h| {
            let name = if h.v2 { v2 } else { v1 };
            h.has(name).then_some((h, name))
        });
        found.ok_or_else(|| {
            let wanted = if self.layout.hierarchies().iter().all(|h| h.v2) {
                v2
            } else {
                v1
            };
            self.layout.missing(limit, wanted)
        })
    }

    fn push(
        &mut self,
        limit: &'static str,
        at: (&'a Hierarchy, &'static str),
        file: &'static str,
        text: String,
    ) {
        self.settings.push(Setting {
            limit,
            controller: at.1,
            hierarchy: at.0,
            writes: vec![(file, text)],
            moot_if_absent: false,
            why_absent: "",
        });
    }

    fn memory(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let at = |plan: &Self, limit| plan.carrier(limit, "memory", "memory");
        // 0 is "unset", as in Docker, here and below.
        if let Some(bytes) = r.memory.filter(|&m| m != 0) {
            let limit = "--memory";
            let at = at(self, limit)?;
            let file = if at.0.v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            self.push(limit, at, file, bytes.to_string());
        }
        if let Some(total) = r.memory_swap.filter(|&s| s != 0) {
            let limit = "--memory-swap";
            let at = at(self, limit)?;
            let (file, text) = if at.0.v2 {
                (
                    "memory.swap.max",
                    swap_max(total, r.memory.filter(|&m| m != 0))?,
                )
            } else {
                ("memory.memsw.limit_in_bytes", total.to_string())
            };
            self.push(limit, at, file, text);
            if let Some(last) = self.settings.last_mut() {
                last.moot_if_absent = total < 0 || r.memory_swap_where_accounted;
                last.why_absent = NO_SWAP;
            }
        }
        if let Some(bytes) = r.memory_reservation.filter(|&m| m != 0) {
            let limit = "--memory-reservation";
            let at = at(self, limit)?;
            let file = if at.0.v2 {
                "memory.low"
            } else {
                "memory.soft_limit_in_bytes"
            };
            self.push(limit, at, file, bytes.to_string());
        }
        if let Some(percent) = r.memory_swappiness {
            self.only_v1(
                "--memory-swappiness",
                "memory",
                "memory.swappiness",
                percent.to_string(),
            )?;
        }
        if r.oom_kill_disable {
            self.only_v1(
                "--oom-kill-disable",
                "memory",
                "memory.oom_control",
                "1".to_owned(),
            )?;
        }
        Ok(())
    }

    fn only_v1(
        &mut self,
        limit: &'static str,
        controller: &'static str,
        file: &'static str,
        text: String,
    ) -> Result<(), CgroupError> {
        let at = self.carrier(limit, controller, controller)?;
        if at.0.v2 {
            return Err(CgroupError::OnlyV1 { limit, controller });
        }
        self.push(limit, at, file, text);
        Ok(())
    }

    fn cpu(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(shares) = r.cpu_shares.filter(|&s| s != 0) {
            let limit = "--cpu-shares";
            let at = self.carrier(limit, "cpu", "cpu")?;
            if at.0.v2 {
                self.push(limit, at, "cpu.weight", cpu_weight(shares).to_string());
            } else {
                self.push(limit, at, "cpu.shares", shares.to_string());
            }
        }
        let quota = r.cpu_quota.filter(|&q| q != 0);
        let period = r.cpu_period.filter(|&p| p != 0);
        if quota.is_none() && period.is_none() {
            return Ok(());
        }
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
        Ok(())
    }

    fn cpuset(&mut self, r: &Resources) -> Result<(), CgroupError> {
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

    fn pids(&mut self, r: &Resources) -> Result<(), CgroupError> {
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

    fn block_io(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(weight) = r.blkio_weight.filter(|&w| w != 0) {
            let limit = "--blkio-weight";
            let at = self.carrier(limit, "blkio", "io")?;
            let writes = if at.0.v2 {
                vec![
                    ("io.bfq.weight", weight.to_string()),
                    ("io.weight", io_weight(weight).to_string()),
                ]
            } else {
                vec![
                    ("blkio.weight", weight.to_string()),
                    ("blkio.bfq.weight", weight.to_string()),
                ]
            };
            self.settings.push(Setting {
                limit,
                controller: at.1,
                hierarchy: at.0,
                writes,
                moot_if_absent: false,
                why_absent: NO_WEIGHT,
            });
        }
        let kinds: [(&str, &[Throttle], &str, &str); 4] = [
            (
                "--device-read-bps",
                &r.device_read_bps,
                "blkio.throttle.read_bps_device",
                "rbps",
            ),
            (
                "--device-write-bps",
                &r.device_write_bps,
                "blkio.throttle.write_bps_device",
                "wbps",
            ),
            (
                "--device-read-iops",
                &r.device_read_iops,
                "blkio.throttle.read_iops_device",
                "riops",
            ),
            (
                "--device-write-iops",
                &r.device_write_iops,
                "blkio.throttle.write_iops_device",
                "wiops",
            ),
        ];
        for (limit, throttles, v1_file, v2_key) in kinds {
            for Throttle { major, minor, rate } in throttles {
                let at = self.carrier(limit, "blkio", "io")?;
                // Rate 0 lifts a throttle (v1's own spelling).
                let (file, text) = match (at.0.v2, rate) {
                    (true, 0) => ("io.max", format!("{major}:{minor} {v2_key}=max")),
                    (true, _) => ("io.max", format!("{major}:{minor} {v2_key}={rate}")),
                    (false, _) => (v1_file, format!("{major}:{minor} {rate}")),
                };
                self.push(limit, at, file, text);
            }
        }
        Ok(())
    }
}

/// All writes for `resources`, in an order that suits a fresh cgroup.
/// An asked limit without a controller is an error before anything is made.
pub(super) fn plan<'a>(
    resources: &Resources,
    layout: &'a Layout,
) -> Result<Vec<Setting<'a>>, CgroupError> {
    let mut plan = Plan {
        layout,
        settings: Vec::new(),
    };
    plan.memory(resources)?;
    plan.cpu(resources)?;
    plan.cpuset(resources)?;
    plan.pids(resources)?;
    plan.block_io(resources)?;
    Ok(plan.settings)
}

/// v2's swap alone from v1's memory and swap together.
fn swap_max(total: i64, memory: Option<u64>) -> Result<String, super::ResourceError> {
    let Ok(total) = u64::try_from(total) else {
        return Ok("max".to_owned());
    };
    let memory = memory.ok_or(super::ResourceError::SwapWithoutMemory)?;
    match total.checked_sub(memory) {
        Some(swap) => Ok(swap.to_string()),
        None => Err(super::ResourceError::SwapBelowMemory { total, memory }),
    }
}

/// v1 shares (2 to 262144, 1024 unless set) as v2 weight (1 to 10000, 100 unless set).
///
/// The exponent is the parabola in log₂(shares) through both ends and the
/// default; the older straight line made 39 of the default, so that a
/// container with the default shares got less than one without any.
fn cpu_weight(shares: u64) -> u64 {
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

/// v1 weight (10 to 1000) as v2 weight (1 to 10000), end to end.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(v2: bool, controllers: &[&str]) -> Hierarchy {
        Hierarchy {
            v2,
            controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
            mount: "/x".into(),
            root: "/".into(),
            own: "/".into(),
        }
    }

    fn v1() -> Layout {
        let names = ["cpu", "cpuset", "memory", "pids", "blkio"];
        Layout::from_parts(names.iter().map(|n| hierarchy(false, &[n])).collect())
    }

    fn v2() -> Layout {
        Layout::from_parts(vec![hierarchy(
            true,
            &["cpu", "cpuset", "memory", "pids", "io"],
        )])
    }

    /// `file=text` of the first choice of each setting.
    fn texts(resources: &Resources, layout: &Layout) -> Vec<String> {
        plan(resources, layout)
            .unwrap()
            .iter()
            .map(|s| format!("{}={}", s.writes[0].0, s.writes[0].1))
            .collect()
    }

    fn full() -> Resources {
        let throttle = |rate| {
            vec![Throttle {
                major: 8,
                minor: 1,
                rate,
            }]
        };
        Resources {
            memory: Some(200),
            memory_swap: Some(500),
            memory_reservation: Some(100),
            cpu_shares: Some(1024),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            cpuset_cpus: Some("0-1".into()),
            cpuset_mems: Some("0".into()),
            pids_limit: Some(64),
            blkio_weight: Some(1000),
            device_read_bps: throttle(1),
            device_write_bps: throttle(2),
            device_read_iops: throttle(3),
            device_write_iops: throttle(0),
            ..Resources::default()
        }
    }

    #[test]
    fn every_limit_on_v1() {
        assert_eq!(
            texts(&full(), &v1()),
            [
                "memory.limit_in_bytes=200",
                "memory.memsw.limit_in_bytes=500",
                "memory.soft_limit_in_bytes=100",
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "cpuset.cpus=0-1",
                "cpuset.mems=0",
                "pids.max=64",
                "blkio.weight=1000",
                "blkio.throttle.read_bps_device=8:1 1",
                "blkio.throttle.write_bps_device=8:1 2",
                "blkio.throttle.read_iops_device=8:1 3",
                "blkio.throttle.write_iops_device=8:1 0",
            ]
        );
    }

    #[test]
    fn every_limit_on_v2() {
        assert_eq!(
            texts(&full(), &v2()),
            [
                "memory.max=200",
                "memory.swap.max=300",
                "memory.low=100",
                "cpu.weight=100",
                "cpu.max=50000 100000",
                "cpuset.cpus=0-1",
                "cpuset.mems=0",
                "pids.max=64",
                "io.bfq.weight=1000",
                "io.max=8:1 rbps=1",
                "io.max=8:1 wbps=2",
                "io.max=8:1 riops=3",
                "io.max=8:1 wiops=max",
            ]
        );
    }

    #[test]
    fn a_default_for_swap_is_left_out_where_swap_is_not_accounted() {
        let resources = |nobody_asked| Resources {
            memory: Some(200),
            memory_swap: Some(400),
            memory_swap_where_accounted: nobody_asked,
            ..Resources::default()
        };
        for layout in [v1(), v2()] {
            for nobody_asked in [true, false] {
                let resources = resources(nobody_asked);
                let all = plan(&resources, &layout).unwrap();
                let moot: Vec<&str> = all
                    .iter()
                    .filter(|setting| setting.moot_if_absent)
                    .map(|setting| setting.limit)
                    .collect();
                let expected: &[&str] = if nobody_asked {
                    &["--memory-swap"]
                } else {
                    &[]
                };
                assert_eq!(moot, expected);
            }
        }
    }

    #[test]
    fn unlimited_and_partial() {
        let none = Resources {
            memory: Some(200),
            memory_swap: Some(-1),
            cpu_quota: Some(-1),
            pids_limit: Some(-1),
            ..Resources::default()
        };
        assert_eq!(
            texts(&none, &v2()),
            [
                "memory.max=200",
                "memory.swap.max=max",
                "cpu.max=max",
                "pids.max=max"
            ]
        );
        assert_eq!(
            texts(&none, &v1()),
            [
                "memory.limit_in_bytes=200",
                "memory.memsw.limit_in_bytes=-1",
                "cpu.cfs_quota_us=-1",
                "pids.max=max"
            ]
        );
        let period = Resources {
            cpu_period: Some(20_000),
            ..Resources::default()
        };
        assert_eq!(texts(&period, &v2()), ["cpu.max=max 20000"]);
        assert!(texts(&Resources::default(), &v1()).is_empty());
    }

    #[test]
    fn what_has_no_counterpart_is_refused() {
        let swappiness = Resources {
            memory_swappiness: Some(10),
            ..Resources::default()
        };
        assert!(matches!(
            plan(&swappiness, &v2()),
            Err(CgroupError::OnlyV1 {
                limit: "--memory-swappiness",
                ..
            })
        ));
        assert_eq!(texts(&swappiness, &v1()), ["memory.swappiness=10"]);
        let oom = Resources {
            oom_kill_disable: true,
            ..Resources::default()
        };
        assert!(matches!(plan(&oom, &v2()), Err(CgroupError::OnlyV1 { .. })));
        let swap = Resources {
            memory_swap: Some(100),
            ..Resources::default()
        };
        assert!(plan(&swap, &v2()).is_err());
        let swap = Resources {
            memory: Some(200),
            ..swap
        };
        assert!(plan(&swap, &v2()).is_err());
    }

    #[test]
    fn a_limit_without_controller_names_it() {
        let bare = Layout::from_parts(vec![hierarchy(true, &["hugetlb"])]);
        let error = plan(&full(), &bare).unwrap_err();
        assert!(
            matches!(
                error,
                CgroupError::MissingController {
                    limit: "--memory",
                    controller: "memory",
                    ..
                }
            ),
            "{error}"
        );
        let io = Resources {
            blkio_weight: Some(10),
            ..Resources::default()
        };
        assert!(plan(&io, &bare).unwrap_err().to_string().contains("\"io\""));
        let unlimited = Resources {
            pids_limit: Some(0),
            ..Resources::default()
        };
        assert!(plan(&unlimited, &bare).unwrap().is_empty());
    }

    #[test]
    fn weights() {
        assert_eq!(
            [0, 1, 2, 1024, 262_144, u64::MAX].map(cpu_weight),
            [1, 1, 1, 100, 10_000, 10_000]
        );
        let mut last = 0;
        for shares in 2..=262_144 {
            let weight = cpu_weight(shares);
            assert!(
                weight >= last && (1..=10_000).contains(&weight),
                "{shares} → {weight}"
            );
            last = weight;
        }
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
    }
}
