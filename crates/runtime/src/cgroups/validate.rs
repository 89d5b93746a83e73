//! Limits that no kernel would take, refused before anything is made.

use std::collections::BTreeSet;
use std::path::Path;

use super::{CgroupError, Layout, Resources, Throttle, files, settings};

/// Docker's lower bound: less than this and runc's or our own init does not fit.
pub const MEMORY_MIN: i64 = 6 << 20;

/// A limit outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// A number outside its range.
    #[error("{limit} {value}: the allowed range is {range}")]
    Range {
        /// The flag.
        limit: &'static str,
        /// What was given.
        value: String,
        /// The range in words.
        range: String,
    },
    /// Less memory and swap than memory.
    #[error(
        "--memory-swap {total} is less than --memory {memory}: it counts memory and swap together"
    )]
    SwapBelowMemory {
        /// Bytes.
        total: u64,
        /// Bytes.
        memory: u64,
    },
    /// A swap limit means nothing without a memory limit.
    #[error("--memory-swap needs --memory: it counts memory and swap together")]
    SwapWithoutMemory,
    /// The soft limit is above the hard one.
    #[error("--memory-reservation {reservation} is more than --memory {memory}")]
    ReservationAboveMemory {
        /// Bytes.
        reservation: u64,
        /// Bytes.
        memory: u64,
    },
    /// `0-2,4` is expected.
    #[error("{limit} \"{list}\": not a list such as \"0-2,4\"")]
    List {
        /// The flag.
        limit: &'static str,
        /// What was given.
        list: String,
    },
    /// CPUs or memory nodes that the machine does not have.
    #[error("{limit} \"{list}\": {asked} is not available, only {available}")]
    NotOnline {
        /// The flag.
        limit: &'static str,
        /// What was given.
        list: String,
        /// The first that is missing.
        asked: u32,
        /// What there is.
        available: String,
    },
    /// `2MB` is expected.
    #[error("hugepageLimits \"{0}\": not a size such as \"2MB\"")]
    PageSize(String),
    /// A name that the kernel's files would misread.
    #[error("\"{0}\" cannot be the name of an interface or device")]
    Interface(String),
    /// An RDMA device without any limit.
    #[error("rdma \"{0}\": neither hcaHandles nor hcaObjects is given")]
    EmptyRdma(String),
    /// The same device twice in one flag.
    #[error("{limit}: device {major}:{minor} is given twice")]
    DeviceTwice {
        /// The flag.
        limit: &'static str,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Resources {
    /// Refuses what the machine cannot give, and what Docker refuses of it beside: too small a limit for anything to
    /// start, more CPU time than there is, the same device twice. Nothing is changed.
    pub fn validate(&self, layout: &Layout) -> Result<(), CgroupError> {
        self.validate_numbers()?;
        if let Some(quota) = self.cpu_quota.filter(|&q| q > 0) {
            let cpus =
                parse_list(&online("/sys/devices/system/cpu/online")?).map_or(1, |set| set.len());
            let period = self.cpu_period.filter(|&p| p != 0).unwrap_or(100_000);
            if quota.unsigned_abs() > period.saturating_mul(cpus as u64) {
                return Err(range(
                    "--cpus",
                    format!("{}", quota as f64 / period as f64),
                    format!("0.01 to {cpus}, the CPUs online"),
                )
                .into());
            }
        }
        self.check(layout)
    }

    /// Refuses what the machine cannot give: values outside their ranges, CPUs that are not online, limits without
    /// a controller in `layout`. What only the kernel knows, it says when it is asked. Nothing is changed.
    pub fn check(&self, layout: &Layout) -> Result<(), CgroupError> {
        self.check_numbers()?;
        let lists = [
            (
                "--cpuset-cpus",
                &self.cpuset_cpus,
                "/sys/devices/system/cpu/online",
            ),
            (
                "--cpuset-mems",
                &self.cpuset_mems,
                "/sys/devices/system/node/online",
            ),
        ];
        for (limit, list, file) in lists {
            if let Some(list) = list.as_deref().filter(|l| !l.is_empty()) {
                within(limit, list, &online(file)?)?;
            }
        }
        settings::plan(self, layout).map(drop)
    }

    /// What no kernel takes, or what it would take for something else.
    fn check_numbers(&self) -> Result<(), ResourceError> {
        for (limit, bytes) in [
            ("--memory", self.memory),
            ("--memory-reservation", self.memory_reservation),
            ("--memory-swap", self.memory_swap),
        ] {
            if let Some(bytes) = bytes.filter(|&bytes| bytes < -1) {
                return Err(range(limit, bytes, "-1 (no limit), or bytes".into()));
            }
        }
        if let (Some(total @ 1..), memory) = (self.memory_swap, self.memory) {
            settings::swap_max(total, memory.filter(|&m| m != 0))?;
        }
        if let Some(percent) = self.memory_swappiness.filter(|&p| p > 100) {
            return Err(range("--memory-swappiness", percent, "0 to 100".into()));
        }
        if let Some(idle) = self.cpu_idle.filter(|idle| !(0..=1).contains(idle)) {
            return Err(range("cpu.idle", idle, "0 or 1".into()));
        }
        if let (Some(burst), Some(quota @ 1..)) = (self.cpu_burst, self.cpu_quota)
            && burst > quota.unsigned_abs()
        {
            return Err(range(
                "cpu.burst",
                burst,
                format!("0 to {quota}, the quota"),
            ));
        }
        let per_device = self.blkio_weight_device.iter();
        let weights =
            [
                ("--blkio-weight", self.blkio_weight),
                ("blockIO.leafWeight", self.blkio_leaf_weight),
            ]
            .into_iter()
            .chain(per_device.flat_map(|d| {
                [d.weight, d.leaf_weight].map(|weight| ("blockIO.weightDevice", weight))
            }));
        for (limit, weight) in weights {
            if let Some(weight) = weight.filter(|&w| w != 0 && !(10..=1000).contains(&w)) {
                return Err(range(limit, weight, "10 to 1000".into()));
            }
        }
        Ok(())
    }

    /// Docker's rules, which need no machine.
    fn validate_numbers(&self) -> Result<(), ResourceError> {
        let floor = |limit, bytes: Option<i64>| match bytes {
            Some(bytes) if bytes > 0 && bytes < MEMORY_MIN => {
                Err(range(limit, bytes, "6 MiB (6291456) or more".into()))
            }
            _ => Ok(()),
        };
        floor("--memory", self.memory)?;
        floor("--memory-reservation", self.memory_reservation)?;
        if let (Some(memory @ 1..), Some(reservation @ 1..)) =
            (self.memory, self.memory_reservation)
            && memory < reservation
        {
            return Err(ResourceError::ReservationAboveMemory {
                reservation: reservation.unsigned_abs(),
                memory: memory.unsigned_abs(),
            });
        }
        if let Some(shares) = self
            .cpu_shares
            .filter(|&s| s != 0 && !(2..=262_144).contains(&s))
        {
            return Err(range("--cpu-shares", shares, "2 to 262144".into()));
        }
        if let Some(period) = self
            .cpu_period
            .filter(|&p| p != 0 && !(1_000..=1_000_000).contains(&p))
        {
            return Err(range(
                "--cpu-period",
                period,
                "1000 to 1000000 microseconds".into(),
            ));
        }
        if let Some(quota) = self.cpu_quota.filter(|&q| !matches!(q, -1 | 0 | 1_000..)) {
            return Err(range(
                "--cpu-quota",
                quota,
                "1000 microseconds or more, or -1 (no limit)".into(),
            ));
        }
        if let Some(limit) = self.pids_limit.filter(|&p| p < -1) {
            return Err(range(
                "--pids-limit",
                limit,
                "1 or more; 0 and -1 are no limit".into(),
            ));
        }
        distinct("--device-read-bps", &self.device_read_bps)?;
        distinct("--device-write-bps", &self.device_write_bps)?;
        distinct("--device-read-iops", &self.device_read_iops)?;
        distinct("--device-write-iops", &self.device_write_iops)?;
        self.check_numbers()
    }
}

fn range(limit: &'static str, value: impl ToString, range: String) -> ResourceError {
    ResourceError::Range {
        limit,
        value: value.to_string(),
        range,
    }
}

/// A later throttle for the same device would silently replace the first.
fn distinct(limit: &'static str, throttles: &[Throttle]) -> Result<(), ResourceError> {
    let mut seen = BTreeSet::new();
    for &Throttle { major, minor, .. } in throttles {
        if !seen.insert((major, minor)) {
            return Err(ResourceError::DeviceTwice {
                limit,
                major,
                minor,
            });
        }
    }
    Ok(())
}

fn online(file: &str) -> Result<String, CgroupError> {
    // A kernel without NUMA has no node folder, and one node.
    Ok(files::read_if_any(Path::new(file))?
        .map_or_else(|| "0".to_owned(), |text| text.trim().to_owned()))
}

fn within(limit: &'static str, list: &str, online: &str) -> Result<(), ResourceError> {
    let bad = || ResourceError::List {
        limit,
        list: list.to_owned(),
    };
    let asked = parse_list(list).ok_or_else(bad)?;
    let available = parse_list(online).ok_or_else(bad)?;
    match asked.difference(&available).next() {
        None => Ok(()),
        Some(&asked) => Err(ResourceError::NotOnline {
            limit,
            list: list.to_owned(),
            asked,
            available: online.to_owned(),
        }),
    }
}

/// A list as in cpuset(7), "List format": `0-4,9`. Numbers above 65535 are no CPU of any kernel.
pub(super) fn parse_list(list: &str) -> Option<BTreeSet<u32>> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(n) if n <= 65_535 && text.bytes().all(|b| b.is_ascii_digit()) => Some(n),
        _ => None,
    };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some((first, last))
    };
    let mut ranges: Vec<_> = list.split(',').map(range).collect::<Option<_>>()?;
    ranges.sort_unstable();
    // Each number once, however often it is written.
    let (mut set, mut next) = (BTreeSet::new(), 0);
    for (first, last) in ranges {
        set.extend(first.max(next)..=last);
        next = next.max(last + 1);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(make: impl FnOnce(&mut Resources)) -> Option<String> {
        let mut resources = Resources::default();
        make(&mut resources);
        resources.validate_numbers().err().map(|e| e.to_string())
    }

    #[test]
    fn ranges() {
        assert!(
            refused(|r| r.memory = Some(MEMORY_MIN - 1))
                .unwrap()
                .contains("6 MiB")
        );
        assert!(refused(|r| r.memory = Some(MEMORY_MIN)).is_none());
        assert!(refused(|r| r.memory_swap = Some(MEMORY_MIN)).is_some());
        assert!(refused(|r| r.memory_swap = Some(-1)).is_none());
        assert!(refused(|r| r.memory_swap = Some(-2)).is_some());
        assert!(refused(|r| (r.memory, r.memory_swap) = (Some(8 << 20), Some(7 << 20))).is_some());
        assert!(refused(|r| (r.memory, r.memory_swap) = (Some(8 << 20), Some(8 << 20))).is_none());
        assert!(
            refused(|r| (r.memory, r.memory_reservation) = (Some(8 << 20), Some(9 << 20)))
                .is_some()
        );
        assert!(refused(|r| r.memory_swappiness = Some(101)).is_some());
        assert!(refused(|r| r.cpu_shares = Some(1)).is_some());
        assert!(refused(|r| r.cpu_shares = Some(262_145)).is_some());
        for (period, ok) in [
            (999, false),
            (1000, true),
            (1_000_000, true),
            (1_000_001, false),
        ] {
            assert_eq!(
                refused(|r| r.cpu_period = Some(period)).is_none(),
                ok,
                "{period}"
            );
        }
        for (quota, ok) in [
            (-2, false),
            (-1, true),
            (999, false),
            (1000, true),
            (i64::MAX, true),
        ] {
            assert_eq!(
                refused(|r| r.cpu_quota = Some(quota)).is_none(),
                ok,
                "{quota}"
            );
        }
        for (pids, ok) in [(-2, false), (-1, true), (0, true), (1, true)] {
            assert_eq!(
                refused(|r| r.pids_limit = Some(pids)).is_none(),
                ok,
                "{pids}"
            );
        }
        for (weight, ok) in [(9, false), (10, true), (1000, true), (1001, false)] {
            assert_eq!(
                refused(|r| r.blkio_weight = Some(weight)).is_none(),
                ok,
                "{weight}"
            );
        }
        let twice = Throttle {
            major: 8,
            minor: 0,
            rate: 1,
        };
        assert!(
            refused(|r| r.device_read_bps = vec![twice.clone(), twice])
                .unwrap()
                .contains("8:0")
        );
    }

    #[test]
    fn lists() {
        assert_eq!(
            parse_list("0-2,4").unwrap().into_iter().collect::<Vec<_>>(),
            [0, 1, 2, 4]
        );
        // In no time: with each range gone through, this takes minutes.
        let often = "0-65535,".repeat(100_000) + "7,5-6,6-8";
        assert_eq!(parse_list(&often).unwrap().len(), 65_536);
        for bad in [
            "",
            "-1",
            "1-",
            "2-1",
            "0,,1",
            "a",
            "0-2:1",
            "+1",
            " 1",
            "70000",
            "0-4294967295",
        ] {
            assert!(parse_list(bad).is_none(), "{bad:?}");
        }
        assert!(within("--cpuset-cpus", "0-1", "0-3").is_ok());
        let error = within("--cpuset-cpus", "2-5", "0-3").unwrap_err();
        assert!(
            matches!(error, ResourceError::NotOnline { asked: 4, .. }),
            "{error}"
        );
    }
}
