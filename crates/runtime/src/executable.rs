//! The program's own file, out of a container's reach.
//!
//! Until execve, a process that enters a container is this very program. An image whose program is a script that begins
//! with `#!/proc/self/exe` has the kernel run it inside, where the container's root may open /proc/PID/exe and, once
//! nothing executes the file any more, write it (CVE-2019-5736). So a command that starts such a process first gets
//! hold of its executable by a mount that is read-only for good, and goes on from there (decision 7). Where the
//! kernel cannot do that, it executes itself anew from a file in memory that is sealed (memfd_create(2), "File sealing").

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use soute_sys::mount::{MountAttr, RDONLY, mount_setattr};
use soute_sys::{CallError, Called};

use crate::mounts::clone_of_one;

/// This process's executable.
pub const EXECUTABLE: &str = "/proc/self/exe";

/// What makes a file in memory unchangeable.
const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// Whether this process runs from a file that nobody can write.
///
/// # Errors
/// The call that failed.
pub fn is_out_of_reach() -> Result<bool, CallError> {
    if soute_sys::executable::is_exchanged() {
        return Ok(true);
    }
    match rustix::fs::fcntl_get_seals(open_executable()?) {
        Ok(seals) => Ok(seals.contains(SEALS)),
        // Not a file in memory.
        Err(Errno::INVAL) => Ok(false),
        Err(e) => Err(CallError::new("fcntl(F_GET_SEALS)", e)),
    }
}

/// Goes on from a file that nobody can write; returns in the process that does.
///
/// # Errors
/// The call that failed.
pub fn put_out_of_reach() -> Result<(), CallError> {
    // That it is sealed in memory is what is asked last: a mount of that the kernel does not make.
    if soute_sys::executable::is_exchanged() || by_another_mount().is_ok() || is_out_of_reach()? {
        return Ok(());
    }
    match begin_anew()? {}
}

/// The descriptor of the mount by which the executable is held. Once the last one is closed, the mount is in no mount
/// namespace, and nobody can make it writable: all that is done to mounts asks for that. Until then it takes
/// CAP_SYS_ADMIN without a user namespace, with which the machine is anybody's.
static MOUNT: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Closes the descriptor that [`put_out_of_reach`] has left open. For the last one the kernel waits until no processor
/// looks at the mount any more (0.3 ms), which is best done while there is nothing else to do.
pub(crate) fn let_go() {
    drop(MOUNT.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The same file by a mount that is read-only.
fn by_another_mount() -> Result<(), CallError> {
    let mount = clone_of_one(Path::new(EXECUTABLE))?;
    let attributes = MountAttr {
        set: RDONLY,
        ..MountAttr::default()
    };
    mount_setattr(&mount, false, &attributes)?;
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{path}\")"))?;
    soute_sys::executable::exchange(file)?;
    *MOUNT.lock().unwrap_or_else(PoisonError::into_inner) = Some(mount);
    Ok(())
}

/// Executes this command anew, from a copy that nobody can write.
fn begin_anew() -> Result<Infallible, CallError> {
    let file = sealed_copy()?;
    let text = |s: OsString| CString::new(s.into_vec()).unwrap_or_default();
    let arguments: Vec<CString> = soute_sys::start::words().into_iter().map(text).collect();
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect();
    let errno = soute_sys::process::execveat(&file, &arguments, &environment);
    Err(CallError::new("execveat(soute, sealed)", errno))
}

fn sealed_copy() -> Result<OwnedFd, CallError> {
    let name = c"soute";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 they all were executable.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    }
    .called(|| "memfd_create(MFD_ALLOW_SEALING | MFD_EXEC)".to_owned())?;
    let mut copy = File::from(copy);
    std::io::copy(&mut open_executable()?, &mut copy)
        .called(|| format!("copying {EXECUTABLE} to memory"))?;
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(0o555))
        .called(|| "fchmod(memfd, 0555)".to_owned())?;
    seal(&copy)?;
    Ok(copy.into())
}

/// Seals `file`. The kernel says "busy" while one of its pages is held for a moment, by its own housekeeping even: asked
/// again, for a second at most.
fn seal(file: &File) -> Result<(), CallError> {
    let mut tries = 100;
    loop {
        match rustix::fs::fcntl_add_seals(file, SEALS) {
            Err(Errno::BUSY) if tries > 0 => tries -= 1,
            other => return other.called(|| format!("fcntl(F_ADD_SEALS, {SEALS:?})")),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open_executable() -> Result<File, CallError> {
    File::open(EXECUTABLE).called(|| format!("open(\"{EXECUTABLE}\")"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_disk_is_within_reach() {
        assert!(!is_out_of_reach().unwrap());
    }
}
