//! Where runtimes and their callers run: one cgroup layout, and a root with the peers' newest packages.
//!
//! A stable distribution's crun and runc are years old, and crun refuses a
//! machine that shows both cgroup versions. `cargo xtask test` therefore makes
//! a root of Debian testing (`SOUTE_TEST_PEERS`), which becomes the root of the
//! test's mount namespace; without it the machine's own peers are taken.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Layout, layout, machine};
use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_move, mount_remount,
    unmount,
};

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    /// Whether the root is that of the peers.
    static WITH_PEERS: Cell<bool> = const { Cell::new(false) };
}

/// Where the peers' root shows what the machine has elsewhere: its own folder in memory.
const SHOWN: &str = "/tmp/shown";

/// Moves this thread, and all that it starts from now on, to the place with the peers.
pub fn enter() {
    if ENTERED.get() {
        return;
    }
    enter_alone();
    if let Some(root) = std::env::var_os("SOUTE_TEST_PEERS") {
        let (soute, busybox) = (variable("SOUTE_BIN"), variable("SOUTE_TEST_BUSYBOX"));
        move_to(Path::new(&root), &[&soute, &busybox]).expect("the root with the peers");
        WITH_PEERS.set(true);
    }
}

/// Moves this thread, and all that it starts from now on, to a place of one cgroup layout with the machine's own root: who
/// tries nobody but soute has the machine's compiler there.
pub fn enter_alone() {
    if ENTERED.replace(true) {
        return;
    }
    machine::enter();
    if layout() == Layout::V1 {
        show_version_1().expect("the version 1 hierarchies");
    }
}

/// soute's binary.
pub fn soute() -> PathBuf {
    shown(&variable("SOUTE_BIN"))
}

/// The root file system of the containers, as a tar file.
pub fn busybox() -> PathBuf {
    shown(&variable("SOUTE_TEST_BUSYBOX"))
}

/// Where a file of the machine is seen.
fn shown(file: &Path) -> PathBuf {
    if !WITH_PEERS.get() {
        return file.to_owned();
    }
    Path::new(SHOWN).join(file.file_name().expect("a file"))
}

/// Puts a folder with the version 1 hierarchies alone where the machine may have version 2 beside them.
///
/// In memory of its own: crun makes folders in /sys/fs/cgroup/unified, mounted or not, and leaves them.
fn show_version_1() -> std::io::Result<()> {
    let machines = Path::new("/sys/fs/cgroup");
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let hierarchies = table.lines().filter_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let place = Path::new(fields.split(' ').nth(4)?);
        (kind.starts_with("cgroup ") && place.parent() == Some(machines)).then_some(place)
    });
    let shown = tempfile::tempdir_in("/var/tmp")?;
    let nothing = MountFlags::empty();
    mount("tmpfs", shown.path(), "tmpfs", nothing, c"mode=755")?;
    for hierarchy in hierarchies {
        let place = shown.path().join(hierarchy.file_name().expect("a name"));
        fs::create_dir(&place)?;
        mount_bind(hierarchy, place)?;
    }
    Ok(mount_move(shown.path(), machines)?)
}

/// Makes `root` the root, read-only, with the machine's kernel file systems and /var/tmp, and `files`.
fn move_to(root: &Path, files: &[&Path]) -> std::io::Result<()> {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    mount_bind(root, root)?;
    mount_remount(root, MountFlags::BIND | MountFlags::RDONLY, c"")?;
    for folder in ["/dev", "/proc", "/sys", "/var/tmp"] {
        mount_bind_recursive(folder, at(folder))?;
    }
    for folder in ["/run", "/tmp"] {
        mount(
            "tmpfs",
            at(folder),
            "tmpfs",
            MountFlags::empty(),
            c"mode=755",
        )?;
    }
    fs::create_dir(at(SHOWN))?;
    for file in files {
        let place = at(SHOWN).join(file.file_name().expect("a file"));
        fs::write(&place, "")?;
        mount_bind(*file, &place)?;
    }
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", "mnt")?;
    std::env::set_current_dir("/")?;
    Ok(unmount("/mnt", UnmountFlags::DETACH)?)
}

#[track_caller]
fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value
        .unwrap_or_else(|| panic!("{name} is not set: run the tests by `cargo xtask test`"))
        .into()
}
