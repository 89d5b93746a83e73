//! The copy-on-write root: an overlay of detached mounts, made by the parent.
//!
//! No layer is copied, chowned or attached anywhere: each lower layer is
//! cloned, idmapped as the container's user namespace maps, and handed to
//! overlayfs as a descriptor. The machine's mount table never sees any of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, OpenTreeFlags};
use soute_sys::mount::{MountAttr, mount_setattr};
use soute_sys::{CallError, Called};

use crate::plan::{Rootfs, Upper};

/// The overlay as a detached mount.
pub(crate) struct Overlay {
    pub(crate) mount: OwnedFd,
    /// The layers' clones. Closing one waits for an RCU grace period (its mount ends), so the parent does that while
    /// the child is busy.
    _layers: Vec<OwnedFd>,
}

/// Builds the overlay as a detached mount. `userns` idmaps the lower layers; `root` owns the new upper folder.
///
/// Only the lower layers are idmapped: through an idmapped upper the mounter,
/// whose root is outside the map, could not create in `work`, and overlayfs
/// would silently become read-only.
pub(crate) fn build(
    rootfs: &Rootfs,
    userns: Option<BorrowedFd<'_>>,
    root: (u32, u32),
) -> Result<Overlay, CallError> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .called(|| "fsopen(\"overlay\")".to_owned())?;
    rustix::mount::fsconfig_set_string(&fs, "source", "overlay")
        .called(|| "fsconfig(overlay, \"source\")".to_owned())?;
    // A detached mount ends with its last descriptor: they are held until the overlay has cloned them for itself.
    let mut trees = Vec::with_capacity(rootfs.lower.len());
    // overlayfs wants the topmost layer first.
    for layer in rootfs.lower.iter().rev() {
        let tree = clone_layer(layer, userns)?;
        rustix::mount::fsconfig_set_fd(&fs, "lowerdir+", &tree)
            .called(|| format!("fsconfig(overlay, \"lowerdir+\", {})", layer.display()))?;
        trees.push(tree);
    }
    let (folder, volatile) = open_upper(&rootfs.upper)?;
    for (key, name) in [("upperdir", "upper"), ("workdir", "work")] {
        let dir = own_folder(&folder, name, root)?;
        rustix::mount::fsconfig_set_fd(&fs, key, &dir)
            .called(|| format!("fsconfig(overlay, \"{key}\")"))?;
    }
    if volatile {
        rustix::mount::fsconfig_set_flag(&fs, "volatile")
            .called(|| "fsconfig(overlay, \"volatile\")".to_owned())?;
    }
    // nodev: a device node in an image is a file like any other.
    let mount = super::mount_filesystem(&fs, "overlay", soute_sys::mount::NODEV)?;
    Ok(Overlay {
        mount,
        _layers: trees,
    })
}

fn clone_layer(layer: &Path, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, CallError> {
    let tree = rustix::mount::open_tree(
        CWD,
        layer,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .called(|| format!("open_tree(\"{}\", CLONE)", layer.display()))?;
    if userns.is_some() {
        mount_setattr(
            &tree,
            false,
            &MountAttr {
                idmap: userns,
                ..MountAttr::default()
            },
        )?;
    }
    Ok(tree)
}

fn open_upper(upper: &Upper) -> Result<(OwnedFd, bool), CallError> {
    match upper {
        Upper::Folder { path, volatile } => {
            let folder = rustix::fs::open(
                path,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .called(|| format!("open(\"{}\", O_PATH)", path.display()))?;
            Ok((folder, *volatile))
        }
        Upper::Memory => {
            let folder = super::new_filesystem("tmpfs", &[("mode", "0700")], 0)?;
            Ok((folder, false))
        }
    }
}

/// `name` below `folder`, made and given to the container's root if it is new.
fn own_folder(folder: impl AsFd, name: &str, (uid, gid): (u32, u32)) -> Result<OwnedFd, CallError> {
    let made = match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(e) => return Err(CallError::new(format!("mkdirat(\"{name}\")"), e)),
    };
    if made && (uid, gid) != (0, 0) {
        rustix::fs::chownat(
            &folder,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .called(|| format!("fchownat(\"{name}\", {uid}, {gid})"))?;
    }
    rustix::fs::openat(
        &folder,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("openat(\"{name}\", O_PATH)"))
}
