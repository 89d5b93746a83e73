//! A container's folder.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::error::io;
use super::state::{INIT, STATE};
use super::{Containers, Error};
use crate::spec::CONFIG;

/// What is in the folder of a container that runs.
const USUAL: &[&str] = &[STATE, CONFIG, INIT];

/// A folder that nobody else changes as long as this is held.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: OwnedFd,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Holds the folder of the container `id`.
    pub(super) fn hold(path: PathBuf, id: &str) -> Result<Self, Error> {
        let gone = || Error::NoSuch { id: id.to_owned() };
        let lock = match open(&path) {
            Err(e) if e.errno() == Errno::NOENT => return Err(gone()),
            other => other?,
        };
        lock_it(&lock, &path)?;
        // Removed, or removed and made anew, while this one waited.
        let stat = |folder| rustix::fs::fstat(folder).called(|| "fstat(folder)".to_owned());
        let held = stat(lock.as_fd())?;
        match rustix::fs::lstat(&path) {
            Ok(there) if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino) => {
                Ok(Self { path, lock })
            }
            _ => Err(gone()),
        }
    }

    /// Removes it with all that is in it; what is there is this runtime's own.
    pub(super) fn remove(self) -> Result<(), Error> {
        // The names that are in most of them, without a look at which there are.
        for name in USUAL {
            let _ = rustix::fs::unlinkat(&self.lock, *name, AtFlags::empty());
        }
        let removed = match rustix::fs::rmdir(&self.path) {
            Err(Errno::NOTEMPTY) => std::fs::remove_dir_all(&self.path),
            removed => removed.map_err(std::io::Error::from),
        };
        io("removing", &self.path, removed)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

impl Containers {
    /// Where the container's state is. An id is one file name and nothing else.
    pub(super) fn folder(&self, id: &str) -> Result<PathBuf, Error> {
        let bad = |why| Error::Id {
            id: id.to_owned(),
            why,
        };
        match id {
            "" => return Err(bad("it is empty")),
            "." | ".." => return Err(bad("it is a folder's name for itself or its parent")),
            _ => {}
        }
        if id.len() > 255 {
            return Err(bad("it is longer than 255 bytes"));
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        if !id.chars().all(fine) {
            return Err(bad("only letters, digits and _ + - . may be in it"));
        }
        Ok(self.root.join(id))
    }

    /// Makes the folder of a new container, and holds it.
    pub(super) fn make(&self, id: &str) -> Result<Folder, Error> {
        let path = self.folder(id)?;
        let mkdir = || rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700));
        let made = match mkdir() {
            Err(Errno::NOENT) => {
                use std::os::unix::fs::DirBuilderExt as _;
                let mut builder = std::fs::DirBuilder::new();
                let builder = builder.recursive(true).mode(0o700);
                io("making the folder", &self.root, builder.create(&self.root))?;
                mkdir()
            }
            made => made,
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Error::Exists { id: id.to_owned() }),
            Err(e) => {
                return Err(CallError::new(format!("mkdir(\"{}\")", path.display()), e).into());
            }
        }
        let lock = open(&path)?;
        lock_it(&lock, &path)?;
        Ok(Folder { path, lock })
    }

    /// Holds the folder of a container that is there.
    pub(super) fn hold_folder(&self, id: &str) -> Result<Folder, Error> {
        Folder::hold(self.folder(id)?, id)
    }

    /// The names of all folders.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => io("reading the folder", &self.root, entries)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = io("reading the folder", &self.root, entry)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.folder(&name).is_ok() && entry.path().is_dir() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn open(path: &Path) -> Result<OwnedFd, CallError> {
    rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("open(\"{}\")", path.display()))
}

fn lock_it(lock: &OwnedFd, path: &Path) -> Result<(), CallError> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(lock, FlockOperation::LockExclusive))
        .called(|| format!("flock(\"{}\")", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_file_name() {
        let containers = Containers::new("/run/x".into());
        for good in ["a", "A_b+c-d.e", ".a", "-a", "1"] {
            containers.folder(good).unwrap();
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "../a",
            "a b",
            "a\n",
            "ä",
            long.as_str(),
        ] {
            containers.folder(bad).unwrap_err();
        }
    }

    #[test]
    fn one_maker_wins() {
        let root = tempfile::tempdir().unwrap();
        let containers = Containers::new(root.path().join("a/b"));
        let held = containers.make("x").unwrap();
        assert!(matches!(
            containers.make("x"),
            Err(Error::Exists { id }) if id == "x"
        ));
        held.remove().unwrap();
        assert!(matches!(
            containers.hold_folder("x"),
            Err(Error::NoSuch { .. })
        ));
    }
}
