//! Which ids of the machine a container's user namespace maps to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use soute_runtime::idmap::{IdMaps, IdRange};

use crate::error::{Error, io};
use crate::ids;
use crate::places::{Places, remove_if_there};

/// Where the ranges of `--userns auto` start: ids that no distribution and no system tool gives out (systemd's
/// "UIDS-GIDS" calls 0x70000000 to 0x7fffffff unused).
const POOL: u32 = 0x7000_0000;
/// How many ids a container gets: all that a 16-bit id can name, nobody (65534) among them.
const RANGE: u32 = 65_536;
/// How many ranges the pool has.
const RANGES: u32 = 4096;
/// What is being done when a range cannot be given up.
const FREEING: &str = "freeing the id range";

/// Takes a range that no other container has, for container `id`.
///
/// A link `NUMBER -> id` is the reservation: making it is atomic. The search starts at a place that the id tells, so
/// that it rarely meets another's.
pub(crate) fn take_range(places: &Places, id: &str) -> Result<IdMaps, Error> {
    let (base, ranges) = pool()?;
    let start = u32::from_str_radix(&id[..8], 16).unwrap_or(0) % ranges;
    for i in 0..ranges {
        let number = (start + i) % ranges;
        let link = places.ranges().join(number.to_string());
        match std::os::unix::fs::symlink(id, &link) {
            Ok(()) => {
                let first = base + number * RANGE;
                return Ok(IdMaps::contiguous(first, first, RANGE));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return io("taking the id range", &link, Err(e)),
        }
    }
    Err(Error::NoIds(format!(
        "all {ranges} ranges from {base} on belong to containers; `soute rm` frees them"
    )))
}

/// Keeps the range of `maps` for container `id`, too, which runs in the user namespace of the one that has it: that
/// may end and be removed first.
///
/// A link `NUMBER.id -> id` stands beside the reservation, which its holder hands on.
pub(crate) fn share_range(places: &Places, id: &str, maps: &IdMaps) -> Result<(), Error> {
    let Some(link) = link_of(places, maps)? else {
        return Ok(());
    };
    let share = share_of(&link, id);
    io(
        "sharing the id range",
        &share,
        std::os::unix::fs::symlink(id, &share),
    )
}

/// Puts a container's reservation back (after a boot, when the links are gone). Of several with one range any may hold
/// it.
pub(crate) fn keep_range(places: &Places, id: &str, maps: &IdMaps) -> Result<(), Error> {
    let Some(link) = link_of(places, maps)? else {
        return Ok(());
    };
    match std::os::unix::fs::symlink(id, &link) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        other => return io("keeping the id range", &link, other),
    }
    let share = share_of(&link, id);
    match std::fs::read_link(&link) {
        Ok(holder) if holder == Path::new(id) => Ok(()),
        _ => match std::os::unix::fs::symlink(id, &share) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => io("sharing the id range", &share, other),
        },
    }
}

/// Gives up what container `id` has of the range of `maps`.
pub(crate) fn free_range(places: &Places, id: &str, maps: &IdMaps) -> Result<(), Error> {
    let Some(link) = link_of(places, maps)? else {
        return Ok(());
    };
    // The share first: once it is gone, nobody can hand the range to this container any more.
    remove_if_there(FREEING, &share_of(&link, id))?;
    match std::fs::read_link(&link) {
        Ok(holder) if holder == Path::new(id) => hand_on(&link),
        _ => Ok(()),
    }
}

/// Gives up whatever range container `id` has, found by search.
pub(crate) fn free_ranges(places: &Places, id: &str) -> Result<(), Error> {
    let (shares, held): (Vec<_>, Vec<_>) = ids::links_to(&places.ranges(), id)?
        .into_iter()
        .partition(|link| is_share(link));
    shares
        .iter()
        .try_for_each(|share| remove_if_there(FREEING, share))?;
    held.iter().try_for_each(|link| hand_on(link))
}

/// Frees a range, or makes it that of one who shares it.
fn hand_on(link: &Path) -> Result<(), Error> {
    let folder = link.parent().unwrap_or(link);
    for entry in io("reading the folder", folder, std::fs::read_dir(folder))? {
        let share = io("reading the folder", folder, entry)?.path();
        if is_share(&share) && share.with_extension("") == link {
            match std::fs::rename(&share, link) {
                // Given up since the folder was read.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => return io("handing on the id range", link, other),
            }
        }
    }
    remove_if_there(FREEING, link)
}

/// The link that says that container `id` shares the range that `link` reserves.
fn share_of(link: &Path, id: &str) -> PathBuf {
    link.with_extension(id)
}

fn is_share(link: &Path) -> bool {
    link.extension().is_some()
}

fn link_of(places: &Places, maps: &IdMaps) -> Result<Option<PathBuf>, Error> {
    let (base, ranges) = pool()?;
    let number = match maps.uids.as_slice() {
        [only] if only.size == RANGE && only.host >= base => (only.host - base) / RANGE,
        _ => return Ok(None),
    };
    Ok((number < ranges).then(|| places.ranges().join(number.to_string())))
}

/// The first id of the pool and how many ranges it has, in this process's own user namespace: a process that left it
/// would make no container.
fn pool() -> Result<(u32, u32), Error> {
    static IS_MAPPED: OnceLock<bool> = OnceLock::new();
    let mapped = match IS_MAPPED.get() {
        Some(known) => *known,
        None => {
            let path = Path::new("/proc/self/uid_map");
            let map = io("reading", path, std::fs::read_to_string(path))?;
            *IS_MAPPED.get_or_init(|| maps_the_pool(&map))
        }
    };
    if mapped {
        return Ok((POOL, RANGES));
    }
    Err(Error::NoIds(
        "this user namespace does not map the ids from 1879048192 on (a container in a container?); \
         --userns host shares the namespace that soute runs in"
            .to_owned(),
    ))
}

fn maps_the_pool(uid_map: &str) -> bool {
    let end = u64::from(POOL) + u64::from(RANGE) * u64::from(RANGES);
    parse_map(uid_map)
        .iter()
        .any(|r| r.container <= POOL && u64::from(r.container) + u64::from(r.size) > end)
}

fn parse_map(text: &str) -> Vec<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut n = line.split_whitespace().map(|n| n.parse::<u32>().ok());
            Some(IdRange {
                container: n.next()??,
                host: n.next()??,
                size: n.next()??,
            })
        })
        .collect()
}

/// The subordinate ids of `user` and `group` (`--userns remap:…`), from subuid(5) and subgid(5).
pub(crate) fn remap(user: &str, group: Option<&str>) -> Result<IdMaps, Error> {
    let read = |path: &str| {
        io(
            "reading",
            Path::new(path),
            match std::fs::read_to_string(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
                other => other,
            },
        )
    };
    remap_from(
        user,
        group,
        &Databases {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
            subuid: read("/etc/subuid")?,
            subgid: read("/etc/subgid")?,
        },
    )
}

struct Databases {
    passwd: String,
    group: String,
    subuid: String,
    subgid: String,
}

fn remap_from(user: &str, group: Option<&str>, db: &Databases) -> Result<IdMaps, Error> {
    let refuse = |why: String| Error::Remap {
        user: match group {
            Some(g) => format!("{user}:{g}"),
            None => user.to_owned(),
        },
        why,
    };
    let (name, number) = identify(user, &db.passwd)
        .ok_or_else(|| refuse(format!("no user {user} in /etc/passwd")))?;
    let uids = subordinate(&db.subuid, &name, &number);
    if uids.is_empty() {
        return Err(refuse(format!("{name} has no range in /etc/subuid")));
    }
    // Docker's rule: the ranges of the *user's* name serve for groups unless a group is named.
    let (gname, gnumber) = match group {
        Some(g) => {
            identify(g, &db.group).ok_or_else(|| refuse(format!("no group {g} in /etc/group")))?
        }
        None => (name.clone(), number.clone()),
    };
    let gids = subordinate(&db.subgid, &gname, &gnumber);
    if gids.is_empty() {
        return Err(refuse(format!("{gname} has no range in /etc/subgid")));
    }
    let maps = IdMaps { uids, gids };
    maps.validate().map_err(|e| refuse(e.to_string()))?;
    Ok(maps)
}

/// Name and number of a line of passwd(5) or group(5); a number is looked up as a number only.
fn identify(what: &str, database: &str) -> Option<(String, String)> {
    let numeric = !what.is_empty() && what.bytes().all(|b| b.is_ascii_digit());
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (if numeric {
            number == what
        } else {
            name == what
        })
        .then(|| (name.to_owned(), number.to_owned()))
    })
}

/// The ranges of one owner, joined from container id 0 on.
fn subordinate(text: &str, name: &str, number: &str) -> Vec<IdRange> {
    let mut next = 0u32;
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if owner != name && owner != number {
                return None;
            }
            let (host, size) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let container = next;
            next = next.checked_add(size)?;
            Some(IdRange {
                container,
                host,
                size,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db() -> Databases {
        Databases {
            passwd:
                "root:x:0:0::/:/bin/sh\nbob:x:1000:1000::/:/bin/sh\namy:x:1001:1001::/:/bin/sh\n"
                    .into(),
            group: "root:x:0:\nbob:x:1000:\nstaff:x:50:\n".into(),
            subuid: "bob:100000:65536\n# comment\nbroken\nbob:300000:10\n1001:5:1\n".into(),
            subgid: "bob:200000:65536\nstaff:400000:1000\n".into(),
        }
    }

    #[test]
    fn subordinate_ids_of_a_user() {
        let maps = remap_from("bob", Some("bob"), &db()).unwrap();
        assert_eq!(maps.root(), Some((100_000, 200_000)));
        assert_eq!(maps.host_uid(65_536), Some(300_000));
        let maps = remap_from("1000", Some("staff"), &db()).unwrap();
        assert_eq!(maps.root(), Some((100_000, 400_000)));
    }

    #[test]
    fn what_is_missing_is_named() {
        let why = |u, g| remap_from(u, g, &db()).unwrap_err().to_string();
        assert!(why("eve", None).contains("no user eve"));
        assert!(why("bob", Some("nogroup")).contains("no group nogroup"));
        assert!(why("root", None).contains("/etc/subuid"));
        assert!(why("amy", None).contains("/etc/subgid"));
    }

    #[test]
    fn ranges_are_taken_once_and_freed() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            root: dir.path().join("root"),
            run: dir.path().join("run"),
            config: dir.path().join("c"),
        };
        places.make().unwrap();
        let id = "00".repeat(32);
        let a = take_range(&places, &id).unwrap();
        let b = take_range(&places, &id).unwrap();
        assert_ne!(a, b);
        assert_eq!(a.root(), Some((POOL, POOL)));
        free_range(&places, &id, &a).unwrap();
        assert_eq!(take_range(&places, &id).unwrap(), a);
        free_range(&places, "another", &a).unwrap();
        keep_range(&places, &id, &a).unwrap();
        assert_ne!(take_range(&places, &id).unwrap(), a);
    }

    #[test]
    fn a_range_is_free_when_all_who_share_it_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            root: dir.path().join("root"),
            run: dir.path().join("run"),
            config: dir.path().join("c"),
        };
        places.make().unwrap();
        let ids = ["00", "11", "22"].map(|pair| pair.repeat(32));
        let [first, second, third] = &ids;
        let left = || std::fs::read_dir(places.ranges()).unwrap().count();
        let maps = take_range(&places, first).unwrap();
        share_range(&places, second, &maps).unwrap();
        share_range(&places, third, &maps).unwrap();
        // In any order, and by search.
        free_range(&places, first, &maps).unwrap();
        free_ranges(&places, third).unwrap();
        free_range(&places, third, &maps).unwrap();
        assert_eq!(left(), 1);
        assert_ne!(take_range(&places, first).unwrap(), maps);
        free_ranges(&places, first).unwrap();
        free_range(&places, second, &maps).unwrap();
        assert_eq!(left(), 0);
        // After a boot.
        for _ in 0..2 {
            for id in &ids {
                keep_range(&places, id, &maps).unwrap();
            }
        }
        assert_eq!(left(), 3);
        for id in &ids {
            free_ranges(&places, id).unwrap();
        }
        assert_eq!(left(), 0);
    }
}
