//! What an image has where a new volume is mounted becomes the volume's first content, as in Docker.
//!
//! The image is hostile, and so may be another container that has the same,
//! empty volume mounted already. Both sides are therefore held by descriptors:
//! the mount point is resolved inside the image, and from there on each step
//! is one name below an open folder, never followed if it is a link. Devices
//! and sockets are left out; nothing but regular files and folders is opened.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps,
    Uid, XattrFlags,
};
use rustix::io::Errno;
use soute_runtime::mounts::overlay;
use soute_sys::mount::{NOATIME, NOEXEC, NOSUID};
use soute_sys::{CallError, Called};

use crate::error::Error;

/// Deepest folder below the mount point: each level holds two descriptors open.
const DEEPEST: usize = 256;
/// Longest list of names and largest value of extended attributes (xattr(7)).
const XATTR_MAX: usize = 65536;

/// Copies what `layers` (lowest first) together have at `target` into `folder`, which takes over the owner, mode and
/// times of `target`, too. `false`, and nothing is done, if there is no folder at `target`.
///
/// Owners are copied as the layers have them: a volume's are the ids that containers name.
pub(crate) fn from_layers(layers: &[PathBuf], target: &str, folder: &Path) -> Result<bool, Error> {
    let failed = |e: CallError| {
        let call = format!("filling the volume for {target}: {}", e.call());
        Error::Call(CallError::new(call, e.errno()))
    };
    // No device can be opened in it, and overlayfs sees to whiteouts and opaque folders.
    let image = overlay::stack(layers, NOSUID | NOEXEC | NOATIME).map_err(failed)?;
    let Some(source) = open_inside(&image.mount, target).map_err(failed)? else {
        return Ok(false);
    };
    let root = open(folder)?;
    let mut copy = Copy::into(&root);
    copy.content(&source, &root)
        .and_then(|()| copy.metadata(&source, &root))
        .map_err(failed)?;
    Ok(true)
}

/// Moves all that is in `from` into `to`, but for what is there by that name already. `to` takes over owner, mode and
/// times of `from`, too.
pub(crate) fn move_into(from: &Path, to: &Path) -> Result<(), Error> {
    let (from, to) = (open(from)?, open(to)?);
    let from_stat = rustix::fs::fstat(&from).called(|| "fstat()".to_owned())?;
    for name in names(&from, Path::new(""))? {
        match rustix::fs::renameat_with(&from, &name, &to, &name, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(CallError::new(format!("renameat2({name:?})"), e).into()),
        }
    }
    Copy::into(&to).metadata(&from, &to)?;
    // Those of before its content was moved away.
    rustix::fs::futimens(&to, &times(&from_stat)).called(|| "futimens()".to_owned())?;
    Ok(())
}

fn open(folder: &Path) -> Result<OwnedFd, CallError> {
    rustix::fs::open(folder, OPEN_FOLDER, Mode::empty())
        .called(|| format!("open(\"{}\")", folder.display()))
}

const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The folder that `target` names in the image, whose links lead nowhere but into the image itself (CVE-2022-23648).
fn open_inside(image: &OwnedFd, target: &str) -> Result<Option<OwnedFd>, CallError> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    loop {
        match rustix::fs::openat2(image, target, flags, Mode::empty(), resolve) {
            // A rename elsewhere made the kernel doubt a `..`: it asks to be asked again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nothing to copy. A file there is told of when the volume is mounted over it.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            other => {
                return other
                    .called(|| format!("openat2(image, \"{target}\")"))
                    .map(Some);
            }
        }
    }
}

/// A file's identity.
type Inode = (u64, u64);

struct Copy<'a> {
    /// The volume.
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
    fn into(root: &'a OwnedFd) -> Self {
        Self {
            root,
            path: PathBuf::new(),
            depth: 0,
            linked: HashMap::new(),
            xattrs: vec![0; XATTR_MAX],
        }
    }

    /// All that is in `source`, into `target`.
    fn content(&mut self, source: &OwnedFd, target: &OwnedFd) -> Result<(), CallError> {
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
    fn metadata(&mut self, source: impl AsFd, target: impl AsFd) -> Result<(), CallError> {
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

/// The names in a folder, without `.` and `..`.
fn names(folder: &OwnedFd, path: &Path) -> Result<Vec<CString>, CallError> {
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

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
