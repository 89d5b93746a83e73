//! A root folder of tools for one process alone, in which the files of the mount namespace that it came to are below one
//! folder: tools of an image, or the machine's own programs and nothing else of the machine's.
//!
//! The process gets a copy of the mount namespace with that root. What it writes there is in memory, and gone with it. Below
//! [`CONTAINER`] are the files themselves, with all that is mounted on them.

mod kit;
mod names;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::path::Arg;
use soute_sys::mount::{NODEV, NOSUID};
use soute_sys::{CallError, Called};

pub(crate) use self::kit::Kit;
use super::root::{Links, Missing, Root};
use super::tools::{Tools, clone_of, make_folder, processes_here, unless_another};
use super::{mask, new_filesystem, place};

/// Where the files of the mount namespace are.
pub const CONTAINER: &str = "/container";

/// What the container calls hosts: copied, so that nothing that is written to them reaches the container.
const HOSTS: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// No file with names is that long: what is, is cut.
const LONGEST: u64 = 1 << 20;

/// Folders that programs want, and their modes.
const FOLDERS: [(&str, u32); 5] = [
    ("root", 0o700),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// User and group that the machine has for root of the container.
type Owner = (u32, u32);

/// An empty root folder for [`stand_beside`], in memory.
pub(crate) fn empty((uid, gid): Owner) -> Result<OwnedFd, CallError> {
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let options = [("mode", "0755"), ("uid", &*uid), ("gid", &*gid)];
    new_filesystem("tmpfs", &options, NOSUID | NODEV)
}

/// Gives this process a mount namespace of its own, a copy, with the root folder `root` (detached, and this process's
/// alone), and puts `kit` into it, and `tools`, if any. With `processes` it gets a new /proc, of the PID namespace that it
/// is in. The caller's umask must be 0.
pub(crate) fn stand_beside(
    root: &OwnedFd,
    kit: &Kit,
    tools: Option<&Tools>,
    processes: bool,
    owner: Owner,
) -> Result<(), CallError> {
    place::leave_for_a_copy()?;
    let theirs = mask::open_root()?;
    // Before the new root is one of the things that are mounted there.
    let container = tree_of(&theirs, "/")?
        .ok_or_else(|| CallError::new("open_tree(\"/\", CLONE | RECURSIVE)", Errno::INVAL))?;
    place::attach_root(root)?;
    rustix::process::fchdir(root).called(|| "fchdir(the tools' root)".to_owned())?;
    let own = Root::new(
        root.try_clone()
            .called(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned())?,
    );
    if let Some(tools) = tools {
        tools.furnish()?;
        give("etc", owner)?;
        for (name, mode) in FOLDERS {
            make_own_folder(name, mode, owner)?;
        }
        let lists = [
            ("/etc/passwd", names::passwd as fn(&str) -> String),
            ("/etc/group", names::group),
        ];
        for (path, names_of) in lists {
            let text = text_of(&theirs, path).unwrap_or_default();
            let names = names_of(&String::from_utf8_lossy(&text));
            put(&own, path, names.as_bytes(), owner)?;
        }
    }
    for path in HOSTS {
        if let Some(text) = text_of(&theirs, path) {
            put(&own, path, &text, owner)?;
        }
    }
    kit.lay_settings(&own, owner)?;
    kit.lay_devices(&own, owner)?;
    if let Some(tree) = tree_of(&theirs, "/sys")? {
        attach(&own, &tree, "/sys")?;
    }
    let proc = match processes {
        true => Some(processes_here()?),
        false => tree_of(&theirs, "/proc")?,
    };
    if let Some(proc) = proc {
        attach(&own, &proc, "/proc")?;
    }
    attach(&own, &container, CONTAINER)?;
    place::pivot(root)?;
    Ok(())
}

/// A clone of what `path` leads to in `root`, with all that is mounted there; `None`: it is no folder, or not to be had.
fn tree_of(root: &Root, path: &str) -> Result<Option<OwnedFd>, CallError> {
    match root.open_with(path, OFlags::PATH | OFlags::DIRECTORY, Links::Follow) {
        Ok(folder) => clone_of(&folder, c""),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn attach(root: &Root, tree: &OwnedFd, path: &str) -> Result<(), CallError> {
    let place = folder_of(root, path)?;
    unless_another(mask::attach(tree, &place, path))
}

/// A folder of the tools' own, made if it is missing: an image does not choose by links where things are put.
fn folder_of(root: &Root, path: &str) -> Result<OwnedFd, CallError> {
    let folder = root.open_or_make(path, Missing::Folder, Links::Refuse);
    folder.map_err(|e| match e.errno() {
        Errno::LOOP => CallError::new(
            format!("there is a link in place of {path}, which is not followed"),
            Errno::LOOP,
        ),
        _ => e,
    })
}

/// What stands in a file of the container's; `None`: there is none that can be read.
fn text_of(root: &Root, path: &str) -> Option<Vec<u8>> {
    // It may be anything by now: a FIFO is not waited for.
    let file = root.open_with(path, OFlags::RDONLY | OFlags::NONBLOCK, Links::Follow);
    read(file.ok()?)
}

/// The text of a regular file, unless it cannot be read.
fn read(file: OwnedFd) -> Option<Vec<u8>> {
    let file = File::from(file);
    let mut text = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Writes a file in place of the one that is there; a folder of that name stays, a link in place of its folder is refused.
fn put(root: &Root, path: &str, text: &[u8], owner: Owner) -> Result<(), CallError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folder_of(root, folder)?;
    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(Errno::ISDIR) => return Ok(()),
        Err(e) => return Err(CallError::new(format!("unlinkat({path:?})"), e)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644))
        .called(|| format!("openat({path:?}, O_CREAT | O_EXCL)"))?;
    let (uid, gid) = owner;
    rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .called(|| format!("fchown({path:?}, {uid}, {gid})"))?;
    File::from(file)
        .write_all(text)
        .called(|| format!("write({path:?})"))
}

/// A folder in the working directory.
fn make_own_folder(name: &str, mode: u32, owner: Owner) -> Result<(), CallError> {
    make_folder(name)?;
    // The sticky bit, too, which mkdir(2) does not promise.
    rustix::fs::chmod(name, Mode::from_raw_mode(mode))
        .called(|| format!("chmod({name:?}, {mode:#o})"))?;
    give(name, owner)
}

fn give(name: impl Arg + Copy, (uid, gid): Owner) -> Result<(), CallError> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(
        CWD,
        name,
        Some(user),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .called(|| format!("fchownat({:?}, {uid}, {gid})", name.to_string_lossy()))
}

fn is_absent(e: &CallError) -> bool {
    matches!(
        e.errno(),
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS
    )
}
