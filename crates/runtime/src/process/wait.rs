//! Waiting for a child by its descriptor: its number may be known to a caller that waits for all children.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions};
use soute_sys::CallError;

/// Waits for the end of a child: its exit status, or 128 + n by signal n.
///
/// # Errors
/// It is nobody's to wait for (ECHILD).
pub fn exit_code(pidfd: impl AsFd) -> Result<i32, CallError> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or(255));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(e) => return Err(CallError::new("waitid(pidfd)", e)),
        }
    }
}

/// Waits for a child whose end tells nothing.
pub(crate) fn reap(pidfd: impl AsFd) {
    let _ = exit_code(pidfd);
}

/// Kills a child, and waits for its end.
pub(crate) fn put_down(pidfd: impl AsFd) {
    let _ = soute_sys::process::pidfd_send_signal(&pidfd, Signal::KILL.as_raw());
    reap(pidfd);
}
