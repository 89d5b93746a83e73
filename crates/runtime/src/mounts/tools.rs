//! The machine's programs laid over the files of a mount namespace, for one process alone.
//!
//! A program of the machine's wants the loader and the libraries that it was made with, at the paths that are written in
//! it. So the process gets a copy of the mount namespace with another root: a tmpfs that has in it all that is in the old
//! root, but for the folders of programs and libraries (hier(7)), in which the machine's are merged over those that were
//! there, by an overlay that nothing can be written to. Where one cannot be made, the machine's alone are there.
//!
//! The loader reads /etc/ld.so.cache, which is the machine's then, and /etc/ld.so.preload, by which whoever writes the files
//! there has his code in every program. [`Etc::Guarded`] takes that, too, at the price of an /etc that cannot be written to.
//!
//! Nothing of it is seen outside of the copy, and nothing is written to the files beneath.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, UnmountFlags};
use rustix::path::Arg as _;
use soute_sys::mount::{MountAttr, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, mount_setattr};
use soute_sys::{CallError, Called};

use super::copy::names;
use super::{clone_of_one, mask, new_filesystem, place};
use crate::mountinfo::unescape;

/// Folders of programs and libraries.
const FOLDERS: [&CStr; 7] = [
    c"bin", c"lib", c"lib32", c"lib64", c"libx32", c"sbin", c"usr",
];

/// Links to programs of which there are several (update-alternatives(1)).
const ALTERNATIVES: &str = "/etc/alternatives";
/// Of those who sign for hosts.
const CERTIFICATES: &str = "/etc/ssl/certs";
const CACHE: &str = "/etc/ld.so.cache";
/// Which files hold the names of users and hosts, and that these come before name servers (nsswitch.conf(5)).
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// The machine's own programs, taken along.
#[derive(Debug)]
pub(crate) struct Tools {
    folders: Vec<(&'static CStr, Entry)>,
    alternatives: Option<OwnedFd>,
    /// Whom the machine trusts to sign for hosts.
    certificates: Option<OwnedFd>,
    cache: Option<OwnedFd>,
    /// Where the machine has the program that is to run.
    program: Option<CString>,
}

/// What the machine has of a name in its root.
#[derive(Debug)]
enum Entry {
    /// A folder, as a detached mount that nothing can be written to.
    Folder(OwnedFd),
    /// A link, where everything is in /usr.
    Link(CString),
}

/// What becomes of /etc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Etc {
    /// It is what it was, but for the loader's list of libraries.
    Theirs,
    /// The loader and links to programs find there what the machine has, and nothing else; it cannot be written to.
    Guarded,
}

impl Tools {
    /// To be called where the machine's files are in sight. `program` is looked for in `path`, folders between colons.
    pub(crate) fn take(program: &str, path: &str) -> Result<Self, CallError> {
        let mut folders = Vec::new();
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
                FileType::Directory => Entry::Folder(read_only(&path)?),
                _ => continue,
            };
            folders.push((name, entry));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            folders,
            alternatives: read_only_if_there(ALTERNATIVES)?,
            certificates: read_only_if_there(CERTIFICATES)?,
            // Without one the loader looks into its own folders.
            cache: rustix::fs::open(CACHE, flags, Mode::empty()).ok(),
            program: found(program, path),
        })
    }

    /// Of what was taken.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let folders = self.folders.iter().filter_map(|(_, entry)| match entry {
            Entry::Folder(tree) => Some(tree.as_raw_fd()),
            Entry::Link(_) => None,
        });
        let others = [&self.alternatives, &self.certificates, &self.cache];
        let others = others.into_iter().flatten();
        folders.chain(others.map(AsRawFd::as_raw_fd))
    }

    /// Puts all of it into the working directory, an empty root folder. The caller's umask must be 0.
    pub(super) fn furnish(&self) -> Result<(), CallError> {
        for (name, entry) in &self.folders {
            match entry {
                Entry::Folder(tree) => {
                    make_folder(*name)?;
                    place::attach_root_at(tree, *name)?;
                }
                Entry::Link(target) => rustix::fs::symlink(target, *name)
                    .called(|| format!("symlink({target:?}, {name:?})"))?,
            }
        }
        make_folder("etc")?;
        make_folder("etc/ssl")?;
        let folders = [&self.alternatives, &self.certificates];
        for (path, tree) in [ALTERNATIVES, CERTIFICATES].into_iter().zip(folders) {
            if let Some(tree) = tree {
                let path = path.trim_start_matches('/');
                make_folder(path)?;
                place::attach_root_at(tree, path)?;
            }
        }
        if let Some(cache) = &self.cache {
            copied(cache, make_file("etc/ld.so.cache")?)?;
        }
        File::from(make_file("etc/nsswitch.conf")?)
            .write_all(NAMES.as_bytes())
            .called(|| "write(\"etc/nsswitch.conf\")".to_owned())
    }

    /// Where the machine has the program that is to run, if it has it in one of these folders.
    pub(crate) fn program(&self) -> Option<&CStr> {
        self.program.as_deref()
    }
}

fn read_only_if_there(path: &str) -> Result<Option<OwnedFd>, CallError> {
    let path = Path::new(path);
    path.is_dir().then(|| read_only(path)).transpose()
}

/// A clone of the folder's mount, detached.
fn read_only(path: &Path) -> Result<OwnedFd, CallError> {
    let tree = clone_of_one(path)?;
    let attributes = MountAttr {
        set: RDONLY | NOSUID | NODEV,
        propagation: PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(&tree, false, &attributes)?;
    Ok(tree)
}

/// The file itself that the name leads to: links may lead elsewhere once the files around are others.
fn found(program: &str, path: &str) -> Option<CString> {
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![PathBuf::from(program)],
        false => path
            .split(':')
            .map(|folder| Path::new(folder).join(program))
            .collect(),
    };
    let is_program = |path: &Path| {
        let metadata = std::fs::metadata(path);
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
    };
    let real = candidates
        .into_iter()
        .filter(|path| path.is_absolute() && is_program(path))
        .find_map(|path| std::fs::canonicalize(path).ok())?;
    let folder = real.iter().nth(1)?;
    let taken = FOLDERS
        .iter()
        .any(|name| name.to_bytes() == folder.as_bytes());
    taken.then(|| CString::new(real.into_os_string().into_encoded_bytes()).ok())?
}

/// Where things are mounted, from the text of mountinfo.
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points
        .map(|point| PathBuf::from(OsStr::from_bytes(&unescape(point))))
        .collect()
}

/// Gives this process a mount namespace of its own, a copy, and in it `tools`; with `processes` also a new /proc, of the
/// PID namespace that it is in. `mountinfo` is open on what is mounted there; `owner`: user and group that the machine has for root
/// in there, if they are others. The caller's umask must be 0.
pub(crate) fn lay_over(
    tools: &Tools,
    etc: Etc,
    processes: bool,
    mountinfo: OwnedFd,
    owner: Option<(u32, u32)>,
) -> Result<(), CallError> {
    let mut mounted = Vec::new();
    File::from(mountinfo)
        .read_to_end(&mut mounted)
        .called(|| "read(/proc/self/mountinfo)".to_owned())?;
    let mounted = mount_points(&mounted);
    place::leave_for_a_copy()?;
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = rustix::fs::open("/", folder, Mode::empty()).called(|| "open(\"/\")".to_owned())?;
    let (uid, gid) = owner.unwrap_or((0, 0));
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let mut options = vec![("mode", "0755")];
    if owner.is_some() {
        options.extend([("uid", uid.as_str()), ("gid", gid.as_str())]);
    }
    let new = new_filesystem("tmpfs", &options, NOSUID | NODEV)?;
    // Paths that begin with a slash lead to the old root still, others to the new one.
    place::attach_root(&new)?;
    rustix::process::fchdir(&new).called(|| "fchdir(the new root)".to_owned())?;

    let there = names(&old, Path::new("/"))?;
    let mut laying = Laying {
        scratch: unused(&there),
        old,
        attached: Vec::new(),
    };
    make_folder(&laying.scratch)?;
    let mut laid: BTreeSet<CString> = BTreeSet::new();
    for (name, entry) in &tools.folders {
        if let Entry::Folder(tree) = entry {
            laying.attach(name.to_bytes(), tree)?;
        }
    }
    for (name, entry) in &tools.folders {
        laying.lay(name, entry)?;
        laid.insert((*name).to_owned());
    }
    let own_etc = laying.kind(c"etc")? == Some(FileType::Directory);
    if own_etc && etc == Etc::Guarded {
        laying.guard_etc(tools)?;
        laid.insert(c"etc".to_owned());
    }
    for name in there.iter().filter(|name| !laid.contains(*name)) {
        laying.bring(name)?;
    }
    if own_etc
        && etc == Etc::Theirs
        && let Some(cache) = &tools.cache
    {
        cover_cache(cache)?;
    }
    for path in below(&mounted, &laid) {
        laying.bring_mount(path, &new)?;
    }
    laying.clear()?;
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

/// The places below folders of the root that are in `laid`, but for those that are below another.
fn below<'m>(mounted: &'m [PathBuf], laid: &BTreeSet<CString>) -> Vec<&'m Path> {
    let is_below = |path: &&Path| {
        let mut parts = path.iter().skip(1).map(OsStr::as_bytes);
        let first = parts.next().unwrap_or_default();
        laid.iter().any(|name| name.to_bytes() == first) && parts.next().is_some()
    };
    let mut all: Vec<&Path> = mounted
        .iter()
        .map(PathBuf::as_path)
        .filter(is_below)
        .collect();
    // Each before those that are below it.
    all.sort_unstable();
    let mut topmost: Vec<&Path> = Vec::new();
    for path in all {
        if !topmost.last().is_some_and(|last| path.starts_with(last)) {
            topmost.push(path);
        }
    }
    topmost
}

/// A name that the old root has not.
fn unused(there: &[CString]) -> String {
    let mut name = ".soute".to_owned();
    while there
        .iter()
        .any(|other| other.to_bytes() == name.as_bytes())
    {
        name.push('_');
    }
    name
}

pub(super) fn make_folder(path: impl rustix::path::Arg + Copy) -> Result<(), CallError> {
    let text = || path.to_string_lossy().into_owned();
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).called(|| format!("mkdir({:?})", text()))
}

fn make_file(path: impl rustix::path::Arg + Copy) -> Result<OwnedFd, CallError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let text = || path.to_string_lossy().into_owned();
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))
        .called(|| format!("open({:?}, O_CREAT)", text()))
}

/// The machine's list of libraries over the one that is there; where there is none, the loader looks into its own folders.
fn cover_cache(cache: &OwnedFd) -> Result<(), CallError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(there) = rustix::fs::open("etc/ld.so.cache", flags, Mode::empty()) else {
        return Ok(());
    };
    // In a tmpfs of its own: the file's own mount is the machine's, and not this namespace's to clone.
    let memory = new_filesystem("tmpfs", &[("mode", "0700")], NOSUID | NODEV)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let copy = rustix::fs::openat(&memory, "cache", flags, Mode::from_raw_mode(0o644))
        .called(|| "openat(tmpfs, \"cache\", O_CREAT)".to_owned())?;
    copied(cache, copy)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = match rustix::mount::open_tree(&memory, "cache", flags) {
        Ok(tree) => tree,
        // Of a detached mount none is cloned before Linux 6.15.
        Err(Errno::INVAL) => return Ok(()),
        Err(e) => return Err(CallError::new("open_tree(tmpfs, \"cache\", CLONE)", e)),
    };
    mask::attach(&tree, &there, "/etc/ld.so.cache")
}

fn copied(from: &OwnedFd, to: OwnedFd) -> Result<(), CallError> {
    let call = || "copying /etc/ld.so.cache".to_owned();
    let mut from = File::from(from.try_clone().called(call)?);
    std::io::copy(&mut from, &mut File::from(to)).called(call)?;
    Ok(())
}

/// A clone of `name` in `folder`, or of `folder` itself, with what is mounted there; `None`: it cannot be had (any more).
pub(super) fn clone_of(folder: &OwnedFd, name: &CStr) -> Result<Option<OwnedFd>, CallError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    match rustix::mount::open_tree(folder, name, flags) {
        Ok(tree) => Ok(Some(tree)),
        // It has gone, or is not to be bound elsewhere (MS_UNBINDABLE).
        Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => Ok(None),
        Err(e) => Err(CallError::new(
            format!(
                "open_tree(…, {:?}, CLONE | RECURSIVE)",
                name.to_string_lossy()
            ),
            e,
        )),
    }
}

/// What has become another kind of file meanwhile is left out.
pub(super) fn unless_another(attached: Result<(), CallError>) -> Result<(), CallError> {
    match attached {
        Err(e) if e.errno() == Errno::NOTDIR => Ok(()),
        attached => attached,
    }
}

/// The new root on its way.
struct Laying {
    /// The folder in it where layers are meanwhile.
    scratch: String,
    old: OwnedFd,
    /// What is mounted there.
    attached: Vec<PathBuf>,
}

impl Laying {
    /// Attaches a layer in the scratch.
    fn attach(&mut self, name: &[u8], tree: &OwnedFd) -> Result<PathBuf, CallError> {
        let place = Path::new(&self.scratch).join(OsStr::from_bytes(name));
        make_folder(&place)?;
        place::attach_root_at(tree, &place)?;
        self.attached.push(place.clone());
        Ok(place)
    }

    fn kind(&self, name: &CStr) -> Result<Option<FileType>, CallError> {
        match rustix::fs::statat(&self.old, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(CallError::new(
                format!("fstatat(root, {:?})", name.to_string_lossy()),
                e,
            )),
        }
    }

    /// Puts what the machine has of `name` into the new root, over what the old one has.
    fn lay(&mut self, name: &'static CStr, entry: &Entry) -> Result<(), CallError> {
        let scratch = Path::new(&self.scratch);
        let machine = match entry {
            Entry::Folder(_) => Some(scratch.join(OsStr::from_bytes(name.to_bytes()))),
            Entry::Link(target) => {
                let target = target.to_string_lossy();
                let target = target.trim_start_matches('/');
                (target.starts_with("usr/") && !target.contains("..")).then(|| scratch.join(target))
            }
        };
        let is_folder = self.kind(name)? == Some(FileType::Directory);
        match (entry, machine) {
            (Entry::Link(target), _) if !is_folder => rustix::fs::symlink(target, name)
                .called(|| format!("symlink({target:?}, {name:?})")),
            // A link that leads elsewhere: what is there is left as it is.
            (_, None) => self.bring(name),
            (_, Some(machine)) => {
                make_folder(name)?;
                let tree = match is_folder {
                    true => self.merged(&machine, name)?,
                    false => clone_of_one(&machine)?,
                };
                place::attach_root_at(&tree, name)
            }
        }
    }

    /// The folder `machine` over what the old root has of `name`, which must still be a folder.
    fn merged(&mut self, machine: &Path, name: &CStr) -> Result<OwnedFd, CallError> {
        let alone = |_| clone_of_one(machine);
        let Some(own) = clone_of(&self.old, name)? else {
            return clone_of_one(machine);
        };
        let own = match self.attach(&[b"own-", name.to_bytes()].concat(), &own) {
            Ok(own) => own,
            // It is no folder any more.
            Err(e) if e.errno() == Errno::NOTDIR => return clone_of_one(machine),
            Err(e) => return Err(e),
        };
        let lower = format!("{}:{}", machine.display(), own.display());
        let options = [("lowerdir", lower.as_str())];
        // One file system too many upon another; or mounts below it that are not to be taken off.
        new_filesystem("overlay", &options, RDONLY | NOSUID | NODEV).or_else(alone)
    }

    /// The machine's links and list of libraries over /etc, and nothing that is loaded into every program.
    fn guard_etc(&mut self, tools: &Tools) -> Result<(), CallError> {
        // A file system of its own, which stays when the scratch goes.
        let memory = new_filesystem("tmpfs", &[("mode", "0755")], NOSUID | NODEV)?;
        let layer = self.attach(b"etc", &memory)?;
        drop(make_file(&layer.join("ld.so.preload"))?);
        let cache = make_file(&layer.join("ld.so.cache"))?;
        if let Some(list) = &tools.cache {
            copied(list, cache)?;
        }
        if let Some(alternatives) = &tools.alternatives {
            let folder = layer.join("alternatives");
            make_folder(&folder)?;
            // A detached mount is no place that paths lead to: its names are read by descriptor.
            let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let call = || format!("openat({ALTERNATIVES})");
            let list =
                rustix::fs::openat(alternatives, ".", readable, Mode::empty()).called(call)?;
            for name in names(&list, Path::new(ALTERNATIVES))? {
                if let Ok(target) = rustix::fs::readlinkat(&list, &name, Vec::new()) {
                    let link = folder.join(OsStr::from_bytes(name.to_bytes()));
                    rustix::fs::symlink(&target, &link)
                        .called(|| format!("symlink({target:?}, {link:?})"))?;
                }
            }
        }
        make_folder("etc")?;
        let tree = self.merged(&layer, c"etc")?;
        place::attach_root_at(&tree, "etc")
    }

    /// Brings `name` from the old root into the new one, with all that is mounted there.
    fn bring(&self, name: &CStr) -> Result<(), CallError> {
        let at = || name.to_string_lossy().into_owned();
        match self.kind(name)? {
            // It has gone meanwhile.
            None => return Ok(()),
            Some(FileType::Symlink) => {
                return match rustix::fs::readlinkat(&self.old, name, Vec::new()) {
                    Ok(target) => rustix::fs::symlink(&target, name)
                        .called(|| format!("symlink({target:?}, {:?})", at())),
                    Err(Errno::NOENT | Errno::INVAL) => Ok(()),
                    Err(e) => Err(CallError::new(format!("readlinkat(root, {:?})", at()), e)),
                };
            }
            Some(FileType::Directory) => make_folder(name)?,
            Some(_) => drop(make_file(name)?),
        }
        match clone_of(&self.old, name)? {
            Some(tree) => unless_another(place::attach_root_at(&tree, name)),
            None => Ok(()),
        }
    }

    /// What is mounted at `path`, below a folder that was merged, and is no part of its layer.
    fn bring_mount(&self, path: &Path, new: &OwnedFd) -> Result<(), CallError> {
        let straight =
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let open = |root: &OwnedFd| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::openat2(root, relative, flags, Mode::empty(), straight)
        };
        // Not there in the merged folder, or not a path any more that it was.
        let (Ok(from), Ok(to)) = (open(&self.old), open(new)) else {
            return Ok(());
        };
        match clone_of(&from, c"")? {
            Some(tree) => unless_another(mask::attach(&tree, &to, &path.to_string_lossy())),
            None => Ok(()),
        }
    }

    /// Takes the scratch away.
    fn clear(self) -> Result<(), CallError> {
        for place in self.attached.iter().rev() {
            rustix::mount::unmount(place, UnmountFlags::DETACH)
                .called(|| format!("umount2({place:?}, MNT_DETACH)"))?;
        }
        std::fs::remove_dir_all(&self.scratch).called(|| format!("removing {:?}", self.scratch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_it_is_itself() {
        let path = "/nowhere:relative:/usr/bin:/bin";
        let sh = found("sh", path).unwrap();
        let real = std::fs::canonicalize("/bin/sh").unwrap();
        assert_eq!(sh.to_bytes(), real.as_os_str().as_bytes());
        assert_eq!(found("/bin/sh", ""), Some(sh));
        assert_eq!(found("no-such-program", path), None);
        assert_eq!(found("./sh", path), None);
        // A file that nobody can execute, and one in a folder that is not taken along.
        assert_eq!(found("/etc/passwd", path), None);
    }

    #[test]
    fn places_of_mounts_are_read() {
        let text = b"1 0 0:1 / / rw - tmpfs x rw\n2 1 0:1 / /a\\040b rw - tmpfs x rw\n";
        assert_eq!(mount_points(text), [Path::new("/"), Path::new("/a b")]);
    }

    #[test]
    fn mounts_below_a_folder_are_brought_once() {
        let mounted = [
            "/",
            "/usr",
            "/usr/a",
            "/usr/a/b",
            "/usr/a",
            "/usr/ab",
            "/etc/hosts",
            "/usr/a-b/c",
        ];
        let mounted = mounted.map(PathBuf::from);
        let laid = BTreeSet::from([c"usr".to_owned()]);
        let expected = ["/usr/a", "/usr/a-b/c", "/usr/ab"].map(Path::new);
        assert_eq!(below(&mounted, &laid), expected);
    }

    #[test]
    fn the_scratch_is_nobodys() {
        let there = [c".soute".to_owned(), c".soute_".to_owned()];
        assert_eq!(unused(&there), ".soute__");
    }
}
