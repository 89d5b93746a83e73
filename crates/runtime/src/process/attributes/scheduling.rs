//! CPU and I/O scheduling (sched(7); ioprio_set(2)).

use std::str::FromStr;

use rustix::io::Errno;
use rustix::process::Pid;
use soute_sys::attributes::{SchedAttr, io_class, ioprio_set, policy, sched_flag, sched_setattr};

use super::super::failure::{Failure, Step};
use super::unknown;

/// `process.scheduler`: what is not given is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// `policy`
    pub policy: Policy,
    /// `nice`, -20 (most favoured) to 19.
    pub nice: i32,
    /// `priority`, 1 to 99 for the two real-time policies, 0 for all others.
    pub priority: i32,
    /// `flags`
    pub flags: Vec<SchedFlag>,
    /// `runtime` of the deadline policy, in nanoseconds.
    pub runtime: u64,
    /// `deadline` of that policy, in nanoseconds.
    pub deadline: u64,
    /// `period` of that policy, in nanoseconds.
    pub period: u64,
}

/// A scheduling policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_OTHER`
    Other,
    /// `SCHED_FIFO`
    Fifo,
    /// `SCHED_RR`
    Rr,
    /// `SCHED_BATCH`
    Batch,
    /// `SCHED_ISO`, which the specification knows and Linux does not have.
    Iso,
    /// `SCHED_IDLE`
    Idle,
    /// `SCHED_DEADLINE`
    Deadline,
}

/// A flag of sched_setattr(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedFlag {
    /// `SCHED_FLAG_RESET_ON_FORK`
    ResetOnFork,
    /// `SCHED_FLAG_RECLAIM`
    Reclaim,
    /// `SCHED_FLAG_DL_OVERRUN`
    DlOverrun,
    /// `SCHED_FLAG_KEEP_POLICY`
    KeepPolicy,
    /// `SCHED_FLAG_KEEP_PARAMS`
    KeepParams,
    /// `SCHED_FLAG_UTIL_CLAMP_MIN`
    UtilClampMin,
    /// `SCHED_FLAG_UTIL_CLAMP_MAX`
    UtilClampMax,
}

/// `process.ioPriority`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// `class`
    pub class: IoClass,
    /// `priority`, 0 (first) to 7.
    pub level: i64,
}

/// An I/O scheduling class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// `IOPRIO_CLASS_RT`
    RealTime,
    /// `IOPRIO_CLASS_BE`
    BestEffort,
    /// `IOPRIO_CLASS_IDLE`
    Idle,
}

impl Scheduler {
    pub(super) fn check(&self) -> Result<(), Failure> {
        let real_time = matches!(self.policy, Policy::Fifo | Policy::Rr);
        let timed = self.runtime != 0 || self.deadline != 0 || self.period != 0;
        let why = match self.policy {
            Policy::Iso => "no version of Linux has SCHED_ISO",
            // The kernel takes the nearest one it has, which is another than was asked for.
            _ if !(-20..=19).contains(&self.nice) => "nice goes from -20 to 19",
            _ if real_time && !(1..=99).contains(&self.priority) => {
                "the priority of a real-time policy goes from 1 to 99"
            }
            _ if !real_time && self.priority != 0 => {
                "only SCHED_FIFO and SCHED_RR have a priority other than 0"
            }
            // The kernel would pass over them.
            other if other != Policy::Deadline && timed => {
                "only SCHED_DEADLINE has a runtime, a deadline and a period"
            }
            _ => return Ok(()),
        };
        Err(Failure::setup(self.name(), why))
    }

    fn name(&self) -> String {
        format!("the scheduler {:?}", self.policy)
    }

    pub(super) fn apply(&self, pid: Pid) -> Result<(), Failure> {
        let attr = SchedAttr {
            policy: match self.policy {
                Policy::Other => policy::OTHER,
                Policy::Fifo => policy::FIFO,
                Policy::Rr => policy::RR,
                Policy::Batch => policy::BATCH,
                Policy::Iso => policy::ISO,
                Policy::Idle => policy::IDLE,
                Policy::Deadline => policy::DEADLINE,
            },
            flags: self
                .flags
                .iter()
                .fold(0, |all, flag| all | flag.to_kernel()),
            nice: self.nice,
            // Checked to be none below 0; one is, to the kernel, too large.
            priority: self.priority as u32,
            runtime: self.runtime,
            deadline: self.deadline,
            period: self.period,
        };
        sched_setattr(Some(pid), &attr).map_err(|e| {
            let hint = match (e.errno(), self.policy) {
                (Errno::PERM, Policy::Deadline) => {
                    " (CAP_SYS_NICE is missing, or the CPUs to run on are not all of their scheduling domain)"
                }
                (Errno::PERM, _) => {
                    " (CAP_SYS_NICE is missing, or the cgroup has no real-time share: cpu.rt_runtime_us)"
                }
                (Errno::BUSY, Policy::Deadline) => " (too little CPU time is left for it)",
                (Errno::OPNOTSUPP, _) => " (this kernel has no utilization clamping)",
                _ => "",
            };
            Failure::setup(self.name(), format_args!("{e}{hint}"))
        })
    }
}

impl SchedFlag {
    fn to_kernel(self) -> u64 {
        match self {
            Self::ResetOnFork => sched_flag::RESET_ON_FORK,
            Self::Reclaim => sched_flag::RECLAIM,
            Self::DlOverrun => sched_flag::DL_OVERRUN,
            Self::KeepPolicy => sched_flag::KEEP_POLICY,
            Self::KeepParams => sched_flag::KEEP_PARAMS,
            Self::UtilClampMin => sched_flag::UTIL_CLAMP_MIN,
            Self::UtilClampMax => sched_flag::UTIL_CLAMP_MAX,
        }
    }
}

impl IoPriority {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if (0..=7).contains(&self.level) {
            return Ok(());
        }
        Err(Failure::setup(
            format!("ioPriority.priority {}", self.level),
            "it goes from 0 to 7",
        ))
    }

    pub(super) fn apply(&self, pid: Pid) -> Result<(), Failure> {
        self.check()?;
        let class = match self.class {
            IoClass::RealTime => io_class::RT,
            IoClass::BestEffort => io_class::BE,
            IoClass::Idle => io_class::IDLE,
        };
        ioprio_set(Some(pid), class, self.level as u32).step("the I/O priority")
    }
}

impl FromStr for Policy {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "SCHED_OTHER" => Self::Other,
            "SCHED_FIFO" => Self::Fifo,
            "SCHED_RR" => Self::Rr,
            "SCHED_BATCH" => Self::Batch,
            "SCHED_ISO" => Self::Iso,
            "SCHED_IDLE" => Self::Idle,
            "SCHED_DEADLINE" => Self::Deadline,
            other => return Err(unknown("scheduler.policy", other)),
        })
    }
}

impl FromStr for SchedFlag {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "SCHED_FLAG_RESET_ON_FORK" => Self::ResetOnFork,
            "SCHED_FLAG_RECLAIM" => Self::Reclaim,
            "SCHED_FLAG_DL_OVERRUN" => Self::DlOverrun,
            "SCHED_FLAG_KEEP_POLICY" => Self::KeepPolicy,
            "SCHED_FLAG_KEEP_PARAMS" => Self::KeepParams,
            "SCHED_FLAG_UTIL_CLAMP_MIN" => Self::UtilClampMin,
            "SCHED_FLAG_UTIL_CLAMP_MAX" => Self::UtilClampMax,
            other => return Err(unknown("scheduler.flags", other)),
        })
    }
}

impl FromStr for IoClass {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "IOPRIO_CLASS_RT" => Self::RealTime,
            "IOPRIO_CLASS_BE" => Self::BestEffort,
            "IOPRIO_CLASS_IDLE" => Self::Idle,
            other => return Err(unknown("ioPriority.class", other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(policy: Policy) -> Scheduler {
        Scheduler {
            policy,
            nice: 0,
            priority: 0,
            flags: Vec::new(),
            runtime: 0,
            deadline: 0,
            period: 0,
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |scheduler: Scheduler| scheduler.check().unwrap_err().message;
        refused(Scheduler {
            nice: 20,
            ..scheduler(Policy::Other)
        });
        refused(Scheduler {
            nice: -21,
            ..scheduler(Policy::Batch)
        });
        refused(Scheduler {
            priority: 1,
            ..scheduler(Policy::Other)
        });
        refused(Scheduler {
            priority: 100,
            ..scheduler(Policy::Rr)
        });
        refused(Scheduler {
            priority: -1,
            ..scheduler(Policy::Fifo)
        });
        refused(Scheduler {
            period: 1,
            ..scheduler(Policy::Fifo)
        });
        assert!(refused(scheduler(Policy::Fifo)).contains("1 to 99"));
        assert!(refused(scheduler(Policy::Iso)).contains("SCHED_ISO"));
        scheduler(Policy::Idle).check().unwrap();
        Scheduler {
            priority: 99,
            ..scheduler(Policy::Fifo)
        }
        .check()
        .unwrap();
        for level in [-1, 8, i64::MAX, 1 << 32] {
            let class = IoClass::Idle;
            IoPriority { class, level }.check().unwrap_err();
        }
    }

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!("SCHED_RR".parse(), Ok(Policy::Rr));
        assert_eq!("SCHED_FLAG_RECLAIM".parse(), Ok(SchedFlag::Reclaim));
        assert_eq!("IOPRIO_CLASS_BE".parse(), Ok(IoClass::BestEffort));
        "SCHED_NORMAL".parse::<Policy>().unwrap_err();
        "SCHED_FLAG_ALL".parse::<SchedFlag>().unwrap_err();
        "IOPRIO_CLASS_NONE".parse::<IoClass>().unwrap_err();
    }
}
