//! What tells one process from another that has its number later.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use soute_sys::proc_stat::ProcStat;

/// When the process `pid` started, in clock ticks after boot (proc_pid_stat(5), field 22).
pub fn start_time(pid: i32) -> Option<u64> {
    ProcStat::of(&pid.to_string())
        .ok()
        .and_then(|stat| started(&stat))
}

/// Whether the process `pid` is the one that started at this time, and has not ended.
pub fn runs_since(pid: i32, start_time: u64) -> bool {
    ProcStat::of(&pid.to_string()).is_ok_and(|stat| {
        started(&stat) == Some(start_time)
            && stat
                .field(3)
                .is_some_and(|state| !matches!(state, "Z" | "X"))
    })
}

/// A descriptor of the process `pid`, if that is the one that started at this time.
pub fn hold(pid: i32, start_time: u64) -> Option<OwnedFd> {
    let held = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Looked at after it is open: a number that was given out anew shows another time, and the descriptor stays with whom it
    // was opened on.
    (self::start_time(pid) == Some(start_time)).then_some(held)
}

fn started(stat: &ProcStat) -> Option<u64> {
    stat.field(22)?.parse().ok()
}
