//! Temporary folders that go when their owner does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A new folder under `/var/tmp` (a disk, where `/tmp` may be memory), removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `/var/tmp/soute-WHAT-PID`, and removes those of that kind whose process was killed.
    pub fn new(what: &str) -> Result<Self> {
        for old in abandoned(what) {
            // Somebody else may be at it.
            let _ = std::fs::remove_dir_all(old);
        }
        let path = PathBuf::from(format!("/var/tmp/soute-{what}-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn abandoned(what: &str) -> Vec<PathBuf> {
    let prefix = format!("soute-{what}-");
    let is_dead = |path: &PathBuf| {
        let pid = path.file_name().and_then(|name| name.to_str());
        let pid = pid.and_then(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    let entries = std::fs::read_dir("/var/tmp").into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(is_dead).collect()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_dead_are_removed() {
        // No process has this number.
        let dead = PathBuf::from(format!("/var/tmp/soute-scratch-test-{}", u32::MAX));
        std::fs::create_dir_all(dead.join("x")).unwrap();
        let ours = Scratch::new("scratch-test").unwrap();
        assert!(!dead.exists());
        assert!(abandoned("scratch-test").is_empty());
        let path = ours.path().to_owned();
        drop(ours);
        assert!(!path.exists());
    }
}
