//! User and group id maps (user_namespaces(7)).

use serde::{Deserialize, Serialize};

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

    /// Checks what the kernel would only answer with EINVAL.
    pub fn validate(&self) -> Result<(), IdMapError> {
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
    if to_host(ranges, 0).is_none() {
        return Err(IdMapError::NoRoot { what });
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
