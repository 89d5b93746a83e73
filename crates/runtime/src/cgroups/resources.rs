//! Limits as data, independent of the cgroup version.
//!
//! The whole of `linux.resources` of the OCI runtime specification (config-linux.md), and Docker's flags,
//! which are a part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container may use. `None` (or an empty list) leaves the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// `--memory`: bytes; -1: no limit, on swap neither unless `memory_swap` says otherwise.
    pub memory: Option<i64>,
    /// `--memory-reservation`: bytes; -1: none.
    pub memory_reservation: Option<i64>,
    /// `--memory-swap`: bytes of memory and swap together; -1: no limit on swap.
    pub memory_swap: Option<i64>,
    /// `memory_swap` is a default that nobody asked for: where the kernel does not account swap, it is left out.
    pub memory_swap_where_accounted: bool,
    /// `--memory-swappiness`: 0 to 100 (cgroup v1 only).
    pub memory_swappiness: Option<u64>,
    /// `--oom-kill-disable` (cgroup v1 only).
    pub oom_kill_disable: bool,
    /// `memory.useHierarchy`: whether cgroups below count towards the limit. v2 always does, as v1 does since Linux 5.11.
    pub memory_hierarchy: Option<bool>,
    /// `memory.checkBeforeUpdate`: an update to less than what is in use is refused, on v2 too, where the kernel
    /// would take it and kill.
    pub memory_check_before_update: bool,
    /// `--cpu-shares`: relative weight, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// `--cpu-quota`: microseconds of CPU time per period; `--cpus` sets it; -1: no limit.
    pub cpu_quota: Option<i64>,
    /// `--cpu-period`: microseconds.
    pub cpu_period: Option<u64>,
    /// `cpu.burst`: microseconds that unused quota may be carried over, at most the quota (Linux 5.14).
    pub cpu_burst: Option<u64>,
    /// `cpu.realtimeRuntime`: microseconds per period for real-time processes (cgroup v1 only); -1: no limit.
    pub cpu_rt_runtime: Option<i64>,
    /// `cpu.realtimePeriod`: microseconds (cgroup v1 only).
    pub cpu_rt_period: Option<u64>,
    /// `cpu.idle`: 1: runs only when nothing else wants to (SCHED_IDLE); 0: as usual (Linux 5.15).
    pub cpu_idle: Option<i64>,
    /// `--cpuset-cpus`: a list such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`: a list such as `0-1`.
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`: processes and threads; -1: no limit.
    pub pids_limit: Option<i64>,
    /// `--blkio-weight`: 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// `blockIO.leafWeight`: 10 to 1000 (the CFQ scheduler's, before Linux 5.0).
    pub blkio_leaf_weight: Option<u16>,
    /// `blockIO.weightDevice`.
    pub blkio_weight_device: Vec<DeviceWeight>,
    /// `--device-read-bps`: bytes a second.
    pub device_read_bps: Vec<Throttle>,
    /// `--device-write-bps`: bytes a second.
    pub device_write_bps: Vec<Throttle>,
    /// `--device-read-iops`: operations a second.
    pub device_read_iops: Vec<Throttle>,
    /// `--device-write-iops`: operations a second.
    pub device_write_iops: Vec<Throttle>,
    /// `hugepageLimits`.
    pub hugepage_limits: Vec<HugepageLimit>,
    /// `network.classID`: tag of the packets (cgroup v1 only).
    pub net_class_id: Option<u32>,
    /// `network.priorities` (cgroup v1 only).
    pub net_priorities: Vec<InterfacePriority>,
    /// `rdma`, by device.
    pub rdma: BTreeMap<String, RdmaLimit>,
    /// `unified`: files of the cgroup, with what is written to them line by line (cgroup v2 only).
    pub unified: BTreeMap<String, String>,
}

/// The share of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceWeight {
    /// Major device number.
    pub major: u32,
    /// Minor device number.
    pub minor: u32,
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000; see `blkio_leaf_weight`.
    pub leaf_weight: Option<u16>,
}

/// A limit on huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugepageLimit {
    /// As the kernel's files spell it: `64KB`, `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// The priority of packets that leave by one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacePriority {
    /// An interface in soute's own network namespace.
    pub name: String,
    /// The priority.
    pub priority: u32,
}

/// Limits on an RDMA device; `None` leaves as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RdmaLimit {
    /// Handles that can be open.
    pub handles: Option<u32>,
    /// Objects that can be made.
    pub objects: Option<u32>,
}

/// A rate limit on one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Major device number.
    pub major: u32,
    /// Minor device number.
    pub minor: u32,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// Which devices a process may use (`devices` controller on v1, eBPF on v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Allowed, or denied.
    pub allow: bool,
    /// `c`, `b`, or `a` for all.
    pub kind: char,
    /// Major number; `None`: any.
    pub major: Option<u32>,
    /// Minor number; `None`: any.
    pub minor: Option<u32>,
    /// A subset of `rwm`.
    pub access: String,
}
