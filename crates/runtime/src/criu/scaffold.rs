//! The mount namespace that criu runs in: the machine's tree, to which nothing that is mounted here gets back, with a
//! file system in memory over /tmp, where criu makes the folders that it needs on its way.
//!
//! ```text
//! /tmp/root      the container's root, a mount point, with all places for mounts in it
//! /tmp/machine   the machine's tree once more, with what lies in its /tmp: where binds are taken from
//! /tmp/cgroups   the machine's cgroup hierarchies, in folders as criu names them
//! /tmp/work      criu's folder
//! /tmp/hooks     what criu calls when the namespaces are there
//! ```
//!
//! All of it goes with the last process in it, however that ends.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MoveMountFlags;
use soute_sys::mount::{SHARED, SLAVE};
use soute_sys::process::{flags, unshare};
use soute_sys::{CallError, Called};

use crate::cgroups::Hierarchy;
use crate::mounts::root::{Links, Missing};
use crate::mounts::{
    clone_of_one, clone_of_the_machines, mask, new_filesystem, place, root, rootfs,
};
use crate::plan::{Mount, MountSource, Plan};

/// The container's root.
pub(crate) const ROOT: &str = "/tmp/root";
/// The machine's.
pub(crate) const MACHINE: &str = "/tmp/machine";
/// criu's own folder.
pub(crate) const WORK: &str = "/tmp/work";
/// The program for [`super::SetupHooks`].
pub(crate) const HOOKS: &str = "/tmp/hooks";
/// The hierarchies. Without them criu mounts them by itself, and a mount of version 2 that names no options takes the
/// machine's own from it (`nsdelegate`), for good.
pub(crate) const CGROUPS: &str = "/tmp/cgroups";
/// Where all of that is.
const PLACE: &str = "/tmp";

/// What a container is restored in.
pub(crate) struct Root<'a> {
    pub(crate) plan: &'a Plan,
    /// Where figures of the restoring go, which criu leaves in its own folder.
    pub(crate) figures: String,
}

/// Moves this process into such a namespace.
pub(super) fn build(
    hierarchies: &[Hierarchy],
    wanted: Option<&Root<'_>>,
    hooks: Option<&str>,
) -> Result<(), CallError> {
    unshare(flags::NEWNS)?;
    // Not private: a container that follows the machine's mounts goes on doing so, by those of this namespace.
    place::propagate(mask::open_root()?, SLAVE)?;
    let cgroups = hierarchies
        .iter()
        .map(|hierarchy| Ok((hierarchy.folder_name(), clone_of_one(&hierarchy.mount)?)))
        .collect::<Result<Vec<_>, CallError>>()?;
    let trees = wanted.map(trees).transpose()?;
    let place = new_filesystem("tmpfs", &[("mode", "0700")], 0)?;
    rustix::mount::move_mount(
        &place,
        "",
        CWD,
        PLACE,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .called(|| format!("move_mount(tmpfs, \"{PLACE}\")"))?;
    make_folder(&place, in_place(CGROUPS))?;
    for (name, tree) in cgroups {
        put(&place, &format!("{}/{name}", in_place(CGROUPS)), &tree)?;
    }
    let Some((wanted, (container, machine))) = wanted.zip(trees) else {
        return Ok(());
    };
    put(&place, in_place(ROOT), &container)?;
    put(&place, in_place(MACHINE), &machine)?;
    make_folder(&place, in_place(WORK))?;
    let figures = format!("{}/{}", in_place(WORK), super::program::FIGURES);
    rustix::fs::symlinkat(&wanted.figures, &place, &figures)
        .called(|| format!("symlink(\"{figures}\")"))?;
    match hooks {
        Some(script) => write_program(&place, in_place(HOOKS), script),
        None => Ok(()),
    }
}

fn make_folder(place: &OwnedFd, name: &str) -> Result<(), CallError> {
    rustix::fs::mkdirat(place, name, Mode::from_raw_mode(0o700))
        .called(|| format!("mkdir(\"{PLACE}/{name}\")"))
}

/// Mounts `tree` (detached) on a new folder.
fn put(place: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<(), CallError> {
    make_folder(place, name)?;
    rustix::mount::move_mount(
        tree,
        "",
        place,
        name,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .called(|| format!("move_mount(…, \"{PLACE}/{name}\")"))
}

fn in_place(path: &str) -> &str {
    path.strip_prefix(PLACE)
        .unwrap_or(path)
        .trim_start_matches('/')
}

/// The container's root and the machine's, detached, while the machine's /tmp is still in sight.
fn trees(wanted: &Root<'_>) -> Result<(OwnedFd, OwnedFd), CallError> {
    let plan = wanted.plan;
    let container = rootfs::build(&plan.rootfs, None, (0, 0))?;
    let container = container
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| CallError::new("dup(rootfs)", rustix::io::Errno::MFILE))?;
    make_places(plan, &container)?;
    if plan.read_only {
        // criu does not write to it, and would leave it as it finds it.
        place::seal_root(&container)?;
    }
    let machine = clone_of_the_machines(Path::new("/"))?;
    // What criu joins a mount of the container's to that followed the machine's: a private one it would refuse.
    place::propagate(&machine, SHARED)?;
    Ok((container, machine))
}

/// Makes the places of mounts that are missing in the root or in a bind, as `create` does. All else that they can be in
/// comes with its content.
fn make_places(plan: &Plan, container: &OwnedFd) -> Result<(), CallError> {
    let open = |fd: &OwnedFd| {
        fd.try_clone()
            .map(root::Root::new)
            .map_err(|_| CallError::new("dup(tree)", rustix::io::Errno::MFILE))
    };
    for (index, mount) in plan.mounts.iter().enumerate() {
        let around = plan.mounts[..index]
            .iter()
            .rfind(|around| below(&around.target, &mount.target).is_some());
        let missing = kind(mount)?;
        match around.map(|around| (around, &around.source)) {
            None => open(container)?.open_or_make(&mount.target, missing, Links::Follow)?,
            Some((around, MountSource::Bind { .. })) => {
                let tree = crate::mounts::bind::open(around, None)?;
                let path = below(&around.target, &mount.target).unwrap_or_default();
                open(&tree)?.open_or_make(&format!("/{path}"), missing, Links::Follow)?
            }
            Some(_) => continue,
        };
    }
    Ok(())
}

/// `path` as seen from `around`, if it is below it.
fn below<'p>(around: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(around.trim_end_matches('/'))?
        .strip_prefix('/')
        .filter(|path| !path.is_empty())
}

/// What a mount stands on.
fn kind(mount: &Mount) -> Result<Missing, CallError> {
    let MountSource::Bind { path, .. } = &mount.source else {
        return Ok(Missing::Folder);
    };
    let stat = rustix::fs::stat(path).called(|| format!("stat(\"{}\")", path.display()))?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Directory => Ok(Missing::Folder),
        _ => Ok(Missing::File),
    }
}

fn write_program(place: &OwnedFd, name: &str, text: &str) -> Result<(), CallError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(place, name, flags, Mode::from_raw_mode(0o700))
        .called(|| format!("open(\"{name}\")"))?;
    rustix::io::write(&file, text.as_bytes())
        .called(|| format!("write(\"{name}\")"))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_strictly_below() {
        assert_eq!(below("/dev", "/dev/pts"), Some("pts"));
        assert_eq!(below("/", "/dev/pts"), Some("dev/pts"));
        for no in ["/dev", "/device", "/de", "/dev/"] {
            assert_eq!(below("/dev", no), None, "{no}");
        }
    }
}
