//! Signals that soute reads instead of being ended by them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::Signal;
use soute_sys::CallError;

/// What is sent on, or ends the conversation in order. Left out: SIGKILL and
/// SIGSTOP (nobody can), the kernel's complaints about soute itself, SIGCHLD,
/// SIGPIPE, SIGURG, and job control's TSTP, TTIN, TTOU and CONT, so that
/// `soute run` stops and goes on in its shell.
const SIGNALS: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::WINCH,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// Blocked signals, to be read.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks them. Before anything is started, so that none gets lost between.
    ///
    /// One that the caller ignores (nohup(1), a background job of a script) is not for us, and so not for the program
    /// either: a blocked signal would be received even so.
    pub fn take() -> Result<Self, CallError> {
        Self::take_all(SIGNALS)
    }

    /// [`Signals::take`], and job control's TSTP and CONT: for what has to leave a terminal as it found it before it stops.
    pub fn take_with_job_control() -> Result<Self, CallError> {
        Self::take_all(&[SIGNALS, &[Signal::TSTP, Signal::CONT]].concat())
    }

    fn take_all(signals: &[Signal]) -> Result<Self, CallError> {
        let heeded = signals
            .iter()
            .filter(|signal| !soute_sys::signals::ignores(**signal));
        soute_sys::signals::signalfd(heeded.map(|signal| signal.as_raw())).map(Self)
    }

    /// The next that has come, if any.
    pub fn next(&self) -> Result<Option<i32>, CallError> {
        soute_sys::signals::read_signal(&self.0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The terminal's size has changed.
pub const WINCH: i32 = Signal::WINCH.as_raw();
