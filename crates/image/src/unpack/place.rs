//! Putting entries where they belong: each kind in its own way, later ones in the place of earlier ones.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::Problem;
use super::attributes::{self, Made};
use super::entry::{Entry, Kind, lossy};
use super::folders::{self, EnterError, Folder, Folders};

/// The layer that is being made.
pub(super) struct Layer<'a> {
    folders: Folders,
    /// Where replaced folders are put, out of the layer, until it is finished.
    aside: BorrowedFd<'a>,
    replaced: u32,
    made: Made,
    /// Its root hides all lower layers.
    pub(super) opaque_root: bool,
}

impl<'a> Layer<'a> {
    /// A layer below `root`, an empty folder; `aside` is a folder on the same file system.
    pub(super) fn new(root: OwnedFd, aside: BorrowedFd<'a>) -> Result<Self, CallError> {
        let made = attributes::probe(aside)?;
        Ok(Self {
            folders: Folders::new(root, made.gid, made.umask),
            aside,
            replaced: 0,
            made,
            opaque_root: false,
        })
    }

    /// The number of folders made that the archive has no entry for, or not yet.
    pub(super) fn implied(&self) -> u64 {
        self.folders.implied
    }

    /// Puts back the times of the folders that are still open.
    pub(super) fn finish(&mut self) -> Result<(), CallError> {
        self.folders.close_all()
    }

    /// Makes what `entry` says; a new regular file is returned, to be filled.
    pub(super) fn make(&mut self, entry: &Entry) -> Result<Option<OwnedFd>, EnterError> {
        if entry.name.is_empty() && matches!(entry.kind, Kind::Folder) {
            return self.root(entry).map(|()| None);
        }
        let name = entry.name.as_slice();
        match &entry.kind {
            Kind::Folder => self.folder(entry)?,
            Kind::File => {
                return self
                    .create(entry, |folder| {
                        rustix::fs::openat(
                            &folder.fd,
                            name,
                            OFlags::WRONLY
                                | OFlags::CREATE
                                | OFlags::EXCL
                                | OFlags::NOFOLLOW
                                | OFlags::CLOEXEC,
                            Mode::from_raw_mode(entry.mode & 0o1777),
                        )
                    })
                    .map(Some);
            }
            Kind::Symlink(target) => {
                self.create(entry, |folder| {
                    rustix::fs::symlinkat(target.as_slice(), &folder.fd, name)
                })?;
                self.finish_node(entry)?;
            }
            Kind::HardLink(parent, target) => self.hard_link(entry, parent, target)?,
            Kind::Device { block, number } => {
                let kind = if *block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                self.node(entry, kind, *number)?;
            }
            Kind::Fifo => self.node(entry, FileType::Fifo, 0)?,
            Kind::Whiteout => self.whiteout(entry)?,
            Kind::Opaque => {
                let folder = self.folders.enter(&entry.parent)?;
                folders::make_opaque(&folder.fd, &entry.parent)?;
                self.opaque_root |= entry.parent.is_empty();
            }
        }
        Ok(None)
    }

    /// Runs `make` in the entry's folder. What is there already gives way: later entries win.
    fn create<T>(
        &mut self,
        entry: &Entry,
        make: impl Fn(&Folder) -> rustix::io::Result<T>,
    ) -> Result<T, EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        folder.touch();
        let describe = || format!("making {:?}", lossy(&entry.name));
        match make(folder) {
            Err(Errno::EXIST) => {}
            other => return Ok(other.called(describe)?),
        }
        self.clear(entry)?;
        let folder = self.folders.enter(&entry.parent)?;
        Ok(make(folder).called(describe)?)
    }

    /// Removes what is there under the entry's name.
    fn clear(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        let name = entry.name.as_slice();
        let Some(stat) = folders::stat(folder, name)? else {
            return Ok(());
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let aside = format!("replaced-{}", self.replaced);
                rustix::fs::renameat(&folder.fd, name, self.aside, aside.as_str())
                    .called(|| format!("renameat({:?}, {aside:?})", lossy(name)))?;
                self.replaced += 1;
                self.folders.close_all()?;
            }
            kind => {
                rustix::fs::unlinkat(&folder.fd, name, AtFlags::empty())
                    .called(|| format!("unlinkat({:?})", lossy(name)))?;
                if kind == FileType::Symlink {
                    self.folders.close_all()?;
                }
            }
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let root = self.folders.root();
        attributes::chown(root, entry)?;
        attributes::chmod(root, entry)?;
        attributes::set_xattrs(root, entry)?;
        self.folders.enter(b"")?;
        self.folders.set_mtime(b"", entry.mtime);
        Ok(())
    }

    fn folder(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let made = self.made;
        let name = entry.name.as_slice();
        let folder = self.folders.enter(&entry.parent)?;
        folder.touch();
        let mkdir = |folder: &Folder| {
            rustix::fs::mkdirat(&folder.fd, name, Mode::from_raw_mode(entry.mode & 0o1777))
        };
        let mut existed = false;
        let mut hides = false;
        match mkdir(folder) {
            Ok(()) => {}
            Err(Errno::EXIST) => match folders::stat(folder, name)? {
                Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    existed = true;
                }
                there => {
                    hides = there.is_some_and(|stat| folders::is_whiteout(&stat));
                    self.clear(entry)?;
                    mkdir(self.folders.enter(&entry.parent)?)
                        .called(|| format!("mkdirat({:?})", lossy(name)))?;
                }
            },
            Err(errno) => {
                return Err(CallError::new(format!("mkdirat({:?})", lossy(name)), errno).into());
            }
        }
        let folder = self.folders.enter(&entry.parent)?;
        if existed || hides || !made.suits(entry, folder) || !entry.xattrs.is_empty() {
            let fd = rustix::fs::openat(
                &folder.fd,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .called(|| format!("openat({:?}, O_DIRECTORY|O_NOFOLLOW)", lossy(name)))?;
            if hides {
                folders::make_opaque(&fd, name)?;
            }
            attributes::chown(fd.as_fd(), entry)?;
            attributes::chmod(fd.as_fd(), entry)?;
            attributes::set_xattrs(fd.as_fd(), entry)?;
        }
        if existed {
            // Its group and set-group-ID bit may have changed: look again when it is next entered.
            self.folders.close_all()?;
        }
        let folder = self.folders.enter(&entry.parent)?;
        attributes::set_mtime(folder, entry)?;
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, parent: &[u8], target: &[u8]) -> Result<(), EnterError> {
        let shown = || lossy(&[parent, b"/", target].concat());
        let no_target = |_| EnterError::Problem(Problem::NoHardLinkTarget(shown()));
        let from = match self.folders.existing(parent) {
            Ok(fd) => fd,
            Err(call) if matches!(call.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(no_target(()));
            }
            Err(call) => return Err(call.into()),
        };
        let stat = match rustix::fs::statat(&from, target, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Err(no_target(())),
            other => other.called(|| format!("fstatat({:?})", shown()))?,
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(EnterError::Problem(Problem::HardLinkTo(shown(), "folder")));
        }
        if folders::is_whiteout(&stat) {
            return Err(EnterError::Problem(Problem::HardLinkTo(
                shown(),
                "whiteout",
            )));
        }
        let folder = self.folders.enter(&entry.parent)?;
        // Some archives list a file as a link to itself.
        if folders::stat(folder, &entry.name)?
            .is_some_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino))
        {
            return Ok(());
        }
        self.create(entry, |folder| {
            // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is a second name of that.
            rustix::fs::linkat(
                &from,
                target,
                &folder.fd,
                entry.name.as_slice(),
                AtFlags::empty(),
            )
        })
    }

    fn node(&mut self, entry: &Entry, kind: FileType, number: u64) -> Result<(), EnterError> {
        self.create(entry, |folder| {
            rustix::fs::mknodat(
                &folder.fd,
                entry.name.as_slice(),
                kind,
                Mode::from_raw_mode(entry.mode),
                number,
            )
        })?;
        self.finish_node(entry)
    }

    /// Owner and time of what has no descriptor: links, devices, pipes.
    fn finish_node(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let made = self.made;
        let folder = self.folders.enter(&entry.parent)?;
        if !made.owns(entry, folder) {
            rustix::fs::chownat(
                &folder.fd,
                entry.name.as_slice(),
                Some(Uid::from_raw(entry.uid)),
                Some(Gid::from_raw(entry.gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .called(|| {
                format!(
                    "fchownat({:?}, {}, {}, AT_SYMLINK_NOFOLLOW)",
                    lossy(&entry.name),
                    entry.uid,
                    entry.gid
                )
            })?;
        }
        if !matches!(entry.kind, Kind::Symlink(_)) && !made.keeps(entry.mode) {
            // By name, but of what was just made under that name: no link is there to follow.
            rustix::fs::chmodat(
                &folder.fd,
                entry.name.as_slice(),
                Mode::from_raw_mode(entry.mode),
                AtFlags::empty(),
            )
            .called(|| format!("fchmodat({:?}, {:o})", lossy(&entry.name), entry.mode))?;
        }
        attributes::set_mtime(folder, entry)?;
        Ok(())
    }

    /// What lower layers have under this name is gone; what this layer has is not
    /// (OCI image-spec, layer.md: whiteouts hide lower layers only).
    fn whiteout(&mut self, entry: &Entry) -> Result<(), EnterError> {
        let folder = self.folders.enter(&entry.parent)?;
        let name = entry.name.as_slice();
        folder.touch();
        let made = rustix::fs::mknodat(
            &folder.fd,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        );
        if made != Err(Errno::EXIST) {
            return Ok(made.called(|| format!("mknodat({:?}, S_IFCHR, 0:0)", lossy(name)))?);
        }
        match folders::stat(folder, name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let fd = rustix::fs::openat(
                    &folder.fd,
                    name,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .called(|| format!("openat({:?}, O_DIRECTORY|O_NOFOLLOW)", lossy(name)))?;
                Ok(folders::make_opaque(fd, name)?)
            }
            // A file of this layer hides the lower one by being there.
            _ => Ok(()),
        }
    }

    /// Owner, then mode (chown clears set-id bits), then attributes (chown
    /// clears capabilities too), then time.
    pub(super) fn finish_file(&mut self, file: &OwnedFd, entry: &Entry) -> Result<(), CallError> {
        let made = self.made;
        let (owned, kept) = match self.folders.enter(&entry.parent) {
            Ok(folder) => (made.owns(entry, folder), made.keeps(entry.mode)),
            // It was entered to make the file; to set both is never wrong.
            Err(_) => (false, false),
        };
        if !owned {
            attributes::chown(file.as_fd(), entry)?;
        }
        if !kept {
            attributes::chmod(file.as_fd(), entry)?;
        }
        attributes::set_xattrs(file.as_fd(), entry)?;
        rustix::fs::futimens(file, &folders::modified(entry.mtime))
            .called(|| format!("futimens({:?})", lossy(&entry.name)))
    }
}
