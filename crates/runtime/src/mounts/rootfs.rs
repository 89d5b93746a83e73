//! The root file system as a detached mount, made by the parent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use soute_sys::CallError;
use soute_sys::mount::{MountAttr, PRIVATE, SLAVE, mount_setattr};

use super::clone_of_the_machines;
use super::overlay::{self, Overlay};
use crate::plan::Rootfs;

/// A root file system that is attached nowhere yet.
pub(crate) enum Built {
    Overlay(Overlay),
    Folder(OwnedFd),
}

impl AsFd for Built {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Overlay(overlay) => overlay.mount.as_fd(),
            Self::Folder(tree) => tree.as_fd(),
        }
    }
}

impl Built {
    /// What is left of it in this process once the container has it.
    pub(crate) fn into_layers(self) -> Vec<OwnedFd> {
        match self {
            Self::Overlay(overlay) => overlay.into_layers(),
            Self::Folder(_) => Vec::new(),
        }
    }
}

/// Makes it; the arguments are those of [`overlay::build`].
pub(crate) fn build(
    rootfs: &Rootfs,
    userns: Option<BorrowedFd<'_>>,
    root: (u32, u32),
) -> Result<Built, CallError> {
    match rootfs {
        Rootfs::Layers(layers) => overlay::build(layers, userns, root).map(Built::Overlay),
        Rootfs::Folder { path, slave } => clone(path, *slave).map(Built::Folder),
    }
}

fn clone(path: &Path, slave: bool) -> Result<OwnedFd, CallError> {
    let tree = clone_of_the_machines(path)?;
    // Never shared: what the container mounts in there is not for the machine, and pivot_root(2) refuses it.
    mount_setattr(
        &tree,
        true,
        &MountAttr {
            propagation: if slave { SLAVE } else { PRIVATE },
            ..MountAttr::default()
        },
    )?;
    Ok(tree)
}
