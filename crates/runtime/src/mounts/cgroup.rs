//! /sys/fs/cgroup: the container's own part of each hierarchy.
//!
//! Mounted after pivot_root: unlike proc and sysfs, cgroup file systems show
//! only what the cgroup namespace allows, so the kernel asks for no view of
//! the machine's.

use soute_sys::CallError;

use super::mask::attach;
use super::place::place as place_tree;
use super::root::{Links, Missing, Root};
use crate::plan::{Hierarchy, Mount};

/// Mounts the hierarchies at `mount.target`.
pub(crate) fn place(
    root: &Root,
    mount: &Mount,
    hierarchies: &[Hierarchy],
) -> Result<(), CallError> {
    if let [only] = hierarchies
        && only.folder.is_empty()
    {
        let tree = super::new_filesystem(&only.filesystem, &[], mount.attributes)?;
        return place_tree(root, mount, &tree);
    }
    // Writable while the folders are made; the tmpfs itself holds nothing worth changing.
    let tmpfs = super::new_filesystem(
        "tmpfs",
        &[("mode", "0755"), ("size", "64k")],
        mount.attributes & !soute_sys::mount::RDONLY,
    )?;
    place_tree(root, mount, &tmpfs)?;
    for hierarchy in hierarchies {
        let options: Vec<(&str, &str)> = hierarchy
            .options
            .iter()
            .map(|o| o.split_once('=').unwrap_or((o, "")))
            .collect();
        let tree = super::new_filesystem(&hierarchy.filesystem, &options, mount.attributes)?;
        let path = format!("{}/{}", mount.target, hierarchy.folder);
        let target = root.open_or_make(&path, Missing::Folder, Links::Refuse)?;
        attach(&tree, &target, &path)?;
    }
    soute_sys::mount::mount_setattr(
        &tmpfs,
        false,
        &soute_sys::mount::MountAttr {
            set: mount.attributes,
            ..soute_sys::mount::MountAttr::default()
        },
    )
}
