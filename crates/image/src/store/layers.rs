//! Layers: unpacked below a folder of their own, and moved in place once all of an image is there.
//!
//! Whoever unpacks holds a lock (flock) on that folder. One that nobody holds
//! was left behind by a process that was killed, and is swept.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use soute_sys::{CallError, Called};

use super::state;
use crate::Error;
use crate::digest::DiffId;
use crate::unpack::{self, Reading, Target, UnpackError, Unpacked};

/// What is known of a layer besides its files, kept beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    /// Sum of the sizes of its files.
    pub(super) size: u64,
    /// Size of its uncompressed tar.
    pub(super) tar_size: u64,
    /// It hides all layers below it.
    pub(super) opaque_root: bool,
}

const RECORD: &str = "layer.json";
pub(super) const FILES: &str = "fs";

/// The store's `layers` folder.
#[derive(Debug)]
pub(super) struct Layers {
    path: PathBuf,
    fd: OwnedFd,
}

impl Layers {
    pub(super) fn open(store: impl AsFd, root: &Path) -> Result<Self, CallError> {
        Ok(Self {
            path: root.join("layers"),
            fd: state::open_folder(store, "layers")?,
        })
    }

    /// What is known of a layer; `None`: it is not there.
    pub(super) fn record(&self, id: &DiffId) -> Result<Option<LayerRecord>, Error> {
        let path = format!("{}/{RECORD}", id.hex());
        let Some(content) = state::read(&self.fd, &path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|source| Error::Json {
                what: self.path.join(path).display().to_string(),
                source,
            })
    }

    /// The digests of all layers.
    pub(super) fn ids(&self) -> Result<Vec<DiffId>, CallError> {
        let names = state::names(&self.fd)?;
        Ok(names
            .iter()
            .filter_map(|name| DiffId::from_hex(name))
            .collect())
    }

    /// A new folder to unpack into.
    pub(super) fn stage(&self) -> Result<Staging, CallError> {
        loop {
            let name = state::unfinished_name();
            match rustix::fs::mkdirat(&self.fd, name.as_str(), Mode::from_raw_mode(0o700)) {
                // Left by a process that had this number before.
                Err(Errno::EXIST) => continue,
                other => other.called(|| format!("mkdirat({name:?}, 0700)"))?,
            }
            // Between its making and its locking another process may sweep it.
            let fd = match state::open_folder(&self.fd, &name) {
                Err(call) if call.errno() == Errno::NOENT => continue,
                other => other?,
            };
            rustix::fs::flock(&fd, FlockOperation::LockExclusive)
                .called(|| format!("flock({name:?})"))?;
            if is_still(&self.fd, &name, &fd)? {
                return Ok(Staging {
                    path: self.path.join(&name),
                    fd,
                    count: AtomicU32::new(0),
                });
            }
        }
    }

    /// Moves a staged layer in place. That it is there already is fine: it is the same.
    pub(super) fn commit(&self, staging: &Staging, layer: &StagedLayer) -> Result<(), CallError> {
        let id = layer.unpacked.diff_id.hex();
        match rustix::fs::renameat_with(
            &staging.fd,
            layer.name.as_str(),
            &self.fd,
            id.as_str(),
            RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST) => Ok(()),
            other => {
                other.called(|| format!("renameat2({:?}, {id:?}, RENAME_NOREPLACE)", layer.name))
            }
        }
    }

    /// Moves a layer out of the way; it is deleted with `staging`.
    pub(super) fn retire(&self, staging: &Staging, id: &DiffId) -> Result<(), CallError> {
        let id = id.hex();
        match rustix::fs::renameat(&self.fd, id.as_str(), &staging.fd, id.as_str()) {
            Err(Errno::NOENT) => Ok(()),
            other => other.called(|| format!("renameat({id:?}, {:?})", staging.path)),
        }
    }

    /// Makes the moves of [`Self::commit`] last.
    pub(super) fn sync(&self) -> Result<(), CallError> {
        rustix::fs::fsync(&self.fd).called(|| "fsync(\"layers\")".to_owned())
    }

    /// Deletes the folders of processes that are gone.
    pub(super) fn sweep(&self) -> Result<(), CallError> {
        for name in state::names(&self.fd)? {
            if !name.starts_with(state::UNFINISHED) {
                continue;
            }
            let fd = match state::open_folder(&self.fd, &name) {
                // Its owner, or another sweeper, was quicker.
                Err(call) if call.errno() == Errno::NOENT => continue,
                other => other?,
            };
            match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => continue,
                other => other.called(|| format!("flock({name:?}, LOCK_NB)"))?,
            }
            if is_still(&self.fd, &name, &fd)? {
                delete(&self.path.join(&name))?;
            }
        }
        Ok(())
    }
}

/// Whether `name` in `folder` is what `fd` is open on.
fn is_still(folder: &OwnedFd, name: &str, fd: &OwnedFd) -> Result<bool, CallError> {
    let ours = rustix::fs::fstat(fd).called(|| format!("fstat({name:?})"))?;
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        other => {
            let there = other.called(|| format!("fstatat({name:?})"))?;
            Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
        }
    }
}

/// Deletes a tree; the standard library's way follows no link, whoever changes the tree meanwhile.
fn delete(path: &Path) -> Result<(), CallError> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.called(|| format!("remove_dir_all({path:?})")),
    }
}

/// A folder to unpack layers into, deleted with all that is still in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    fd: OwnedFd,
    count: AtomicU32,
}

/// A layer that was unpacked but is not in the store yet.
#[derive(Debug)]
pub(crate) struct StagedLayer {
    name: String,
    pub(crate) unpacked: Unpacked,
}

impl Staging {
    /// Unpacks a layer. May be called from several threads at once.
    pub(crate) fn unpack(
        &self,
        source: impl Read,
        reading: &Reading<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<StagedLayer, UnpackError> {
        let name = self.count.fetch_add(1, Ordering::Relaxed).to_string();
        let aside = format!("{name}-aside");
        for folder in [&name, &aside] {
            state::make_folder(&self.fd, folder, 0o700)?;
        }
        let layer = state::open_folder(&self.fd, &name)?;
        let aside = state::open_folder(&self.fd, &aside)?;
        state::make_folder(&layer, FILES, 0o755)?;
        let root = state::open_folder(&layer, FILES)?;
        // Until the archive says otherwise; the umask may have taken some away.
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755))
            .called(|| "fchmod(\"fs\", 0755)".to_owned())?;
        let unpacked = unpack::unpack(
            source,
            Target {
                root,
                aside: aside.as_fd(),
            },
            reading,
            progress,
        )?;
        let record = LayerRecord {
            size: unpacked.size,
            tar_size: unpacked.tar_size,
            opaque_root: unpacked.opaque_root,
        };
        let json = serde_json::to_vec(&record).map_err(|e| UnpackError::Read(e.into()))?;
        state::write(layer.as_fd(), RECORD, &json)?;
        Ok(StagedLayer { name, unpacked })
    }

    /// Makes what was unpacked last: one call for the whole file system, where a layer may have ten thousands of files.
    /// A layer's name and record, once they are there, promise that its content is.
    pub(super) fn sync(&self) -> Result<(), CallError> {
        rustix::fs::syncfs(&self.fd).called(|| format!("syncfs({:?})", self.path))
    }

    /// An unnamed file, for what must be kept for a while; the kernel frees it with its descriptor.
    pub(crate) fn spool(&self) -> Result<std::fs::File, CallError> {
        rustix::fs::openat(
            &self.fd,
            ".",
            OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )
        .called(|| format!("openat({:?}, O_TMPFILE)", self.path))
        .map(std::fs::File::from)
    }

    /// Deletes it now, telling what goes wrong.
    pub(super) fn delete(self) -> Result<(), CallError> {
        delete(&self.path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be deleted now is swept by a later command.
        let _ = delete(&self.path);
    }
}
