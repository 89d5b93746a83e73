//! Going through a cgroup and all cgroups below it.
//!
//! A container that may write to its cgroups makes as many as it likes, as deep as it likes, and goes on doing so
//! meanwhile. So nothing here is as deep as they are: one descriptor is open at a time, no path is built (4096 bytes
//! are sixteen long names), and a walk ends when its time is up. `..` leads up safely, since a cgroup stays below
//! the cgroup that it was made in (cgroup_rename() of v1, kernfs without rename on v2).

use std::ffi::{CStr, CString};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

use super::CgroupError;

/// When to give up: a point in time, and how long it was to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    start: Instant,
    patience: Duration,
}

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self {
            start: Instant::now(),
            patience,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.start.elapsed() > self.patience
    }

    pub(super) fn error(&self, dir: &Path, what: impl Into<String>) -> CgroupError {
        CgroupError::Timeout {
            dir: dir.display().to_string(),
            what: what.into(),
            waited_ms: self.start.elapsed().as_millis() as u64,
        }
    }
}

/// Calls `at` with the folder `dir` and each below it. What vanishes meanwhile is left out.
pub(super) fn visit(
    dir: &Path,
    deadline: Deadline,
    mut at: impl FnMut(BorrowedFd<'_>) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    walk(dir, deadline, &mut at, &mut |_, _| Ok(()))
}

/// Removes all below `dir`, the deepest first, and then `dir`. False: some are in use still.
pub(super) fn remove(dir: &Path, deadline: Deadline) -> Result<bool, CgroupError> {
    let mut all = true;
    let mut gone = |removed: Result<(), Errno>, name: &dyn Fn() -> String| match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {
            all = false;
            Ok(())
        }
        Err(errno) => Err(CallError::new(format!("rmdir(\"{}\")", name()), errno).into()),
    };
    walk(dir, deadline, &mut |_| Ok(()), &mut |parent, name| {
        let removed = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        let shown = || format!("{}/…/{}", dir.display(), name.to_string_lossy());
        gone(removed, &shown)
    })?;
    gone(rustix::fs::rmdir(dir), &|| dir.display().to_string())?;
    Ok(all)
}

/// Depth first: `enter` on the way down, `leave` (with the parent's folder and the name in it) on the way up.
fn walk(
    dir: &Path,
    deadline: Deadline,
    enter: &mut dyn FnMut(BorrowedFd<'_>) -> Result<(), CgroupError>,
    leave: &mut dyn FnMut(BorrowedFd<'_>, &CStr) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let shown = |name: &CStr| format!("openat(\"{}\", {name:?})", dir.display());
    let Some(mut here) = open(rustix::fs::CWD, dir)
        .map_err(|errno| CallError::new(format!("open(\"{}\")", dir.display()), errno))?
    else {
        return Ok(());
    };
    enter(here.as_fd())?;
    // The names that are still to be looked at, per level, and that of each level itself.
    let mut levels = vec![children(here.as_fd(), dir)?];
    let mut names: Vec<CString> = Vec::new();
    while let Some(left) = levels.last_mut() {
        if deadline.is_over() {
            return Err(deadline.error(
                dir,
                "not all of the cgroups below it have been gone through",
            ));
        }
        if let Some(name) = left.pop() {
            let child = open(&here, name.as_c_str());
            if let Some(child) = child.map_err(|errno| CallError::new(shown(&name), errno))? {
                enter(child.as_fd())?;
                levels.push(children(child.as_fd(), dir)?);
                names.push(name);
                here = child;
            }
            continue;
        }
        levels.pop();
        // The topmost is the caller's to leave: nothing above it is touched.
        if let Some(name) = names.pop() {
            let Some(parent) =
                open(&here, c"..").map_err(|errno| CallError::new(shown(c".."), errno))?
            else {
                return Ok(());
            };
            leave(parent.as_fd(), &name)?;
            here = parent;
        }
    }
    Ok(())
}

/// None: it is gone.
fn open(at: impl AsFd, name: impl rustix::path::Arg) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn children(folder: BorrowedFd<'_>, dir: &Path) -> Result<Vec<CString>, CgroupError> {
    let called = || format!("getdents64(below \"{}\")", dir.display());
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).called(called)? {
        match entry {
            // kernfs always tells the type.
            Ok(entry) if entry.file_type() == FileType::Directory => {
                let name = entry.file_name();
                if name != c"." && name != c".." {
                    names.push(name.to_owned());
                }
            }
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NODEV) => break,
            Err(errno) => return Err(CallError::new(called(), errno).into()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn deeper_than_any_path() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir(&top).unwrap();
        // 40 × 200 bytes are twice the longest path.
        let name = "x".repeat(200);
        let mut here = open(rustix::fs::CWD, &top).unwrap().unwrap();
        for _ in 0..40 {
            rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&here, "beside", Mode::RWXU).unwrap();
            here = open(&here, name.as_str()).unwrap().unwrap();
        }
        let mut count = 0;
        visit(&top, soon(), |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(count, 81);
        assert!(remove(&top, soon()).unwrap());
        assert!(!top.exists() && root.path().exists());
        // Gone already.
        assert!(remove(&top, soon()).unwrap());
        visit(&top, soon(), |_| unreachable!()).unwrap();
    }

    #[test]
    fn what_is_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["top/a/b", "top/c"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("top/a/file"), "").unwrap();
        let top = root.path().join("top");
        assert!(!remove(&top, soon()).unwrap());
        assert!(top.join("a").exists());
        assert!(!top.join("c").exists() && !top.join("a/b").exists());
        let over = Deadline::after(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        let error = remove(&top, over).unwrap_err();
        assert!(matches!(error, CgroupError::Timeout { .. }), "{error}");
    }
}
