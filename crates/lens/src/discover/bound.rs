//! Namespaces kept by a bind mount of their file, as `ip netns add` makes, in whichever mount namespace it is.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;

use super::Discovery;
use crate::proc::{Look, Proc, ProcessFolder, mountinfo, split};
use crate::relations::{identity, reopen};
use crate::text::visible;
use crate::{Bound, Error, Kind, Namespace, NamespaceId};

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    let myself = proc.myself()?;
    let here = myself.namespace(Kind::Mnt.name())?.seen();
    if let Look::Seen(text) = myself.read("mountinfo")? {
        record(&text, None, found)?;
        found.unlisted = unlisted(&text)?;
    }
    let elsewhere: Vec<(NamespaceId, Vec<u32>)> = found
        .of_kind(Kind::Mnt)
        .filter(|namespace| Some(namespace.id) != here)
        .map(|namespace| (namespace.id, namespace.processes.clone()))
        .collect();
    for (id, processes) in elsewhere {
        if let Some((pid, text)) = mountinfo_in(proc, id, &processes)? {
            record(&text, Some(pid), found)?;
        }
    }
    Ok(())
}

/// What is mounted in the mount namespace `id`: the first of `processes` that is still there and in it speaks for all.
pub(crate) fn mountinfo_in(
    proc: &Proc,
    id: NamespaceId,
    processes: &[u32],
) -> Result<Option<(u32, Vec<u8>)>, Error> {
    for pid in processes {
        let Look::Seen(folder) = proc.process(*pid)? else {
            continue;
        };
        if folder.namespace(Kind::Mnt.name())? == Look::Seen(id)
            && let Look::Seen(text) = folder.read("mountinfo")?
        {
            return Ok(Some((*pid, text)));
        }
    }
    Ok(None)
}

fn record(text: &[u8], seen_by: Option<u32>, found: &mut Discovery) -> Result<(), Error> {
    for mount in mountinfo(text)? {
        if mount.file_system != b"nsfs" {
            continue;
        }
        let Some((kind, inode)) = split(&mount.root) else {
            return Err(Error::malformed("/proc/PID/mountinfo", &mount.root));
        };
        let Ok(kind) = kind.parse() else {
            found.unknown.push(visible(&mount.root));
            continue;
        };
        let (major, minor) = mount.device;
        let id = NamespaceId {
            dev: rustix::fs::makedev(major, minor),
            inode,
        };
        let bound = Bound {
            seen_by,
            path: mount.mount_point,
        };
        found.entry(kind, id).bound.push(bound);
    }
    Ok(())
}

/// The `hidepid=` option of the procfs at /proc, where it leaves processes out.
fn unlisted(text: &[u8]) -> Result<Option<String>, Error> {
    let mounts = mountinfo(text)?;
    let proc = mounts
        .iter()
        .rev()
        .find(|mount| mount.mount_point == Path::new("/proc"));
    Ok(proc.and_then(|proc| {
        let mut options = proc.super_options.split(|byte| *byte == b',');
        let option = options.find(|option| option.starts_with(b"hidepid="))?;
        let harmless = [
            &b"hidepid=0"[..],
            b"hidepid=off",
            b"hidepid=1",
            b"hidepid=noaccess",
        ];
        (!harmless.contains(&option)).then(|| visible(option))
    }))
}

/// Opens one of the bind mounts of `namespace`.
pub(super) fn open(proc: &Proc, namespace: &Namespace) -> Result<Option<OwnedFd>, Error> {
    for bound in &namespace.bound {
        let folder = match bound.seen_by {
            None => proc.myself()?,
            Some(pid) => match proc.process(pid)? {
                Look::Seen(folder) => folder,
                Look::Gone | Look::Hidden => continue,
            },
        };
        if let Some(fd) = open_inside(&folder, &bound.path)?
            && identity(&fd)? == namespace.id
        {
            return Ok(Some(fd));
        }
    }
    Ok(None)
}

/// Opens the namespace's file at `path` in the root of a process, which may be hostile: no link there leads outside, and
/// nothing but a namespace's file is opened.
fn open_inside(folder: &ProcessFolder, path: &Path) -> Result<Option<OwnedFd>, Error> {
    match folder.open_in_root(path, OFlags::PATH) {
        Ok(file) => reopen(&file),
        // Gone, covered or forbidden by now: then its relations stay unknown.
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_unknown_kinds_are_not_lost() {
        let mut found = Discovery::default();
        record(
            b"1 1 0:4 dream:[7] /x rw - nsfs nsfs rw\n",
            None,
            &mut found,
        )
        .unwrap();
        assert_eq!(found.unknown, ["dream:[7]"]);
        let error = record(b"1 1 0:4 /what /x rw - nsfs nsfs rw\n", None, &mut found).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }));
    }

    #[test]
    fn a_procfs_that_leaves_processes_out_is_noticed() {
        let text = |option: &str| format!("22 27 0:21 / /proc rw - proc proc rw{option}\n");
        let unlisted = |option| unlisted(text(option).as_bytes()).unwrap();
        assert_eq!(unlisted(""), None);
        assert_eq!(unlisted(",hidepid=off"), None);
        assert_eq!(
            unlisted(",gid=5,hidepid=invisible").as_deref(),
            Some("hidepid=invisible")
        );
        assert_eq!(unlisted(",hidepid=2").as_deref(), Some("hidepid=2"));
    }
}
