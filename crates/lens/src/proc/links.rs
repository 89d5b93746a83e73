//! The links in /proc/PID/ns (namespaces(7), "The /proc/pid/ns/ directory").

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use soute_sys::{CallError, Called};

use super::{Look, Proc, ProcessFolder, look, namespace_id, number};
use crate::{Error, NamespaceId};

/// No kernel's text of a link is longer: a kind's name and a number.
const LONGEST: usize = 64;

/// The folder `ns` of a process, for whoever looks at all processes: as with [`ProcessFolder`], it is always the same one's.
#[derive(Debug)]
pub(crate) struct NamespaceLinks<'a> {
    proc: &'a Proc,
    pid: u32,
    fd: OwnedFd,
}

impl Proc {
    /// The folder `ns` of process `pid`.
    pub(crate) fn links(&self, pid: u32) -> Result<Look<NamespaceLinks<'_>>, Error> {
        let path = format!("{pid}/ns");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.root, &path, flags, Mode::empty());
        let opened = look(opened.called(|| format!("openat(/proc, \"{path}\")")))?;
        Ok(opened.map(|fd| NamespaceLinks {
            proc: self,
            pid,
            fd,
        }))
    }
}

impl NamespaceLinks<'_> {
    /// The namespace that `link` leads to.
    pub(crate) fn namespace(&self, link: &str) -> Result<Look<NamespaceId>, Error> {
        // To follow a link, the kernel makes an inode for the namespace, and forgets it again. What the link says lacks the
        // device alone, which is the same for all: one is followed.
        let answer = match self.proc.nsfs.get() {
            Some(dev) => self
                .text(link)?
                .map(|inode| NamespaceId { dev: *dev, inode }),
            None => {
                let stat = rustix::fs::statat(&self.fd, link, AtFlags::empty());
                let stat = self.look(stat.called(|| self.call("fstatat", link)))?;
                stat.map(|stat| {
                    let id = namespace_id(&stat);
                    // Set by nobody else meanwhile: a cell is one thread's.
                    let _ = self.proc.nsfs.set(id.dev);
                    id
                })
            }
        };
        Ok(answer)
    }

    /// The inode in the text of `link`.
    fn text(&self, link: &str) -> Result<Look<u64>, Error> {
        let mut text = [0; LONGEST];
        let read = rustix::fs::readlinkat_raw(&self.fd, link, &mut text);
        match self.look(read.called(|| self.call("readlinkat", link)))? {
            Look::Seen(length) => match split(&text[..length]) {
                Some((_, inode)) => Ok(Look::Seen(inode)),
                None => Err(Error::malformed("/proc/PID/ns/…", &text[..length])),
            },
            Look::Gone => Ok(Look::Gone),
            Look::Hidden => Ok(Look::Hidden),
        }
    }

    /// Whether the process has more than one thread; not, if it has ended.
    pub(crate) fn has_extra_threads(&self) -> Result<bool, Error> {
        let stat = rustix::fs::statat(&self.fd, "../task", AtFlags::empty());
        let stat = look(stat.called(|| self.call("fstatat", "../task")))?;
        // The folder has a link for each thread beside its own two (proc_pid_task(5)).
        Ok(stat.seen().is_some_and(|stat| stat.st_nlink > 3))
    }

    /// The process.
    pub(crate) fn process(&self) -> Result<Look<ProcessFolder>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.fd, "..", flags, Mode::empty());
        Ok(
            look(opened.called(|| self.call("openat", "..")))?.map(|fd| ProcessFolder {
                name: self.pid.to_string(),
                fd,
            }),
        )
    }

    /// [`ProcessFolder::look`].
    fn look<T>(&self, result: Result<T, CallError>) -> Result<Look<T>, Error> {
        match &result {
            Ok(_) => look(result),
            Err(_) => match self.process()? {
                Look::Seen(process) => process.look(result),
                Look::Gone => Ok(Look::Gone),
                Look::Hidden => look(result),
            },
        }
    }

    fn call(&self, call: &str, path: &str) -> String {
        format!("{call}(/proc/{}/ns, \"{path}\")", self.pid)
    }
}

/// Kind and inode in `net:[4026532300]`, the name that the kernel gives to a namespace's file.
pub(crate) fn split(name: &[u8]) -> Option<(&str, u64)> {
    let colon = name.iter().position(|byte| *byte == b':')?;
    let inode = name[colon + 1..].strip_prefix(b"[")?.strip_suffix(b"]")?;
    Some((std::str::from_utf8(&name[..colon]).ok()?, number(inode)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_name_of_a_namespaces_file_has_kind_and_inode() {
        assert_eq!(split(b"net:[4026532300]"), Some(("net", 4_026_532_300)));
        assert_eq!(split(b"net:[x]"), None);
        assert_eq!(split(b"/"), None);
    }

    /// The first by following it, the others by what they say: both ways give the same.
    #[test]
    fn links_are_the_namespaces_that_they_lead_to() {
        let pid = std::process::id();
        for first in Kind::ALL {
            let proc = Proc::open().unwrap();
            let links = proc.links(pid).unwrap().seen().unwrap();
            let folder = proc.process(pid).unwrap().seen().unwrap();
            let mut names = vec![first.name(), "pid_for_children", "time_for_children"];
            names.extend(Kind::ALL.map(Kind::name));
            for name in names {
                let seen = links.namespace(name).unwrap();
                assert!(seen.seen().is_some(), "{name}");
                assert_eq!(seen, folder.namespace(name).unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn threads_are_noticed() {
        let proc = Proc::open().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let links = proc.links(child.id()).unwrap().seen().unwrap();
        assert!(!links.has_extra_threads().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        // The test harness runs this on a thread of its own.
        let myself = proc.links(std::process::id()).unwrap().seen().unwrap();
        assert!(myself.has_extra_threads().unwrap());
    }

    #[test]
    fn of_a_process_that_is_ending_nothing_is_hidden() {
        let proc = Proc::open().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let links = proc.links(child.id()).unwrap().seen().unwrap();
        assert!(links.namespace("net").unwrap().seen().is_some());
        child.kill().unwrap();
        let process = links.process().unwrap().seen().unwrap();
        while process.stat().unwrap().seen().unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        for link in ["mnt", "net", "ipc", "uts"] {
            assert_eq!(links.namespace(link).unwrap(), Look::Gone, "{link}");
        }
        child.wait().unwrap();
        assert_eq!(links.namespace("user").unwrap(), Look::Gone);
        assert!(!links.has_extra_threads().unwrap());
        assert!(matches!(proc.links(child.id()).unwrap(), Look::Gone));
    }
}
