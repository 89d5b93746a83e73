//! Folders and files of the machine that a container gets to see.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;
use soute_sys::mount::{ATIME_MASK, MountAttr, NOATIME, PRIVATE, STRICTATIME, mount_setattr};
use soute_sys::{CallError, Called};

use crate::plan::{Mount, MountSource};

/// Clones the source of a bind as a detached mount; done by the parent, on the machine's side.
pub(crate) fn open(mount: &Mount) -> Result<Option<OwnedFd>, CallError> {
    let MountSource::Bind {
        path, recursive, ..
    } = &mount.source
    else {
        return Ok(None);
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if *recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, path, flags)
        .called(|| format!("open_tree(\"{}\", {flags:?})", path.display()))
        .map(Some)
}

/// Gives the clone its attributes, its propagation and, once there is a user namespace, its id mapping.
pub(crate) fn configure(
    mount: &Mount,
    tree: &OwnedFd,
    userns: Option<BorrowedFd<'_>>,
) -> Result<(), CallError> {
    let idmap = matches!(&mount.source, MountSource::Bind { idmap: true, .. });
    mount_setattr(
        tree,
        mount.recursive,
        &MountAttr {
            set: mount.attributes,
            clear: if mount.attributes & (NOATIME | STRICTATIME) != 0 {
                ATIME_MASK
            } else {
                0
            },
            propagation: if mount.propagation == 0 {
                PRIVATE
            } else {
                mount.propagation
            },
            idmap: userns.filter(|_| idmap),
        },
    )
}
