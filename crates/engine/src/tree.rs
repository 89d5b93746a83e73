//! Removing folders that containers have filled.
//!
//! The standard library holds a descriptor for each level that it descends: a
//! container that makes folders a thousand deep would never be removed, and
//! with it every command fail that cleans up. Here what lies too deep is moved
//! up first.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, IFlags, Mode, OFlags, RawDir, RenameFlags, SeekFrom};
use rustix::io::Errno;
use soute_runtime::mounts::copy::OPEN_FOLDER;
use soute_sys::{CallError, Called};

use crate::error::Error;

/// How deep to descend, with a descriptor and a buffer for each level.
const DEEPEST: usize = 100;

/// Bytes for the entries of a folder that are read at once; one of the longest name takes 280.
const ENTRIES: usize = 2048;

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
    let top = match rustix::fs::openat(CWD, folder, OPEN_FOLDER, Mode::empty()) {
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
        rustix::fs::seek(&top, SeekFrom::Start(0)).called(|| "lseek(0)".to_owned())?;
    }
}

/// Removes what is in `folder` but for folders more than `deeper` levels down: those go to `top`, which makes `moved`
/// grow.
fn clear(folder: &OwnedFd, top: &OwnedFd, deeper: usize, moved: &mut u64) -> Result<(), CallError> {
    let mut buffer = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.called(|| "getdents64()".to_owned())?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !is_folder(folder, name, entry.file_type())? {
            unlink(folder, name, AtFlags::empty())?;
        } else if deeper == 0 {
            move_up(folder, name, top, moved)?;
        } else {
            let inner = rustix::fs::openat(folder, name, OPEN_FOLDER, Mode::empty())
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
    match despite_flags(folder, name, || rustix::fs::unlinkat(folder, name, flags)) {
        // Another command removes the same.
        Err(Errno::NOENT) => Ok(()),
        other => other.called(|| format!("unlinkat({name:?}, {flags:?})")),
    }
}

fn move_up(folder: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), CallError> {
    loop {
        *moved += 1;
        let new = CString::new(format!(".deep-{moved}")).unwrap_or_default();
        let rename = || rustix::fs::renameat_with(folder, name, top, &new, RenameFlags::NOREPLACE);
        match despite_flags(folder, name, rename) {
            Err(Errno::EXIST) => {}
            other => return other.called(|| format!("renameat2({name:?}, {new:?})")),
        }
    }
}

/// Does `act` to what is `name` in `folder`, once more if a flag forbids it.
///
/// Root without a user namespace of its own makes files that nobody removes, and folders of which nothing is removed
/// (`chattr +i` and `+a`).
fn despite_flags(
    folder: &OwnedFd,
    name: &CStr,
    act: impl Fn() -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match act() {
        Err(Errno::PERM) => {
            // If it is not that, the second try says so.
            let _ = take_flags(folder);
            let _ = open_plain(folder, name).and_then(take_flags);
            act()
        }
        done => done,
    }
}

fn take_flags(file: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::ioctl_getflags(&file)?;
    rustix::fs::ioctl_setflags(&file, flags - (IFlags::IMMUTABLE | IFlags::APPEND))
}

/// A regular file or a folder. Nothing else has flags, and to open a device would be to use it: what it is, is seen
/// first, and what was seen is opened, whatever bears its name by then.
fn open_plain(folder: &OwnedFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let seen = rustix::fs::openat(
        folder,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match FileType::from_raw_mode(rustix::fs::fstat(&seen)?.st_mode) {
        FileType::RegularFile | FileType::Directory => {
            let path = format!("/proc/self/fd/{}", seen.as_raw_fd());
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        }
        _ => Err(Errno::OPNOTSUPP),
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
        let mut at = rustix::fs::open(&victim, OPEN_FOLDER, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, c"d", OPEN_FOLDER, Mode::empty()).unwrap();
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

    #[test]
    fn what_cannot_be_changed_goes_too() {
        // Where there are such flags: /tmp may be memory.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let victim = folder.path().join("victim");
        std::fs::create_dir_all(victim.join("grows")).unwrap();
        std::fs::create_dir_all(victim.join("stays")).unwrap();
        for (name, flags) in [
            ("grows/file", IFlags::APPEND),
            ("grows/fixed", IFlags::IMMUTABLE),
            ("stays/file", IFlags::empty()),
            ("grows", IFlags::APPEND),
            ("stays", IFlags::IMMUTABLE),
        ] {
            let path = victim.join(name);
            if !path.exists() {
                std::fs::write(&path, "").unwrap();
            }
            rustix::fs::ioctl_setflags(std::fs::File::open(&path).unwrap(), flags).unwrap();
        }
        remove(&victim).unwrap();
        assert!(!victim.exists());
    }
}
