//! The cgroups that soute makes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

/// Every cgroup whose name begins with `soute`, and every one beneath.
pub fn of_soute() -> Result<BTreeSet<PathBuf>> {
    let mounts =
        std::fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    let mut found = BTreeSet::new();
    for mount in mounts.lines().filter_map(cgroup_mount) {
        search(Path::new(mount), false, &mut found)?;
    }
    Ok(found)
}

/// The mount point of a mountinfo line (proc_pid_mountinfo(5)) if it is a cgroup hierarchy.
fn cgroup_mount(line: &str) -> Option<&str> {
    let (fields, source) = line.split_once(" - ")?;
    let kind = source.split(' ').next()?;
    (kind == "cgroup" || kind == "cgroup2").then(|| fields.split(' ').nth(4))?
}

fn search(folder: &Path, inside: bool, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A cgroup that went while we looked.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot list {}", folder.display()));
        }
    };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let inside = inside || name.to_string_lossy().starts_with("soute");
        if inside {
            found.insert(path.clone());
        }
        search(&path, inside, found)?;
    }
    Ok(())
}

/// The engine keeps two cgroups from run to run: the parent of its containers', and its monitors'. Where it made them
/// while this is there, they go with it.
pub struct Parents {
    before: BTreeSet<PathBuf>,
}

impl Parents {
    /// Notes which are there already.
    pub fn watch() -> Result<Self> {
        let before = of_soute()?;
        Ok(Self { before })
    }

    /// The children before their parents. What a container has left is not ours to hide.
    fn made_since(&self) -> Result<Vec<PathBuf>> {
        let is_kept = |path: &PathBuf| path.ends_with("soute") || path.ends_with("soute/monitors");
        let made = |path: &PathBuf| is_kept(path) && !self.before.contains(path);
        Ok(of_soute()?.into_iter().rev().filter(made).collect())
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        // A monitor ends a little later than its container.
        for _ in 0..20 {
            let made = match self.made_since() {
                Ok(made) => made,
                Err(error) => return eprintln!("xtask: the cgroups: {error:#}"),
            };
            let busy = made
                .iter()
                .filter(|path| std::fs::remove_dir(path).is_err());
            if busy.count() == 0 {
                return;
            }
            sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_mounts_of_both_versions_are_recognised() {
        let v1 = "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids";
        let v2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(cgroup_mount(v1), Some("/sys/fs/cgroup/pids"));
        assert_eq!(cgroup_mount(v2), Some("/sys/fs/cgroup/unified"));
        assert_eq!(cgroup_mount("22 27 0:21 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn what_is_named_so_and_all_beneath_is_found() {
        let folder = crate::scratch::Scratch::new("cgroups").unwrap();
        for path in ["soute/monitors", "a/soute-1", "a/other"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let mut found = BTreeSet::new();
        search(folder.path(), false, &mut found).unwrap();
        let expected = ["a/soute-1", "soute", "soute/monitors"].map(|p| folder.path().join(p));
        assert_eq!(found, BTreeSet::from(expected));
    }
}
