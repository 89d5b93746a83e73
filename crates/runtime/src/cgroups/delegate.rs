//! A v2 cgroup given to the user that owns the container, who may then make cgroups below it.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Uid};
use rustix::io::Errno;
use soute_sys::CallError;

use super::cgroup::Cgroup;
use super::{CgroupError, files};

/// The kernel's list (cgroups(7), "Cgroup delegation").
const LIST: &str = "/sys/kernel/cgroup/delegate";

impl Cgroup {
    /// Makes `uid` (as this process's user namespace counts) the owner of the v2 folder and of those files in it
    /// by which processes and controllers are moved below it; the limits themselves stay out of its reach.
    /// Without a v2 hierarchy nothing is done: giving away a v1 cgroup is not safe (cgroups(7)).
    pub fn delegate(&self, uid: u32) -> Result<(), CgroupError> {
        let Some(node) = self.nodes.iter().find(|n| n.hierarchy.v2) else {
            return Ok(());
        };
        let list = files::read_if_any(Path::new(LIST))?;
        // As Linux before 4.15 would say.
        let list = list
            .as_deref()
            .unwrap_or("cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n");
        let of_list = list.lines().map(|name| node.file(name));
        for file in std::iter::once(node.dir.clone()).chain(of_list) {
            let owner = Some(Uid::from_raw(uid));
            match rustix::fs::chownat(CWD, &file, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
                // The list is of all files that any cgroup may have.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    let call = format!("fchownat(\"{}\", {uid}, -1)", file.display());
                    return Err(CallError::new(call, errno).into());
                }
            }
        }
        Ok(())
    }
}
