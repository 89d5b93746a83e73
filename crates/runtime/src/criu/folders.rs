//! The folder of the images, and that of the log.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use soute_sys::CallError;

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

/// The folder of earlier images, relative to the images: criu keeps it as a link in there. To be asked before theirs is
/// made.
///
/// # Errors
/// It is absolute, or no folder.
pub(crate) fn check_parent(images: &Images, parent: &Path) -> Result<(), Error> {
    let bad = |why: &str| {
        Err(Error::Impossible(format!(
            "--parent-path {}: {why}; it is relative to the images' folder",
            parent.display()
        )))
    };
    if parent.is_absolute() {
        return bad("it is absolute");
    }
    // Out of a folder that is not there yet no `..` leads.
    let folder = match (images.folder.is_dir(), parent.strip_prefix("..")) {
        (false, Ok(beside)) => images.folder.with_file_name("").join(beside),
        _ => images.folder.join(parent),
    };
    match folder.is_dir() {
        true => Ok(()),
        false => bad("it is no folder"),
    }
}

fn io<T>(what: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, Error> {
    result.map_err(|error| Error::Io {
        what,
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_images_are_beside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("earlier")).unwrap();
        let check = |images: &str, parent: &str| {
            let images = Images {
                folder: folder.path().join(images),
                work: None,
            };
            check_parent(&images, Path::new(parent))
        };
        check("new", "../earlier").unwrap();
        check("earlier", "../earlier").unwrap();
        check("new/", "../earlier").unwrap();
        for bad in ["../later", "earlier", "/", ""] {
            check("new", bad).unwrap_err();
        }
    }
}
