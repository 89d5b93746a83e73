//! A cgroup that may be there already, as callers of an OCI runtime make them beforehand.

use std::collections::BTreeSet;

use super::cgroup::{Cgroup, Node, Origin};
use super::members::{collect, frozen};
use super::{CgroupError, DeviceRule, Layout, Resources, files};

impl Cgroup {
    /// [`Cgroup::create`], where a cgroup that is there already is taken over: kubelet and Podman make it, or those
    /// above it, before they call. Whose it was, the answer tells.
    ///
    /// Refused is, as by runc, one with processes in it or below it ([`CgroupError::Inhabited`]: they would come
    /// under limits that are not theirs, and die with the container) and one that is frozen
    /// ([`CgroupError::Frozen`]: the container would never start). So is a v2 cgroup that no process can enter.
    /// Limits that it has and `resources` does not name stay; device programs of v2 are replaced.
    pub fn create_or_adopt(
        layout: &Layout,
        path: &str,
        resources: &Resources,
        device_rules: &[DeviceRule],
    ) -> Result<(Self, Origin), CgroupError> {
        let judge = |node: &Node| may_take_over(node, &[]);
        Self::build(layout, path, resources, device_rules, &judge, true)
    }
}

/// Whether the container may have the folder that is there. `ours` are processes that may be in it.
pub(super) fn may_take_over(node: &Node, ours: &[i32]) -> Result<(), CgroupError> {
    let dir = || node.dir.display().to_string();
    let mut pids = BTreeSet::new();
    collect(&node.dir, &mut pids)?;
    pids.retain(|pid| !ours.contains(pid));
    if !pids.is_empty() {
        return Err(CgroupError::Inhabited {
            dir: dir(),
            count: pids.len(),
        });
    }
    if (node.hierarchy.v2 || node.hierarchy.has("freezer")) && frozen(node)? {
        return Err(CgroupError::Frozen { dir: dir() });
    }
    if node.hierarchy.v2 {
        let kind = files::read_if_any(&node.file("cgroup.type"))?.unwrap_or_default();
        if !matches!(kind.trim(), "domain" | "domain threaded") {
            return Err(CgroupError::NoEntry {
                dir: dir(),
                why: format!("its type is \"{}\"", kind.trim()),
            });
        }
        let down = files::read_if_any(&node.file("cgroup.subtree_control"))?.unwrap_or_default();
        if !down.trim().is_empty() {
            let why = format!("it hands down controllers: {}", down.trim());
            return Err(CgroupError::NoEntry { dir: dir(), why });
        }
    }
    Ok(())
}
