//! Which cgroup hierarchies this machine has, and where they are mounted.
//!
//! Two kernel files tell: `/proc/self/mountinfo` where each hierarchy is
//! mounted (proc_pid_mountinfo(5)), `/proc/self/cgroup` which controllers each
//! v1 hierarchy carries and where this process is (cgroups(7)). No path is assumed.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};

use super::{CgroupError, files};

/// Controllers of v2 that a container's cgroup gets wherever they exist: for limits and for statistics.
pub(super) const WANTED_V2: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

/// Which versions are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutKind {
    /// One v2 hierarchy.
    Unified,
    /// v1 hierarchies and a v2 one, which may carry some controllers.
    Hybrid,
    /// v1 hierarchies only.
    Legacy,
    /// None at all.
    None,
}

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unified => "cgroup v2",
            Self::Hybrid => "hybrid: cgroup v1 with a v2 mount",
            Self::Legacy => "cgroup v1",
            Self::None => "no cgroups",
        })
    }
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// v2, or one of v1.
    pub v2: bool,
    /// `memory`; `cpu` and `cpuacct`; `name=systemd`; on v2 what `cgroup.controllers` of the mount lists.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The cgroup that the mount shows as its root, in the view of this process's
    /// cgroup namespace: `/`, or e.g. `/docker/<id>` inside a container without such a namespace.
    pub root: String,
    /// The cgroup of this process, in the same view.
    pub own: String,
}

impl Hierarchy {
    /// Whether it carries the controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The name of the folder that it is usually mounted on, beside others.
    pub(crate) fn folder_name(&self) -> String {
        if self.v2 {
            return "unified".to_owned();
        }
        let names = self.controllers.iter();
        let names: Vec<&str> = names
            .map(|name| name.strip_prefix("name=").unwrap_or(name))
            .collect();
        names.join(",")
    }

    /// The folder of the cgroup `path`, which begins with `/`.
    pub(crate) fn dir(&self, path: &str) -> PathBuf {
        // Not Path::join, which would take an absolute path for the whole answer.
        let mut dir = self.mount.clone().into_os_string();
        dir.push(path);
        PathBuf::from(dir)
    }
}

/// The hierarchies of this machine (more exactly: of this mount and cgroup namespace).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// v1 in order of their mounts, then v2.
    hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Reads the calling process's view. Costs about 0.1 ms; keep the result.
    pub fn discover() -> Result<Self, CgroupError> {
        let mountinfo = files::read(Path::new("/proc/self/mountinfo"))?;
        let own = files::read(Path::new("/proc/self/cgroup"))?;
        let mut layout = Self::parse(&mountinfo, &own, is_visible)?;
        for h in layout.hierarchies.iter_mut().filter(|h| h.v2) {
            let offered = files::read(&h.mount.join("cgroup.controllers"))?;
            h.controllers = offered.split_whitespace().map(str::to_owned).collect();
        }
        Ok(layout)
    }

    /// The layout from the text of the two files. `visible` says whether a mount
    /// (id, mount point) is on top of whatever else is mounted there. The controllers of v2 stay empty.
    pub(super) fn parse(
        mountinfo: &str,
        own: &str,
        visible: impl Fn(u64, &Path) -> bool,
    ) -> Result<Self, CgroupError> {
        let own = parse_own(own)?;
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for line in mountinfo.lines() {
            let bad = || files::unexpected(Path::new("/proc/self/mountinfo"), line);
            let (head, tail) = line.split_once(" - ").ok_or_else(bad)?;
            let v2 = match tail.split(' ').next() {
                Some("cgroup2") => true,
                Some("cgroup") => false,
                _ => continue,
            };
            let mut head = head.split(' ');
            let id = head.next().and_then(|id| id.parse().ok()).ok_or_else(bad)?;
            let root = unescape(head.nth(2).ok_or_else(bad)?);
            let mount = PathBuf::from(unescape(head.next().ok_or_else(bad)?));
            let options = tail.split(' ').nth(2).ok_or_else(bad)?;
            // The options name the controllers among other things (`xattr`,
            // `release_agent=…`); what /proc/self/cgroup knows is a controller.
            let Some(own) = own.iter().find(|o| {
                if v2 {
                    o.controllers.is_empty()
                } else {
                    options
                        .split(',')
                        .any(|opt| o.controllers.iter().any(|c| c == opt))
                }
            }) else {
                continue;
            };
            if !visible(id, &mount) {
                continue;
            }
            let found = Hierarchy {
                v2,
                controllers: own.controllers.clone(),
                mount,
                root,
                own: own.path.clone(),
            };
            // A hierarchy can be mounted often (bind mounts, other containers'):
            // the mount that shows most of it serves.
            match hierarchies
                .iter_mut()
                .find(|h| h.v2 == v2 && h.controllers == found.controllers)
            {
                Some(known) if found.root.len() < known.root.len() => *known = found,
                Some(_) => {}
                None => hierarchies.push(found),
            }
        }
        hierarchies.sort_by_key(|h| h.v2);
        Ok(Self { hierarchies })
    }

    /// A layout from its parts, for tests on folders that are no cgroup filesystem.
    #[cfg(test)]
    pub(super) fn from_parts(hierarchies: Vec<Hierarchy>) -> Self {
        Self { hierarchies }
    }

    /// The same hierarchies, of which only what is below `base` is seen, where there is one.
    pub(super) fn rebased<'a>(&self, base: impl Fn(&Hierarchy) -> Option<&'a str>) -> Self {
        let hierarchies = self.hierarchies.iter().map(|h| match base(h) {
            None => h.clone(),
            Some(base) => Hierarchy {
                mount: h.dir(base),
                root: format!("{}{base}", h.root.trim_end_matches('/')),
                ..h.clone()
            },
        });
        Self {
            hierarchies: hierarchies.collect(),
        }
    }

    /// Which versions are mounted.
    pub fn kind(&self) -> LayoutKind {
        let v1 = self.hierarchies.iter().any(|h| !h.v2);
        match (v1, self.v2().is_some()) {
            (false, true) => LayoutKind::Unified,
            (true, true) => LayoutKind::Hybrid,
            (true, false) => LayoutKind::Legacy,
            (false, false) => LayoutKind::None,
        }
    }

    /// All hierarchies: those of v1, then v2.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// The v2 hierarchy.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.v2)
    }

    /// The hierarchy that carries the controller: the kernel binds each to one.
    pub fn carrier(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.has(controller))
    }

    /// The error that says which flag wants which controller, and what there is instead.
    pub(super) fn missing(&self, limit: &'static str, controller: &'static str) -> CgroupError {
        CgroupError::MissingController {
            limit,
            controller: controller.to_owned(),
            layout: self.kind(),
            offered: self.offered(),
        }
    }

    /// `cpu, memory (v1); hugetlb (v2)`.
    fn offered(&self) -> String {
        let list = |v2: bool| {
            self.hierarchies
                .iter()
                .filter(|h| h.v2 == v2)
                .flat_map(|h| &h.controllers)
                .filter(|c| !c.starts_with("name="))
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        };
        let parts: Vec<String> = [(list(false), "v1"), (list(true), "v2")]
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, version)| format!("{names} ({version})"))
            .collect();
        if parts.is_empty() {
            "none".to_owned()
        } else {
            parts.join("; ")
        }
    }
}

/// Where containers' cgroups go unless `--cgroup-parent` says otherwise.
///
/// Where systemd is PID 1 on v2, the name is one of its slices, so that
/// `systemctl status` and `systemd-cgls` show it in its place. systemd leaves
/// alone cgroups it did not make, and cannot take a controller back from the
/// root while `soute.slice` hands it on (the kernel says EBUSY), so no D-Bus
/// call per container is needed.
pub fn default_parent(layout: &Layout) -> &'static str {
    // The folder is how sd_booted(3) tells.
    if layout.kind() == LayoutKind::Unified && Path::new("/run/systemd/system").is_dir() {
        "/soute.slice"
    } else {
        "/soute"
    }
}

/// One line of /proc/self/cgroup: `hierarchy:controllers:path`.
struct Own {
    controllers: Vec<String>,
    path: String,
}

fn parse_own(text: &str) -> Result<Vec<Own>, CgroupError> {
    text.lines()
        .map(|line| {
            let mut parts = line.splitn(3, ':');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(_), Some(controllers), Some(path)) => Ok(Own {
                    controllers: controllers
                        .split(',')
                        .filter(|c| !c.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    path: path.to_owned(),
                }),
                _ => Err(files::unexpected(Path::new("/proc/self/cgroup"), line)),
            }
        })
        .collect()
}

/// Whether the path leads to the mount with that id, not to one mounted over
/// it or over one of its parents. Kernels before 5.8 do not tell: then yes.
fn is_visible(id: u64, mount: &Path) -> bool {
    match rustix::fs::statx(
        rustix::fs::CWD,
        mount,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
        StatxFlags::MNT_ID,
    ) {
        Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => stat.stx_mnt_id == id,
        Ok(_) => true,
        Err(_) => false,
    }
}

fn unescape(field: &str) -> String {
    let bytes = crate::mountinfo::unescape(field.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd\n\
        34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    const HYBRID_OWN: &str =
        "4:memory:/outer/1\n3:name=systemd:/\n2:cpu,cpuacct:/\n1:pids:/\n0::/\n";

    fn parse(mountinfo: &str, own: &str) -> Layout {
        Layout::parse(mountinfo, own, |_, _| true).unwrap()
    }

    #[test]
    fn unified() {
        let layout = parse(UNIFIED, "0::/user.slice/x:y\n");
        assert_eq!(layout.kind(), LayoutKind::Unified);
        let v2 = layout.v2().unwrap();
        assert_eq!(v2.dir("/soute/x"), Path::new("/sys/fs/cgroup/soute/x"));
        assert_eq!(v2.own, "/user.slice/x:y");
    }

    #[test]
    fn hybrid_with_comounted_and_named() {
        let layout = parse(HYBRID, HYBRID_OWN);
        assert_eq!(layout.kind(), LayoutKind::Hybrid);
        assert_eq!(layout.hierarchies().len(), 4);
        assert!(layout.hierarchies().last().unwrap().v2);
        let cpu = layout.carrier("cpuacct").unwrap();
        assert_eq!(cpu.controllers, ["cpu", "cpuacct"]);
        assert_eq!(
            layout.carrier("name=systemd").unwrap().mount,
            Path::new("/sys/fs/cgroup/a b")
        );
        // Known to the kernel, mounted nowhere.
        assert!(layout.carrier("pids").is_none());
        let error = layout.missing("--pids-limit", "pids").to_string();
        assert!(
            error.contains("--pids-limit")
                && error.contains("\"pids\"")
                && error.contains("memory (v1)"),
            "{error}"
        );
    }

    #[test]
    fn legacy_and_none() {
        let v1: String = HYBRID
            .lines()
            .filter(|l| !l.contains("cgroup2"))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(parse(&v1, HYBRID_OWN).kind(), LayoutKind::Legacy);
        assert_eq!(parse("", "0::/\n").kind(), LayoutKind::None);
    }

    #[test]
    fn the_widest_visible_mount_serves() {
        let twice = "10 1 0:31 /docker/a /mnt/m rw - cgroup cgroup rw,memory\n\
            11 1 0:31 / /mnt/whole rw - cgroup cgroup rw,memory\n";
        let own = "4:memory:/docker/a\n";
        assert_eq!(
            parse(twice, own).carrier("memory").unwrap().mount,
            Path::new("/mnt/whole")
        );
        let hidden = Layout::parse(twice, own, |id, _| id != 11).unwrap();
        let memory = hidden.carrier("memory").unwrap();
        assert_eq!(
            (memory.mount.as_path(), memory.root.as_str()),
            (Path::new("/mnt/m"), "/docker/a")
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(Layout::parse("x", "0::/\n", |_, _| true).is_err());
        assert!(
            Layout::parse(
                "a b c d e - cgroup cgroup rw,memory",
                "1:memory:/\n",
                |_, _| true
            )
            .is_err()
        );
        assert!(Layout::parse("", "0\n", |_, _| true).is_err());
    }
}
