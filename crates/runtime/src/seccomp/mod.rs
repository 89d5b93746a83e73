//! System-call filters: a profile becomes a program of the kernel's (seccomp(2)).

mod action;
mod arch;
mod compile;
mod docker_default;
mod program;
mod sections;
mod version;

use std::os::fd::OwnedFd;

use soute_sys::CallError;
use soute_sys::seccomp::{self as sys, SockFilter};

pub use action::Action;
pub use version::{KernelVersion, VersionError};

use crate::capabilities::CapSet;
use arch::Machine;

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    instructions: Vec<SockFilter>,
    /// `SECCOMP_FILTER_FLAG_*`
    flags: u32,
    unknown_names: Vec<String>,
}

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The tables have no calls of this machine's.
    #[error("seccomp filters are made for x86_64 and aarch64; this machine is neither")]
    Machine,
    /// The kernel takes 4096 instructions.
    #[error(
        "the seccomp profile makes a filter longer than the kernel's limit of 4096 instructions"
    )]
    TooLong,
}

impl Filter {
    /// The default profile, which is Docker's, for a container that has at most `caps`.
    pub fn docker_default(caps: CapSet, kernel: KernelVersion) -> Result<Self, SeccompError> {
        let machine = Machine::this().ok_or(SeccompError::Machine)?;
        let sections = docker_default::sections(machine, caps, kernel);
        Ok(Self {
            instructions: compile::compile(&sections).ok_or(SeccompError::TooLong)?,
            flags: sys::FLAG_SPEC_ALLOW,
            unknown_names: Vec::new(),
        })
    }

    /// Puts it on the calling thread for good; allocates nothing unless it fails.
    ///
    /// Answers the listener if an action is to notify. Errors as in [`sys::load`].
    pub fn load(&self) -> Result<Option<OwnedFd>, CallError> {
        sys::load(&self.instructions, self.flags)
    }

    /// The program.
    pub fn instructions(&self) -> &[SockFilter] {
        &self.instructions
    }

    /// Names in the profile that are no call of any of its architectures. As in runc they are
    /// ignored, since profiles name calls of later kernels and of other machines.
    pub fn unknown_names(&self) -> &[String] {
        &self.unknown_names
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
    use rustix::thread::UnshareFlags;

    use super::*;
    use crate::capabilities::Cap;

    /// A filter is a thread's, so a thread of its own can try it on.
    fn with_default<T: Send + 'static>(caps: CapSet, f: impl FnOnce() -> T + Send + 'static) -> T {
        let filter = Filter::docker_default(caps, KernelVersion::current().unwrap()).unwrap();
        std::thread::spawn(move || {
            assert!(filter.load().unwrap().is_none());
            f()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn the_kernel_obeys_the_default() {
        let unshare = || rustix::thread::unshare(UnshareFlags::FILES);
        assert_eq!(with_default(CapSet::DEFAULT, unshare), Err(Errno::PERM));
        let admin = CapSet::of(&[Cap::SYS_ADMIN]);
        assert_eq!(with_default(admin, unshare), Ok(()));
    }
}
