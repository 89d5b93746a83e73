//! Layers as descriptors of detached mounts (fsconfig(2), FSCONFIG_SET_FD): no process, no name, no limit of length.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::mount::FsOpenFlags;
use soute_sys::{CallError, Called};

use super::Parts;
use crate::mounts::mount_filesystem;

/// Mounts the overlay, detached. The layers' clones must live until then: overlayfs clones them for itself.
pub(super) fn mount(parts: &Parts) -> Result<OwnedFd, CallError> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .called(|| "fsopen(\"overlay\")".to_owned())?;
    rustix::mount::fsconfig_set_string(&fs, "source", "overlay")
        .called(|| "fsconfig(overlay, \"source\")".to_owned())?;
    for layer in &parts.layers {
        rustix::mount::fsconfig_set_fd(&fs, "lowerdir+", layer)
            .called(|| "fsconfig(overlay, SET_FD, \"lowerdir+\")".to_owned())?;
    }
    if let Some(changes) = &parts.changes {
        for (key, folder) in [("upperdir", &changes.upper), ("workdir", &changes.work)] {
            rustix::mount::fsconfig_set_fd(&fs, key, folder)
                .called(|| format!("fsconfig(overlay, SET_FD, \"{key}\")"))?;
        }
        if changes.volatile {
            rustix::mount::fsconfig_set_flag(&fs, "volatile")
                .called(|| "fsconfig(overlay, \"volatile\")".to_owned())?;
        }
    }
    mount_filesystem(&fs, "overlay", parts.attributes)
}

/// Whether a [`mount`] that failed so may be done in the other way: what kernels before 6.15 answer. (EINVAL is also the
/// answer to an overlay that cannot be, in either way.)
pub(super) fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        // Before 6.5 overlayfs has no parameters, only an option string.
        Errno::OPNOTSUPP
            // Before 6.13 only strings, and fsconfig(2) takes no O_PATH descriptors (6.12 as tried).
            | Errno::BADF
            // Before 6.8 it knows no `lowerdir+`; before 6.15 it clones no detached layers.
            | Errno::INVAL
    )
}

/// What a volatile overlay leaves in its work folder, so that it is not mounted again after a crash; innermost first.
const MARKS: [(&str, AtFlags); 3] = [
    ("work/incompat/volatile/dirty", AtFlags::empty()),
    ("work/incompat/volatile", AtFlags::REMOVEDIR),
    ("work/incompat", AtFlags::REMOVEDIR),
];

/// Takes back what a [`mount`] that failed has changed, so that the other way can be tried.
///
/// Linux 6.13 and 6.14 take the descriptors, mark the work folder, and only then refuse the layers. A mark that was
/// there before stays: it tells of a crash.
pub(super) fn undo(parts: &Parts) -> Result<(), CallError> {
    let Some(changes) = &parts.changes else {
        return Ok(());
    };
    if !(changes.volatile && changes.work_is_new) {
        return Ok(());
    }
    clear_marks(&changes.work)
}

/// Takes the marks off a work folder.
pub(super) fn clear_marks(work: impl AsFd) -> Result<(), CallError> {
    for (name, flags) in MARKS {
        match rustix::fs::unlinkat(&work, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(CallError::new(format!("unlinkat(work, \"{name}\")"), e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::plan::{Layers, Upper};

    fn parts(folder: &Path) -> Parts {
        let rootfs = Layers {
            lower: Vec::new(),
            upper: Upper::Folder {
                path: folder.to_owned(),
                volatile: true,
            },
        };
        Parts::of_root(&rootfs, None, (0, 0)).unwrap()
    }

    #[test]
    fn the_mark_of_a_failed_attempt_goes_and_that_of_a_crash_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = parts(folder.path());
        let marked = folder.path().join("work/work/incompat/volatile");
        let mark = || {
            fs::create_dir_all(&marked).unwrap();
            fs::write(marked.join("dirty"), "").unwrap();
        };
        undo(&first).unwrap();
        mark();
        undo(&first).unwrap();
        assert!(!folder.path().join("work/work/incompat").exists());
        mark();
        undo(&parts(folder.path())).unwrap();
        assert!(marked.join("dirty").exists());
    }
}
