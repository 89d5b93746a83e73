//! Mounts of the test's own, which nobody else sees.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{World, output};

/// Something mounted in the test's mount namespace; unmounted on drop. To be dropped before its world, which looks.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// An empty file system in memory.
    #[track_caller]
    pub fn empty(at: &str) -> Self {
        Self::new(&["-t", "tmpfs", "test"], at)
    }

    /// What is there, with changes that are kept in the world's folder.
    #[track_caller]
    pub fn changeable(world: &World, at: &str) -> Self {
        let folder = |part| {
            let path = world.path(&format!("{part}{}", at.replace('/', "-")));
            std::fs::create_dir(&path).expect("a new folder");
            path.display().to_string()
        };
        let (upper, work) = (folder("upper"), folder("work"));
        let options = format!("lowerdir={at},upperdir={upper},workdir={work}");
        Self::new(&["-t", "overlay", "-o", &options, "test"], at)
    }

    /// A file of the machine's, which is executed or read when another is asked for.
    #[track_caller]
    pub fn instead(file: &str, at: &str) -> Self {
        Self::new(&["--bind", file], at)
    }

    #[track_caller]
    fn new(words: &[&str], at: &str) -> Self {
        output(Command::new("mount").args(words).arg(at)).success();
        Self(at.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = output(Command::new("umount").arg(&self.0));
        // The test has its failure; another panic would hide it.
        if !std::thread::panicking() {
            unmounted.success();
        }
    }
}
