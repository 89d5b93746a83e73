//! What a cgroup has used, for `events --stats`: more than [`Stats`](super::Stats) has, each figure as the kernel
//! gives it.

mod form;
#[cfg(test)]
mod tests;

pub use form::*;

use std::collections::BTreeMap;
use std::path::Path;

use super::cgroup::{Cgroup, Node};
use super::stats::{count, number_if_any, page_sizes};
use super::validate::parse_list;
use super::{CgroupError, files};

impl Cgroup {
    /// Reads all counters. They are not one snapshot: each file is read for itself.
    pub fn report(&self) -> Result<Report, CgroupError> {
        let mut report = Report {
            cpu: self.report_cpu()?,
            cpuset: CpuSet::default(),
            memory: Memory::default(),
            pids: self.report_pids()?,
            blkio: Blkio::default(),
            hugetlb: BTreeMap::new(),
            intel_rdt: IntelRdt {},
            network_interfaces: None,
        };
        if let Some(node) = self.carrier("cpuset").filter(|n| !n.hierarchy.v2) {
            report.cpuset = cpuset(node)?;
        }
        if let Some(node) = self.handed_down("memory", "memory.stat") {
            report.memory = memory(node)?;
        }
        if let Some(node) = self.carrier("blkio") {
            report.blkio = blkio_v1(node)?;
        } else if let Some(node) = self.carrier("io") {
            report.blkio = blkio_v2(node)?;
        }
        if let Some(node) = self.carrier("hugetlb") {
            report.hugetlb = hugetlb(node)?;
        }
        if let Some(node) = self.nodes.iter().find(|n| n.hierarchy.v2) {
            report.cpu.psi = psi(&node.file("cpu.pressure"))?;
            report.memory.psi = psi(&node.file("memory.pressure"))?;
            report.blkio.psi = psi(&node.file("io.pressure"))?;
        }
        Ok(report)
    }

    fn report_cpu(&self) -> Result<Cpu, CgroupError> {
        let Some(stats) = self.cpu_stats()? else {
            return Ok(Cpu::default());
        };
        let mut cpu = Cpu {
            usage: CpuUsage {
                total: stats.total_ns,
                percpu: stats.per_cpu_ns.unwrap_or_default(),
                kernel: stats.system_ns,
                user: stats.user_ns,
                ..CpuUsage::default()
            },
            throttling: stats
                .throttling
                .map(|t| CpuThrottling {
                    periods: t.periods,
                    throttled_periods: t.throttled_periods,
                    throttled_time: t.throttled_ns,
                })
                .unwrap_or_default(),
            psi: None,
        };
        if let Some(node) = self.carrier("cpuacct") {
            let file = node.file("cpuacct.usage_all");
            // Lines of "cpu user system", of which the first says so.
            for line in files::read_if_any(&file)?
                .iter()
                .flat_map(|t| t.lines().skip(1))
            {
                let mut words = line.split(' ').skip(1).map(str::parse);
                match (words.next(), words.next()) {
                    (Some(Ok(user)), Some(Ok(kernel))) => {
                        cpu.usage.percpu_user.push(user);
                        cpu.usage.percpu_kernel.push(kernel);
                    }
                    _ => return Err(files::unexpected(&file, line)),
                }
            }
        }
        Ok(cpu)
    }

    fn report_pids(&self) -> Result<Pids, CgroupError> {
        match self.handed_down("pids", "pids.current") {
            Some(node) => Ok(Pids {
                current: count(&node.file("pids.current"))?,
                limit: number_if_any(&node.file("pids.max"))?.unwrap_or(0),
            }),
            None => Ok(Pids {
                current: self.pids()?.len() as u64,
                limit: 0,
            }),
        }
    }
}

/// The number in `file`; no such file: 0, no limit: the largest.
fn number(file: &Path) -> Result<u64, CgroupError> {
    match files::read_if_any(file)? {
        Some(text) => Ok(files::number(file, &text)?.unwrap_or(u64::MAX)),
        None => Ok(0),
    }
}

fn cpuset(node: &Node) -> Result<CpuSet, CgroupError> {
    let list = |name| {
        let text = files::read_if_any(&node.file(name))?.unwrap_or_default();
        let numbers = parse_list(text.trim()).unwrap_or_default();
        let small = numbers.into_iter().filter_map(|n| u16::try_from(n).ok());
        Ok::<_, CgroupError>(small.collect())
    };
    let flag = |name| number(&node.file(name));
    let level = files::read_if_any(&node.file("cpuset.sched_relax_domain_level"))?;
    Ok(CpuSet {
        cpus: list("cpuset.cpus")?,
        cpu_exclusive: flag("cpuset.cpu_exclusive")?,
        mems: list("cpuset.mems")?,
        mem_hardwall: flag("cpuset.mem_hardwall")?,
        mem_exclusive: flag("cpuset.mem_exclusive")?,
        memory_migrate: flag("cpuset.memory_migrate")?,
        memory_spread_page: flag("cpuset.memory_spread_page")?,
        memory_spread_slab: flag("cpuset.memory_spread_slab")?,
        memory_pressure: flag("cpuset.memory_pressure")?,
        sched_load_balance: flag("cpuset.sched_load_balance")?,
        sched_relax_domain_level: level.and_then(|l| l.trim().parse().ok()).unwrap_or(0),
    })
}

fn memory(node: &Node) -> Result<Memory, CgroupError> {
    let stat_file = node.file("memory.stat");
    let mut raw = BTreeMap::new();
    for line in files::read(&stat_file)?.lines() {
        let pair = line.split_once(' ');
        let pair = pair.and_then(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
        let (key, value) = pair.ok_or_else(|| files::unexpected(&stat_file, line))?;
        raw.insert(key, value);
    }
    let of_stat = |key| raw.get(key).copied().unwrap_or(0);
    if node.hierarchy.v2 {
        let entry = |name: &str| {
            Ok::<_, CgroupError>(MemoryEntry {
                limit: number(&node.file(&format!("memory.{name}max")))?,
                usage: number(&node.file(&format!("memory.{name}current")))?,
                max: number(&node.file(&format!("memory.{name}peak")))?,
                failcnt: 0,
            })
        };
        let usage = entry("")?;
        let swap = entry("swap.")?;
        return Ok(Memory {
            cache: of_stat("file"),
            usage,
            swap: MemoryEntry {
                limit: swap.limit.saturating_add(usage.limit),
                usage: swap.usage.saturating_add(usage.usage),
                // The two had their peaks at different times.
                max: 0,
                failcnt: 0,
            },
            raw,
            ..Memory::default()
        });
    }
    let entry = |name: &str| {
        Ok::<_, CgroupError>(MemoryEntry {
            limit: number(&node.file(&format!("memory.{name}limit_in_bytes")))?,
            usage: number(&node.file(&format!("memory.{name}usage_in_bytes")))?,
            max: number(&node.file(&format!("memory.{name}max_usage_in_bytes")))?,
            failcnt: number(&node.file(&format!("memory.{name}failcnt")))?,
        })
    };
    Ok(Memory {
        cache: of_stat("cache"),
        usage: entry("")?,
        swap: entry("memsw.")?,
        kernel: entry("kmem.")?,
        kernel_tcp: entry("kmem.tcp.")?,
        raw,
        psi: None,
    })
}

/// The tables of the scheduler that counts, or else of the throttling layer, which all requests pass.
fn blkio_v1(node: &Node) -> Result<Blkio, CgroupError> {
    let table = |prefix: &str, name: &str| table_v1(&node.file(&format!("blkio.{prefix}{name}")));
    let mut blkio = Blkio::default();
    for prefix in ["bfq.", "", "throttle."] {
        let served = table(prefix, "io_serviced_recursive")?;
        let Some(served) = served.filter(|t| !t.is_empty() || prefix == "throttle.") else {
            continue;
        };
        let rest = |name| Ok::<_, CgroupError>(table(prefix, name)?.unwrap_or_default());
        blkio = Blkio {
            io_serviced_recursive: served,
            io_service_bytes_recursive: rest("io_service_bytes_recursive")?,
            io_queue_recursive: rest("io_queued_recursive")?,
            io_service_time_recursive: rest("io_service_time_recursive")?,
            io_wait_time_recursive: rest("io_wait_time_recursive")?,
            io_merged_recursive: rest("io_merged_recursive")?,
            io_time_recursive: rest("time_recursive")?,
            sectors_recursive: rest("sectors_recursive")?,
            psi: None,
        };
        break;
    }
    Ok(blkio)
}

/// Lines of `8:0 Read 1` or `8:0 1`, and a `Total 1` at the end. None: no such file.
fn table_v1(file: &Path) -> Result<Option<Vec<BlkioEntry>>, CgroupError> {
    let Some(text) = files::read_if_any(file)? else {
        return Ok(None);
    };
    let mut entries = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split([' ', ':']).collect();
        let (numbers, op, value) = match &words[..] {
            ["Total", _] => continue,
            [major, minor, op, value] => ([major, minor], *op, value),
            [major, minor, value] => ([major, minor], "", value),
            _ => return Err(files::unexpected(file, line)),
        };
        match (numbers[0].parse(), numbers[1].parse(), value.parse()) {
            (Ok(major), Ok(minor), Ok(value)) => entries.push(BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value,
            }),
            _ => return Err(files::unexpected(file, line)),
        }
    }
    Ok(Some(entries))
}

/// v2's lines of `8:0 rbytes=1 …` as v1's tables.
fn blkio_v2(node: &Node) -> Result<Blkio, CgroupError> {
    let mut blkio = Blkio::default();
    let file = node.file("io.stat");
    let Some(text) = files::read_if_any(&file)? else {
        return Ok(blkio);
    };
    for io in super::stats::io_v2(&file, &text)? {
        let entry = |op: &str, value| BlkioEntry {
            major: u64::from(io.major),
            minor: u64::from(io.minor),
            op: op.to_owned(),
            value,
        };
        blkio
            .io_service_bytes_recursive
            .extend([entry("Read", io.read_bytes), entry("Write", io.write_bytes)]);
        blkio
            .io_serviced_recursive
            .extend([entry("Read", io.read_ops), entry("Write", io.write_ops)]);
    }
    Ok(blkio)
}

/// Reservations where the kernel counts them (Linux 5.7), else pages in use.
fn hugetlb(node: &Node) -> Result<BTreeMap<String, Hugetlb>, CgroupError> {
    let usage = if node.hierarchy.v2 {
        "current"
    } else {
        "usage_in_bytes"
    };
    let mut all = BTreeMap::new();
    for size in page_sizes()? {
        let reserved = number_if_any(&node.file(&format!("hugetlb.{size}.rsvd.{usage}")))?;
        let (kind, used) = match reserved {
            Some(used) => (".rsvd", Some(used)),
            None => (
                "",
                number_if_any(&node.file(&format!("hugetlb.{size}.{usage}")))?,
            ),
        };
        // Missing where no ancestor hands the controller down.
        let Some(usage) = used else { continue };
        let (max, failcnt) = if node.hierarchy.v2 {
            let events = files::read_if_any(&node.file(&format!("hugetlb.{size}.events")))?;
            (0, events.and_then(|t| files::keyed(&t, "max")).unwrap_or(0))
        } else {
            let file = |word| node.file(&format!("hugetlb.{size}{kind}.{word}"));
            (
                number(&file("max_usage_in_bytes"))?,
                number(&file("failcnt"))?,
            )
        };
        all.insert(
            size,
            Hugetlb {
                usage,
                max,
                failcnt,
            },
        );
    }
    Ok(all)
}

/// Lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and `full …`. None where the kernel does not count:
/// without CONFIG_PSI, or with `psi=0` (then reading is refused, EOPNOTSUPP).
fn psi(file: &Path) -> Result<Option<Psi>, CgroupError> {
    let Some(text) = files::read_if_any(file)? else {
        return Ok(None);
    };
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let to = match words.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let bad = || files::unexpected(file, line);
            let average = || value.parse::<f64>().map_err(|_| bad());
            match key {
                "avg10" => to.avg10 = average()?,
                "avg60" => to.avg60 = average()?,
                "avg300" => to.avg300 = average()?,
                "total" => to.total = value.parse().map_err(|_| bad())?,
                _ => {}
            }
        }
    }
    Ok(Some(psi))
}
