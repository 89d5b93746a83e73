//! The folders of a layer, by descriptor.
//!
//! Every path is resolved from the layer's root by openat2(2) with
//! RESOLVE_IN_ROOT: symbolic links of the layer lead where they would lead in
//! a container, and never out of it. The most recent folders stay open, since
//! archives list a folder's entries one after the other.

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
    XattrFlags,
};
use rustix::io::Errno;
use soute_sys::{CallError, Called};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Problem;
use super::entry::lossy;

/// Folders kept open.
const OPEN: usize = 32;
/// Mode of folders that the archive has entries in, but none for.
const IMPLIED: Mode = Mode::from_raw_mode(0o755);
/// The attribute of a folder that hides what lower layers have in it: `y`.
pub const OPAQUE: &str = "trusted.overlay.opaque";

/// Why a folder was not entered.
pub(super) enum EnterError {
    Problem(Problem),
    Call(CallError),
}

impl From<CallError> for EnterError {
    fn from(call: CallError) -> Self {
        Self::Call(call)
    }
}

/// An open folder of the layer.
pub(super) struct Folder {
    path: Vec<u8>,
    pub(super) fd: OwnedFd,
    /// What the archive said, or what it was when opened: put back when the
    /// folder is closed, since each entry made in it changes it.
    mtime: Timespec,
    changed: bool,
    /// New entries may get another group than the process's: the folder has
    /// set-group-ID, or belongs to another group on a mount with `grpid`.
    pub(super) foreign_group: bool,
}

impl Folder {
    fn new(path: &[u8], fd: OwnedFd, own_gid: u32) -> Result<Self, CallError> {
        let stat = rustix::fs::fstat(&fd).called(|| format!("fstat({:?})", lossy(path)))?;
        Ok(Self {
            path: path.to_vec(),
            fd,
            mtime: Timespec {
                tv_sec: stat.st_mtime,
                #[allow(
                    clippy::unnecessary_cast,
                    reason = "its type differs between architectures"
                )]
                tv_nsec: stat.st_mtime_nsec as i64,
            },
            changed: false,
            foreign_group: stat.st_gid != own_gid || stat.st_mode & 0o2000 != 0,
        })
    }

    /// An entry is about to be made or removed.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    fn close(self) -> Result<(), CallError> {
        if self.changed {
            rustix::fs::futimens(&self.fd, &modified(self.mtime))
                .called(|| format!("futimens({:?})", lossy(&self.path)))?;
        }
        Ok(())
    }
}

/// The time of last access is left alone.
pub(super) fn modified(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: mtime,
    }
}

/// Whether a file is overlay's mark for "not there any more".
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Makes a folder hide what lower layers have in it.
pub(super) fn make_opaque(folder: impl AsFd, path: &[u8]) -> Result<(), CallError> {
    rustix::fs::fsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())
        .called(|| format!("fsetxattr({:?}, \"{OPAQUE}\", \"y\")", lossy(path)))
}

/// The folders of one layer.
pub(super) struct Folders {
    root: OwnedFd,
    /// Most recent first.
    open: Vec<Folder>,
    own_gid: u32,
    umask: u32,
    /// Folders made that the archive has no entry for, or not yet.
    pub(super) implied: u64,
}

impl Folders {
    /// `own_gid` and `umask`: what new files get, and do not get, by themselves.
    pub(super) fn new(root: OwnedFd, own_gid: u32, umask: u32) -> Self {
        Self {
            root,
            open: Vec::with_capacity(OPEN),
            own_gid,
            umask,
            implied: 0,
        }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the folder `path` (`a/b`, empty: the root), making what is missing of it.
    pub(super) fn enter(&mut self, path: &[u8]) -> Result<&mut Folder, EnterError> {
        match self.open.iter().position(|folder| folder.path == path) {
            Some(at) => self.open[..=at].rotate_right(1),
            None => {
                let fd = self.find_or_make(path)?;
                if self.open.len() == OPEN
                    && let Some(oldest) = self.open.pop()
                {
                    oldest.close()?;
                }
                let folder = Folder::new(path, fd, self.own_gid)?;
                self.open.insert(0, folder);
            }
        }
        Ok(&mut self.open[0])
    }

    fn find_or_make(&mut self, path: &[u8]) -> Result<OwnedFd, EnterError> {
        match self.resolve(path) {
            Err(call) if matches!(call.errno(), Errno::NOENT | Errno::NOTDIR) => {}
            other => return other.map_err(EnterError::Call),
        }
        let (parent, name) = split(path);
        let umask = self.umask;
        let folder = self.enter(parent)?;
        // A whiteout and then something below it: the folder is new, and hides the lower one.
        let hides = match stat(folder, name)? {
            None => false,
            Some(stat) if is_whiteout(&stat) => true,
            // A file, or a symbolic link to one or to nowhere.
            Some(_) => return Err(EnterError::Problem(Problem::NotFolder(lossy(path)))),
        };
        folder.touch();
        if hides {
            rustix::fs::unlinkat(&folder.fd, name, AtFlags::empty())
                .called(|| format!("unlinkat({:?})", lossy(path)))?;
        }
        rustix::fs::mkdirat(&folder.fd, name, IMPLIED)
            .called(|| format!("mkdirat({:?}, 0755)", lossy(path)))?;
        self.implied += 1;
        let fd = self.resolve(path)?;
        if IMPLIED.as_raw_mode() & umask != 0 {
            rustix::fs::fchmod(&fd, IMPLIED)
                .called(|| format!("fchmod({:?}, 0755)", lossy(path)))?;
        }
        if hides {
            make_opaque(&fd, path)?;
        }
        Ok(fd)
    }

    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, CallError> {
        let path = if path.is_empty() { b"." } else { path };
        loop {
            let opened = rustix::fs::openat2(
                &self.root,
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            );
            // A rename anywhere on the machine makes the kernel unsure about "..": it wants to be asked again.
            if !matches!(opened, Err(Errno::AGAIN)) {
                return opened.called(|| {
                    format!("openat2({:?}, O_DIRECTORY, RESOLVE_IN_ROOT)", lossy(path))
                });
            }
        }
    }

    /// A descriptor of the folder `path`, which must be there.
    pub(super) fn existing(&self, path: &[u8]) -> Result<OwnedFd, CallError> {
        self.resolve(path)
    }

    /// The archive says when the folder `path` was modified; `false`: it is not open.
    pub(super) fn set_mtime(&mut self, path: &[u8], mtime: Timespec) -> bool {
        match self.open.iter_mut().find(|folder| folder.path == path) {
            Some(folder) => {
                folder.mtime = mtime;
                folder.changed = true;
                true
            }
            None => false,
        }
    }

    /// Closes all: a folder or a link was replaced, so any path may lead elsewhere now.
    pub(super) fn close_all(&mut self) -> Result<(), CallError> {
        self.open.drain(..).try_for_each(Folder::close)
    }
}

/// What `name` in `folder` is; links are not followed.
pub(super) fn stat(folder: &Folder, name: &[u8]) -> Result<Option<Stat>, CallError> {
    match rustix::fs::statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        other => other
            .map(Some)
            .called(|| format!("fstatat({:?}, AT_SYMLINK_NOFOLLOW)", lossy(name))),
    }
}

/// Parent and name; the parent of a name alone is the root.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
