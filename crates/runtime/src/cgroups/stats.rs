//! What a cgroup has used, the same whatever the cgroup version.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::cgroup::{Cgroup, Node};
use super::{CgroupError, files};

/// Usage of a cgroup and all below it. A part is `None` where the machine has no controller that counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Option<CpuStats>,
    /// Memory and swap.
    pub memory: Option<MemoryStats>,
    /// Processes and threads.
    pub pids: Option<PidsStats>,
    /// Block devices that were used, by number.
    pub io: Option<Vec<IoStats>>,
    /// Huge pages, by page size. Empty without the controller.
    pub hugetlb: Vec<HugetlbStats>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuStats {
    /// User and system together.
    pub total_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Total per CPU, in order (v1 only).
    pub per_cpu_ns: Option<Vec<u64>>,
    /// What the quota did; None without the `cpu` controller.
    pub throttling: Option<Throttling>,
}

/// Effects of `--cpus`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Throttling {
    /// Periods in which something was runnable.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Time spent waiting for the next period, of all CPUs, in nanoseconds.
    pub throttled_ns: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// Charged now, page cache included.
    pub usage: u64,
    /// The limit of this cgroup (an ancestor's may be lower).
    pub limit: Option<u64>,
    /// Most that was ever charged (v2: from Linux 5.19 on).
    pub max_usage: Option<u64>,
    /// Page cache, tmpfs included.
    pub cache: u64,
    /// Anonymous memory.
    pub rss: u64,
    /// Page cache that would be given up first.
    pub inactive_file: u64,
    /// Swap used. None without swap accounting.
    pub swap: Option<u64>,
    /// The limit on swap alone (v1: what `memsw` leaves above the memory limit).
    pub swap_limit: Option<u64>,
}

impl MemoryStats {
    /// What `docker stats` calls usage: without the cache that costs nothing to give up.
    pub fn working_set(&self) -> u64 {
        self.usage.saturating_sub(self.inactive_file)
    }
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// `--pids-limit`.
    pub limit: Option<u64>,
}

/// What went to and from one block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct IoStats {
    pub major: u32,
    pub minor: u32,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub discard_bytes: u64,
    pub read_ops: u64,
    pub write_ops: u64,
    pub discard_ops: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HugetlbStats {
    /// `2MB`, `1GB`.
    pub page_size: String,
    /// Charged now.
    pub usage: u64,
    /// The limit.
    pub limit: Option<u64>,
}

impl Cgroup {
    /// Reads all counters. They are not one snapshot: each file is read for itself.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        Ok(Stats {
            cpu: self.cpu_stats()?,
            memory: self
                .handed_down("memory", "memory.stat")
                .map(memory)
                .transpose()?,
            pids: self
                .handed_down("pids", "pids.current")
                .map(pids)
                .transpose()?,
            io: self.io_stats()?,
            hugetlb: self
                .carrier("hugetlb")
                .map(hugetlb)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// The node with the controller, if it has the controller's file: on v2 an ancestor
    /// may keep a controller that the machine has to itself.
    pub(super) fn handed_down(&self, controller: &str, file: &str) -> Option<&Node> {
        self.carrier(controller).filter(|node| {
            !node.hierarchy.v2
                || rustix::fs::access(node.file(file), rustix::fs::Access::EXISTS).is_ok()
        })
    }

    pub(super) fn cpu_stats(&self) -> Result<Option<CpuStats>, CgroupError> {
        let mut cpu = if let Some(node) = self.carrier("cpuacct") {
            cpuacct(node)?
        } else if let Some(node) = self.nodes.iter().find(|n| n.hierarchy.v2) {
            // Every v2 cgroup counts CPU time, without any controller.
            cpu_stat_v2(&node.file("cpu.stat"))?
        } else {
            return Ok(None);
        };
        if let Some(node) = self.carrier("cpu") {
            let file = node.file("cpu.stat");
            let text = files::read(&file)?;
            let of = |key| files::keyed(&text, key);
            let throttled_ns = if node.hierarchy.v2 {
                of("throttled_usec").map(|us| us.saturating_mul(1000))
            } else {
                of("throttled_time")
            };
            // Absent where the kernel has no CFS bandwidth control, or no ancestor hands "cpu" down.
            cpu.throttling = match (of("nr_periods"), of("nr_throttled"), throttled_ns) {
                (Some(periods), Some(throttled_periods), Some(throttled_ns)) => Some(Throttling {
                    periods,
                    throttled_periods,
                    throttled_ns,
                }),
                _ => None,
            };
        }
        Ok(Some(cpu))
    }

    fn io_stats(&self) -> Result<Option<Vec<IoStats>>, CgroupError> {
        if let Some(node) = self.carrier("io") {
            let file = node.file("io.stat");
            return files::read_if_any(&file)?
                .map(|text| io_v2(&file, &text))
                .transpose();
        }
        let Some(node) = self.carrier("blkio") else {
            return Ok(None);
        };
        let mut devices = BTreeMap::new();
        for (name, ops) in [
            ("blkio.throttle.io_service_bytes_recursive", false),
            ("blkio.throttle.io_serviced_recursive", true),
        ] {
            let file = node.file(name);
            let Some(text) = files::read_if_any(&file)? else {
                return Ok(None);
            };
            io_v1(&file, &text, ops, &mut devices)?;
        }
        Ok(Some(devices.into_values().collect()))
    }
}

/// The number in `file`; None: no limit, or no such file.
pub(super) fn number_if_any(file: &Path) -> Result<Option<u64>, CgroupError> {
    match files::read_if_any(file)? {
        Some(text) => files::number(file, &text),
        None => Ok(None),
    }
}

/// The number in `file`, which must be one.
pub(super) fn count(file: &Path) -> Result<u64, CgroupError> {
    let text = files::read(file)?;
    files::number(file, &text)?.ok_or_else(|| files::unexpected(file, &text))
}

fn cpuacct(node: &Node) -> Result<CpuStats, CgroupError> {
    let per_cpu = node.file("cpuacct.usage_percpu");
    let per_cpu_ns = files::read(&per_cpu)?
        .split_whitespace()
        .map(|n| n.parse().map_err(|_| files::unexpected(&per_cpu, n)))
        .collect::<Result<Vec<u64>, _>>()?;
    Ok(CpuStats {
        total_ns: count(&node.file("cpuacct.usage"))?,
        user_ns: count(&node.file("cpuacct.usage_user"))?,
        system_ns: count(&node.file("cpuacct.usage_sys"))?,
        per_cpu_ns: Some(per_cpu_ns),
        throttling: None,
    })
}

fn cpu_stat_v2(file: &Path) -> Result<CpuStats, CgroupError> {
    let text = files::read(file)?;
    let ns = |key| {
        files::keyed(&text, key)
            .map(|us| us.saturating_mul(1000))
            .ok_or_else(|| files::unexpected(file, &text))
    };
    Ok(CpuStats {
        total_ns: ns("usage_usec")?,
        user_ns: ns("user_usec")?,
        system_ns: ns("system_usec")?,
        per_cpu_ns: None,
        throttling: None,
    })
}

/// v1 says "no limit" by the largest number of whole pages; pages are 64 KiB at most.
fn limited(bytes: Option<u64>) -> Option<u64> {
    bytes.filter(|&b| b < i64::MAX as u64 - (64 << 10))
}

fn memory(node: &Node) -> Result<MemoryStats, CgroupError> {
    let stat_file = node.file("memory.stat");
    let stat = files::read(&stat_file)?;
    let of = |key| files::keyed(&stat, key).ok_or_else(|| files::unexpected(&stat_file, &stat));
    if node.hierarchy.v2 {
        return Ok(MemoryStats {
            usage: count(&node.file("memory.current"))?,
            limit: number_if_any(&node.file("memory.max"))?,
            max_usage: number_if_any(&node.file("memory.peak"))?,
            cache: of("file")?,
            rss: of("anon")?,
            inactive_file: of("inactive_file")?,
            swap: number_if_any(&node.file("memory.swap.current"))?,
            swap_limit: number_if_any(&node.file("memory.swap.max"))?,
        });
    }
    let limit = limited(number_if_any(&node.file("memory.limit_in_bytes"))?);
    let both = limited(number_if_any(&node.file("memory.memsw.limit_in_bytes"))?);
    Ok(MemoryStats {
        usage: count(&node.file("memory.usage_in_bytes"))?,
        limit,
        max_usage: number_if_any(&node.file("memory.max_usage_in_bytes"))?,
        cache: of("total_cache")?,
        rss: of("total_rss")?,
        inactive_file: of("total_inactive_file")?,
        swap: files::keyed(&stat, "total_swap"),
        swap_limit: both
            .zip(limit)
            .map(|(both, limit)| both.saturating_sub(limit)),
    })
}

fn pids(node: &Node) -> Result<PidsStats, CgroupError> {
    Ok(PidsStats {
        current: count(&node.file("pids.current"))?,
        limit: number_if_any(&node.file("pids.max"))?,
    })
}

/// `major:minor`
fn device(file: &Path, text: &str) -> Result<(u32, u32), CgroupError> {
    text.split_once(':')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| files::unexpected(file, text))
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`; more keys may follow.
pub(super) fn io_v2(file: &Path, text: &str) -> Result<Vec<IoStats>, CgroupError> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        let (major, minor) = device(file, first)?;
        let mut io = IoStats {
            major,
            minor,
            ..IoStats::default()
        };
        for (key, value) in words.filter_map(|w| w.split_once('=')) {
            let counter = match key {
                "rbytes" => &mut io.read_bytes,
                "wbytes" => &mut io.write_bytes,
                "dbytes" => &mut io.discard_bytes,
                "rios" => &mut io.read_ops,
                "wios" => &mut io.write_ops,
                "dios" => &mut io.discard_ops,
                _ => continue,
            };
            *counter = value.parse().map_err(|_| files::unexpected(file, line))?;
        }
        all.push(io);
    }
    Ok(all)
}

/// Lines of `8:0 Read 1`, and a `Total 1` at the end.
fn io_v1(
    file: &Path,
    text: &str,
    ops: bool,
    devices: &mut BTreeMap<(u32, u32), IoStats>,
) -> Result<(), CgroupError> {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[number, kind, value] = &words[..] else {
            continue;
        };
        let (major, minor) = device(file, number)?;
        let io = devices.entry((major, minor)).or_insert(IoStats {
            major,
            minor,
            ..IoStats::default()
        });
        let counter = match (kind, ops) {
            ("Read", false) => &mut io.read_bytes,
            ("Write", false) => &mut io.write_bytes,
            ("Discard", false) => &mut io.discard_bytes,
            ("Read", true) => &mut io.read_ops,
            ("Write", true) => &mut io.write_ops,
            ("Discard", true) => &mut io.discard_ops,
            // Sync, Async and Total count the same once more.
            _ => continue,
        };
        *counter = value.parse().map_err(|_| files::unexpected(file, line))?;
    }
    Ok(())
}

fn hugetlb(node: &Node) -> Result<Vec<HugetlbStats>, CgroupError> {
    let (usage, limit) = if node.hierarchy.v2 {
        ("current", "max")
    } else {
        ("usage_in_bytes", "limit_in_bytes")
    };
    let mut all = Vec::new();
    for page_size in page_sizes()? {
        // Missing where no ancestor hands the controller down.
        let Some(usage) = number_if_any(&node.file(&format!("hugetlb.{page_size}.{usage}")))?
        else {
            continue;
        };
        let limit = limited(number_if_any(
            &node.file(&format!("hugetlb.{page_size}.{limit}")),
        )?);
        all.push(HugetlbStats {
            page_size,
            usage,
            limit,
        });
    }
    Ok(all)
}

/// The machine's huge page sizes as cgroup files spell them: `2MB`.
pub(super) fn page_sizes() -> Result<Vec<String>, CgroupError> {
    use soute_sys::Called as _;
    let folder = "/sys/kernel/mm/hugepages";
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(Err::<(), _>(e)
                .called(|| format!("open(\"{folder}\")"))
                .unwrap_err()
                .into());
        }
    };
    let mut sizes = Vec::new();
    for entry in entries {
        let entry = entry.called(|| format!("getdents64(\"{folder}\")"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(kib) = name
            .strip_prefix("hugepages-")
            .and_then(|n| n.strip_suffix("kB"))
            .and_then(|n| n.parse::<u64>().ok())
        {
            sizes.push(kib);
        }
    }
    sizes.sort_unstable();
    Ok(sizes.into_iter().map(page_size).collect())
}

/// The largest unit that leaves a whole number, as the kernel's `mem_fmt`.
fn page_size(kib: u64) -> String {
    if kib >= 1 << 20 {
        format!("{}GB", kib >> 20)
    } else if kib >= 1 << 10 {
        format!("{}MB", kib >> 10)
    } else {
        format!("{kib}KB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{Hierarchy, Layout};
    use std::fs;

    #[test]
    fn io_of_both_versions_reads_the_same() {
        let file = Path::new("io");
        let v2 = io_v2(
            file,
            "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=5 dios=3 cost.usage=9\n7:1 \n",
        )
        .unwrap();
        let mut v1 = BTreeMap::new();
        let bytes = "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Async 0\n8:0 Discard 5\n8:0 Total 35\n7:1 Read 0\nTotal 35\n";
        io_v1(file, bytes, false, &mut v1).unwrap();
        io_v1(
            file,
            "8:0 Read 1\n8:0 Write 2\n8:0 Discard 3\n8:0 Total 6\nTotal 6\n",
            true,
            &mut v1,
        )
        .unwrap();
        assert_eq!(v1[&(8, 0)], v2[0]);
        assert_eq!(v1[&(7, 1)], v2[1]);
        assert!(io_v2(file, "x rbytes=1").is_err());
        assert!(io_v2(file, "8:0 rbytes=x").is_err());
    }

    #[test]
    fn page_sizes_are_spelled_as_the_kernel_does() {
        assert_eq!([64, 2048, 1 << 20].map(page_size), ["64KB", "2MB", "1GB"]);
    }

    #[test]
    fn a_v2_folder() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("c");
        fs::create_dir(&dir).unwrap();
        for (name, text) in [
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
            ),
            (
                "memory.stat",
                "anon 100\nfile 200\nkernel 1\ninactive_file 50\n",
            ),
            ("memory.current", "400\n"),
            ("memory.max", "max\n"),
            ("memory.swap.current", "3\n"),
            ("memory.swap.max", "9\n"),
            (
                "memory.events",
                "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
            ),
            ("memory.events.local", "oom_kill 1\n"),
            ("pids.current", "4\n"),
            ("pids.max", "64\n"),
            ("io.stat", ""),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        let layout = Layout::from_parts(vec![Hierarchy {
            v2: true,
            controllers: ["cpu", "memory", "pids", "io"].map(str::to_owned).to_vec(),
            mount: root.path().to_owned(),
            root: "/".into(),
            own: "/".into(),
        }]);
        let cgroup = Cgroup::open(&layout, "/c").unwrap();
        let stats = cgroup.stats().unwrap();
        assert_eq!(
            stats.cpu,
            Some(CpuStats {
                total_ns: 30_000,
                user_ns: 10_000,
                system_ns: 20_000,
                per_cpu_ns: None,
                throttling: Some(Throttling {
                    periods: 5,
                    throttled_periods: 2,
                    throttled_ns: 7_000
                }),
            })
        );
        let memory = stats.memory.unwrap();
        assert_eq!(
            (
                memory.usage,
                memory.limit,
                memory.max_usage,
                memory.cache,
                memory.rss
            ),
            (400, None, None, 200, 100)
        );
        assert_eq!(
            (memory.working_set(), memory.swap, memory.swap_limit),
            (350, Some(3), Some(9))
        );
        assert_eq!(
            stats.pids,
            Some(PidsStats {
                current: 4,
                limit: Some(64)
            })
        );
        assert_eq!(stats.io, Some(Vec::new()));
        assert_eq!(cgroup.oom_kills().unwrap(), Some(2));
        fs::write(dir.join("memory.current"), "many\n").unwrap();
        assert!(matches!(cgroup.stats(), Err(CgroupError::Parse { .. })));
        // Controllers that the parent does not hand down.
        for file in ["memory.stat", "pids.current", "io.stat"] {
            fs::remove_file(dir.join(file)).unwrap();
        }
        let stats = cgroup.stats().unwrap();
        assert_eq!((stats.memory, stats.pids, stats.io), (None, None, None));
    }
}
