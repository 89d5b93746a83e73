//! The folder of the images, and that of the log.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use soute_sys::{CallError, Called as _};

use super::Images;
use crate::containers::Error;

/// Both, open: criu reaches them by these descriptors, since a path may lead elsewhere in its mount namespace.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) images: File,
    work: File,
    log: PathBuf,
    log_name: &'static str,
}

impl Folders {
    /// Makes what is missing of the two; the last part of each path alone. `log` is the log's name.
    pub(crate) fn make(images: &Images, log: &'static str) -> Result<Self, Error> {
        for path in std::iter::once(&images.folder).chain(&images.work) {
            match std::fs::DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => io("making the folder", path, made)?,
            }
        }
        Self::open(images, log)
    }

    /// Opens the images, which must be there.
    pub(crate) fn open(images: &Images, log: &'static str) -> Result<Self, Error> {
        let open = |path: &Path| {
            let folder = io("opening the folder", path, File::open(path))?;
            match io("opening the folder", path, folder.metadata())?.is_dir() {
                true => Ok(folder),
                false => Err(Error::Impossible(format!("{}: no folder", path.display()))),
            }
        };
        let work = images.work.as_ref().unwrap_or(&images.folder);
        Ok(Self {
            images: open(&images.folder)?,
            work: open(work)?,
            log: work.join(log),
            log_name: log,
        })
    }

    /// Removes what criu is to write to: of files that are there it would follow links.
    pub(crate) fn clear(&self, names: &[&str]) -> Result<(), Error> {
        for name in std::iter::once(&self.log_name).chain(names) {
            match rustix::fs::unlinkat(&self.work, *name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => {
                    let file = self.log.with_file_name(name);
                    return Err(CallError::new(format!("unlink({:?})", file), e).into());
                }
            }
        }
        Ok(())
    }

    /// The folder of earlier images, relative to the images: criu keeps it as a link in there.
    ///
    /// # Errors
    /// It is absolute, or no folder.
    pub(crate) fn check_parent(&self, parent: &Path) -> Result<(), Error> {
        let bad = |why: &str| {
            Error::Impossible(format!(
                "--parent-path {}: {why}; it is relative to the images' folder",
                parent.display()
            ))
        };
        if parent
            .components()
            .any(|part| matches!(part, Component::RootDir))
        {
            return Err(bad("it is absolute"));
        }
        let stat = rustix::fs::statat(&self.images, parent, AtFlags::empty())
            .called(|| "stat(the earlier images)".to_owned())
            .map_err(|e| bad(&e.to_string()))?;
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => Ok(()),
            _ => Err(bad("it is no folder")),
        }
    }

    /// Where the log is, for people.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The log's text, if it has come to one.
    pub(crate) fn log_text(&self) -> String {
        // What criu says of a large container is some megabytes; what counts is at the end.
        const MOST: u64 = 4 << 20;
        let read = || -> std::io::Result<Vec<u8>> {
            use std::io::{Read as _, Seek as _, SeekFrom};
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
            let mut text = Vec::new();
            file.take(MOST).read_to_end(&mut text)?;
            Ok(text)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// The images as a path that leads there in any mount namespace, as long as this process lives.
    pub(crate) fn images_path(&self) -> String {
        path_of(&self.images)
    }

    /// The same for the folder of the log.
    pub(crate) fn work_path(&self) -> String {
        path_of(&self.work)
    }
}

/// A path to what `file` is open on, for another process that may follow it.
pub(crate) fn path_of(file: impl AsFd) -> String {
    let number = file.as_fd().as_raw_fd();
    format!("/proc/{}/fd/{number}", std::process::id())
}

fn io<T>(what: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, Error> {
    result.map_err(|error| Error::Io {
        what,
        path: path.to_owned(),
        error,
    })
}
