//! From the machine's tree to the container's: pivot_root, then every mount in its place.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, UnmountFlags};
use rustix::path::Arg;
use soute_sys::mount::{MountAttr, RDONLY, mount_setattr};
use soute_sys::process::put_away;
use soute_sys::{CallError, Called};

use super::copy::{Copy, OPEN_FOLDER};
use super::mask::attach;
use super::root::{Links, Missing, Root};
use crate::plan::{Device, Mount, MountSource, Propagation};

/// Events of the machine's mounts no longer reach this mount namespace, nor ours the machine's.
pub(crate) fn isolate_propagation() -> Result<(), CallError> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .called(|| "mount(\"/\", MS_PRIVATE | MS_REC)".to_owned())
}

/// Gives this process a mount namespace of its own, a copy: what is mounted in the other one later is seen here, what is
/// mounted here is not seen there.
pub(crate) fn leave_for_a_copy() -> Result<(), CallError> {
    soute_sys::process::unshare(soute_sys::process::flags::NEWNS)?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .called(|| "mount(\"/\", MS_SLAVE | MS_REC)".to_owned())
}

/// Gives a tree, with all that is mounted below it, this propagation.
pub(crate) fn propagate(tree: impl AsFd, propagation: u64) -> Result<(), CallError> {
    propagate_root(
        tree,
        Propagation {
            kind: propagation,
            recursive: true,
        },
    )
}

/// Attaches `rootfs` (detached) over "/", so that no folder of the machine is needed as a place. The machine's tree is
/// what paths still lead to until [`pivot`].
pub(crate) fn attach_root(rootfs: &OwnedFd) -> Result<(), CallError> {
    attach_root_at(rootfs, "/")
}

/// Attaches `rootfs` (detached) over the folder `path`, where the machine's programs that help to set the container up
/// look for it.
pub(crate) fn attach_root_at(rootfs: &OwnedFd, path: impl Arg) -> Result<(), CallError> {
    let called = format!("move_mount(rootfs, {:?})", path.to_string_lossy());
    rustix::mount::move_mount(
        rootfs,
        "",
        CWD,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .called(|| called)
}

/// Makes `rootfs` (attached) the root of this mount namespace and drops the old one for good.
pub(crate) fn pivot(rootfs: &OwnedFd) -> Result<Root, CallError> {
    rustix::process::fchdir(rootfs).called(|| "fchdir(rootfs)".to_owned())?;
    // The old root lands on top of the new one at "." and is detached from there (pivot_root(2), "NOTES").
    rustix::process::pivot_root(".", ".").called(|| "pivot_root(\".\", \".\")".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .called(|| "umount2(\".\", MNT_DETACH)".to_owned())?;
    rustix::process::chdir("/").called(|| "chdir(\"/\")".to_owned())?;
    super::mask::open_root()
}

/// Puts one detached mount in its place, making the place if it is missing.
pub(crate) fn place(root: &Root, mount: &Mount, tree: &OwnedFd) -> Result<(), CallError> {
    let links = match &mount.source {
        MountSource::Filesystem { kind, .. }
            if matches!(kind.as_str(), "proc" | "sysfs" | "devpts" | "mqueue") =>
        {
            Links::Refuse
        }
        MountSource::Bind { .. }
        | MountSource::Filesystem { .. }
        | MountSource::File { .. }
        | MountSource::Neighbours { .. } => Links::Follow,
        _ => Links::Refuse,
    };
    let missing = match &mount.source {
        MountSource::File { .. } => Missing::File,
        MountSource::Bind { .. } | MountSource::Neighbours { .. } => kind_of(tree)?,
        // The root of a file system.
        _ => Missing::Folder,
    };
    let target = root.open_or_make(&mount.target, missing, links)?;
    check_proc(mount, &target)?;
    attach(tree, &target, &mount.target).map_err(|e| mismatch(&target, missing).unwrap_or(e))?;
    put_away(target);
    Ok(())
}

fn kind_of(tree: &OwnedFd) -> Result<Missing, CallError> {
    let stat = rustix::fs::fstat(tree).called(|| "fstat(mount)".to_owned())?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Missing::Folder,
        _ => Missing::File,
    })
}

/// Files of /proc that may show something else than the kernel's: figures, which no program trusts with its safety.
const COVERED: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// A mount on /proc, wherever links lead to it, would take for itself what is written there (CVE-2019-16884).
fn check_proc(mount: &Mount, target: &OwnedFd) -> Result<(), CallError> {
    let kind = rustix::fs::fstatfs(target).called(|| format!("fstatfs(\"{}\")", mount.target))?;
    let allowed = mount.target == "/proc" || COVERED.contains(&mount.target.as_str());
    if kind.f_type != PROC_SUPER_MAGIC || allowed {
        return Ok(());
    }
    Err(CallError::new(
        format!(
            "{} lies in /proc, where nothing may be mounted",
            mount.target
        ),
        Errno::PERM,
    ))
}

/// Puts a tmpfs in its place that begins with a copy of what it covers.
pub(crate) fn copy_up(root: &Root, mount: &Mount, tree: &OwnedFd) -> Result<(), CallError> {
    let path = &mount.target;
    root.open_or_make(path, Missing::Folder, Links::Follow)?;
    let covered = root.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY, Links::Follow)?;
    let filled = rustix::fs::openat(tree, ".", OPEN_FOLDER, Mode::empty())
        .called(|| "openat(tmpfs, \".\")".to_owned())?;
    let mut copy = Copy::into(&filled);
    copy.content(&covered, &filled)?;
    copy.metadata(&covered, &filled)?;
    drop((covered, filled));
    let set = mount.attributes.set | mount.all.set;
    mount_setattr(
        tree,
        false,
        &MountAttr {
            set,
            ..MountAttr::default()
        },
    )?;
    place(root, mount, tree)
}

/// Puts a device of the machine where the container expects it.
pub(crate) fn place_device(root: &Root, device: &Device, tree: &OwnedFd) -> Result<(), CallError> {
    let target = root.open_or_make(&device.path, Missing::File, Links::Follow)?;
    attach(tree, &target, &device.path)?;
    put_away(target);
    Ok(())
}

/// The kernel's word for a folder on a file, or the reverse, is "invalid argument".
fn mismatch(target: &OwnedFd, source: Missing) -> Option<CallError> {
    let stat = rustix::fs::fstat(target).ok()?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match (source, is_folder) {
        (Missing::Folder, false) => Some(CallError::new(
            "the source is a folder, and what is there in the container is none",
            Errno::NOTDIR,
        )),
        (Missing::File, true) => Some(CallError::new(
            "the source is a file, and what is there in the container is a folder",
            Errno::ISDIR,
        )),
        _ => None,
    }
}

/// Gives the root, at last, the propagation that was asked for.
pub(crate) fn propagate_root(root: impl AsFd, wanted: Propagation) -> Result<(), CallError> {
    mount_setattr(
        root,
        wanted.recursive,
        &MountAttr {
            propagation: wanted.kind,
            ..MountAttr::default()
        },
    )
}

/// Makes the root mount itself read-only.
pub(crate) fn seal_root(root: impl AsFd) -> Result<(), CallError> {
    mount_setattr(
        root,
        false,
        &MountAttr {
            set: RDONLY,
            ..MountAttr::default()
        },
    )
}
