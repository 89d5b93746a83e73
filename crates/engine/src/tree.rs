//! Removing folders that containers have filled.
//!
//! The standard library holds a descriptor for each level that it descends: a
//! container that makes folders a thousand deep would never be removed, and
//! with it every command fail that cleans up. Here what lies too deep is moved
//! up first.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use crate::error::Error;

/// How deep to descend, with two descriptors for each level.
const DEEPEST: usize = 100;

/// Removes `folder` with all that is in it; that it is not there is fine.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    empty(folder)?;
    match rustix::fs::rmdir(folder) {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other.called(|| format!("rmdir(\"{}\")", folder.display()))?),
    }
}

/// Removes all that is in `folder`, and not the folder; that it is not there is fine.
pub(crate) fn empty(folder: &Path) -> Result<(), Error> {
    let top = match rustix::fs::openat(CWD, folder, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.called(|| format!("open(\"{}\")", folder.display()))?,
    };
    let mut moved = 0;
    loop {
        let before = moved;
        clear(&top, &top, DEEPEST, &mut moved).map_err(|e| {
            let call = format!("removing what is in {}: {}", folder.display(), e.call());
            CallError::new(call, e.errno())
        })?;
        if moved == before {
            return Ok(());
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes what is in `folder` but for folders more than `deeper` levels down: those go to `top`, which makes `moved`
/// grow.
fn clear(folder: &OwnedFd, top: &OwnedFd, deeper: usize, moved: &mut u64) -> Result<(), CallError> {
    let list = |e: Errno| CallError::new("getdents64()", e);
    let entries = rustix::fs::Dir::read_from(folder).map_err(list)?;
    for entry in entries {
        let entry = entry.map_err(list)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !is_folder(folder, name, entry.file_type())? {
            unlink(folder, name, AtFlags::empty())?;
        } else if deeper == 0 {
            move_up(folder, name, top, moved)?;
        } else {
            let inner = rustix::fs::openat(folder, name, FOLDER, Mode::empty())
                .called(|| format!("openat({name:?}, O_DIRECTORY | O_NOFOLLOW)"))?;
            clear(&inner, top, deeper - 1, moved)?;
            unlink(folder, name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

fn is_folder(folder: &OwnedFd, name: &CStr, kind: FileType) -> Result<bool, CallError> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .called(|| format!("fstatat({name:?})"))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn unlink(folder: &OwnedFd, name: &CStr, flags: AtFlags) -> Result<(), CallError> {
    match rustix::fs::unlinkat(folder, name, flags) {
        // Another command removes the same.
        Err(Errno::NOENT) => Ok(()),
        other => other.called(|| format!("unlinkat({name:?}, {flags:?})")),
    }
}

fn move_up(folder: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), CallError> {
    loop {
        *moved += 1;
        let new = CString::new(format!(".deep-{moved}")).unwrap_or_default();
        match rustix::fs::renameat_with(folder, name, top, &new, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return other.called(|| format!("renameat2({name:?}, {new:?})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_depth_goes_with_few_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        let aside = folder.path().join("aside");
        std::fs::create_dir_all(victim.join("beside/x")).unwrap();
        std::fs::create_dir(&aside).unwrap();
        std::fs::write(aside.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&aside, victim.join("link")).unwrap();
        std::fs::write(victim.join(".deep-1"), "a name that is taken").unwrap();
        let mut at = rustix::fs::open(&victim, FOLDER, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, c"d", FOLDER, Mode::empty()).unwrap();
            rustix::fs::symlinkat("../../../aside", &at, c"link").unwrap();
        }
        drop(at);
        remove(&victim).unwrap();
        assert!(!victim.exists());
        assert!(aside.join("kept").exists());
        remove(&victim).unwrap();
        empty(&aside).unwrap();
        assert!(aside.exists() && !aside.join("kept").exists());
    }
}
