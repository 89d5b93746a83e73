//! What a process sees of itself, from /proc and /sys alone.
//!
//! What cannot be read is `None`, and is told as not visible: a container may well have no /sys.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The kinds of namespaces, as named below /proc/PID/ns (namespaces(7)).
pub const KINDS: [&str; 8] = ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"];

/// All that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// `uname -r`.
    pub kernel: String,
    pub hostname: String,
    /// The inode of each of [`KINDS`]; `None` where the kernel lacks it or hides it.
    pub namespaces: [Option<u64>; 8],
    pub status: BTreeMap<String, String>,
    pub uid_map: Vec<IdRange>,
    pub gid_map: Vec<IdRange>,
    pub mounts: Vec<Mount>,
    pub interfaces: Vec<Interface>,
    pub cgroups: Vec<Cgroup>,
    /// The number of the last capability that the kernel knows.
    pub last_capability: Option<u32>,
    pub memory: Limit,
    pub processes: Limit,
    pub cpu: CpuLimit,
}

/// One line of uid_map or gid_map (user_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u64,
    pub outside: u64,
    pub count: u64,
}

/// One line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What of the file system is mounted here.
    pub root: String,
    pub point: String,
    pub kind: String,
    pub read_only: bool,
    /// Options of the file system, comma-separated; a v1 cgroup's controllers are among them.
    pub options: String,
}

/// A network interface. Where `link` is another number than `index`, that is the other end of a pair, in another namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub index: Option<u64>,
    pub link: Option<u64>,
}

/// One line of /proc/self/cgroup (cgroups(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Empty: version 2.
    pub controllers: String,
    pub path: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    #[default]
    NotVisible,
    None,
    Max(u64),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum CpuLimit {
    #[default]
    NotVisible,
    None,
    /// Microseconds of CPU time in each period of as many microseconds.
    Quota {
        quota: u64,
        period: u64,
    },
}

pub fn look() -> Seen {
    let mounts = mounts(&text("/proc/self/mountinfo").unwrap_or_default());
    let cgroups = cgroups(&text("/proc/self/cgroup").unwrap_or_default());
    let read = |controller: &str, file: &str| -> Option<String> {
        text(control_folder(&mounts, &cgroups, controller)?.join(file))
    };
    let memory =
        limit(read("memory", "memory.max").or_else(|| read("memory", "memory.limit_in_bytes")));
    let processes = limit(read("pids", "pids.max"));
    let cpu = cpu_limit(read("cpu", "cpu.max").or_else(|| {
        let quota = read("cpu", "cpu.cfs_quota_us")?;
        Some(format!(
            "{} {}",
            quota.trim(),
            read("cpu", "cpu.cfs_period_us")?
        ))
    }));
    Seen {
        kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
        hostname: line("/proc/sys/kernel/hostname").unwrap_or_default(),
        namespaces: KINDS
            .map(|kind| namespace_inode(&fs::read_link(format!("/proc/self/ns/{kind}")).ok()?)),
        status: status(&text("/proc/self/status").unwrap_or_default()),
        uid_map: id_map(&text("/proc/self/uid_map").unwrap_or_default()),
        gid_map: id_map(&text("/proc/self/gid_map").unwrap_or_default()),
        interfaces: interfaces(&text("/proc/self/net/dev").unwrap_or_default()),
        last_capability: line("/proc/sys/kernel/cap_last_cap").and_then(|n| n.parse().ok()),
        memory,
        processes,
        cpu,
        mounts,
        cgroups,
    }
}

/// Names in /proc need not be UTF-8.
fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read(path)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn line(path: &str) -> Option<String> {
    text(path).map(|text| text.trim_end().to_owned())
}

/// The number in a link such as `net:[4026531840]`.
pub fn namespace_inode(link: &Path) -> Option<u64> {
    link.to_str()?
        .split_once(":[")?
        .1
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// The lines of /proc/PID/status, `Name:\tvalue`.
pub fn status(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

pub fn id_map(text: &str) -> Vec<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse().ok());
            Some(IdRange {
                inside: numbers.next()??,
                outside: numbers.next()??,
                count: numbers.next()??,
            })
        })
        .collect()
}

pub fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut mount = mount.split(' ').skip(3);
            let mut file_system = file_system.split(' ');
            Some(Mount {
                root: unescape(mount.next()?),
                point: unescape(mount.next()?),
                read_only: mount.next()?.split(',').any(|option| option == "ro"),
                kind: file_system.next()?.to_owned(),
                options: file_system.nth(1).unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..3)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok())
        {
            Some(byte) => {
                out.push(byte as char);
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// The names in /proc/net/dev, whose first two lines are headings, with their numbers from /sys.
fn interfaces(dev: &str) -> Vec<Interface> {
    dev.lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| {
            let number = |file| {
                line(&format!("/sys/class/net/{}/{file}", name.trim()))?
                    .parse()
                    .ok()
            };
            Interface {
                name: name.trim().to_owned(),
                index: number("ifindex"),
                link: number("iflink"),
            }
        })
        .collect()
}

pub fn cgroups(text: &str) -> Vec<Cgroup> {
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some(Cgroup {
                controllers: controllers.to_owned(),
                path: path.to_owned(),
            })
        })
        .collect()
}

/// Where the control files of `controller` are for this process: the controller's own v1 hierarchy, else the v2 one.
pub fn control_folder(mounts: &[Mount], cgroups: &[Cgroup], controller: &str) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let v1 = mounts
        .iter()
        .rev()
        .find(|m| m.kind == "cgroup" && has(&m.options));
    let (mount, cgroup) = match v1 {
        Some(mount) => (mount, cgroups.iter().find(|c| has(&c.controllers))?),
        None => (
            mounts.iter().rev().find(|m| m.kind == "cgroup2")?,
            cgroups.iter().find(|c| c.controllers.is_empty())?,
        ),
    };
    // The mount may show only a part of the hierarchy, its root.
    let below = Path::new(&cgroup.path).strip_prefix(&mount.root).ok()?;
    Some(Path::new(&mount.point).join(below))
}

/// `max`, or a number; version 1 says "none" by a number beyond all memory.
pub fn limit(text: Option<String>) -> Limit {
    match text.as_deref().map(str::trim) {
        None => Limit::NotVisible,
        Some("max") => Limit::None,
        Some(number) => match number.parse() {
            Ok(n) if n < 1 << 62 => Limit::Max(n),
            Ok(_) => Limit::None,
            Err(_) => Limit::NotVisible,
        },
    }
}

/// `QUOTA PERIOD`, where `max` (version 2) and `-1` (version 1) are no limit.
pub fn cpu_limit(text: Option<String>) -> CpuLimit {
    let Some(text) = text else {
        return CpuLimit::NotVisible;
    };
    let mut words = text.split_whitespace();
    match (words.next(), words.next().and_then(|n| n.parse().ok())) {
        (Some("max" | "-1"), _) => CpuLimit::None,
        (Some(quota), Some(period)) if period > 0 => match quota.parse() {
            Ok(quota) => CpuLimit::Quota { quota, period },
            Err(_) => CpuLimit::NotVisible,
        },
        _ => CpuLimit::NotVisible,
    }
}
