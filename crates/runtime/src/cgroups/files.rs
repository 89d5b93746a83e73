//! Reading and writing the kernel's small files.

use std::path::Path;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::CgroupError;

/// Longest text that is read: a `cgroup.procs` of 100,000 processes is 700 KiB.
const MAX_READ: usize = 64 << 20;

/// Writes `value` by one write(2): the kernel parses each write on its own.
pub(super) fn write(file: &Path, value: &str) -> Result<(), CallError> {
    let fd = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{}\", O_WRONLY)", file.display()))?;
    write_open(&fd, file, value)
}

/// [`write`], where there is such a file.
pub(super) fn write_if_any(file: &Path, value: &str) -> Result<(), CallError> {
    or_none(write(file, value)).map(drop)
}

/// [`write`] to the file `name` of an open folder, somewhere below `dir`.
pub(super) fn write_at(
    folder: BorrowedFd<'_>,
    name: &str,
    value: &str,
    dir: &Path,
) -> Result<(), CallError> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(folder, name, flags, Mode::empty())
        .called(|| format!("openat(below \"{}\", \"{name}\", O_WRONLY)", dir.display()))?;
    write_open(&fd, &dir.join(name), value)
}

fn write_open(fd: &OwnedFd, file: &Path, value: &str) -> Result<(), CallError> {
    rustix::io::write(fd, value.as_bytes()).called(|| {
        format!(
            "write(\"{}\", \"{}\")",
            file.display(),
            value.escape_default()
        )
    })?;
    Ok(())
}

/// The whole text of `file`.
pub(super) fn read(file: &Path) -> Result<String, CallError> {
    let fd = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .called(|| format!("open(\"{}\", O_RDONLY)", file.display()))?;
    read_open(&fd, file)
}

/// [`read_if_any`] of the file `name` of an open folder, somewhere below `dir`.
pub(super) fn read_at(
    folder: BorrowedFd<'_>,
    name: &str,
    dir: &Path,
) -> Result<Option<String>, CallError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let read = rustix::fs::openat(folder, name, flags, Mode::empty())
        .called(|| format!("openat(below \"{}\", \"{name}\", O_RDONLY)", dir.display()))
        .and_then(|fd| read_open(&fd, &dir.join(name)));
    or_none(read)
}

fn read_open(fd: &OwnedFd, file: &Path) -> Result<String, CallError> {
    let called = || format!("read(\"{}\")", file.display());
    let mut text = Vec::with_capacity(4096);
    loop {
        if text.len() == text.capacity() {
            text.reserve(text.len());
        }
        match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut text)) {
            Ok(0) => break,
            Ok(_) if text.len() > MAX_READ => return Err(CallError::new(called(), Errno::FBIG)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(CallError::new(called(), errno)),
        }
    }
    // Cgroup and controller names are the only free text in these files; a
    // name that is not UTF-8 is somebody else's and must not stop us.
    Ok(String::from_utf8(text)
        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// The text of `file`, or `None` if there is no such file.
pub(super) fn read_if_any(file: &Path) -> Result<Option<String>, CallError> {
    or_none(read(file))
}

fn or_none<T>(done: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match done {
        Ok(done) => Ok(Some(done)),
        // ENODEV: the cgroup was removed between open and read or write.
        Err(e) if matches!(e.errno(), Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The number that is the whole of `text`; `max` and negative numbers are no limit: `None`.
pub(super) fn number(file: &Path, text: &str) -> Result<Option<u64>, CgroupError> {
    let text = text.trim();
    if text == "max" || text.starts_with('-') {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| unexpected(file, text))
}

/// The value of `key` in lines of `key value`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok()).flatten()
    })
}

/// The error for a file that does not read as documented.
pub(super) fn unexpected(file: &Path, text: &str) -> CgroupError {
    CgroupError::Parse {
        file: file.display().to_string(),
        text: text.chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd as _;

    use super::*;
    use crate::cgroups::Layout;

    #[test]
    fn a_cgroup_that_goes_meanwhile_is_none() {
        let layout = Layout::discover().expect("cgroups");
        let hierarchy = layout.hierarchies().first().expect("a hierarchy");
        let dir = hierarchy.dir(&format!("/soute-test-{}-files", std::process::id()));
        fs::create_dir(&dir).expect("a cgroup");
        let file = fs::File::open(dir.join("cgroup.procs")).expect("its list");
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::remove_dir(&dir).expect("it is empty");
        let error = write(Path::new(&open), "0").expect_err("it is gone");
        assert_eq!(error.errno(), Errno::NODEV);
        write_if_any(Path::new(&open), "0").expect("removed meanwhile");
        write_if_any(&dir.join("cgroup.procs"), "0").expect("removed before");
        assert_eq!(
            read_if_any(Path::new(&open)).expect("removed meanwhile"),
            None
        );
    }
}
