//! What a program has from its start besides its rights: how it is scheduled, on which CPUs, from which memory, under
//! which label (runtime-spec 1.3, config.md, "Linux Process"; config-linux.md, "Personality" and "Memory policy").
//!
//! One value, and five steps in this order:
//! 1. [`Attributes::check`], before anything is made: what this machine cannot do is refused.
//! 2. [`Attributes::begin`], for `exec` alone: in the process that is about to enter, before it is in the container's
//!    cgroup.
//! 3. [`Label::open`], in the process that becomes the program, or in one that shares its memory no longer than until
//!    then: while a procfs is at hand that no container can change.
//! 4. [`Attributes::apply_from_outside`], by a process with the machine's privileges, once the other is in its cgroups
//!    and forks no more (hooks): a process in a user namespace may not raise itself, a real-time process cannot enter a
//!    cgroup without real-time share, and one with a deadline cannot fork.
//! 5. [`Attributes::apply`], in the process itself, after its hooks and before its seccomp filter, which may allow none
//!    of this. Every step after it (user, capabilities) leaves these as they are.

mod label;
mod memory;
mod numbers;
mod scheduling;

use std::path::Path;

use rustix::process::Pid;
use soute_sys::attributes::{self as kernel, personality};
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};
pub use label::Label;
pub use memory::{MemoryFlag, MemoryMode, MemoryPolicy};
pub use numbers::{BadNumbers, Numbers};
pub use scheduling::{IoClass, IoPriority, Policy, SchedFlag, Scheduler};

/// All of it; by default nothing is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `process.scheduler`
    pub scheduler: Option<Scheduler>,
    /// `process.ioPriority`
    pub io_priority: Option<IoPriority>,
    /// `process.execCPUAffinity`; not for a container's first process.
    pub affinity: Affinity,
    /// `linux.personality`
    pub personality: Option<Personality>,
    /// `linux.memoryPolicy`
    pub memory_policy: Option<MemoryPolicy>,
    /// `process.apparmorProfile`; empty: none.
    pub apparmor_profile: String,
    /// `process.selinuxLabel`; empty: none.
    pub selinux_label: String,
    /// `linux.mountLabel`, which is SELinux's; empty: none.
    pub mount_label: String,
}

/// CPUs for a process that enters a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Until it is in the container's cgroup.
    pub initial: Option<Numbers>,
    /// From then on.
    pub last: Option<Numbers>,
}

/// An execution domain (personality(2)). The specification knows no flags: a configuration with one is refused where it
/// is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personality {
    /// `LINUX`
    Linux,
    /// `LINUX32`: uname(2) tells a 32-bit machine.
    Linux32,
}

impl Attributes {
    /// Whether this machine can do all of it, as far as can be told without trying.
    ///
    /// # Errors
    /// A value out of its range; a label where the kernel has no such module.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_on(Path::new("/sys"))
    }

    fn check_on(&self, sys: &Path) -> Result<(), Failure> {
        if let Some(scheduler) = &self.scheduler {
            scheduler.check()?;
        }
        if let Some(priority) = &self.io_priority {
            priority.check()?;
        }
        if let Some(policy) = &self.memory_policy {
            policy.check()?;
        }
        label::check(self, sys)
    }

    /// Puts the calling process on the CPUs on which it is to enter.
    pub fn begin(&self) -> Result<(), Failure> {
        match &self.affinity.initial {
            Some(cpus) => run_on(cpus).step(format!("execCPUAffinity.initial {cpus}")),
            None => Ok(()),
        }
    }

    /// Whether [`Self::apply_from_outside`] has anything to do.
    pub fn is_set_from_outside(&self) -> bool {
        self.scheduler.is_some() || self.io_priority.is_some()
    }

    /// Sets what only the machine's own privileges can; `pid` has one thread and has not been waited for.
    pub fn apply_from_outside(&self, pid: Pid) -> Result<(), Failure> {
        // First, since it may be all that a scheduler with a deadline still gets done in time.
        if let Some(priority) = &self.io_priority {
            priority.apply(pid)?;
        }
        match &self.scheduler {
            Some(scheduler) => scheduler.apply(pid),
            None => Ok(()),
        }
    }

    /// Sets the rest for the calling process, which has one thread, and for its program.
    pub fn apply(&self, label: Option<Label>) -> Result<(), Failure> {
        if let Some(cpus) = &self.affinity.last {
            run_on(cpus).step(format!("execCPUAffinity.final {cpus}"))?;
        }
        if let Some(policy) = &self.memory_policy {
            policy.apply()?;
        }
        if let Some(domain) = self.personality {
            let persona = match domain {
                Personality::Linux => personality::LINUX,
                Personality::Linux32 => personality::LINUX32,
            };
            kernel::set_personality(persona).step("the personality")?;
        }
        // Last: the next execve, whichever it is, takes it.
        label.map_or(Ok(()), Label::apply)
    }
}

/// The kernel leaves CPUs out in silence that are not there or not in the cpuset; here that is an error.
fn run_on(cpus: &Numbers) -> Result<(), CallError> {
    kernel::sched_setaffinity(None, cpus.words())?;
    let got = kernel::sched_getaffinity(None)?;
    let missing = cpus.iter().find(|&cpu| {
        let word = got.get(cpu as usize / 64).copied().unwrap_or(0);
        word & (1 << (cpu % 64)) == 0
    });
    match missing {
        None => Ok(()),
        Some(cpu) => Err(rustix::io::Errno::INVAL)
            .called(|| format!("CPU {cpu} is not on this machine or not in the cgroup's cpuset")),
    }
}

impl std::str::FromStr for Personality {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        match name {
            "LINUX" => Ok(Self::Linux),
            "LINUX32" => Ok(Self::Linux32),
            other => Err(unknown("personality.domain", other)),
        }
    }
}

fn unknown(field: &str, name: &str) -> Failure {
    Failure::setup(format!("{field} {name:?}"), "no such value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_nothing() {
        let nothing = Attributes::default();
        nothing.check().unwrap();
        assert!(!nothing.is_set_from_outside());
        nothing.begin().unwrap();
        nothing.apply(None).unwrap();
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!("LINUX32".parse(), Ok(Personality::Linux32));
        let failure = "BSD".parse::<Personality>().unwrap_err();
        assert_eq!(failure.message, "personality.domain \"BSD\": no such value");
        "linux".parse::<Personality>().unwrap_err();
    }
}
