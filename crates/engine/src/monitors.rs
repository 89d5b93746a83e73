//! Where monitors live: in a cgroup of their own, beside the containers'.
//!
//! A monitor that stayed in its caller's would end with it: systemd kills all
//! that is left in a unit or a session when it ends, and the caller's limits
//! would be the monitor's.

use soute_runtime::cgroups::{Cgroup, CgroupError, Layout, Resources, default_parent};

use crate::error::Error;

/// Opens the cgroup, ready to be joined; the first monitor of all makes it, and it stays.
pub(crate) fn cgroup(layout: &Layout) -> Result<Cgroup, Error> {
    let path = format!("{}/monitors", default_parent(layout));
    let open = || Cgroup::open(layout, &path);
    let mut cgroup = match open() {
        Err(CgroupError::NotFound { .. }) => {
            match Cgroup::create(layout, &path, &Resources::default(), &[]) {
                // Another monitor was first.
                Err(CgroupError::Exists { .. }) => open()?,
                made => made?,
            }
        }
        opened => opened?,
    };
    cgroup.prepare_join()?;
    Ok(cgroup)
}
