//! /sys/fs/cgroup: the container's own part of each hierarchy.
//!
//! Mounted after pivot_root: unlike proc and sysfs, cgroup file systems show
//! only what the cgroup namespace allows, so the kernel asks for no view of
//! the machine's.

use std::ffi::CString;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use soute_sys::mount::{MountAttr, mount_setattr};
use soute_sys::process::put_away;
use soute_sys::{CallError, Called};

use super::place::place as place_tree;
use super::root::Root;
use crate::cgroups::Layout;
use crate::plan::{Hierarchy, Mount};

/// The hierarchies of the machine as a container has them mounted.
pub fn hierarchies(layout: &Layout) -> Vec<Hierarchy> {
    let all = layout.hierarchies();
    all.iter()
        .map(|h| Hierarchy {
            folder: match (h.v2, all.len()) {
                (true, 1) => String::new(),
                _ => h.folder_name(),
            },
            filesystem: if h.v2 { "cgroup2" } else { "cgroup" }.to_owned(),
            options: if h.v2 {
                Vec::new()
            } else {
                let named = h.controllers.iter().any(|c| c.starts_with("name="));
                // A named hierarchy without controllers must say so.
                h.controllers
                    .iter()
                    .cloned()
                    .chain(named.then(|| "none".to_owned()))
                    .collect()
            },
        })
        .collect()
}

/// Mounts the hierarchies at `mount.target`.
pub(crate) fn place(
    root: &Root,
    mount: &Mount,
    hierarchies: &[Hierarchy],
) -> Result<(), CallError> {
    if let [only] = hierarchies
        && only.folder.is_empty()
    {
        let tree = super::new_filesystem(&only.filesystem, &[], mount.attributes.set)?;
        place_tree(root, mount, &tree)?;
        put_away(tree);
        return Ok(());
    }
    // Writable while the folders are made; the tmpfs itself holds nothing worth changing.
    let tmpfs = super::new_filesystem(
        "tmpfs",
        &[("mode", "0755"), ("size", "64k")],
        mount.attributes.set & !soute_sys::mount::RDONLY,
    )?;
    place_tree(root, mount, &tmpfs)?;
    // The tmpfs is ours and new: nothing of the image's can stand in these paths. So each needs no more than two calls,
    // where one that is made detached needs six.
    rustix::process::fchdir(&tmpfs).called(|| format!("fchdir(\"{}\")", mount.target))?;
    for hierarchy in hierarchies {
        let (folder, kind) = (hierarchy.folder.as_str(), hierarchy.filesystem.as_str());
        let options = hierarchy.options.join(",");
        rustix::fs::mkdirat(CWD, folder, Mode::from_raw_mode(0o755))
            .called(|| format!("mkdirat(\"{}/{folder}\")", mount.target))?;
        let data = CString::new(options.as_str())
            .map_err(|_| CallError::new(format!("mount({kind})"), Errno::INVAL))?;
        rustix::mount::mount(kind, folder, kind, MountFlags::empty(), &*data).called(|| {
            format!(
                "mount({kind}, \"{}/{folder}\", \"{options}\")",
                mount.target
            )
        })?;
    }
    rustix::process::chdir("/").called(|| "chdir(\"/\")".to_owned())?;
    let attributes = MountAttr {
        set: mount.attributes.set,
        ..MountAttr::default()
    };
    mount_setattr(&tmpfs, true, &attributes)?;
    put_away(tmpfs);
    Ok(())
}
