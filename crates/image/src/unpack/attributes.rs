//! Owner, mode, extended attributes and times, with as few calls as are needed.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use soute_sys::{CallError, Called};

use super::entry::{Entry, lossy};
use super::folders::{self, Folder};

/// What a file is like that was just made, without further calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    uid: u32,
    pub(super) gid: u32,
    /// Permission bits that do not arrive.
    pub(super) umask: u32,
}

impl Made {
    /// Whether owner, group and mode are right without further calls.
    pub(super) fn suits(self, entry: &Entry, folder: &Folder) -> bool {
        self.owns(entry, folder) && self.keeps(entry.mode)
    }

    pub(super) fn owns(self, entry: &Entry, folder: &Folder) -> bool {
        (entry.uid, entry.gid) == (self.uid, self.gid) && !folder.foreign_group
    }

    pub(super) fn keeps(self, mode: u32) -> bool {
        mode & (0o6000 | self.umask) == 0
    }
}

/// Makes a file to see what it is like: the umask belongs to the whole
/// process and cannot be read without being changed, and a default ACL or a
/// mount option may have a say too.
pub(super) fn probe(folder: BorrowedFd<'_>) -> Result<Made, CallError> {
    const PROBE: &str = "probe";
    let file = rustix::fs::openat(
        folder,
        PROBE,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o777),
    )
    .called(|| format!("openat({PROBE:?}, O_CREAT|O_EXCL, 0777)"))?;
    let stat = rustix::fs::fstat(&file).called(|| format!("fstat({PROBE:?})"))?;
    rustix::fs::unlinkat(folder, PROBE, AtFlags::empty())
        .called(|| format!("unlinkat({PROBE:?})"))?;
    Ok(Made {
        uid: stat.st_uid,
        gid: stat.st_gid,
        umask: 0o777 & !stat.st_mode,
    })
}

pub(super) fn chown(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
    rustix::fs::fchown(
        fd,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    )
    .called(|| {
        format!(
            "fchown({:?}, {}, {})",
            lossy(&entry.name),
            entry.uid,
            entry.gid
        )
    })
}

pub(super) fn chmod(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
        .called(|| format!("fchmod({:?}, {:o})", lossy(&entry.name), entry.mode))
}

pub(super) fn set_xattrs(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), CallError> {
    for (name, value) in &entry.xattrs {
        rustix::fs::fsetxattr(fd, name.as_str(), value, XattrFlags::empty())
            .called(|| format!("fsetxattr({:?}, {name:?})", lossy(&entry.name)))?;
    }
    Ok(())
}

pub(super) fn set_mtime(folder: &Folder, entry: &Entry) -> Result<(), CallError> {
    rustix::fs::utimensat(
        &folder.fd,
        entry.name.as_slice(),
        &folders::modified(entry.mtime),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .called(|| format!("utimensat({:?}, AT_SYMLINK_NOFOLLOW)", lossy(&entry.name)))
}
