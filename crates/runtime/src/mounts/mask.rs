//! Masked and read-only paths.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use soute_sys::mount::{MountAttr, NODEV, NOEXEC, NOSUID, RDONLY, mount_setattr};
use soute_sys::process::put_away;
use soute_sys::{CallError, Called};

use super::root::{Links, Root};

/// Hides `paths`: a folder under an empty read-only tmpfs, a file under the container's /dev/null.
pub(crate) fn mask(root: &Root, paths: &[String]) -> Result<(), CallError> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = verified_null(root)?;
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let Some(target) = existing(root, path)? else {
            continue;
        };
        let kind = rustix::fs::fstat(&target).called(|| format!("fstat({path})"))?;
        let cover = if FileType::from_raw_mode(kind.st_mode) == FileType::Directory {
            match &empty {
                Some(first) => clone(first)?,
                None => {
                    let made = super::new_filesystem(
                        "tmpfs",
                        &[("mode", "0555"), ("nr_inodes", "1")],
                        RDONLY | NOSUID | NODEV | NOEXEC,
                    )?;
                    attach(&made, &target, path)?;
                    put_away(target);
                    empty = Some(made);
                    continue;
                }
            }
        } else {
            clone(&null)?
        };
        attach(&cover, &target, path)?;
        put_away(cover);
        put_away(target);
    }
    put_away(null);
    empty.into_iter().for_each(put_away);
    Ok(())
}

/// Makes `paths` read-only, with all that is mounted below them.
pub(crate) fn make_readonly(root: &Root, paths: &[String]) -> Result<(), CallError> {
    for path in paths {
        let Some(target) = existing(root, path)? else {
            continue;
        };
        let tree = rustix::mount::open_tree(
            &target,
            "",
            OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::AT_RECURSIVE,
        )
        .called(|| format!("open_tree({path}, CLONE | RECURSIVE)"))?;
        mount_setattr(
            &tree,
            true,
            &MountAttr {
                set: RDONLY,
                ..MountAttr::default()
            },
        )?;
        attach(&tree, &target, path)?;
        put_away(tree);
        put_away(target);
    }
    Ok(())
}

/// The container's /dev/null, proved to be the null device: in CVE-2025-31133 it was a symlink by then, so that the
/// "mask" gave away what the link named.
fn verified_null(root: &Root) -> Result<OwnedFd, CallError> {
    let null = root.open("/dev/null", Links::Refuse)?;
    let stat = rustix::fs::fstat(&null).called(|| "fstat(/dev/null)".to_owned())?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    if !is_null {
        return Err(CallError::new(
            "the container's /dev/null is not the null device",
            Errno::NODEV,
        ));
    }
    Ok(null)
}

fn existing(root: &Root, path: &str) -> Result<Option<OwnedFd>, CallError> {
    match root.open(path, Links::Refuse) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e),
    }
}

fn clone(mount: impl AsFd) -> Result<OwnedFd, CallError> {
    rustix::mount::open_tree(
        mount,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .called(|| "open_tree(\"\", CLONE)".to_owned())
}

/// Mounts `mount` (detached) on what `target` refers to.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd, path: &str) -> Result<(), CallError> {
    rustix::mount::move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .called(|| format!("move_mount(…, \"{path}\")"))
}

/// Opens the root of this process's mount namespace.
pub(crate) fn open_root() -> Result<Root, CallError> {
    rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| "open(\"/\", O_PATH)".to_owned())
    .map(Root::new)
}
