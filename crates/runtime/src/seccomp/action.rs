//! What a filter answers: `SECCOMP_RET_*` of seccomp(2).

use std::fmt;

/// EPERM of errno(3), the same on all architectures.
pub(crate) const EPERM: u16 = 1;
/// ENOSYS, the same on x86 and arm.
pub(crate) const ENOSYS: u16 = 38;
/// The kernel makes a higher one this one (`MAX_ERRNO`).
pub(crate) const MAX_ERRNO: u16 = 4095;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made and logged.
    Log,
    /// It fails with this number (errno(3)).
    Errno(u16),
    /// The process gets SIGSYS.
    Trap,
    /// A tracer is told, with this number; without a tracer it fails with ENOSYS.
    Trace(u16),
    /// The listener decides.
    Notify,
    /// The thread is killed as if by SIGSYS.
    KillThread,
    /// The process is killed as if by SIGSYS.
    KillProcess,
}

impl Action {
    /// The filter's return value.
    pub const fn code(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(number) => 0x0005_0000 | number as u32,
            Self::Notify => 0x7fc0_0000,
            Self::Trace(number) => 0x7ff0_0000 | number as u32,
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Allow => f.write_str("allow"),
            Self::Log => f.write_str("log"),
            Self::Errno(EPERM) => f.write_str("EPERM"),
            Self::Errno(ENOSYS) => f.write_str("ENOSYS"),
            Self::Errno(number) => write!(f, "errno {number}"),
            Self::Trap => f.write_str("trap"),
            Self::Trace(number) => write!(f, "trace {number}"),
            Self::Notify => f.write_str("notify"),
            Self::KillThread => f.write_str("kill thread"),
            Self::KillProcess => f.write_str("kill process"),
        }
    }
}
