//! What tells one process from another that has its number later.

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

fn started(stat: &ProcStat) -> Option<u64> {
    stat.field(22)?.parse().ok()
}
