//! User and group id maps (user_namespaces(7)).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::LinkNameSpaceType;
use serde::{Deserialize, Serialize};
use soute_sys::process::{Cloned, clone3, exit_now, flags, fork};
use soute_sys::{CallError, Called as _};

use crate::process::channel::Channel;
use crate::process::wait::reap;

/// One line of a uid_map or gid_map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first id in the namespace.
    pub container: u32,
    /// The first id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// Both maps of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
}

/// Why a pair of maps cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdMapError {
    /// Nothing is mapped, or more than the kernel takes.
    #[error("{what}: {count} ranges; the kernel takes 1 to 340")]
    Count {
        /// `uid_map` or `gid_map`.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A range is empty or passes the highest id.
    #[error("{what}: the range {container}:{host}:{size} is empty or leaves the 32-bit ids")]
    Range {
        /// `uid_map` or `gid_map`.
        what: &'static str,
        /// First id in the namespace.
        container: u32,
        /// First id outside.
        host: u32,
        /// How many.
        size: u32,
    },
    /// Two ranges share an id.
    #[error("{what}: two ranges overlap at {id}")]
    Overlap {
        /// `uid_map` or `gid_map`.
        what: &'static str,
        /// The first id that both hold.
        id: u32,
    },
    /// Root is not mapped, so nothing could be set up.
    #[error("{what}: id 0 of the container is not mapped")]
    NoRoot {
        /// `uid_map` or `gid_map`.
        what: &'static str,
    },
}

impl IdMaps {
    /// The same range for users and groups, from id 0 on.
    pub fn contiguous(uid: u32, gid: u32, size: u32) -> Self {
        let range = |host| {
            vec![IdRange {
                container: 0,
                host,
                size,
            }]
        };
        Self {
            uids: range(uid),
            gids: range(gid),
        }
    }

    /// Checks what the kernel would only answer with EINVAL, and that there is a root.
    pub fn validate(&self) -> Result<(), IdMapError> {
        self.validate_of_mount()?;
        for (what, ranges) in [("uid_map", &self.uids), ("gid_map", &self.gids)] {
            if to_host(ranges, 0).is_none() {
                return Err(IdMapError::NoRoot { what });
            }
        }
        Ok(())
    }

    /// Checks what the kernel would only answer with EINVAL. The maps of a mount need no root.
    pub fn validate_of_mount(&self) -> Result<(), IdMapError> {
        validate("uid_map", &self.uids)?;
        validate("gid_map", &self.gids)
    }

    /// The ids outside of the container's root.
    pub fn root(&self) -> Option<(u32, u32)> {
        Some((to_host(&self.uids, 0)?, to_host(&self.gids, 0)?))
    }

    /// The user id outside that `id` in the container is.
    pub fn host_uid(&self, id: u32) -> Option<u32> {
        to_host(&self.uids, id)
    }

    /// The group id outside that `id` in the container is.
    pub fn host_gid(&self, id: u32) -> Option<u32> {
        to_host(&self.gids, id)
    }
}

fn to_host(ranges: &[IdRange], id: u32) -> Option<u32> {
    ranges
        .iter()
        .find(|r| id >= r.container && id - r.container < r.size)
        .map(|r| r.host + (id - r.container))
}

/// A user namespace with these maps and without a process: it lives as long as its descriptor.
///
/// # Errors
/// The call that failed. The caller may have one thread only.
pub fn user_namespace(maps: &IdMaps) -> Result<OwnedFd, CallError> {
    let (ours, theirs) = Channel::pair()?;
    match clone3(flags::NEWUSER, None)? {
        Cloned::Child => {
            drop(ours);
            // Held until the maps are written and the namespace is open: the end of the channel says so.
            let _ = theirs.receive();
            exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let written = write_maps(pid, maps).and_then(|()| open_namespace(pid, "user"));
            drop(ours);
            reap(pidfd);
            written
        }
    }
}

/// The maps of a user namespace that is open, as this process's own namespace numbers ids.
///
/// # Errors
/// The call that failed. The caller may have one thread only.
pub fn maps_of(namespace: impl AsFd) -> Result<IdMaps, CallError> {
    let (ours, theirs) = Channel::pair()?;
    match fork()? {
        Cloned::Child => {
            drop(ours);
            let entered = rustix::thread::move_into_link_name_space(
                namespace.as_fd(),
                Some(LinkNameSpaceType::User),
            );
            if entered.is_ok() {
                let _ = theirs.send(b"E", &[]);
                let _ = theirs.receive();
            }
            exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let maps = match ours.receive() {
                Ok(Some(_)) => read_maps(pid),
                Ok(None) => Err(CallError::new("setns(CLONE_NEWUSER)", Errno::INVAL)),
                Err(e) => Err(e),
            };
            drop(ours);
            reap(pidfd);
            maps
        }
    }
}

/// Reads both maps of the user namespace that a child, not yet waited for, is in.
fn read_maps(pid: Pid) -> Result<IdMaps, CallError> {
    let read = |file: &str| {
        let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
        let text = std::fs::read_to_string(&path).called(|| format!("read(\"{path}\")"))?;
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(container)), Some(Ok(host)), Some(Ok(size))) => Some(IdRange {
                    container,
                    host,
                    size,
                }),
                _ => None,
            }
        };
        Ok(text.lines().filter_map(range).collect())
    };
    Ok(IdMaps {
        uids: read("uid_map")?,
        gids: read("gid_map")?,
    })
}

/// Writes both maps of the user namespace that a child, not yet waited for, is in.
pub(crate) fn write_maps(pid: Pid, maps: &IdMaps) -> Result<(), CallError> {
    write_proc(pid, "uid_map", &map_text(&maps.uids))?;
    write_proc(pid, "gid_map", &map_text(&maps.gids))
}

/// Writes below /proc/PID of a child that has not been waited for, whose number therefore cannot be another's.
pub(crate) fn write_proc(pid: Pid, file: &str, text: &str) -> Result<(), CallError> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    let fd = rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\", O_WRONLY)"))?;
    rustix::io::write(&fd, text.as_bytes())
        .called(|| format!("write(\"{path}\", {text:?})"))
        .map(drop)
}

/// Opens a namespace of a child that has not been waited for.
pub(crate) fn open_namespace(pid: Pid, kind: &str) -> Result<OwnedFd, CallError> {
    let path = format!("/proc/{}/ns/{kind}", pid.as_raw_nonzero());
    rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\")"))
}

/// The text for /proc/PID/uid_map or gid_map.
pub fn map_text(ranges: &[IdRange]) -> String {
    ranges
        .iter()
        .map(|r| format!("{} {} {}\n", r.container, r.host, r.size))
        .collect()
}

fn validate(what: &'static str, ranges: &[IdRange]) -> Result<(), IdMapError> {
    if ranges.is_empty() || ranges.len() > 340 {
        return Err(IdMapError::Count {
            what,
            count: ranges.len(),
        });
    }
    for r in ranges {
        // The last id, -1, stands for "no id" in the kernel.
        let fits = |first: u32| first.checked_add(r.size).is_some();
        if r.size == 0 || !fits(r.container) || !fits(r.host) {
            return Err(IdMapError::Range {
                what,
                container: r.container,
                host: r.host,
                size: r.size,
            });
        }
    }
    for (i, a) in ranges.iter().enumerate() {
        for b in &ranges[..i] {
            for (x, y) in [(a.container, b.container), (a.host, b.host)] {
                if x < y + b.size && y < x + a.size {
                    return Err(IdMapError::Overlap { what, id: x.max(y) });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_maps_root() {
        let maps = IdMaps::contiguous(100_000, 200_000, 65_536);
        maps.validate().unwrap();
        assert_eq!(maps.root(), Some((100_000, 200_000)));
        assert_eq!(maps.host_uid(65_535), Some(165_535));
        assert_eq!(maps.host_uid(65_536), None);
        assert_eq!(map_text(&maps.gids), "0 200000 65536\n");
    }

    #[test]
    fn impossible_maps_are_refused() {
        let range = |container, host, size| IdRange {
            container,
            host,
            size,
        };
        let check = |uids: Vec<IdRange>| {
            IdMaps {
                gids: uids.clone(),
                uids,
            }
            .validate()
            .unwrap_err()
        };
        assert!(matches!(check(vec![]), IdMapError::Count { .. }));
        assert!(matches!(
            check(vec![range(0, 1, 0)]),
            IdMapError::Range { .. }
        ));
        assert!(matches!(
            check(vec![range(0, u32::MAX, 2)]),
            IdMapError::Range { .. }
        ));
        assert!(matches!(
            check(vec![range(0, 10, 10), range(10, 19, 1)]),
            IdMapError::Overlap { id: 19, .. }
        ));
        assert!(matches!(
            check(vec![range(1, 10, 10)]),
            IdMapError::NoRoot { .. }
        ));
    }
}
