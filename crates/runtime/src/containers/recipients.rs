//! To whom a process that was made is told.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::Error;
use super::error::io;
use crate::process::Started;
use crate::process::wait::put_down;
use crate::socket::{connected, send_descriptor};

/// What goes with a terminal: the name of what it is, in the container.
const MULTIPLEXER: &[u8] = b"/dev/pts/ptmx";

/// Who hears of a process.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    /// A socket for its terminal's master. Without, it stays with [`Started`].
    pub console_socket: Option<PathBuf>,
    /// A socket for a descriptor of it.
    pub pidfd_socket: Option<PathBuf>,
    /// A file for its number.
    pub pid_file: Option<PathBuf>,
}

impl Recipients {
    /// Tells them, and then does what comes `last`. On failure the process is dead.
    pub(super) fn tell(
        &self,
        mut started: Started,
        last: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Started, Error> {
        match self.tell_all(&mut started).and_then(|()| last()) {
            Ok(()) => Ok(started),
            Err(e) => {
                put_down(started.pidfd);
                Err(e)
            }
        }
    }

    fn tell_all(&self, started: &mut Started) -> Result<(), Error> {
        if let Some(socket) = &self.console_socket
            && let Some(master) = started.terminal.take()
        {
            send_descriptor(connected(socket)?, MULTIPLEXER, master)?;
        }
        if let Some(socket) = &self.pidfd_socket {
            send_descriptor(connected(socket)?, b"pidfd", &started.pidfd)?;
        }
        match &self.pid_file {
            Some(file) => write_pid_file(file, started.pid),
            None => Ok(()),
        }
    }
}

/// The number and nothing else, which is what callers parse. Written beside and renamed into place, since they wait for
/// the file.
fn write_pid_file(file: &Path, pid: Pid) -> Result<(), Error> {
    let name = file.file_name().ok_or_else(|| {
        Error::Impossible(format!(
            "the pid file {}: no name of a file",
            file.display()
        ))
    })?;
    let part = file.with_file_name(format!(".{}", name.to_string_lossy()));
    let text = pid.as_raw_nonzero().to_string();
    // One that was killed in the middle left its own, and was to write the same file.
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return io("removing", &part, Err(e));
        }
        _ => {}
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&part)
        .and_then(|mut part| part.write_all(text.as_bytes()));
    io("writing", &part, written)?;
    io("renaming to", file, std::fs::rename(&part, file))
}
