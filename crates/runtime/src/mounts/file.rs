//! Files of the container's own: /etc/hosts and its kin.
//!
//! They live in the tmpfs of the container's devices, which has a size: a file of the machine's, bound and writable,
//! would let a container fill the file system that it is on.

use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use soute_sys::mount::{MountAttr, mount_setattr};
use soute_sys::{CallError, Called};

use super::place::place as place_tree;
use super::root::Root;
use crate::plan::Mount;

/// The folder that they are in.
const FOLDER: &str = ".soute";

/// Makes a file with this content in `home` (attached in this mount namespace) and puts it, too, in its place.
pub(crate) fn place(
    root: &Root,
    mount: &Mount,
    home: &OwnedFd,
    content: &str,
) -> Result<(), CallError> {
    let called = |call: &str| format!("{call}(a file for {})", mount.target);
    match rustix::fs::mkdirat(home, FOLDER, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(CallError::new(called("mkdirat"), e)),
    }
    // "/etc/hosts" is "etc-hosts" there.
    let name = mount.target.trim_start_matches('/').replace('/', "-");
    let name = format!("{FOLDER}/{name}");
    let file = rustix::fs::openat(
        home,
        &name,
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .called(|| called("openat"))?;
    std::fs::File::from(file)
        .write_all(content.as_bytes())
        .called(|| called("write"))?;
    let tree = rustix::mount::open_tree(
        home,
        &name,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .called(|| called("open_tree"))?;
    if mount.attributes.set != 0 {
        mount_setattr(
            &tree,
            false,
            &MountAttr {
                set: mount.attributes.set,
                ..MountAttr::default()
            },
        )?;
    }
    place_tree(root, mount, &tree)
}
