//! The program's own file, out of a container's reach.
//!
//! Until execve, a process that enters a container is this very program. An image whose program is a script that begins
//! with `#!/proc/self/exe` has the kernel run it inside, where the container's root may open /proc/PID/exe and, once
//! nothing executes the file any more, write it (CVE-2019-5736). So a command that starts such a process executes
//! itself anew, before it does anything else, from a file that nobody can write: one in an overlay without an upper
//! layer, which takes no copy, or one in memory that is sealed (memfd_create(2), "File sealing").

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use crate::mounts::overlay;

/// This process's executable.
pub const EXECUTABLE: &str = "/proc/self/exe";

/// `OVERLAYFS_SUPER_MAGIC`
const OVERLAY_MAGIC: rustix::fs::FsWord = 0x794c_7630;

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
    let executable = open_executable()?;
    let kind = rustix::fs::fstatfs(&executable).called(|| format!("fstatfs(\"{EXECUTABLE}\")"))?;
    if kind.f_type == OVERLAY_MAGIC {
        let flags =
            rustix::fs::fstatvfs(&executable).called(|| format!("fstatvfs(\"{EXECUTABLE}\")"))?;
        return Ok(flags.f_flag.contains(StatVfsMountFlags::RDONLY));
    }
    match rustix::fs::fcntl_get_seals(&executable) {
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
    match is_out_of_reach()? {
        true => Ok(()),
        false => match begin_anew()? {},
    }
}

/// Executes this command anew, from a file that nobody can write.
fn begin_anew() -> Result<Infallible, CallError> {
    let file = match in_overlay() {
        Ok(Some(file)) => file,
        // Older kernels clone no detached layers; the file may have been replaced; not all file systems take part.
        Ok(None) | Err(_) => sealed_copy()?,
    };
    let text = |s: OsString| CString::new(s.into_vec()).unwrap_or_default();
    let arguments: Vec<CString> = std::env::args_os().map(text).collect();
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect();
    let errno = soute_sys::process::execveat(&file, &arguments, &environment);
    Err(CallError::new("execveat(soute, out of reach)", errno))
}

/// The executable as an overlay shows it that has no layer to write to. `None`: it has no name any more.
fn in_overlay() -> Result<Option<OwnedFd>, CallError> {
    let path = std::fs::read_link(EXECUTABLE).called(|| format!("readlink(\"{EXECUTABLE}\")"))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let overlay = overlay::read_only(folder)?;
    let opened = rustix::fs::openat(
        &overlay.mount,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    match opened {
        Ok(file) if same(&file)? => Ok(Some(file)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(CallError::new("openat(overlay, soute)", e)),
    }
}

/// Whether it is what this process executes, and not a newer file of that name.
fn same(file: &OwnedFd) -> Result<bool, CallError> {
    let stat = |fd: &dyn AsFd| rustix::fs::fstat(fd.as_fd()).called(|| "fstat()".to_owned());
    let (here, there) = (stat(&open_executable()?)?, stat(file)?);
    let identity = |s: &rustix::fs::Stat| (s.st_ino, s.st_size, s.st_ctime, s.st_ctime_nsec);
    Ok(identity(&here) == identity(&there))
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
