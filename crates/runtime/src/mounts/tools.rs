//! The machine's programs laid over the files of a mount namespace, for one process alone.
//!
//! A program of the machine's wants the loader and the libraries that it was made with, at the paths that are written in
//! it. So the process gets a copy of the mount namespace with another root: a tmpfs that has in it all that is in the old
//! root, but for the folders of programs and libraries (hier(7)), in which the machine's are merged over those that were
//! there, by an overlay that nothing can be written to. Where one cannot be made, the machine's alone are there.
//!
//! Nothing of it is seen outside of the copy, and nothing is written to the files beneath.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, UnmountFlags};
use soute_sys::mount::{MountAttr, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, mount_setattr};
use soute_sys::process::{flags, unshare};
use soute_sys::{CallError, Called};

use super::copy::names;
use super::{clone_of_one, new_filesystem, place};

/// Folders of programs and libraries.
const FOLDERS: [&CStr; 7] = [
    c"bin", c"lib", c"lib32", c"lib64", c"libx32", c"sbin", c"usr",
];

/// Where the machine's folders are while the root is made.
const SCRATCH: &str = ".machine";

/// The machine's own programs, taken along.
#[derive(Debug)]
pub(crate) struct Tools(Vec<(&'static CStr, Entry)>);

/// What the machine has of a name in its root.
#[derive(Debug)]
enum Entry {
    /// A folder, as a detached mount that nothing can be written to.
    Folder(OwnedFd),
    /// A link, where everything is in /usr.
    Link(CString),
}

impl Tools {
    /// To be called where the machine's files are in sight.
    pub(crate) fn take() -> Result<Self, CallError> {
        let mut taken = Vec::new();
        for name in FOLDERS {
            let path = Path::new("/").join(name.to_string_lossy().as_ref());
            let stat = match rustix::fs::lstat(&path) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(CallError::new(format!("lstat({path:?})"), e)),
            };
            let entry = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => Entry::Link(
                    rustix::fs::readlink(&path, Vec::new())
                        .called(|| format!("readlink({path:?})"))?,
                ),
                FileType::Directory => {
                    let tree = clone_of_one(&path)?;
                    let attributes = MountAttr {
                        set: RDONLY | NOSUID | NODEV,
                        propagation: PRIVATE,
                        ..MountAttr::default()
                    };
                    mount_setattr(&tree, false, &attributes)?;
                    Entry::Folder(tree)
                }
                _ => continue,
            };
            taken.push((name, entry));
        }
        Ok(Self(taken))
    }

    /// Of what was taken.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().filter_map(|(_, entry)| match entry {
            Entry::Folder(tree) => Some(tree.as_raw_fd()),
            Entry::Link(_) => None,
        })
    }
}

/// Gives this process a mount namespace of its own, a copy, and in it `tools`; with `processes` also a new /proc, of the
/// PID namespace that it is in. `owner`: user and group that the machine has for root in there, if they are others.
pub(crate) fn lay_over(
    tools: Tools,
    processes: bool,
    owner: Option<(u32, u32)>,
) -> Result<(), CallError> {
    unshare(flags::NEWNS)?;
    // What is mounted there later is seen here, not the other way round.
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", downstream)
        .called(|| "mount(\"/\", MS_SLAVE | MS_REC)".to_owned())?;
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = rustix::fs::open("/", folder, Mode::empty()).called(|| "open(\"/\")".to_owned())?;
    let (uid, gid) = owner.unwrap_or((0, 0));
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let options = [
        ("mode", "0755"),
        ("uid", uid.as_str()),
        ("gid", gid.as_str()),
    ];
    let new = new_filesystem("tmpfs", &options, NOSUID | NODEV)?;
    // Paths that begin with a slash lead to the old root still, others to the new one.
    place::attach_root(&new)?;
    rustix::process::fchdir(&new).called(|| "fchdir(the new root)".to_owned())?;

    make_folder(SCRATCH)?;
    let mut laid = BTreeSet::new();
    for (name, entry) in &tools.0 {
        if let Entry::Folder(tree) = entry {
            let place = in_scratch(name);
            make_folder(&place)?;
            place::attach_root_at(tree, place.as_str())?;
        }
    }
    for (name, entry) in &tools.0 {
        lay(name, entry, &old)?;
        laid.insert((*name).to_owned());
    }
    for name in names(&old, Path::new("/"))? {
        if !laid.contains(&name) {
            bring(&old, &name)?;
        }
    }
    for (name, entry) in &tools.0 {
        if let Entry::Folder(_) = entry {
            let place = in_scratch(name);
            rustix::mount::unmount(place.as_str(), UnmountFlags::DETACH)
                .called(|| format!("umount2({place:?}, MNT_DETACH)"))?;
            rustix::fs::rmdir(place.as_str()).called(|| format!("rmdir({place:?})"))?;
        }
    }
    rustix::fs::rmdir(SCRATCH).called(|| format!("rmdir({SCRATCH:?})"))?;
    if processes {
        match rustix::fs::mkdir("proc", Mode::from_raw_mode(0o555)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(CallError::new("mkdir(\"proc\")", e)),
        }
        place::attach_root_at(&processes_here()?, "proc")?;
    }
    // What would be written here were lost with the process: it is told so.
    let sealed = MountAttr {
        set: RDONLY,
        ..MountAttr::default()
    };
    mount_setattr(&new, false, &sealed)?;
    place::pivot(&new)?;
    Ok(())
}

/// A procfs of the PID namespace that this process is in, detached.
pub(crate) fn processes_here() -> Result<OwnedFd, CallError> {
    new_filesystem("proc", &[], NOSUID | NODEV | NOEXEC)
}

fn in_scratch(name: &CStr) -> String {
    format!("{SCRATCH}/{}", name.to_string_lossy())
}

fn make_folder(path: &str) -> Result<(), CallError> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).called(|| format!("mkdir({path:?})"))
}

/// Puts what the machine has of `name` into the new root, over what the `old` one has.
fn lay(name: &CStr, entry: &Entry, old: &OwnedFd) -> Result<(), CallError> {
    let machine = match entry {
        Entry::Folder(_) => Some(in_scratch(name)),
        Entry::Link(target) => {
            let target = target.to_string_lossy();
            let target = target.trim_start_matches('/');
            (target.starts_with("usr/") && !target.contains(".."))
                .then(|| format!("{SCRATCH}/{target}"))
        }
    };
    let is_folder = kind(old, name)? == Some(FileType::Directory);
    match (entry, machine) {
        (Entry::Link(target), _) if !is_folder => {
            rustix::fs::symlink(target, name).called(|| format!("symlink({target:?}, {name:?})"))
        }
        // A link that leads elsewhere: what is there is left as it is.
        (_, None) => bring(old, name),
        (_, Some(machine)) => {
            let name = name.to_string_lossy();
            make_folder(&name)?;
            let tree = match is_folder {
                true => merged(&machine, &format!("/{name}"))?,
                false => clone_of_one(Path::new(&machine))?,
            };
            place::attach_root_at(&tree, name.as_ref())
        }
    }
}

/// The folder `machine` over the folder `own`.
fn merged(machine: &str, own: &str) -> Result<OwnedFd, CallError> {
    let lower = format!("{machine}:{own}");
    new_filesystem("overlay", &[("lowerdir", &lower)], RDONLY | NOSUID | NODEV)
        // One file system too many upon another, or none that can be below.
        .or_else(|_| clone_of_one(Path::new(machine)))
}

/// Brings `name` from the `old` root into the new one, with all that is mounted there.
fn bring(old: &OwnedFd, name: &CStr) -> Result<(), CallError> {
    let at = || name.to_string_lossy().into_owned();
    match kind(old, name)? {
        // It has gone meanwhile.
        None => return Ok(()),
        Some(FileType::Symlink) => {
            let target = rustix::fs::readlinkat(old, name, Vec::new())
                .called(|| format!("readlinkat(root, {:?})", at()))?;
            return rustix::fs::symlink(&target, name)
                .called(|| format!("symlink({target:?}, {:?})", at()));
        }
        Some(FileType::Directory) => make_folder(&at())?,
        Some(_) => {
            let mode: RawMode = 0o444;
            let kind = FileType::RegularFile;
            rustix::fs::mknodat(CWD, name, kind, Mode::from_raw_mode(mode), 0)
                .called(|| format!("mknodat({:?})", at()))?;
        }
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = rustix::mount::open_tree(old, name, flags)
        .called(|| format!("open_tree(root, {:?}, CLONE | RECURSIVE)", at()))?;
    place::attach_root_at(&tree, name)
}

fn kind(old: &OwnedFd, name: &CStr) -> Result<Option<FileType>, CallError> {
    match rustix::fs::statat(old, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(CallError::new(
            format!("fstatat(root, {:?})", name.to_string_lossy()),
            e,
        )),
    }
}
