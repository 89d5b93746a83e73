//! The engine's own executable, out of a container's reach.
//!
//! Until execve, a process that enters a container is the engine's own
//! program. An image whose program is a script that begins with
//! `#!/proc/self/exe` has the kernel run that very program, inside, where the
//! container's root may open /proc/PID/exe and, once nothing executes the file
//! any more, write it (CVE-2019-5736). A user namespace forbids that as long as
//! the file's owner is nobody in it. Where the owner is somebody, the command
//! executes itself anew, from a copy in memory that nobody can write
//! (memfd_create(2), "File sealing"), before it does anything else.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, SealFlags};
use rustix::io::Errno;
use soute_runtime::idmap::IdMaps;
use soute_sys::{CallError, Called};

use crate::error::{Error, io};
use crate::request::UserNamespace;
use crate::{Engine, subids};

/// This process's executable.
const EXECUTABLE: &str = "/proc/self/exe";

/// What makes a file in memory unchangeable.
const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

impl Engine {
    /// Makes this process safe to start a container with, before anything is read or made that cannot be a second
    /// time: the command may begin anew here.
    ///
    /// `userns` is what was asked for, `joined` the containers of which a namespace is shared.
    pub fn shield<'a>(
        &self,
        userns: Option<&UserNamespace>,
        privileged: bool,
        joined: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let mut join = joined.into_iter().peekable();
        if join.peek().is_some() {
            return join.try_for_each(|name| self.shield_in(name));
        }
        match self.user_namespace(userns, privileged) {
            // Its ids are nobody's on the machine.
            UserNamespace::Auto => Ok(()),
            UserNamespace::Host => shield(None),
            UserNamespace::Remap { user, group } => {
                shield(Some(&subids::remap(user, group.as_deref())?))
            }
        }
    }

    /// [`Self::shield`] before a container that is there is started or entered.
    pub fn shield_in(&self, name: &str) -> Result<(), Error> {
        shield(self.find(name)?.id_maps.as_ref())
    }
}

fn shield(maps: Option<&IdMaps>) -> Result<(), Error> {
    match is_safe(maps)? {
        true => Ok(()),
        false => begin_anew().map(|never| match never {}),
    }
}

/// Refuses to go on where [`Engine::shield`] was needed and not called.
pub(crate) fn require(maps: Option<&IdMaps>) -> Result<(), Error> {
    match is_safe(maps)? {
        true => Ok(()),
        false => Err(Error::Impossible(
            "the container's root could write the engine's executable, and this process does not run from a sealed copy"
                .to_owned(),
        )),
    }
}

/// Whether a container with these id maps cannot write this process's executable.
fn is_safe(maps: Option<&IdMaps>) -> Result<bool, Error> {
    if let Some(maps) = maps {
        let path = Path::new(EXECUTABLE);
        let owner = io("looking at", path, std::fs::metadata(path))?.uid();
        let somebody =
            |r: &soute_runtime::idmap::IdRange| owner >= r.host && owner - r.host < r.size;
        if !maps.uids.iter().any(somebody) {
            return Ok(true);
        }
    }
    is_sealed()
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

fn is_sealed() -> Result<bool, Error> {
    let executable = open_executable()?;
    match rustix::fs::fcntl_get_seals(&executable) {
        Ok(seals) => Ok(seals.contains(SEALS)),
        // Not a file in memory.
        Err(Errno::INVAL) => Ok(false),
        Err(e) => Err(CallError::new("fcntl(F_GET_SEALS)", e).into()),
    }
}

fn open_executable() -> Result<File, Error> {
    io("opening", Path::new(EXECUTABLE), File::open(EXECUTABLE))
}

/// Executes this command from a sealed copy of its executable.
fn begin_anew() -> Result<Infallible, Error> {
    let name = c"soute";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 they all were executable.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        other => other,
    }
    .called(|| "memfd_create(MFD_ALLOW_SEALING | MFD_EXEC)".to_owned())?;
    let mut copy = File::from(copy);
    let copied = std::io::copy(&mut open_executable()?, &mut copy);
    io("copying", Path::new(EXECUTABLE), copied)?;
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(0o555))
        .called(|| "fchmod(memfd, 0555)".to_owned())?;
    seal(&copy)?;
    let text = |s: OsString| CString::new(s.into_vec()).unwrap_or_default();
    let arguments: Vec<CString> = std::env::args_os().map(text).collect();
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect();
    let errno = soute_sys::process::execveat(&copy, &arguments, &environment);
    Err(CallError::new("execveat(a sealed copy of soute)", errno).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_harmless_if_the_owner_is_nobody_in_it() {
        let owner = std::fs::metadata(EXECUTABLE).unwrap().uid();
        let maps = |first: u32| IdMaps::contiguous(first, first, 65_536);
        assert!(is_safe(Some(&maps(owner + 1))).unwrap());
        assert!(!is_safe(Some(&maps(owner))).unwrap());
        assert!(!is_safe(None).unwrap());
        assert!(require(None).is_err());
    }

    #[test]
    fn a_file_on_disk_is_not_sealed() {
        assert!(!is_sealed().unwrap());
    }
}
