//! Who is at work on a container: a lock on its folder below /run.
//!
//! Whoever makes, runs or removes a container holds it: the command at first,
//! then the monitor, for as long as the container runs. A folder that nobody
//! holds is what a killed process left behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use crate::error::{Error, io};

/// A monitor that has told its container's end needs milliseconds; a client that does not read holds it up for longer.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(1);

/// The lock, held until every copy of its descriptor is closed.
#[derive(Debug)]
pub(crate) struct Lock {
    folder: PathBuf,
    descriptor: OwnedFd,
}

impl Lock {
    /// Makes `folder` if it is missing and locks it; `None`: somebody else holds it.
    pub(crate) fn take(folder: &Path) -> Result<Option<Self>, Error> {
        loop {
            crate::places::make_folder(folder, 0o700)?;
            match Self::try_existing(folder)? {
                // The last holder removed the folder between our two steps: this lock is on nothing.
                Attempt::Gone => {}
                Attempt::Held => return Ok(None),
                Attempt::Taken(lock) => return Ok(Some(lock)),
            }
        }
    }

    /// As [`Self::take`], waiting for the holder to finish what it is at for as long as [`PATIENCE`].
    pub(crate) fn take_soon(folder: &Path) -> Result<Option<Self>, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::take(folder)? {
                None if Instant::now() < deadline => std::thread::sleep(PAUSE),
                other => return Ok(other),
            }
        }
    }

    /// Locks `folder` if it is there and nobody holds it.
    pub(crate) fn try_existing(folder: &Path) -> Result<Attempt, Error> {
        let descriptor = match rustix::fs::open(
            folder,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Attempt::Gone),
            Err(e) => {
                return Err(CallError::new(format!("open(\"{}\")", folder.display()), e).into());
            }
        };
        match rustix::fs::flock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Attempt::Held),
            Err(e) => {
                return Err(CallError::new(format!("flock(\"{}\")", folder.display()), e).into());
            }
        }
        let links = rustix::fs::fstat(&descriptor)
            .called(|| format!("fstat(\"{}\")", folder.display()))?
            .st_nlink;
        if links == 0 {
            return Ok(Attempt::Gone);
        }
        Ok(Attempt::Taken(Self {
            folder: folder.to_owned(),
            descriptor,
        }))
    }

    /// Removes the folder with all that is in it, and with it the lock.
    pub(crate) fn remove_folder(self) -> Result<(), Error> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                io("removing", &self.folder, Err(e))
            }
            _ => Ok(()),
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What came of [`Lock::try_existing`].
#[derive(Debug)]
pub(crate) enum Attempt {
    Taken(Lock),
    Held,
    Gone,
}
