//! The working directory.

use rustix::fs::OFlags;
use rustix::io::Errno;
use soute_sys::Called;

use super::failure::{Failure, Step};
use crate::mounts::root::{Links, Missing, Root};

/// Enters `path`. With `make`, one that is missing is made, and is root's, as with Docker.
pub(crate) fn enter(root: &Root, path: &str, make: bool) -> Result<(), Failure> {
    let step = format!("the working directory {path}");
    let folder = match root.open_with(path, OFlags::PATH | OFlags::DIRECTORY, Links::Follow) {
        Ok(folder) => folder,
        Err(e) if make && e.errno() == Errno::NOENT => {
            root.open_or_make(path, Missing::Folder, Links::Follow)
                .step(&step)?;
            root.open_with(path, OFlags::PATH | OFlags::DIRECTORY, Links::Follow)
                .step(&step)?
        }
        Err(e) => return Err(Failure::setup(step, e)),
    };
    rustix::process::fchdir(&folder)
        .called(|| "fchdir()".to_owned())
        .step(&step)?;
    // A directory that leaked in from outside has no path here: "(unreachable)…" (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new())
        .called(|| "getcwd()".to_owned())
        .step(&step)?;
    if !here.as_bytes().starts_with(b"/") {
        return Err(Failure::setup(step, "it lies outside the container's root"));
    }
    Ok(())
}
