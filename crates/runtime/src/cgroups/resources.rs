//! Limits as data, independent of the cgroup version.

use serde::{Deserialize, Serialize};

/// What a container may use. `None` (or an empty list) leaves the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// `--memory`: bytes.
    pub memory: Option<u64>,
    /// `--memory-reservation`: bytes.
    pub memory_reservation: Option<u64>,
    /// `--memory-swap`: bytes of memory and swap together; -1: no limit on swap.
    pub memory_swap: Option<i64>,
    /// `memory_swap` is a default that nobody asked for: where the kernel does not account swap, it is left out.
    pub memory_swap_where_accounted: bool,
    /// `--memory-swappiness`: 0 to 100 (cgroup v1 only).
    pub memory_swappiness: Option<u64>,
    /// `--oom-kill-disable` (cgroup v1 only).
    pub oom_kill_disable: bool,
    /// `--cpu-shares`: relative weight, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// `--cpu-quota`: microseconds of CPU time per period; `--cpus` sets it; -1: no limit.
    pub cpu_quota: Option<i64>,
    /// `--cpu-period`: microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpuset-cpus`: a list such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`: a list such as `0-1`.
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`: processes and threads; -1: no limit.
    pub pids_limit: Option<i64>,
    /// `--blkio-weight`: 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// `--device-read-bps`: bytes a second.
    pub device_read_bps: Vec<Throttle>,
    /// `--device-write-bps`: bytes a second.
    pub device_write_bps: Vec<Throttle>,
    /// `--device-read-iops`: operations a second.
    pub device_read_iops: Vec<Throttle>,
    /// `--device-write-iops`: operations a second.
    pub device_write_iops: Vec<Throttle>,
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
