//! Mounts of the machine's that a container has: criu leaves them out of the images, by a name, and has them again from
//! where the bundle says.

use std::collections::BTreeSet;
use std::fs;

use rustix::fs::{AtFlags, Mode, OFlags, StatxAttributes, StatxFlags};
use soute_sys::{CallError, Called as _};

use crate::containers::Error;
use crate::mountinfo::unescape;
use crate::mounts::root::{Links, Root};
use crate::plan::{MountSource, Plan};

/// The mounts that a process sees (proc_pid_mountinfo(5)).
#[derive(Debug)]
pub(crate) struct MountTable(Vec<(u64, String)>);

impl MountTable {
    pub(crate) fn of(pid: i32) -> Result<Self, Error> {
        let path = format!("/proc/{pid}/mountinfo");
        let text = fs::read_to_string(&path).map_err(|error| Error::Io {
            what: "reading",
            path: path.into(),
            error,
        })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mount = |line: &str| {
            let mut fields = line.split(' ');
            let id = fields.next()?.parse().ok()?;
            let place = unescape(fields.nth(3)?.as_bytes());
            Some((id, String::from_utf8_lossy(&place).into_owned()))
        };
        Self(text.lines().filter_map(mount).collect())
    }

    /// Whether the mount of that id is one of them.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.place(id).is_some()
    }

    fn place(&self, id: u64) -> Option<&str> {
        let mount = self.0.iter().find(|mount| mount.0 == id)?;
        Some(&mount.1)
    }

    fn below<'a>(&'a self, place: &str) -> impl Iterator<Item = &'a (u64, String)> {
        let prefix = format!("{}/", place.trim_end_matches('/'));
        self.0
            .iter()
            .filter(move |mount| mount.1.starts_with(&prefix))
    }
}

/// The arguments that name the machine's mounts in the container of this process.
///
/// # Errors
/// One of the plan's is not there any more, or more has come with it than the plan names.
pub(crate) fn of_the_machine(
    pid: i32,
    plan: &Plan,
    table: &MountTable,
) -> Result<Vec<String>, Error> {
    let path = format!("/proc/{pid}/root");
    let root = rustix::fs::open(
        &path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .called(|| format!("open(\"{path}\")"))?;
    let root = Root::new(root);
    let made = plan.mounts.iter().map(|mount| &mount.target);
    let made: BTreeSet<u64> = made
        .chain(&plan.masked_paths)
        .chain(&plan.readonly_paths)
        .filter_map(|path| mount_at(&root, path).ok().flatten())
        .collect();
    let mut arguments = Vec::new();
    for mount in &plan.mounts {
        let MountSource::Bind { recursive, .. } = &mount.source else {
            continue;
        };
        let target = &mount.target;
        let place = mount_at(&root, target)?.and_then(|id| table.place(id));
        let place = place.ok_or_else(|| {
            Error::Impossible(format!(
                "no checkpoint: what was mounted at {target} is not there any more"
            ))
        })?;
        let more = table.below(place).find(|mount| !made.contains(&mount.0));
        if let (true, Some((_, more))) = (recursive, more) {
            return Err(Error::Impossible(format!(
                "no checkpoint: {more} has come with what is mounted at {target}, and the bundle has no mount of its own \
                 for it"
            )));
        }
        if place.contains(['[', ']', '\n']) {
            return Err(Error::Impossible(format!(
                "no checkpoint: criu has no way to name what is mounted at {place:?}"
            )));
        }
        arguments.extend(["--external".to_owned(), format!("mnt[{place}]:{target}")]);
    }
    Ok(arguments)
}

/// The id of the mount the root of which `path` is.
fn mount_at(root: &Root, path: &str) -> Result<Option<u64>, CallError> {
    let fd = root.open(path, Links::Follow)?;
    let stat = rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .called(|| format!("statx(\"{path}\")"))?;
    let is_root = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(is_root.then_some(stat.stx_mnt_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_places() {
        let table = MountTable::parse(
            "127 97 259:1 /b/rootfs / ro,relatime master:1 - ext4 /dev/root rw\n\
             129 127 259:1 /data /a\\040b rw,relatime - ext4 /dev/root rw\n\
             130 129 0:5 / /a\\040b/c rw - tmpfs none rw\n",
        );
        assert!(table.has(129) && !table.has(97));
        assert_eq!(table.place(129), Some("/a b"));
        let below: Vec<u64> = table.below("/a b").map(|mount| mount.0).collect();
        assert_eq!(below, [130]);
        assert_eq!(table.below("/").count(), 3);
    }
}
