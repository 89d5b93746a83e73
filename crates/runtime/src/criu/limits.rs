//! What criu cannot take from a container, or give to one: said before anything is touched.

use crate::cgroups::Layout;
use crate::containers::Error;
use crate::plan::{Idmap, MountSource, Namespace, Plan};

/// Whether a container of this plan can be checkpointed and restored on a machine with these cgroups.
///
/// # Errors
/// Which part of it cannot, and why.
pub(crate) fn check(plan: &Plan, layout: &Layout) -> Result<(), Error> {
    let refuse = |what: &str, why: &str| {
        Err(Error::Impossible(format!(
            "no checkpoint or restore with {what}: {why}"
        )))
    };
    if layout.hierarchies().iter().any(|one| one.root != "/") {
        return refuse(
            "cgroups that are mounted in part",
            "criu looks for them below the root of all",
        );
    }
    if plan.process.terminal.is_some() {
        return refuse(
            "process.terminal",
            "the terminal's other end is outside of the container, and is not handed over",
        );
    }
    if plan.namespaces.user.maps().is_some() {
        return refuse(
            "a user namespace",
            "its root may not make the devices of /dev anew",
        );
    }
    if !plan.namespaces.pid.is_new() {
        return refuse(
            "a PID namespace that is not the container's own",
            "its processes would find their numbers taken",
        );
    }
    for (name, namespace) in [
        ("IPC", &plan.namespaces.ipc),
        ("UTS", &plan.namespaces.uts),
        ("cgroup", &plan.namespaces.cgroup),
    ] {
        if matches!(namespace, Namespace::Join(_)) {
            let what = format!("the {name} namespace of a path");
            return refuse(&what, "criu would make a new one in its place");
        }
    }
    if plan.namespaces.time.is_some() {
        return refuse(
            "a time namespace",
            "criu makes one of its own, in which clocks go on where they stood",
        );
    }
    let attributes = &plan.process.attributes;
    for (name, wanted) in [
        ("process.scheduler", attributes.scheduler.is_some()),
        ("process.ioPriority", attributes.io_priority.is_some()),
        ("linux.memoryPolicy", attributes.memory_policy.is_some()),
        (
            "a label of a security module",
            [
                &attributes.apparmor_profile,
                &attributes.selinux_label,
                &attributes.mount_label,
            ]
            .iter()
            .any(|label| !label.is_empty()),
        ),
    ] {
        if wanted {
            return refuse(name, "criu does not keep it, or not all of it");
        }
    }
    for mount in &plan.mounts {
        // criu writes and reads `mnt[TARGET]:NAME`.
        if mount.target.contains(['[', ']', '\n']) {
            let what = format!("a mount at {:?}", mount.target);
            return refuse(&what, "criu has no way to name it");
        }
        if let MountSource::Bind { idmap, .. } = &mount.source
            && *idmap != Idmap::None
        {
            let what = format!("ids mapped at {}", mount.target);
            return refuse(&what, "criu does not know of mapped mounts");
        }
    }
    Ok(())
}
