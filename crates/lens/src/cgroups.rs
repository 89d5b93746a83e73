//! The cgroups of a process, and the limits that are set there (cgroups(7)).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::proc::{Look, MountEntry, Proc, ProcessFolder, mountinfo};
use crate::text::lossy;

/// Files of limits, of both versions.
const LIMITS: &[&str] = &[
    "blkio.weight",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.max",
    "cpu.shares",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.limit_in_bytes",
    "memory.low",
    "memory.max",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.swap.max",
    "pids.max",
];

/// What is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cgroups {
    /// By hierarchy (`memory`, `cpu,cpuacct`, `unified`): the path in it.
    pub(crate) paths: BTreeMap<String, String>,
    /// By file of the kernel's: what is in it. Those of cgroups that are out of the caller's sight are missing.
    pub(crate) limits: BTreeMap<String, String>,
}

impl Cgroups {
    /// Those of the process of `folder`; nothing where they are hidden or it has ended.
    pub(crate) fn of(proc: &Proc, folder: &ProcessFolder) -> Result<Self, Error> {
        let Look::Seen(text) = folder.read("cgroup")? else {
            return Ok(Self::default());
        };
        let mounts = match proc.myself()?.read("mountinfo")? {
            Look::Seen(text) => mountinfo(&text)?,
            Look::Gone | Look::Hidden => Vec::new(),
        };
        let mut all = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some((controllers, path)) = line_of(line) else {
                continue;
            };
            let place = mounts
                .iter()
                .find_map(|mount| place(mount, controllers, path));
            if let Some(place) = place {
                for file in LIMITS {
                    if let Some(limit) = nearest(&place, file) {
                        all.limits.insert((*file).to_owned(), limit);
                    }
                }
            }
            let name = match controllers {
                b"" => "unified".to_owned(),
                controllers => lossy(controllers),
            };
            all.paths.insert(name, lossy(path));
        }
        Ok(all)
    }
}

/// What the file says in the cgroup `place` or, where that sets no limit, in the nearest one above that does: a process may
/// be in a part of the cgroup that was given the limit. Nothing where there is no such file: it is another controller's.
fn nearest(place: &Path, file: &str) -> Option<String> {
    let mut own = None;
    for folder in place.ancestors() {
        let Ok(content) = std::fs::read(folder.join(file)) else {
            break;
        };
        let content = lossy(content.trim_ascii());
        // Of v1 as many pages as there can be.
        let is_set = !content.starts_with("max") && !content.starts_with("922337203685477");
        let is_set = is_set && content != "-1" && !content.is_empty();
        if is_set {
            return Some(content);
        }
        own = own.or(Some(content));
    }
    own
}

/// `4:memory:/a/b`: the controllers, none of the unified hierarchy, and the path.
fn line_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some((controllers, path))
}

/// The folder of the cgroup `path` where `mount` is of its hierarchy.
fn place(mount: &MountEntry, controllers: &[u8], path: &[u8]) -> Option<PathBuf> {
    let is_its = match controllers {
        b"" => mount.file_system == b"cgroup2",
        controllers => {
            let mut options = mount.super_options.split(|byte| *byte == b',');
            let mut its = controllers.split(|byte| *byte == b',');
            mount.file_system == b"cgroup" && its.all(|one| options.any(|option| option == one))
        }
    };
    let below = match mount.root.as_slice() {
        b"/" => path,
        root => path
            .strip_prefix(root)
            .filter(|rest| rest.is_empty() || rest.starts_with(b"/"))?,
    };
    let below = below.strip_prefix(b"/").unwrap_or(below);
    // A cgroup above the root of the caller's namespace, `/..`, is not below this mount.
    let out = below.split(|byte| *byte == b'/').any(|name| name == b"..");
    (is_its && !out).then(|| mount.mount_point.join(OsStr::from_bytes(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_cgroup_is_found() {
        let mounts = mountinfo(
            b"1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
              2 0 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
              3 0 0:3 /a /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )
        .unwrap();
        let place = |controllers: &[u8], path: &[u8]| {
            let mut all = mounts.iter();
            let found = all.find_map(|mount| place(mount, controllers, path));
            found.map(|found| found.to_str().unwrap().to_owned())
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(place(b"memory", b"/a/b"), some("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(place(b"cpu,cpuacct", b"/"), some("/sys/fs/cgroup/cpu/"));
        assert_eq!(place(b"", b"/a/b"), some("/sys/fs/cgroup/unified/b"));
        assert_eq!(place(b"", b"/c"), None);
        assert_eq!(place(b"memory", b"/../c"), None);
        assert_eq!(place(b"pids", b"/"), None);
        assert_eq!(line_of(b"0::/a:b"), Some((&b""[..], &b"/a:b"[..])));
        assert_eq!(line_of(b"x"), None);
    }
}
