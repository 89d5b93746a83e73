//! The lowest layer below every image: what each container has something mounted on.
//!
//! Few images have an /etc/hosts. A container of one that has none would make it among its changes, on a disk, each time
//! anew, and remove it in the end. Here it stands for all containers. The image is above it and has the last word: a
//! file or a symlink of its own hides what is here.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::Mode;
use soute_sys::Called;

use crate::error::{Error, io};
use crate::etc_files;
use crate::places::make_folder;

const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// Makes the layer, unless it is there.
pub(crate) fn make(layer: &Path) -> Result<(), Error> {
    // Beside, and renamed: who finds it finds all of it.
    let part = layer.with_extension(format!("{}.part", std::process::id()));
    make_folder(&part, 0o700)?;
    for folder in FOLDERS {
        let path = part.join(folder);
        make_folder(&path, 0o755)?;
        allow(&path, 0o755)?;
    }
    for file in etc_files::PATHS {
        let path = part.join(file.trim_start_matches('/'));
        let made = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(&path);
        io("making", &path, made)?;
        allow(&path, 0o644)?;
    }
    match std::fs::rename(&part, layer) {
        // Somebody else was sooner.
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => crate::tree::remove(&part),
        other => io("making", layer, other),
    }
}

/// Whatever the caller's umask: containers' users are to get at it.
fn allow(path: &Path, mode: u32) -> Result<(), Error> {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
        .called(|| format!("chmod(\"{}\", {mode:o})", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("layer");
        make(&layer).unwrap();
        std::fs::write(layer.join("etc/hosts"), "as it was").unwrap();
        make(&layer).unwrap();
        let hosts = std::fs::read_to_string(layer.join("etc/hosts")).unwrap();
        assert_eq!(hosts, "as it was");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
