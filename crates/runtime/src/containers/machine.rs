//! What the machine is like.

use super::Error;
use crate::capabilities::kernel_last_cap;
use crate::cgroups::Layout;
use crate::seccomp::KernelVersion;
use crate::spec::Machine;

/// Looks at all but the cgroup hierarchies, which are known.
pub(super) fn look(layout: Layout) -> Result<Machine, Error> {
    Ok(Machine {
        layout,
        kernel: KernelVersion::current().map_err(|e| Error::Impossible(e.to_string()))?,
        last_capability: kernel_last_cap()?,
    })
}
