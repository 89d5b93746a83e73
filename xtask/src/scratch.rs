//! Temporary folders that go when their owner does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A new folder under `/var/tmp` (a disk, where `/tmp` may be memory), removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `/var/tmp/soute-WHAT-PID`.
    pub fn new(what: &str) -> Result<Self> {
        let path = PathBuf::from(format!("/var/tmp/soute-{what}-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}
