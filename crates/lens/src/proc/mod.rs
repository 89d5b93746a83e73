//! /proc: how it is read, and the text in it.
//!
//! A process is read through a descriptor of its folder. That descriptor
//! never becomes another process's when the number is used again: reading
//! answers `ESRCH` instead. So every race ends in [`Look::Gone`].
//!
//! The parsers are pure functions on bytes. What the kernel writes there is
//! well-formed, but the names inside are chosen by the processes.

mod idmap;
mod links;
mod mountinfo;
mod net_dev;
mod passwd;
mod stat;
mod status;

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Stat};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

pub use idmap::{IdMap, IdRange};
pub(crate) use links::{NamespaceLinks, split};
pub use mountinfo::{MountEntry, mountinfo, unescape};
pub use net_dev::{Carried, net_dev};
pub use passwd::Users;
pub use stat::ProcessStat;
pub use status::{IdSet, ProcessStatus, SeccompMode};

use crate::{Error, Kind, NamespaceId};

/// What looking at a process gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look<T> {
    /// It was there.
    Seen(T),
    /// The process has ended, or has no such thing (a zombie has no namespaces but user and pid; an old kernel lacks
    /// some kinds).
    Gone,
    /// The kernel refuses to show it to this caller (ptrace(2), PTRACE_MODE_READ).
    Hidden,
}

impl<T> Look<T> {
    /// What was there, if anything.
    pub fn seen(self) -> Option<T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::Gone | Self::Hidden => None,
        }
    }

    /// Applies `f` to what was there.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Look<U> {
        match self {
            Self::Seen(value) => Look::Seen(f(value)),
            Self::Gone => Look::Gone,
            Self::Hidden => Look::Hidden,
        }
    }
}

fn look<T>(result: Result<T, CallError>) -> Result<Look<T>, Error> {
    match result {
        Ok(value) => Ok(Look::Seen(value)),
        Err(error) => match error.errno() {
            Errno::NOENT | Errno::SRCH => Ok(Look::Gone),
            Errno::ACCESS | Errno::PERM => Ok(Look::Hidden),
            _ => Err(Error::Call(error)),
        },
    }
}

/// The largest part of a process's command line that is read.
const COMMAND_LINE: usize = 4096;
/// Most files of a process are smaller than this, and of the others no more than this is given at once.
const FILE: usize = 4096;

/// A mounted procfs.
#[derive(Debug)]
pub struct Proc {
    root: OwnedFd,
    /// The device of all namespaces' files, once one was seen.
    nsfs: OnceCell<u64>,
}

impl Proc {
    /// The one at /proc.
    ///
    /// # Errors
    /// [`Error::NotProcfs`] where something else is at /proc: all that is below it would be made up.
    pub fn open() -> Result<Self, Error> {
        Self::open_at(Path::new("/proc"))
    }

    /// The one at `path`.
    ///
    /// # Errors
    /// As [`Proc::open`].
    pub fn open_at(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let call = || format!("open({path:?}, O_DIRECTORY)");
        let root = rustix::fs::open(path, flags, Mode::empty()).called(call)?;
        let kind = rustix::fs::fstatfs(&root).called(|| format!("fstatfs({path:?})"))?;
        if kind.f_type != PROC_SUPER_MAGIC {
            return Err(Error::NotProcfs(path.to_owned()));
        }
        Ok(Self {
            root,
            nsfs: OnceCell::new(),
        })
    }

    /// The numbers of all processes that it lists, ascending.
    pub fn pids(&self) -> Result<Vec<u32>, Error> {
        let mut pids = numbers(Dir::read_from(&self.root), "/proc")?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// Process `pid`.
    pub fn process(&self, pid: u32) -> Result<Look<ProcessFolder>, Error> {
        self.folder(&pid.to_string())
    }

    /// The calling process.
    pub fn myself(&self) -> Result<ProcessFolder, Error> {
        match self.folder("self")? {
            Look::Seen(folder) => Ok(folder),
            // A procfs of a pid namespace that the caller is not in.
            Look::Gone | Look::Hidden => Err(Error::NotListed),
        }
    }

    fn folder(&self, name: &str) -> Result<Look<ProcessFolder>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.root, name, flags, Mode::empty());
        let opened = opened.called(|| format!("openat(/proc, \"{name}\")"));
        Ok(look(opened)?.map(|fd| ProcessFolder {
            name: name.to_owned(),
            fd,
        }))
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// A process (or thread) by its folder in procfs: always the same one, never a later one with its number.
#[derive(Debug)]
pub struct ProcessFolder {
    name: String,
    fd: OwnedFd,
}

impl AsFd for ProcessFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ProcessFolder {
    /// The whole content of the file `name`.
    pub fn read(&self, name: &str) -> Result<Look<Vec<u8>>, Error> {
        self.read_at_most(name, usize::MAX)
    }

    fn read_at_most(&self, name: &str, limit: usize) -> Result<Look<Vec<u8>>, Error> {
        self.look(self.content(name, limit))
    }

    fn content(&self, name: &str, limit: usize) -> Result<Vec<u8>, CallError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        let file = opened.called(|| self.call("openat", name))?;
        // Nearly always with room left to be told of the end.
        let mut bytes = Vec::with_capacity(2 * FILE);
        while bytes.len() < limit {
            bytes.reserve(FILE);
            let read = rustix::io::read(&file, spare_capacity(&mut bytes));
            match read.called(|| self.call("read", name)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.errno() == Errno::INTR => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(limit);
        Ok(bytes)
    }

    /// `stat`.
    pub fn stat(&self) -> Result<Look<ProcessStat>, Error> {
        match self.read("stat")? {
            Look::Seen(text) => Ok(Look::Seen(ProcessStat::parse(&text)?)),
            Look::Gone => Ok(Look::Gone),
            Look::Hidden => Ok(Look::Hidden),
        }
    }

    /// `status`.
    pub fn status(&self) -> Result<Look<ProcessStatus>, Error> {
        match self.read("status")? {
            Look::Seen(text) => Ok(Look::Seen(ProcessStatus::parse(&text)?)),
            Look::Gone => Ok(Look::Gone),
            Look::Hidden => Ok(Look::Hidden),
        }
    }

    /// The words of the command line, up to 4 KiB; none of a kernel thread or a zombie.
    pub fn command_line(&self) -> Result<Look<Vec<Vec<u8>>>, Error> {
        let bytes = self.read_at_most("cmdline", COMMAND_LINE)?;
        Ok(bytes.map(|bytes| words(&bytes)))
    }

    /// The namespace that the link `ns/LINK` leads to.
    pub fn namespace(&self, link: &str) -> Result<Look<NamespaceId>, Error> {
        let path = format!("ns/{link}");
        let stat = rustix::fs::statat(&self.fd, &path, AtFlags::empty());
        let stat = self.look(stat.called(|| self.call("fstatat", &path)))?;
        Ok(stat.map(|stat| namespace_id(&stat)))
    }

    /// A descriptor of the namespace that the link `ns/LINK` leads to.
    pub fn open_namespace(&self, link: &str) -> Result<Look<OwnedFd>, Error> {
        let path = format!("ns/{link}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, &path, flags, Mode::empty());
        self.look(opened.called(|| self.call("openat", &path)))
    }

    /// The numbers of its threads.
    pub fn threads(&self) -> Result<Look<Vec<u32>>, Error> {
        self.list("task")
    }

    /// Its root folder, for paths alone.
    pub fn root(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, "root", flags, Mode::empty())
    }

    /// Opens `path` as the process has it, by whom it may have been laid: no link there leads outside.
    pub(crate) fn open_in_root(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat2(self.root()?, path, flags, Mode::empty(), resolve)
    }

    /// The numbers of its open descriptors.
    pub fn descriptors(&self) -> Result<Look<Vec<u32>>, Error> {
        self.list("fd")
    }

    /// The kind and inode of the namespace that its descriptor `fd` is of; `None`: it is of something else.
    pub fn descriptor_namespace(&self, fd: u32) -> Result<Look<Option<(Kind, u64)>>, Error> {
        let path = format!("fd/{fd}");
        let link = rustix::fs::readlinkat(&self.fd, &path, Vec::new());
        let link = look(link.called(|| self.call("readlinkat", &path)))?;
        // A path of a file begins with a slash, so that no file can be named like this.
        Ok(link.map(|link| {
            let (kind, inode) = split(link.to_bytes())?;
            Some((kind.parse().ok()?, inode))
        }))
    }

    /// The number in sockfs of the socket that its descriptor `fd` is of; `None`: it is of something else.
    pub fn descriptor_socket(&self, fd: u32) -> Result<Look<Option<u64>>, Error> {
        let path = format!("fd/{fd}");
        let link = rustix::fs::readlinkat(&self.fd, &path, Vec::new());
        let link = look(link.called(|| self.call("readlinkat", &path)))?;
        Ok(link.map(|link| {
            let inode = link.to_bytes().strip_prefix(b"socket:[")?;
            number(inode.strip_suffix(b"]")?)
        }))
    }

    /// Opens the link `path` (`fd/N`), whatever it leads to, for its path alone.
    pub(crate) fn open_link(&self, path: &str) -> Result<Look<OwnedFd>, Error> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, path, flags, Mode::empty());
        look(opened.called(|| self.call("openat", path)))
    }

    /// Thread `tid` of this process.
    pub fn thread(&self, tid: u32) -> Result<Look<ProcessFolder>, Error> {
        let name = format!("task/{tid}");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, &name, flags, Mode::empty());
        let opened = opened.called(|| self.call("openat", &name));
        Ok(look(opened)?.map(|fd| ProcessFolder {
            name: format!("{}/{name}", self.name),
            fd,
        }))
    }

    /// As [`look`], where a process that is about to end answers otherwise than one that has: it has no mounts and no user
    /// namespace to show (EINVAL), and is nobody's to trace (EACCES), although nothing is hidden.
    fn look<T>(&self, result: Result<T, CallError>) -> Result<Look<T>, Error> {
        match &result {
            Err(error) if matches!(error.errno(), Errno::INVAL | Errno::ACCESS | Errno::PERM) => {
                match self.is_ending()? {
                    true => Ok(Look::Gone),
                    false => look(result),
                }
            }
            _ => look(result),
        }
    }

    fn is_ending(&self) -> Result<bool, Error> {
        Ok(match look(self.content("stat", usize::MAX))? {
            Look::Seen(text) => ProcessStat::parse(&text)?.exiting,
            Look::Gone => true,
            Look::Hidden => false,
        })
    }

    fn list(&self, folder: &str) -> Result<Look<Vec<u32>>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, folder, flags, Mode::empty());
        match look(opened.called(|| self.call("openat", folder)))? {
            Look::Seen(fd) => match numbers(Dir::new(fd), &format!("/proc/{}/{folder}", self.name))
            {
                Ok(list) => Ok(Look::Seen(list)),
                Err(Error::Call(error)) => look(Err(error)),
                Err(error) => Err(error),
            },
            Look::Gone => Ok(Look::Gone),
            Look::Hidden => Ok(Look::Hidden),
        }
    }

    fn call(&self, call: &str, path: &str) -> String {
        format!("{call}(/proc/{}, \"{path}\")", self.name)
    }
}

/// The entries of a folder that are numbers.
fn numbers(folder: rustix::io::Result<Dir>, name: &str) -> Result<Vec<u32>, Error> {
    let call = || format!("getdents64({name})");
    let mut list = Vec::new();
    for entry in folder.called(call)? {
        let entry = entry.called(call)?;
        let number = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number {
            list.push(number);
        }
    }
    Ok(list)
}

/// The identity of a namespace, from what stat(2) says of its file.
pub(crate) fn namespace_id(stat: &Stat) -> NamespaceId {
    debug_assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile);
    NamespaceId {
        dev: stat.st_dev,
        inode: stat.st_ino,
    }
}

/// The words of a command line as /proc gives it: each ends with a NUL, the last one perhaps not (a program may overwrite
/// them, setproctitle(3bsd)), and trailing NULs say nothing.
pub fn words(bytes: &[u8]) -> Vec<Vec<u8>> {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    if end == 0 {
        return Vec::new();
    }
    bytes[..end]
        .split(|byte| *byte == 0)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Parses the whole of `field` as a number.
pub(crate) fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn command_lines_are_split_at_nuls() {
        assert_eq!(words(b""), Vec::<Vec<u8>>::new());
        assert_eq!(words(b"\0\0\0"), Vec::<Vec<u8>>::new());
        assert_eq!(words(b"a\0\0b c\0"), [&b"a"[..], b"", b"b c"]);
        assert_eq!(
            words(b"nginx: master process\0\0\0"),
            [&b"nginx: master process"[..]]
        );
        assert_eq!(words(b"unfinished"), [&b"unfinished"[..]]);
    }

    proptest! {
        #[test]
        fn words_come_back(list in proptest::collection::vec(proptest::collection::vec(1u8.., 1..9), 0..9)) {
            let mut text = list.join(&0);
            text.push(0);
            prop_assert_eq!(words(&text), list);
        }
    }

    #[test]
    fn only_procfs_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            matches!(Proc::open_at(folder.path()), Err(Error::NotProcfs(path)) if path == folder.path())
        );
    }

    #[test]
    fn this_process_is_seen_whole() {
        let proc = Proc::open().unwrap();
        let me = proc.myself().unwrap();
        let pid = std::process::id();
        assert_eq!(me.stat().unwrap().seen().unwrap().pid, pid);
        assert_eq!(me.status().unwrap().seen().unwrap().pid, pid);
        assert!(proc.pids().unwrap().contains(&pid));
        let words = me.command_line().unwrap().seen().unwrap();
        let expected: Vec<Vec<u8>> = std::env::args().map(String::into_bytes).collect();
        assert_eq!(words, expected);
        // The test harness runs this on a thread of its own.
        let threads = me.threads().unwrap().seen().unwrap();
        assert!(threads.contains(&pid) && threads.len() > 1, "{threads:?}");
    }

    #[test]
    fn a_process_that_ended_is_gone_even_with_its_folder_open() {
        let proc = Proc::open().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let folder = proc.process(child.id()).unwrap().seen().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(folder.status().unwrap(), Look::Gone);
        assert_eq!(folder.namespace("pid").unwrap(), Look::Gone);
        assert_eq!(folder.threads().unwrap(), Look::Gone);
        assert_eq!(folder.descriptors().unwrap(), Look::Gone);
        assert!(matches!(proc.process(child.id()).unwrap(), Look::Gone));
    }

    /// A zombie has given up its mounts and namespaces: gone, not refused, and no failure.
    #[test]
    fn of_a_process_that_is_ending_nothing_is_hidden() {
        let proc = Proc::open().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let folder = proc.process(child.id()).unwrap().seen().unwrap();
        assert!(folder.namespace("mnt").unwrap().seen().is_some());
        child.kill().unwrap();
        while folder.stat().unwrap().seen().unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert_eq!(folder.read("mountinfo").unwrap(), Look::Gone);
        for link in ["mnt", "net", "ipc", "uts"] {
            assert_eq!(folder.namespace(link).unwrap(), Look::Gone, "{link}");
            assert!(matches!(folder.open_namespace(link).unwrap(), Look::Gone));
        }
        child.wait().unwrap();
    }
}
