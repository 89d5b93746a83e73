//! A private handle on the kernel's process file system, for what soute itself writes there.
//!
//! What a container's root shows at /proc may be another file system, or have others mounted over parts of it: a volume
//! that an image declares takes a label or a sysctl for itself, or leads it to another file of the kernel's
//! (CVE-2019-16884, CVE-2025-52881). A handle of one's own is a mount that nobody else can reach, and nothing is ever
//! mounted in it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use soute_sys::mount::{NODEV, NOEXEC, NOSUID};
use soute_sys::{CallError, Called};

use super::openat2;

/// `PROC_ROOT_INO` of the kernel (linux/proc_fs.h): the root of every procfs.
const ROOT_INODE: u64 = 1;

/// The root of a procfs.
#[derive(Debug)]
pub struct Procfs(OwnedFd);

impl Procfs {
    /// A new one, detached, of the caller's PID namespace, which shows processes alone (`subset=pid`, Linux 5.8).
    ///
    /// # Errors
    /// `EPERM`: the caller's user namespace does not own its PID namespace, or no procfs is in its sight that is not
    /// covered in part by mounts that it may not undo (mount_too_revealing of the kernel). So before pivot_root; or
    /// [`Self::machine`], which shows the same namespaces to whoever opens a file.
    pub fn processes() -> Result<Self, CallError> {
        Self::new(&[("subset", "pid")])
    }

    /// A new one, detached, of the caller's PID namespace, with all that is in it: for /proc/sys, which shows the
    /// network, IPC and UTS namespaces of whoever opens a file.
    ///
    /// # Errors
    /// As [`Self::processes`].
    pub fn whole() -> Result<Self, CallError> {
        Self::new(&[])
    }

    fn new(options: &[(&str, &str)]) -> Result<Self, CallError> {
        super::new_filesystem("proc", options, NOSUID | NODEV | NOEXEC).map(Self)
    }

    /// The machine's own, at /proc: while the caller still sees the machine's tree, which no container may change.
    ///
    /// # Errors
    /// `ENODEV`: what is there is not the root of a procfs.
    pub fn machine() -> Result<Self, CallError> {
        let root = rustix::fs::openat(
            CWD,
            "/proc",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .called(|| "open(\"/proc\", O_PATH)".to_owned())?;
        let kind = rustix::fs::fstatfs(&root).called(|| "fstatfs(\"/proc\")".to_owned())?;
        let stat = rustix::fs::fstat(&root).called(|| "fstat(\"/proc\")".to_owned())?;
        if kind.f_type != PROC_SUPER_MAGIC || stat.st_ino != ROOT_INODE {
            return Err(CallError::new("/proc is not the kernel's", Errno::NODEV));
        }
        Ok(Self(root))
    }

    /// Opens `path`, relative to the root: never out of it, into another mount, or through a link of /proc that jumps
    /// (`/proc/PID/fd/N`). Links like `self` are followed.
    ///
    /// # Errors
    /// `EXDEV`: something is mounted on the way.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.0, path, flags, resolve)
            .called(|| format!("openat2(proc, \"{path}\", {flags:?})"))
    }

    /// Writes `text` to `path` in one call, as the kernel wants it of these files.
    pub fn write(&self, path: &str, text: &str) -> Result<(), CallError> {
        let file = self.open(path, OFlags::WRONLY)?;
        write_whole(&file, path, text)
    }
}

/// Writes `text` to a file of procfs in one call; `path` is for the error.
pub(crate) fn write_whole(file: impl AsFd, path: &str, text: &str) -> Result<(), CallError> {
    let call = || format!("write(\"/proc/{path}\", {text:?})");
    let written =
        rustix::io::retry_on_intr(|| rustix::io::write(&file, text.as_bytes())).called(call)?;
    if written != text.len() {
        return Err(CallError::new(
            format!("{}: {written} bytes were taken", call()),
            Errno::IO,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_what_is_the_kernels_and_nothing_else() {
        let machine = Procfs::machine().unwrap();
        machine
            .open("thread-self/attr/exec", OFlags::RDONLY)
            .unwrap();
        machine.open("sys/kernel/hostname", OFlags::RDONLY).unwrap();
        for (path, errno) in [
            ("/etc/passwd", Errno::XDEV),
            ("../etc/passwd", Errno::XDEV),
            ("self/root/etc/passwd", Errno::LOOP),
            ("self/exe", Errno::LOOP),
        ] {
            let error = machine.open(path, OFlags::RDONLY).unwrap_err();
            assert_eq!(error.errno(), errno, "{error}");
        }
    }
}
