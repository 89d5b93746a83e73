//! What the tests left on the machine: nothing, or they have failed.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cgroups;

/// What is on the machine at one moment, as lines that a person can read.
pub struct Snapshot {
    things: BTreeSet<String>,
}

impl Snapshot {
    /// Looks at mounts, links, named network namespaces, soute's cgroups, processes of `binary`, and temporary folders.
    pub fn take(binary: &Path) -> Result<Self> {
        let mut things = BTreeSet::new();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")
            .context("cannot read the mount table")?;
        things.extend(mounts.lines().map(|line| format!("mount: {line}")));
        for (kind, folder) in [
            ("link", "/sys/class/net"),
            ("network namespace", "/run/netns"),
        ] {
            things.extend(
                names(Path::new(folder))?
                    .into_iter()
                    .map(|name| format!("{kind}: {name}")),
            );
        }
        for folder in ["/tmp", "/var/tmp"] {
            let ours = names(Path::new(folder))?
                .into_iter()
                .filter(|name| name.starts_with("soute-"));
            things.extend(ours.map(|name| format!("folder: {folder}/{name}")));
        }
        let cgroups = cgroups::of_soute()?;
        things.extend(
            cgroups
                .iter()
                .map(|path| format!("cgroup: {}", path.display())),
        );
        things.extend(processes(binary)?);
        Ok(Self { things })
    }

    /// # Errors
    /// Lists what is there now and was not `before`.
    pub fn compare(&self, before: &Self) -> Result<()> {
        let new: Vec<&str> = self
            .things
            .difference(&before.things)
            .map(String::as_str)
            .collect();
        if !new.is_empty() {
            bail!("the tests left on the machine:\n  {}", new.join("\n  "));
        }
        Ok(())
    }
}

/// The names in a folder; none if it does not exist.
fn names(folder: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", folder.display())),
    }
}

fn processes(binary: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    // One that was replaced meanwhile, or is a sealed copy, has a name of its own; one that is executed by another mount
    // (docs/decisions/0007) has none.
    let named = [
        PathBuf::from(format!("{} (deleted)", binary.display())),
        PathBuf::from("/memfd:soute (deleted)"),
    ];
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let ours = identity(binary).ok();
    for name in names(Path::new("/proc"))? {
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // Kernel threads have no executable; a process may be gone.
        let link = PathBuf::from(format!("/proc/{name}/exe"));
        let Ok(executable) = std::fs::read_link(&link) else {
            continue;
        };
        let same = ours.is_some() && identity(&link).ok() == ours;
        if same || named.contains(&executable) {
            let words = std::fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            found.push(format!("process: {name} {}", words.trim_end()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_a_folder_left_behind_are_told() {
        let shell = std::fs::canonicalize("/bin/sleep").unwrap();
        let before = Snapshot::take(&shell).unwrap();
        let folder = crate::scratch::Scratch::new("leftovers").unwrap();
        let mut child = std::process::Command::new(&shell)
            .arg("1000")
            .spawn()
            .unwrap();
        let error = Snapshot::take(&shell)
            .unwrap()
            .compare(&before)
            .unwrap_err()
            .to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            error.contains(&format!("process: {}", child.id())),
            "{error}"
        );
        assert!(
            error.contains(&format!("folder: {}", folder.path().display())),
            "{error}"
        );
    }
}
