//! `--network ns:PATH`: a network namespace by a file that leads to it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatfs, open};
use soute_sys::{Called, nsfs};

use crate::error::{Error, io};
use crate::networks::{is_same_network, own_network};
use crate::plan::Joined;

/// `CLONE_NEW*` (linux/sched.h), and the kinds that they make.
const KINDS: [(u64, &str); 8] = [
    (NEWNET, "network"),
    (0x0002_0000, "mount"),
    (0x1000_0000, "user"),
    (0x2000_0000, "pid"),
    (0x0800_0000, "ipc"),
    (0x0400_0000, "uts"),
    (0x0200_0000, "cgroup"),
    (0x0000_0080, "time"),
];
const NEWNET: u64 = 0x4000_0000;

/// Opens the network namespace that `path` leads to.
///
/// # Errors
/// It leads to nothing, or to something else.
pub(crate) fn open_network(path: &Path) -> Result<Joined, Error> {
    let other = |what: &str| {
        Error::Impossible(format!(
            "--network ns:{}: {what}: /run/netns/NAME (of `ip netns add NAME`) and /proc/PID/ns/net are network \
             namespaces' files",
            path.display()
        ))
    };
    // Looked at before it is opened in earnest: to open a FIFO waits, and to open a device may do anything.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = match open(path, flags, Mode::empty()) {
        Ok(found) => found,
        Err(e) => {
            return Err(other(&format!(
                "cannot be opened: {}",
                std::io::Error::from(e)
            )));
        }
    };
    let kind = fstatfs(&found).called(|| format!("fstatfs(\"{}\")", path.display()))?;
    if kind.f_type != nsfs::MAGIC as rustix::fs::FsWord {
        return Err(other(
            "it is not the file of a namespace, or not one any more",
        ));
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = io("opening the namespace", path, File::open(&again))?;
    let flag = nsfs::clone_flag(&file)?;
    if flag != NEWNET {
        let kind = KINDS.iter().find(|(known, _)| *known == flag);
        let kind = kind.map_or("another", |(_, kind)| kind);
        return Err(other(&format!("it is a namespace of the kind {kind}")));
    }
    // The machine's own is shared as with `--network host`.
    match is_same_network(&file, own_network()?)? {
        true => Ok(Joined::Machines),
        false => Ok(Joined::Own(file.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_network_namespace_is_one() {
        let own = open_network(Path::new("/proc/self/ns/net"));
        assert!(matches!(own, Ok(Joined::Machines)));
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR).unwrap();
        for (path, why) in [
            (Path::new("/proc/self/ns/uts"), "of the kind uts"),
            (Path::new("/proc/self/ns/mnt"), "of the kind mount"),
            (Path::new("/nowhere"), "No such file"),
            (Path::new("/etc/passwd"), "not the file of a namespace"),
            (Path::new("/dev/null"), "not the file of a namespace"),
            (&fifo, "not the file of a namespace"),
            (folder.path(), "not the file of a namespace"),
        ] {
            let told = open_network(path).unwrap_err().to_string();
            assert!(told.contains(why), "{}: {told}", path.display());
        }
    }
}
