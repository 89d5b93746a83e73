//! A tree copied into a folder by descriptors.
//!
//! Both sides may be hostile: what is copied comes from an image, and the folder may be mounted in another container.
//! Each step is one name below an open folder, never followed if it is a link. Devices and sockets are left out; nothing
//! but regular files and folders is opened.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

/// Deepest folder below the one that is copied: each level holds two descriptors open.
pub const DEEPEST: usize = 256;
/// Longest list of names and largest value of extended attributes (xattr(7)).
const XATTR_MAX: usize = 65536;

/// How a folder is opened that is copied, or copied into.
pub const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A file's identity.
type Inode = (u64, u64);

/// A copy on its way.
#[derive(Debug)]
pub struct Copy<'a> {
    /// Where it all goes.
    root: &'a OwnedFd,
    /// Where in it we are.
    path: PathBuf,
    depth: usize,
    /// Files of several names: the source's identity, the first copy's path and identity.
    linked: HashMap<Inode, (PathBuf, Inode)>,
    /// Space for names and values of extended attributes.
    xattrs: Vec<u8>,
}

impl<'a> Copy<'a> {
    /// One that goes into the folder `root`, which is open for reading.
    pub fn into(root: &'a OwnedFd) -> Self {
        Self {
            root,
            path: PathBuf::new(),
            depth: 0,
            linked: HashMap::new(),
            xattrs: vec![0; XATTR_MAX],
        }
    }

    /// All that is in `source`, into `target`: the root, at first.
    ///
    /// # Errors
    /// The call that failed.
    pub fn content(&mut self, source: &OwnedFd, target: &OwnedFd) -> Result<(), CallError> {
        for name in names(source, &self.path)? {
            let stat = rustix::fs::statat(source, &name, AtFlags::SYMLINK_NOFOLLOW)
                .called(|| format!("fstatat({:?})", self.below(&name)))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.folder(source, target, &name)?,
                FileType::RegularFile => self.file(source, target, &name, &stat)?,
                FileType::Symlink => self.symlink(source, target, &name, &stat)?,
                FileType::Fifo => self.fifo(target, &name, &stat)?,
                // A device node has no place in a volume (its mounts are nodev), a socket no listener.
                _ => {}
            }
        }
        Ok(())
    }

    fn below(&self, name: &CStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.to_bytes()))
    }

    fn folder(&mut self, source: &OwnedFd, target: &OwnedFd, name: &CStr) -> Result<(), CallError> {
        let path = self.below(name);
        if self.depth == DEEPEST {
            let call = format!("{path:?} lies more than {DEEPEST} folders deep");
            return Err(CallError::new(call, Errno::NAMETOOLONG));
        }
        let open = |folder: &OwnedFd| {
            rustix::fs::openat(folder, name, OPEN_FOLDER, Mode::empty())
                .called(|| format!("openat({path:?}, O_DIRECTORY | O_NOFOLLOW)"))
        };
        let from = open(source)?;
        rustix::fs::mkdirat(target, name, Mode::RWXU).called(|| format!("mkdirat({path:?})"))?;
        let to = open(target)?;
        let above = std::mem::replace(&mut self.path, path);
        self.depth += 1;
        self.content(&from, &to)?;
        self.depth -= 1;
        // Last: what is made in a folder changes its times.
        self.metadata(&from, &to)?;
        self.path = above;
        Ok(())
    }

    fn file(
        &mut self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &CStr,
        stat: &Stat,
    ) -> Result<(), CallError> {
        let path = self.below(name);
        if stat.st_nlink > 1 && self.link(target, name, stat)? {
            return Ok(());
        }
        let call = |what: &str| format!("{what}({path:?})");
        // NONBLOCK: should it be a FIFO by now (with --rootfs the folder may be in use).
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let from = rustix::fs::openat(source, name, flags, Mode::empty())
            .called(|| call("openat"))
            .map(File::from)?;
        let now = rustix::fs::fstat(&from).called(|| call("fstat"))?;
        if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
            return Err(CallError::new(
                call("changed meanwhile: open"),
                Errno::STALE,
            ));
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(target, name, flags, Mode::RUSR | Mode::WUSR)
            .called(|| call("openat(O_CREAT)"))
            .map(File::from)?;
        bytes(&from, &to, now.st_size as u64).called(|| call("copy"))?;
        self.metadata(&from, &to)?;
        if stat.st_nlink > 1 {
            let made = rustix::fs::fstat(&to).called(|| call("fstat"))?;
            self.linked.insert(inode(stat), (path, inode(&made)));
        }
        Ok(())
    }

    /// A further name of a file that has been copied; false: it has not. Without this, a layer of many names for one
    /// large file would fill the disk.
    fn link(&self, target: &OwnedFd, name: &CStr, stat: &Stat) -> Result<bool, CallError> {
        let Some((first, copied)) = self.linked.get(&inode(stat)) else {
            return Ok(false);
        };
        let opened = rustix::fs::openat2(
            self.root,
            first,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        );
        // Moved away, or exchanged, by whoever has the volume mounted: then it is copied anew.
        let Ok(there) = opened else { return Ok(false) };
        if rustix::fs::fstat(&there).is_ok_and(|stat| inode(&stat) == *copied) {
            return rustix::fs::linkat(&there, c"", target, name, AtFlags::EMPTY_PATH)
                .called(|| format!("linkat({first:?}, {:?})", self.below(name)))
                .map(|()| true);
        }
        Ok(false)
    }

    fn symlink(
        &self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &CStr,
        stat: &Stat,
    ) -> Result<(), CallError> {
        let call = |what: &str| format!("{what}({:?})", self.below(name));
        let text =
            rustix::fs::readlinkat(source, name, Vec::new()).called(|| call("readlinkat"))?;
        rustix::fs::symlinkat(&text, target, name).called(|| call("symlinkat"))?;
        self.nameless(target, name, stat)
    }

    fn fifo(&self, target: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), CallError> {
        let call = |what: &str| format!("{what}({:?})", self.below(name));
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
        rustix::fs::mknodat(target, name, FileType::Fifo, mode, 0).called(|| call("mknodat"))?;
        self.nameless(target, name, stat)
    }

    /// Owner and times of what is not opened.
    fn nameless(&self, target: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), CallError> {
        let call = |what: &str| format!("{what}({:?})", self.below(name));
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(target, name, Some(uid), Some(gid), nofollow)
            .called(|| call("fchownat"))?;
        rustix::fs::utimensat(target, name, &times(stat), nofollow).called(|| call("utimensat"))
    }

    /// Owner, mode, extended attributes and times. In this order: a change of the owner takes set-id bits and file
    /// capabilities away, a change of anything else the times.
    ///
    /// # Errors
    /// The call that failed.
    pub fn metadata(&mut self, source: impl AsFd, target: impl AsFd) -> Result<(), CallError> {
        let path = self.path.clone();
        let call = |what: &str| format!("{what} in {path:?}");
        let stat = rustix::fs::fstat(&source).called(|| call("fstat"))?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&target, Some(uid), Some(gid)).called(|| call("fchown"))?;
        rustix::fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o7777))
            .called(|| call("fchmod"))?;
        self.copy_xattrs(source, &target)?;
        rustix::fs::futimens(&target, &times(&stat)).called(|| call("futimens"))
    }

    fn copy_xattrs(&mut self, source: impl AsFd, target: impl AsFd) -> Result<(), CallError> {
        let path = &self.path;
        let length = match rustix::fs::flistxattr(&source, &mut self.xattrs[..]) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            other => other.called(|| format!("flistxattr in {path:?}"))?,
        };
        let names: Vec<CString> = self.xattrs[..length]
            .split_inclusive(|byte| *byte == 0)
            .filter_map(|name| CString::from_vec_with_nul(name.to_vec()).ok())
            .filter(|name| belongs_to_file(name.to_bytes()))
            .collect();
        for name in names {
            let length = rustix::fs::fgetxattr(&source, &name, &mut self.xattrs[..])
                .called(|| format!("fgetxattr({name:?}) in {path:?}"))?;
            let value = &self.xattrs[..length];
            rustix::fs::fsetxattr(&target, &name, value, XattrFlags::empty())
                .called(|| format!("fsetxattr({name:?}) in {path:?}"))?;
        }
        Ok(())
    }
}

/// What an image may bring; labels of security modules and the overlay's own notes are the machine's.
fn belongs_to_file(xattr: &[u8]) -> bool {
    let acls: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
    xattr == b"security.capability"
        || acls.contains(&xattr)
        || (xattr.starts_with(b"user.") && !xattr.starts_with(b"user.overlay."))
}

/// The names in a folder, without `.` and `..`; `path` is what an error calls it.
///
/// # Errors
/// The call that failed.
pub fn names(folder: &OwnedFd, path: &Path) -> Result<Vec<CString>, CallError> {
    let read = || -> rustix::io::Result<Vec<CString>> {
        rustix::fs::Dir::read_from(folder)?
            .map(|entry| Ok(entry?.file_name().to_owned()))
            .filter(|name| !matches!(name.as_deref(), Ok(name) if name == c"." || name == c".."))
            .collect()
    };
    read().called(|| format!("getdents64({path:?})"))
}

/// The data of a file and not its holes, which may be a petabyte.
fn bytes(mut from: &File, mut to: &File, size: u64) -> std::io::Result<()> {
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole until the end.
            Err(Errno::NXIO) => break,
            Err(e) => return Err(e.into()),
        };
        at = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(start))?.min(size);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        std::io::copy(&mut from.take(at.saturating_sub(start)), &mut to)?;
    }
    to.set_len(size)
}

fn inode(stat: &Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

/// The times of a file, as they are set.
pub fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_folder_that_changes_underneath_leads_nowhere() {
        // What a container that has the folder mounted already could do between two names of a file: its first copy is
        // exchanged for a link to a file outside, its folder for a link to a folder outside.
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("a"), "outside").unwrap();
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("a"), "inside").unwrap();
        fs::hard_link(from.path().join("a"), from.path().join("b")).unwrap();
        let source = rustix::fs::open(from.path(), OPEN_FOLDER, Mode::empty()).unwrap();
        let root = rustix::fs::open(to.path(), OPEN_FOLDER, Mode::empty()).unwrap();
        let stat = rustix::fs::statat(&source, c"a", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        symlink(outside.path(), to.path().join("folder")).unwrap();
        symlink(outside.path().join("a"), to.path().join("link")).unwrap();
        let theirs = fs::metadata(outside.path().join("a")).unwrap();
        for first in ["folder/a", "link", "../../../../etc/passwd"] {
            let first: PathBuf = first.into();
            let mut copy = Copy::into(&root);
            let copied = (theirs.dev(), theirs.ino());
            copy.linked.insert(inode(&stat), (first.clone(), copied));
            copy.file(&source, &root, c"b", &stat).unwrap();
            let b = to.path().join("b");
            assert_eq!(fs::read(&b).unwrap(), b"inside", "{first:?}");
            fs::remove_file(b).unwrap();
        }
    }
}
