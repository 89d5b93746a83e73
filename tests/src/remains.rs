//! What is left of a world when all its containers are gone: nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The variable that marks all processes that a world starts.
pub const MARK: &str = "SOUTE_TEST_WORLD";

/// Processes other than the test's own that carry the world's mark or live in its namespaces.
pub fn processes(world: &Path) -> Vec<String> {
    let mark = format!("{MARK}={}", world.display());
    let namespaces = ["mnt", "net"].map(|kind| inode(format!("/proc/thread-self/ns/{kind}")));
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        let inside = ["mnt", "net"].iter().zip(&namespaces).any(|(kind, ours)| {
            let theirs = inode(entry.path().join("ns").join(kind));
            theirs.is_some() && theirs == *ours
        });
        if marked || inside {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push(format!("process {pid} {}", name.trim()));
        }
    }
    found
}

fn inode(path: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// Cgroups, in any hierarchy, whose name holds one of `ids`.
pub fn cgroups(ids: &[String]) -> Vec<String> {
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ids.iter().any(|id| name.contains(id.as_str()))
    };
    let found = cgroups_below(ids).into_iter().filter(named);
    found
        .map(|path| format!("cgroup {}", path.display()))
        .collect()
}

/// The same, and all cgroups in them.
pub fn cgroups_below(ids: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(Path::new("/sys/fs/cgroup"), ids, false, &mut found);
    found
}

fn collect(folder: &Path, ids: &[String], inside: bool, found: &mut Vec<PathBuf>) {
    // A cgroup of another test may go while we look.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let inside = inside || ids.iter().any(|id| name.contains(id.as_str()));
        if inside && is_cgroup(&entry.path()) {
            found.push(entry.path());
        }
        collect(&entry.path(), ids, inside, found);
    }
}

/// Around the hierarchies, /sys/fs/cgroup is memory, in which crun leaves folders that are no cgroups.
fn is_cgroup(folder: &Path) -> bool {
    const MAGICS: [u64; 2] = [0x27_e0eb, 0x6367_7270]; // statfs(2): version 1, version 2
    let system = rustix::fs::statfs(folder).map(|system| system.f_type.cast_unsigned());
    system.is_ok_and(|magic| MAGICS.contains(&magic))
}

/// The names in a folder of containers; none if there is no such folder.
pub fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
