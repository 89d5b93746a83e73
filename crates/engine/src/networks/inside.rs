//! A container's network seen from within: its namespace, and the files by which its programs find names.

use std::io::Read as _;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use soute_network::Protocol;
use soute_network::ruleset::Published;
use soute_sys::Called as _;

use crate::Engine;
use crate::container::Status;
use crate::error::{Error, io};

/// Longest of its files that is read: nobody's /etc/hosts is longer, but a hostile one may be.
const LONGEST: u64 = 1 << 20;

/// A running container, opened: descriptors that stay its own whatever becomes of its process's number.
#[derive(Debug)]
pub struct Inside {
    /// Its name.
    pub name: String,
    network: OwnedFd,
    root: OwnedFd,
}

/// An address of a container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its name.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// The network.
    pub network: String,
    /// The bridge's port that leads to it.
    pub peer: String,
}

impl Engine {
    /// Opens a running container for `operation`.
    ///
    /// # Errors
    /// There is none of the name; it does not run.
    pub fn inside(&self, name: &str, operation: &'static str) -> Result<Inside, Error> {
        let container = self.container(name)?;
        let name = container.record.name.clone();
        let Status::Running(running) = &container.status else {
            return Err(Error::WrongState {
                name,
                is: container.status.word().to_owned(),
                operation,
                needs: "a running container",
            });
        };
        let network = network_of(running.pid)?;
        let root = root_of(running.pid)?;
        // What was opened is the container's.
        self.first_process(&container)?;
        Ok(Inside {
            name,
            network,
            root,
        })
    }

    /// The addresses of all containers that run in networks.
    pub fn located(&self) -> Result<Vec<Located>, Error> {
        let mut all = Vec::new();
        for container in self.containers()? {
            if !matches!(container.status, Status::Running(_)) {
                continue;
            }
            for wire in self.networking(&container.record.id)?.wires {
                let located = wire.addresses.iter().map(|(address, _)| Located {
                    name: container.record.name.clone(),
                    address: *address,
                    network: wire.network.clone(),
                    peer: wire.peer.clone(),
                });
                all.extend(located);
            }
        }
        Ok(all)
    }

    /// What of the machine's leads to a container by this address and port.
    pub fn published_at(
        &self,
        at: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Result<Option<Published>, Error> {
        let leads = |published: &Published| {
            let any = |own: IpAddr| own.is_unspecified() || own == at;
            published.protocol == protocol
                && published.port == port
                && published.to.is_ipv4() == at.is_ipv4()
                && published.address.is_none_or(any)
        };
        let all = super::all_noted(&self.places).into_iter();
        let mut published = all.flat_map(|(_, noted)| noted.published);
        Ok(published.find(leads))
    }
}

/// The network namespace of a process.
///
/// # Errors
/// There is no such process.
pub fn network_of(pid: i32) -> Result<OwnedFd, Error> {
    open_network(&format!("/proc/{pid}/ns/net"))
}

/// The network namespace of whoever calls this.
pub fn own_network() -> Result<OwnedFd, Error> {
    open_network("/proc/self/ns/net")
}

fn open_network(path: &str) -> Result<OwnedFd, Error> {
    let path = Path::new(path);
    let file = io("opening the namespace", path, std::fs::File::open(path))?;
    Ok(file.into())
}

/// Whether two descriptors are of the same network namespace.
pub fn is_same_network(one: impl AsFd, other: impl AsFd) -> Result<bool, Error> {
    let inode = |fd: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(fd).called(|| "fstat(a network namespace)".to_owned())?;
        Ok::<_, Error>((stat.st_dev, stat.st_ino))
    };
    Ok(inode(one.as_fd())? == inode(other.as_fd())?)
}

/// The root of a process, as a place to look from.
///
/// # Errors
/// There is no such process.
pub(crate) fn root_of(pid: i32) -> Result<OwnedFd, Error> {
    let path = PathBuf::from(format!("/proc/{pid}/root"));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty());
    io("opening the root", &path, root.map_err(Into::into))
}

impl Inside {
    /// Its network namespace.
    pub fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// The text of one of its files, links followed within its root alone. `None`: it has none, or it is no file.
    pub fn file(&self, path: &str) -> Result<Option<String>, Error> {
        // Whatever lies there, a FIFO perhaps, is not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let shown = Path::new(path);
        let opened = match soute_runtime::mounts::openat2(&self.root, path, flags, resolve) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            other => io("opening in the container", shown, other.map_err(Into::into))?,
        };
        let stat = rustix::fs::fstat(&opened).map_err(Into::into);
        let stat = io("looking at a file of the container", shown, stat)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::from(opened)
            .take(LONGEST)
            .read_to_end(&mut bytes);
        io("reading in the container", shown, read)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_of_the_root_is_read() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink(outside.path().join("secret"), at("absolute")).unwrap();
        symlink(
            format!("../../../../../..{}/secret", outside.path().display()),
            at("relative"),
        )
        .unwrap();
        symlink("loop", at("loop")).unwrap();
        std::fs::write(at("hosts"), "text").unwrap();
        symlink("/hosts", at("inner")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let inside = Inside {
            name: String::new(),
            network: std::fs::File::open("/dev/null").unwrap().into(),
            root: std::fs::File::open(folder.path()).unwrap().into(),
        };
        for name in ["absolute", "relative", "loop", "fifo", "missing", "."] {
            assert_eq!(inside.file(name).unwrap(), None, "{name}");
        }
        for name in ["hosts", "inner", "/hosts"] {
            assert_eq!(
                inside.file(name).unwrap().as_deref(),
                Some("text"),
                "{name}"
            );
        }
    }
}
