//! Who runs the program: names from the container's own /etc/passwd and /etc/group.
//!
//! Read by the container's first process after pivot_root, so that the files
//! are the container's whatever its image made of those paths.

use std::io::Read;

use rustix::fs::OFlags;
use rustix::io::Errno;
use soute_sys::process::put_away;

use super::failure::Failure;
use crate::mounts::root::{Links, Root};
use crate::plan::User;

/// No sane file is larger; a hostile one shall not fill the memory.
const LARGEST: u64 = 4 << 20;

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The home folder that /etc/passwd names.
    pub home: String,
}

impl Identity {
    /// Root, with no other groups.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0 && self.gid == 0 && self.groups.is_empty()
    }
}

/// Looks `user` up in the files of `root`, which are `whose` ("the container's"), for messages.
pub(crate) fn resolve(root: &Root, user: &User, whose: &str) -> Result<Identity, Failure> {
    match user {
        User::Named {
            spec,
            additional_groups,
        } => lookup(
            spec,
            additional_groups,
            &read(root, "/etc/passwd")?,
            &read(root, "/etc/group")?,
            whose,
        ),
        User::Ids { uid, gid, groups } => Ok(Identity {
            uid: *uid,
            gid: *gid,
            groups: groups.clone(),
            // What cannot be read names no home.
            home: home(*uid, &read(root, "/etc/passwd").unwrap_or_default()),
        }),
    }
}

fn home(uid: u32, passwd: &str) -> String {
    entries(passwd, 6)
        .find(|e| e[2].parse() == Ok(uid))
        .map(|e| e[5])
        .filter(|home| !home.is_empty())
        .unwrap_or("/")
        .to_owned()
}

fn read(root: &Root, path: &str) -> Result<String, Failure> {
    // By way of the root, not by open(2): this process still holds descriptors of the machine's, and a hostile image
    // could make the path a link to /proc/self/fd/N. NONBLOCK: or a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match root.open_with(path, flags, Links::Follow) {
        Ok(fd) => std::fs::File::from(fd),
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(e) => return Err(Failure::setup(format!("reading {path}"), e)),
    };
    let metadata = file
        .metadata()
        .map_err(|e| Failure::setup(format!("reading {path}"), e))?;
    if !metadata.is_file() {
        return Err(Failure::setup(
            format!("reading {path}"),
            "not a regular file",
        ));
    }
    let length = metadata.len().min(LARGEST);
    let mut bytes = Vec::with_capacity(length as usize);
    // Not to its end, which a file that grows has not.
    (&file)
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::setup(format!("reading {path}"), e))?;
    put_away(file.into());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line of passwd(5) or group(5), split; lines that are none are passed over, as getpwnam(3) does.
pub(crate) fn entries(text: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .filter(move |entry| entry.len() >= fields)
}

/// A number is a number and never a name; one that is no id is refused, not wrapped.
fn number(text: &str, what: &str) -> Result<Option<u32>, Failure> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        // 2^32-1 is "no id" to the kernel.
        Ok(id) if id < u32::MAX => Ok(Some(id)),
        _ => Err(Failure::setup(
            format!("{what} {text}"),
            "ids go from 0 to 4294967294",
        )),
    }
}

/// The rules: see credentials(7) and Docker's `--user`.
fn lookup(
    spec: &str,
    additional_groups: &[String],
    passwd: &str,
    group: &str,
    whose: &str,
) -> Result<Identity, Failure> {
    let (name, group_name) = match spec.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (spec, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let wanted = number(name, "user")?;
    let entry = entries(passwd, 6).find(|e| match wanted {
        Some(uid) => e[2].parse() == Ok(uid),
        None => e[0] == name,
    });
    let identity = match (&entry, wanted) {
        (Some(e), _) => {
            let uid = number(e[2], "user")?;
            let gid = number(e[3], "group")?;
            let (Some(uid), Some(gid)) = (uid, gid) else {
                return Err(Failure::setup(
                    format!("user {name}"),
                    format!("its line in {whose} /etc/passwd has no numeric ids"),
                ));
            };
            Identity {
                uid,
                gid,
                groups: Vec::new(),
                home: e[5].to_owned(),
            }
        }
        (None, Some(uid)) => Identity {
            uid,
            gid: 0,
            groups: Vec::new(),
            home: "/".to_owned(),
        },
        (None, None) => {
            return Err(Failure::setup(
                format!("user {name}"),
                format!("no such name in {whose} /etc/passwd"),
            ));
        }
    };
    let mut identity = identity;
    match group_name {
        Some(g) => identity.gid = find_group(g, group, whose)?,
        // Only without an explicit group do the user's own memberships count.
        None => {
            if let Some(e) = &entry {
                identity.groups = entries(group, 4)
                    .filter(|g| g[3].split(',').any(|member| member == e[0]))
                    .filter_map(|g| g[2].parse().ok())
                    .collect();
            }
        }
    }
    for g in additional_groups {
        identity.groups.push(find_group(g, group, whose)?);
    }
    identity.groups.sort_unstable();
    identity.groups.dedup();
    if identity.home.is_empty() {
        identity.home = "/".to_owned();
    }
    Ok(identity)
}

fn find_group(name: &str, group: &str, whose: &str) -> Result<u32, Failure> {
    if let Some(gid) = number(name, "group")? {
        return Ok(gid);
    }
    entries(group, 3)
        .find(|e| e[0] == name)
        .and_then(|e| e[2].parse().ok())
        .ok_or_else(|| {
            Failure::setup(
                format!("group {name}"),
                format!("no such name in {whose} /etc/group"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken line\n\
        bob:x:1000:1001:Bob:/home/bob:/bin/sh\n\
        1000000:x:7:7::/seven:/bin/sh\n\
        bad:x:-1:abc::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nbob:x:1001:\nwheel:x:10:root,bob\nvideo:x:44:bob\n";

    fn look(spec: &str, more: &[&str]) -> Result<Identity, Failure> {
        let more: Vec<String> = more.iter().map(|s| (*s).to_owned()).collect();
        lookup(spec, &more, PASSWD, GROUP, "its")
    }

    fn ids(spec: &str) -> (u32, u32, Vec<u32>, String) {
        let i = look(spec, &[]).unwrap();
        (i.uid, i.gid, i.groups, i.home)
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(ids(""), (0, 0, vec![10], "/root".into()));
        assert_eq!(ids("bob"), (1000, 1001, vec![10, 44], "/home/bob".into()));
        assert_eq!(ids("1000"), (1000, 1001, vec![10, 44], "/home/bob".into()));
        assert_eq!(ids("bob:wheel"), (1000, 10, vec![], "/home/bob".into()));
        assert_eq!(ids("4242"), (4242, 0, vec![], "/".into()));
        assert_eq!(ids("4242:77"), (4242, 77, vec![], "/".into()));
        assert_eq!(ids(":wheel"), (0, 10, vec![], "/root".into()));
    }

    #[test]
    fn a_number_never_falls_back_to_a_name() {
        // There is a user *named* 1000000 with uid 7.
        assert_eq!(ids("1000000").0, 1_000_000);
    }

    #[test]
    fn bad_ones_are_refused() {
        for spec in [
            "nobody-here",
            "bob:nogroup",
            "4294967295",
            "4294967296",
            "99999999999999999999",
            "-1",
            "bad",
        ] {
            look(spec, &[]).unwrap_err();
        }
        look("bob", &["nogroup"]).unwrap_err();
    }

    #[test]
    fn additional_groups_are_added_once() {
        assert_eq!(
            look("bob", &["44", "wheel", "5"]).unwrap().groups,
            vec![5, 10, 44]
        );
    }
}
