//! Between `create` and `start`: a container that is set up waits for a byte.
//!
//! The process that waits may have its system-call filter already, so it waits with the one call that every program
//! needs: read(2), on a FIFO that it holds open for reading and writing, so that it never sees an end of file. Who
//! starts it opens the FIFO for writing, which fails where nobody waits, and sees the last reader go when the program
//! runs. What keeps the program from running is left in a file beside.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};

/// The FIFO's name in the container's folder.
const FIFO: &str = "start";
/// The name of the file for failures.
const REPORT: &str = "start-failure";

/// Where a container waits for its start.
#[derive(Debug)]
pub struct Gate {
    fifo: OwnedFd,
    report: OwnedFd,
}

impl Gate {
    /// Makes both files in `folder`, which must have neither.
    ///
    /// # Errors
    /// The call that failed.
    pub fn make(folder: &Path) -> Result<Self, CallError> {
        let (fifo, report) = (folder.join(FIFO), folder.join(REPORT));
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .called(|| format!("mkfifo(\"{}\")", fifo.display()))?;
        Ok(Self {
            fifo: open(&fifo, OFlags::RDWR)?,
            report: open(&report, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?,
        })
    }

    /// Returns when somebody starts the container.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        let mut byte = [0];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.fifo, &mut byte))
            .called(|| "read(the start FIFO)".to_owned())
            .step("waiting for the start")
            .map(drop)
    }

    /// Leaves word of why the program does not run.
    pub(crate) fn tell(&self, failure: &Failure) {
        // Nobody is left to tell if this fails, too.
        let _ = rustix::io::write(&self.report, &failure.encode());
    }

    /// Its descriptors, by number.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [self.fifo.as_raw_fd(), self.report.as_raw_fd()]
    }
}

/// Whether a container waits at the gate in `folder`.
pub fn is_waiting(folder: &Path) -> bool {
    knock(folder).is_ok()
}

/// Starts the container that waits at the gate in `folder`; returns when its program runs.
///
/// # Errors
/// Nobody waits there (ENXIO, ENOENT), or the program could not be run.
pub fn start(folder: &Path) -> Result<(), Failure> {
    let fifo = knock(folder).step("starting the container")?;
    rustix::io::write(&fifo, b"s")
        .called(|| "write(the start FIFO)".to_owned())
        .step("starting the container")?;
    wait_for_departure(fifo.as_fd()).step("waiting for the program to start")?;
    let report = folder.join(REPORT);
    match std::fs::read(&report) {
        Ok(text) => Failure::decode(&text).map_or(Ok(()), Err),
        Err(e) => Err(Failure::setup(
            "starting the container",
            format_args!("{}: {e}", report.display()),
        )),
    }
}

/// Opens the FIFO for writing: without waiting, that takes a reader.
fn knock(folder: &Path) -> Result<OwnedFd, CallError> {
    open(&folder.join(FIFO), OFlags::WRONLY | OFlags::NONBLOCK)
}

/// The last reader's going is an error on the writer's side (pipe(7)).
fn wait_for_departure(fifo: BorrowedFd<'_>) -> Result<(), CallError> {
    loop {
        let mut fds = [PollFd::new(&fifo, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(_) if fds[0].revents().contains(PollFlags::ERR) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(CallError::new("poll(the start FIFO)", e)),
        }
    }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, CallError> {
    rustix::fs::openat(
        CWD,
        path,
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::from_raw_mode(0o600),
    )
    .called(|| format!("open(\"{}\", {flags:?})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_where_no_process_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_waiting(folder.path()));
        let gate = Gate::make(folder.path()).unwrap();
        assert!(is_waiting(folder.path()));
        drop(gate);
        assert!(!is_waiting(folder.path()));
        assert!(start(folder.path()).is_err());
    }

    #[test]
    fn the_start_is_heard_and_failures_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::make(folder.path()).unwrap();
        let failure = Failure::setup("a step", "a reason");
        std::thread::scope(|scope| {
            let waits = scope.spawn({
                let failure = failure.clone();
                move || {
                    gate.wait().unwrap();
                    gate.tell(&failure);
                }
            });
            assert_eq!(start(folder.path()).unwrap_err(), failure);
            waits.join().unwrap();
        });
    }
}
