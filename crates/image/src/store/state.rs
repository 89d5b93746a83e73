//! Small files that are there whole or not at all, and the lock around their changes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

/// Begins the name of everything that is not finished.
pub(super) const UNFINISHED: &str = ".tmp-";

/// A name that no other living process and no other thread uses; a killed one may have left it.
pub(super) fn unfinished_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{UNFINISHED}{}-{count}",
        rustix::process::getpid().as_raw_nonzero()
    )
}

/// Opens the folder `path` below `dir`.
pub(super) fn open_folder(dir: impl AsFd, path: &str) -> Result<OwnedFd, CallError> {
    rustix::fs::openat(
        dir,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("openat({path:?}, O_DIRECTORY|O_NOFOLLOW)"))
}

/// Makes the folder `path` below `dir` unless it is there.
pub(super) fn make_folder(dir: impl AsFd, path: &str, mode: u32) -> Result<(), CallError> {
    match rustix::fs::mkdirat(dir, path, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        other => other.called(|| format!("mkdirat({path:?}, {mode:04o})")),
    }
}

/// The content of a small file; `None`: it is not there.
pub(super) fn read(dir: impl AsFd, path: &str) -> Result<Option<Vec<u8>>, CallError> {
    let opened = rustix::fs::openat(
        dir,
        path,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let mut file = match opened {
        Err(Errno::NOENT) => return Ok(None),
        other => File::from(other.called(|| format!("openat({path:?}, O_RDONLY)"))?),
    };
    let mut content = Vec::with_capacity(4096);
    file.read_to_end(&mut content)
        .called(|| format!("read({path:?})"))?;
    Ok(Some(content))
}

/// Writes `content` to `name` in `folder`: a temporary file, fsync, rename.
/// Call with the lock held: unfinished files without it are swept.
pub(super) fn write(folder: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<(), CallError> {
    let unfinished = unfinished_name();
    let written = write_unfinished(folder, &unfinished, content).and_then(|()| {
        rustix::fs::renameat(folder, unfinished.as_str(), folder, name)
            .called(|| format!("renameat({unfinished:?}, {name:?})"))
    });
    if written.is_err() {
        // The first error is the one to report; what is left is swept later.
        let _ = rustix::fs::unlinkat(folder, unfinished.as_str(), AtFlags::empty());
    }
    written
}

fn write_unfinished(folder: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<(), CallError> {
    let fd = rustix::fs::openat(
        folder,
        name,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .called(|| format!("openat({name:?}, O_CREAT|O_TRUNC)"))?;
    let mut file = File::from(fd);
    file.write_all(content)
        .called(|| format!("write({name:?})"))?;
    rustix::fs::fsync(&file).called(|| format!("fsync({name:?})"))
}

/// Points the symbolic link `name` in `folder` at `target`, replacing an older one at once.
pub(super) fn link(folder: BorrowedFd<'_>, name: &str, target: &str) -> Result<(), CallError> {
    let unfinished = unfinished_name();
    remove(folder, &unfinished)?;
    rustix::fs::symlinkat(target, folder, unfinished.as_str())
        .called(|| format!("symlinkat({target:?}, {unfinished:?})"))?;
    rustix::fs::renameat(folder, unfinished.as_str(), folder, name)
        .called(|| format!("renameat({unfinished:?}, {name:?})"))
}

/// Removes a file; that it is gone already is fine.
pub(super) fn remove(folder: impl AsFd, name: &str) -> Result<(), CallError> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other.called(|| format!("unlinkat({name:?})")),
    }
}

/// The names in `folder`, without `.` and `..`; names that are not UTF-8 are not ours and left out.
pub(super) fn names(folder: impl AsFd) -> Result<Vec<String>, CallError> {
    let read = || -> rustix::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder.as_fd())? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    };
    read().called(|| "getdents64()".to_owned())
}

/// A lock on the store, released when dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held for its lock")] OwnedFd);

/// Waits for the lock `path` below `dir`, shared or not.
pub(super) fn lock(dir: impl AsFd, path: &str, exclusive: bool) -> Result<Lock, CallError> {
    let fd = rustix::fs::openat(
        dir,
        path,
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .called(|| format!("openat({path:?}, O_CREAT)"))?;
    let operation = if exclusive {
        FlockOperation::LockExclusive
    } else {
        FlockOperation::LockShared
    };
    loop {
        match rustix::fs::flock(&fd, operation) {
            Err(Errno::INTR) => {}
            other => {
                other.called(|| format!("flock({path:?})"))?;
                return Ok(Lock(fd));
            }
        }
    }
}
