//! Paths inside a container, resolved by the kernel below a descriptor.
//!
//! Inside a root nothing is resolved as a string of the machine: a [`Root`]
//! holds a descriptor and yields descriptors, never a path.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called as _};

/// Most symlinks followed while missing parts of a path are made, as in the kernel.
const MOST_LINKS: usize = 40;

/// The root of a container.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// What a missing mount target is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Folder,
    File,
}

/// Whether a symlink on the way is followed (inside the root) or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// A user's mount may go through the image's links, like `/var/run`.
    Follow,
    /// /proc, /sys and /dev: what soute itself writes there must not be redirected (CVE-2019-16884 and kin).
    Refuse,
}

impl Root {
    pub(crate) fn new(folder: OwnedFd) -> Self {
        Self(folder)
    }

    /// A descriptor (O_PATH) of what `path` names inside the root.
    pub(crate) fn open(&self, path: &str, links: Links) -> Result<OwnedFd, CallError> {
        self.open_with(path, OFlags::PATH, links)
    }

    /// openat2(2) inside the root; no magic link (`/proc/PID/fd/N`, `/proc/PID/root`) is ever followed.
    pub(crate) fn open_with(
        &self,
        path: &str,
        flags: OFlags,
        links: Links,
    ) -> Result<OwnedFd, CallError> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if links == Links::Refuse {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        openat2(&self.0, path, flags, resolve)
            .called(|| format!("openat2(root, \"{path}\", {resolve:?})"))
    }

    /// Opens `path`; what is missing of it is made, parents as folders with mode 0755.
    pub(crate) fn open_or_make(
        &self,
        path: &str,
        missing: Missing,
        links: Links,
    ) -> Result<OwnedFd, CallError> {
        match self.open(path, links) {
            Err(e) if e.errno() == Errno::NOENT => {}
            other => return other,
        }
        if self.make_last(path, missing, links)? {
            return self.open(path, links);
        }
        self.make(path, missing, links, MOST_LINKS)?;
        self.open(path, links)
    }

    /// Makes the last part of `path` if that is all that is missing; `false`: it is not, or a link has its name.
    fn make_last(&self, path: &str, missing: Missing, links: Links) -> Result<bool, CallError> {
        let Some((folder, name)) = path.trim_end_matches('/').rsplit_once('/') else {
            return Ok(false);
        };
        if matches!(name, "" | "." | "..") {
            return Ok(false);
        }
        let folder = match folder {
            "" => "/",
            folder => folder,
        };
        let Ok(folder) = self.open_with(folder, OFlags::PATH | OFlags::DIRECTORY, links) else {
            return Ok(false);
        };
        match make_in(&folder, name, missing) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(e) => Err(CallError::new(
                format!("making \"{path}\" in the container"),
                e,
            )),
        }
    }

    fn make(
        &self,
        path: &str,
        missing: Missing,
        links: Links,
        links_left: usize,
    ) -> Result<(), CallError> {
        let parts: Vec<&str> = path
            .split('/')
            .filter(|p| !p.is_empty() && *p != ".")
            .collect();
        let mut done = String::from("/");
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let what = if last { missing } else { Missing::Folder };
            let parent = self.open_with(&done, OFlags::PATH | OFlags::DIRECTORY, links)?;
            let next = format!("{}/{part}", done.trim_end_matches('/'));
            match self.open(&next, links) {
                Ok(_) => {}
                Err(e) if e.errno() == Errno::NOENT => {
                    match make_in(&parent, part, what) {
                        Ok(()) => {}
                        // There and yet not found: a link to nothing. What it names is made, inside the root
                        // (Debian's /etc/resolv.conf -> ../run/systemd/… is such a one).
                        Err(Errno::EXIST) if links == Links::Follow && links_left > 0 => {
                            let target = rustix::fs::readlinkat(&parent, *part, Vec::new())
                                .map_err(|e| {
                                    CallError::new(format!("readlinkat(\"{next}\")"), e)
                                })?;
                            let target = target.to_string_lossy();
                            let target = if target.starts_with('/') {
                                target.into_owned()
                            } else {
                                format!("{done}/{target}")
                            };
                            self.make(&target, what, links, links_left - 1)?;
                        }
                        Err(e) => {
                            return Err(CallError::new(
                                format!("making \"{next}\" in the container"),
                                e,
                            ));
                        }
                    }
                }
                Err(e) => return Err(e),
            }
            done = next;
        }
        Ok(())
    }
}

/// openat2(2), until the kernel has an answer.
pub fn openat2(
    folder: impl AsFd,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    loop {
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(&folder, path, flags, Mode::empty(), resolve) {
            // A rename elsewhere made the kernel doubt a `..`: it asks to be asked again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Makes a folder or an empty file of this name; a link of this name is not followed.
fn make_in(folder: &OwnedFd, name: &str, what: Missing) -> rustix::io::Result<()> {
    match what {
        Missing::Folder => rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)),
        Missing::File => rustix::fs::openat(
            folder,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )
        .map(drop),
    }
}

impl From<Root> for OwnedFd {
    fn from(root: Root) -> Self {
        root.0
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(dir: &std::path::Path) -> Root {
        Root::new(std::fs::File::open(dir).unwrap().into())
    }

    #[test]
    fn missing_targets_are_made_inside_even_through_hostile_links() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let up = format!("../../../../../../..{}", outside.path().display());
        symlink(outside.path(), dir.path().join("absolute")).unwrap();
        symlink(&up, dir.path().join("relative")).unwrap();
        let root = root(dir.path());
        for link in ["absolute", "relative"] {
            let path = format!("/{link}/made");
            root.open_or_make(&path, Missing::File, Links::Follow)
                .unwrap();
            assert!(!outside.path().join("made").exists(), "{link} led outside");
        }
        let inside = dir
            .path()
            .join(outside.path().strip_prefix("/").unwrap())
            .join("made");
        assert!(inside.is_file());
    }

    #[test]
    fn links_are_refused_where_soute_itself_writes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        symlink("real", dir.path().join("proc")).unwrap();
        let error = root(dir.path())
            .open_or_make("/proc", Missing::Folder, Links::Refuse)
            .unwrap_err();
        assert_eq!(error.errno(), Errno::LOOP);
    }

    #[test]
    fn a_loop_of_dangling_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(
            root(dir.path())
                .open_or_make("/a", Missing::File, Links::Follow)
                .is_err()
        );
    }
}
