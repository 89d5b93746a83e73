//! The process that a scope begins with.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitIdOptions};
use soute_sys::process::{self, Cloned};
use soute_sys::{CallError, Called};

use crate::cgroups::CgroupError;

/// A process that does nothing. systemd makes no scope without one, and ends a scope that has none any more.
///
/// The container's own would come too late: it is to be made in its cgroup (CLONE_INTO_CGROUP), not moved there.
/// It ends when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Holder {
    pid: Pid,
    pidfd: OwnedFd,
    /// The writing end of the pipe that it waits at.
    life: Option<OwnedFd>,
}

impl Holder {
    /// Forks it. EDEADLK: this process has several threads.
    pub(super) fn new() -> Result<Self, CgroupError> {
        let (wait, life) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).called(|| "pipe2(O_CLOEXEC)".to_owned())?;
        match process::fork()? {
            Cloned::Parent { pid, pidfd } => Ok(Self {
                pid,
                pidfd,
                life: Some(life),
            }),
            Cloned::Child => {
                // Whatever else this process has open is not kept open by it.
                let mut keep = [wait.as_raw_fd()];
                if process::close_all_but(&mut keep).is_ok() {
                    while rustix::io::read(&wait, &mut [0u8; 1]) == Err(Errno::INTR) {}
                }
                process::exit_now(0)
            }
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends it, and waits for that.
    pub fn end(mut self) -> Result<(), CgroupError> {
        Ok(self.reap()?)
    }

    fn reap(&mut self) -> Result<(), CallError> {
        if self.life.take().is_none() {
            return Ok(());
        }
        let id = rustix::process::WaitId::PidFd(rustix::fd::AsFd::as_fd(&self.pidfd));
        loop {
            // By the descriptor: its number may be known to a caller that waits for all children.
            match rustix::process::waitid(id.clone(), WaitIdOptions::EXITED) {
                Ok(_) | Err(Errno::CHILD) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(CallError::new("waitid(P_PIDFD, WEXITED)", errno)),
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Nothing that a caller could do about it.
        let _ = self.reap();
    }
}
