//! File systems that the container makes itself, in its own namespaces.
//!
//! All are made detached and before pivot_root: the kernel lets a user
//! namespace mount proc and sysfs only while it still sees the machine's
//! whole (mount_too_revealing), and the old root is about to go.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use soute_sys::CallError;
use soute_sys::mount::{MountAttr, RDONLY, mount_setattr};

use super::clone_of_the_machines;
use crate::plan::{Mount, MountSource, Namespace, Namespaces};

/// The detached mount for `mount`; `None` for the kinds that the parent makes.
pub(crate) fn make(mount: &Mount, ns: &Namespaces) -> Result<Option<OwnedFd>, CallError> {
    let attributes = mount.attributes.set | mount.all.set;
    // A user namespace may mount these only together with the namespace that they show, as its owner. Where that
    // one is shared, the machine's own mount is what the container sees.
    let own_user = ns.user.maps().is_some();
    let mounted = match &mount.source {
        MountSource::Filesystem {
            kind,
            options,
            copy_up,
        } => match kind.as_str() {
            "proc" if ns.pid.is_host() && own_user => machine("/proc", attributes)?,
            "sysfs" if ns.net.is_host() && own_user => machine("/sys", attributes)?,
            "mqueue" if ns.ipc.is_host() && own_user => machine("/dev/mqueue", attributes)
                .or_else(|e| match e.errno() {
                    // No mqueue on the machine: an empty folder stands for it.
                    Errno::NOENT => super::new_filesystem("tmpfs", &[("mode", "0755")], attributes),
                    _ => Err(e),
                })?,
            // Filled before it is made read-only.
            _ if *copy_up => super::new_filesystem(kind, &borrowed(options), attributes & !RDONLY)?,
            _ => super::new_filesystem(kind, &borrowed(options), attributes)?,
        },
        MountSource::Cgroup { .. } if ns.cgroup.is_host() && own_user => {
            machine(&mount.target, attributes)?
        }
        // These come later: from the parent, or once the process sits in its cgroups.
        MountSource::Dev { .. }
        | MountSource::File { .. }
        | MountSource::Neighbours { .. }
        | MountSource::Bind { .. }
        | MountSource::JoinedSysfs
        | MountSource::Cgroup { .. } => {
            return Ok(None);
        }
    };
    Ok(Some(mounted))
}

/// A sysfs of another network namespace, made there by a process in between: whose network a sysfs shows is settled by who
/// makes it.
pub(crate) fn sysfs_of(network: &Namespace, mount: &Mount) -> Result<OwnedFd, CallError> {
    let Namespace::Join(network) = network else {
        return Err(CallError::new("a network that is not joined", Errno::INVAL));
    };
    let attributes = mount.attributes.set | mount.all.set;
    let made = soute_sys::inside::network(network.as_fd(), || {
        Ok([super::new_filesystem("sysfs", &[], attributes)?])
    });
    made.map(|[sysfs]| sysfs)
}

/// Options as [`super::new_filesystem`] takes them.
pub(super) fn borrowed(options: &[(String, String)]) -> Vec<(&str, &str)> {
    options
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// A recursive clone of one of the machine's own mounts.
fn machine(path: &str, attributes: u64) -> Result<OwnedFd, CallError> {
    let tree = clone_of_the_machines(Path::new(path))?;
    mount_setattr(
        &tree,
        true,
        &MountAttr {
            set: attributes,
            propagation: soute_sys::mount::PRIVATE,
            ..MountAttr::default()
        },
    )?;
    Ok(tree)
}
