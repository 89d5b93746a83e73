//! Where a further process of a container goes that has made cgroups of its own.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use soute_sys::Called;

use super::cgroup::Cgroup;
use super::{CgroupError, files};

impl Cgroup {
    /// After [`Cgroup::prepare_join`]: who joins goes where `first`, the container's first process, is, if need be.
    ///
    /// Once a v2 cgroup has handed controllers down, as systemd in a container has its own do, no process can be in it
    /// any more (EBUSY: cgroups(7), "no internal processes").
    pub fn join_beside(&mut self, first: Pid) -> Result<(), CgroupError> {
        let own = self.path().to_owned();
        let Some(node) = self.nodes.iter_mut().find(|node| node.hierarchy.v2) else {
            return Ok(());
        };
        let handed_down = files::read_if_any(&node.file("cgroup.subtree_control"))?;
        if handed_down.is_none_or(|controllers| controllers.trim().is_empty()) {
            return Ok(());
        }
        let table = format!("/proc/{}/cgroup", first.as_raw_nonzero());
        let table = files::read(Path::new(&table))?;
        // Elsewhere the container's limits do not hold: then the kernel's refusal stands.
        if let Some(path) = inside(&table, &node.hierarchy.root, &own) {
            let folder = node.hierarchy.dir(path);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entry = rustix::fs::open(&folder, flags, Mode::empty())
                .called(|| format!("open(\"{}\", O_PATH)", folder.display()))?;
            node.entry = Some(entry);
        }
        Ok(())
    }
}

/// The v2 cgroup that a process's `table` (/proc/PID/cgroup) names, as a path below a mount that shows `root`; `None`
/// unless it is `own` or lies in it.
fn inside<'a>(table: &'a str, root: &str, own: &str) -> Option<&'a str> {
    let path = table.lines().find_map(|line| line.strip_prefix("0::"))?;
    let path = path.strip_prefix(root.trim_end_matches('/'))?;
    let rest = path.strip_prefix(own)?;
    let below = rest.is_empty() || rest.starts_with('/');
    (below && !rest.split('/').any(|part| part == "..")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_no_place() {
        let found = |path: &str, root: &str| {
            let table = format!("2:pids:/a/c\n0::{path}\n");
            inside(&table, root, "/a/c").map(str::to_owned)
        };
        assert_eq!(found("/a/c", "/").as_deref(), Some("/a/c"));
        let inner = "/a/c/init.scope";
        assert_eq!(found(inner, "/").as_deref(), Some(inner));
        assert_eq!(found("/out/a/c/init.scope", "/out").as_deref(), Some(inner));
        for (path, root) in [
            ("/", "/"),
            ("/a", "/"),
            ("/a/cc", "/"),
            ("/a/d", "/"),
            ("/../a/c", "/"),
            ("/a/c/../../b", "/"),
            ("/a/c/x", "/out"),
            ("/outer/a/c", "/out"),
        ] {
            assert_eq!(found(path, root), None, "{path} in {root}");
        }
        assert_eq!(inside("2:pids:/a/c\n", "/", "/a/c"), None);
    }
}
