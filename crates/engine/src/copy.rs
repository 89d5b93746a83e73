//! What an image has where a new volume is mounted becomes the volume's first content, as in Docker.
//!
//! The image is hostile, and so may be another container that has the same,
//! empty volume mounted already. Both sides are therefore held by descriptors:
//! the mount point is resolved inside the image, and from there on each step
//! is one name below an open folder, never followed if it is a link. Devices
//! and sockets are left out; nothing but regular files and folders is opened.

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use soute_runtime::mounts::copy::{Copy, OPEN_FOLDER, names, times};
use soute_runtime::mounts::openat2;
use soute_runtime::mounts::overlay;
use soute_sys::mount::{NOATIME, NOEXEC, NOSUID};
use soute_sys::{CallError, Called};

use crate::error::Error;

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

/// The folder that `target` names in the image, whose links lead nowhere but into the image itself (CVE-2022-23648).
fn open_inside(image: &OwnedFd, target: &str) -> Result<Option<OwnedFd>, CallError> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat2(image, target, flags, resolve) {
        // Nothing to copy. A file there is told of when the volume is mounted over it.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        other => other
            .called(|| format!("openat2(image, \"{target}\")"))
            .map(Some),
    }
}
