//! The hooks that are due once a restored container has its namespaces: criu calls a script then, which waits until the
//! hooks have run here.
//!
//! Word goes by two FIFOs in the container's folder, which criu's side opens by this process's descriptor of the folder:
//! if this process has died there is none, and criu gives up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use soute_sys::{CallError, Called};

use super::folders::path_of;
use super::program::Running;
use crate::containers::Error;
use crate::hooks::{Status, Tree};
use crate::plan::Hooks;

/// The names of the FIFOs.
const DUE: &str = "hooks-due";
const DONE: &str = "hooks-done";

/// Both ends of both FIFOs, so that neither side waits for the other to open them.
pub(crate) struct SetupHooks {
    due: OwnedFd,
    done: OwnedFd,
    script: String,
    files: [PathBuf; 2],
}

impl SetupHooks {
    /// Makes the FIFOs in the folder that `folder` is open on.
    pub(crate) fn make(path: &Path, folder: BorrowedFd<'_>) -> Result<Self, CallError> {
        let fifo = |name| {
            let file = path.join(name);
            rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                .called(|| format!("mkfifo(\"{}\")", file.display()))?;
            rustix::fs::open(&file, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .called(|| format!("open(\"{}\")", file.display()))
        };
        let from = path_of(folder);
        Ok(Self {
            due: fifo(DUE)?,
            done: fifo(DONE)?,
            script: format!(
                "#!/bin/sh\n\
                 [ \"$CRTOOLS_SCRIPT_ACTION\" = setup-namespaces ] || exit 0\n\
                 echo \"$CRTOOLS_INIT_PID\" > {from}/{DUE} && read -r answer < {from}/{DONE} && [ \"$answer\" = go ]\n"
            ),
            files: [DUE, DONE].map(|name| path.join(name)),
        })
    }

    /// What criu calls.
    pub(crate) fn script(&self) -> &str {
        &self.script
    }

    /// Runs them when it is time, and returns when criu has ended.
    ///
    /// # Errors
    /// One of them failed; criu has been told, and has ended.
    pub(crate) fn attend(&self, criu: &Running, hooks: &Hooks) -> Result<(), Error> {
        let mut outcome = Ok(());
        loop {
            let mut fds = [
                PollFd::new(&criu.pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(self.due.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(CallError::new("poll(criu)", e).into()),
            }
            if !fds[0].revents().is_empty() {
                return outcome;
            }
            if fds[1].revents().is_empty() {
                continue;
            }
            outcome = self.run(hooks);
            let answer: &[u8] = if outcome.is_ok() { b"go\n" } else { b"no\n" };
            rustix::io::write(&self.done, answer).called(|| "write(hooks-done)".to_owned())?;
        }
    }

    fn run(&self, hooks: &Hooks) -> Result<(), Error> {
        let mut text = [0; 32];
        let length =
            rustix::io::read(&self.due, &mut text).called(|| "read(hooks-due)".to_owned())?;
        let pid = std::str::from_utf8(&text[..length])
            .ok()
            .and_then(|text| Pid::from_raw(text.trim().parse().ok()?))
            .ok_or_else(|| Error::Impossible("criu names no process for the hooks".to_owned()))?;
        Ok(hooks.run(&hooks.create_runtime, Status::Creating, pid, Tree::Machine)?)
    }
}

impl Drop for SetupHooks {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}
