//! The mount namespace of a container.
//!
//! Every mount is made detached first and placed after pivot_root, when the
//! machine's tree is out of reach: a path that a hostile image has made a
//! symlink can then lead nowhere but into the container itself.

pub(crate) mod bind;
pub mod cgroup;
pub mod copy;
pub(crate) mod dev;
pub(crate) mod file;
pub(crate) mod kernel;
pub(crate) mod mask;
pub mod overlay;
pub(crate) mod place;
pub mod procfs;
pub(crate) mod root;
pub(crate) mod rootfs;
pub mod toolbox;
pub(crate) mod tools;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use soute_sys::process::put_away;
use soute_sys::{CallError, Called};

pub use root::openat2;

/// A clone of the machine's mount at `path`, with all that is mounted below it, detached.
pub(crate) fn clone_of_the_machines(path: &Path) -> Result<OwnedFd, CallError> {
    clone(path, OpenTreeFlags::AT_RECURSIVE, "CLONE | RECURSIVE")
}

/// A clone of the machine's mount at `path` alone, detached.
pub(crate) fn clone_of_one(path: &Path) -> Result<OwnedFd, CallError> {
    clone(path, OpenTreeFlags::empty(), "CLONE")
}

fn clone(path: &Path, further: OpenTreeFlags, words: &str) -> Result<OwnedFd, CallError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | further;
    rustix::mount::open_tree(CWD, path, flags)
        .called(|| format!("open_tree(\"{}\", {words})", path.display()))
}

/// A new file system of type `kind` as a detached mount: fsopen(2), fsconfig(2) for each option, fsmount(2).
/// An option with an empty value is a flag.
pub(crate) fn new_filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: u64,
) -> Result<OwnedFd, CallError> {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
        .called(|| format!("fsopen(\"{kind}\")"))?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&fs, *key)
        } else {
            rustix::mount::fsconfig_set_string(&fs, *key, *value)
        }
        .called(|| format!("fsconfig({kind}, \"{key}\", \"{value}\")"))?;
    }
    let mounted = mount_filesystem(&fs, kind, attributes)?;
    put_away(fs);
    Ok(mounted)
}

/// Whose what this process makes is at first: root's, whatever group root has taken.
pub(crate) fn maker() -> (u32, u32) {
    (0, rustix::process::getegid().as_raw())
}

/// Creates the configured file system and mounts it, detached.
pub(crate) fn mount_filesystem(
    fs: impl AsFd,
    kind: &str,
    attributes: u64,
) -> Result<OwnedFd, CallError> {
    rustix::mount::fsconfig_create(&fs)
        .called(|| format!("fsconfig({kind}, create){}", complaint(fs.as_fd())))?;
    rustix::mount::fsmount(
        &fs,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(attributes as u32),
    )
    .called(|| format!("fsmount({kind}, {attributes:#x})"))
}

/// What the file system itself says of the failure: each read of its context gives one line (fsopen(2)).
fn complaint(fs: std::os::fd::BorrowedFd<'_>) -> String {
    let mut line = [0u8; 512];
    let mut text = String::new();
    while let Ok(n) = rustix::io::read(fs, &mut line[..]) {
        if n == 0 {
            break;
        }
        text.push_str(&format!(
            " [{}]",
            String::from_utf8_lossy(&line[..n]).trim()
        ));
    }
    text
}
