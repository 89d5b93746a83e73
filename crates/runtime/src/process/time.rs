//! The time namespace (time_namespaces(7); runtime-spec 1.3, config-linux.md, "Offset for Time Namespace").
//!
//! A process never makes one for itself, but for its children, and only before the first of them are its clocks set.
//! The one that makes the container is the engine, which has further children: they are to see the machine's clocks
//! again. So the clone of the container stands between the change and its undoing, in [`clone_in`].
//!
//! The namespace belongs to the caller's user namespace, not to the container's. Hence the container cannot change it,
//! and `exec` must enter it before the user namespace, while it may still do so ([`join`]).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use soute_sys::process::{Cloned, flags, unshare};
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};
use crate::mounts::procfs::write_whole;

/// How a container has its time namespace, where it is not the caller's.
#[derive(Debug)]
pub enum Time {
    /// A new one, in which these clocks are set off; the others are the machine's.
    New(Vec<Offset>),
    /// An existing one, open.
    Join(OwnedFd),
}

/// By how much a clock differs from the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Which one.
    pub clock: Clock,
    /// Seconds, also negative.
    pub secs: i64,
    /// Nanoseconds to be added, below 10^9.
    pub nanosecs: u32,
}

/// A clock of which a namespace can have its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// `monotonic`: CLOCK_MONOTONIC with its COARSE and RAW variants.
    Monotonic,
    /// `boottime`: CLOCK_BOOTTIME, and with it /proc/uptime.
    Boottime,
}

impl Clock {
    fn name(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Boottime => "boottime",
        }
    }
}

impl FromStr for Clock {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        match name {
            "monotonic" => Ok(Self::Monotonic),
            "boottime" => Ok(Self::Boottime),
            other => Err(Failure::setup(
                format!("timeOffsets {other:?}"),
                "no such clock: there are monotonic and boottime",
            )),
        }
    }
}

impl Time {
    /// Whether the values are possible ones; to be asked before anything is made.
    pub fn check(&self) -> Result<(), Failure> {
        let Self::New(offsets) = self else {
            return Ok(());
        };
        match offsets.iter().find(|o| o.nanosecs >= 1_000_000_000) {
            None => Ok(()),
            Some(offset) => Err(Failure::setup(
                format!(
                    "timeOffsets.{}.nanosecs {}",
                    offset.clock.name(),
                    offset.nanosecs
                ),
                "a second has 999999999 at most",
            )),
        }
    }
}

/// Runs `clone`, which makes a process ([`clone3`](soute_sys::process::clone3) and what is built on it), such that the
/// process is in the time namespace `time`. The caller's later children are in the caller's own again.
///
/// The caller has one thread, and CAP_SYS_ADMIN in its user namespace.
///
/// # Errors
/// Of `clone`; `EINVAL` of unshare(2): a kernel without time namespaces; `ERANGE`: a clock would be negative or too far
/// ahead. In all cases there is no new process, and the caller is as it was, unless the way back itself is what failed.
pub fn clone_in(
    time: &Time,
    clone: impl FnOnce() -> Result<Cloned, CallError>,
) -> Result<Cloned, Failure> {
    let step = "the time namespace";
    time.check()?;
    let own = open("/proc/thread-self/ns/time", OFlags::RDONLY).step(step)?;
    let cloned = enter(time).and_then(|()| clone());
    if let Ok(Cloned::Child) = cloned {
        return Ok(Cloned::Child);
    }
    // Also after an error: the namespace may have been made, and a clock refused.
    let back = move_into(own.as_fd());
    match (cloned, back) {
        (Ok(cloned), Ok(())) => Ok(cloned),
        (Err(e), Ok(())) => Err(Failure::setup(step, e)),
        (Ok(Cloned::Parent { pidfd, .. }), Err(e)) => {
            super::wait::put_down(pidfd);
            Err(Failure::setup(step, format_args!("leaving it: {e}")))
        }
        (Ok(Cloned::Child), Err(e)) => Err(Failure::setup(step, e)),
        (Err(first), Err(e)) => Err(Failure::setup(
            step,
            format_args!("{first}; leaving it: {e}"),
        )),
    }
}

/// Enters an existing time namespace for good, with all later children: for the process in between of `exec`, before it
/// enters the user namespace. Inside it would not be allowed to (EPERM: the namespace belongs to the machine's), nor to come back.
pub fn join(namespace: impl AsFd) -> Result<(), Failure> {
    move_into(namespace.as_fd()).step("the time namespace")
}

fn enter(time: &Time) -> Result<(), CallError> {
    match time {
        Time::Join(namespace) => move_into(namespace.as_fd()),
        Time::New(offsets) => {
            unshare(flags::NEWTIME)?;
            // A line each: of several, the kernel takes the first two.
            for offset in offsets {
                let text = format!(
                    "{} {} {}\n",
                    offset.clock.name(),
                    offset.secs,
                    offset.nanosecs
                );
                let file = open("/proc/self/timens_offsets", OFlags::WRONLY)?;
                write_whole(&file, "self/timens_offsets", &text)?;
            }
            Ok(())
        }
    }
}

/// For the caller itself and for its children: it was in both before.
fn move_into(namespace: BorrowedFd<'_>) -> Result<(), CallError> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Time))
        .called(|| "setns(time namespace, CLONE_NEWTIME)".to_owned())
        .map_err(|e| match e.errno() {
            Errno::INVAL => CallError::new(
                format!("{}, which is no time namespace", e.call()),
                e.errno(),
            ),
            _ => e,
        })
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\")"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_clocks_and_impossible_seconds_are_errors() {
        assert_eq!("boottime".parse(), Ok(Clock::Boottime));
        for name in ["realtime", "Monotonic", "", "monotonic "] {
            name.parse::<Clock>().unwrap_err();
        }
        let time = |nanosecs| {
            Time::New(vec![Offset {
                clock: Clock::Monotonic,
                secs: 0,
                nanosecs,
            }])
        };
        time(999_999_999).check().unwrap();
        let failure = time(1_000_000_000).check().unwrap_err();
        assert!(failure.message.contains("monotonic.nanosecs"), "{failure}");
    }
}
