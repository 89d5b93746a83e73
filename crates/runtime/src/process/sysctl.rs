//! Writing /proc/sys of the container.

use super::failure::{Failure, Step};
use crate::mounts::procfs::Procfs;
use crate::plan::Plan;

/// The kernel's own files for what `plan` sets, if it sets anything: to be taken before pivot_root.
///
/// A volume over the container's /proc/sys would take a value for itself, or hand it to another parameter (CVE-2019-16884,
/// CVE-2025-52881). It is over the container's, and this is another. Both show the namespaces of whoever opens a file.
pub(super) fn files(plan: &Plan) -> Result<Option<Procfs>, Failure> {
    if plan.sysctls.is_empty() {
        return Ok(None);
    }
    // Only the owner of a PID namespace may mount one.
    let procfs = match plan.namespaces.pid.is_new() {
        true => Procfs::whole(),
        false => Procfs::machine(),
    };
    procfs.map(Some).step("the sysctls")
}

/// Writes each value; whoever made the plan has checked that the names are of namespaces of the container's own.
pub(super) fn apply(files: &Procfs, sysctls: &[(String, String)]) -> Result<(), Failure> {
    for (name, value) in sysctls {
        files
            .write(&format!("sys/{}", name.replace('.', "/")), value)
            .step(format!("the sysctl {name}={value}"))?;
    }
    Ok(())
}
