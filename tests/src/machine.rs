//! A machine of the test's own: its mounts and its network.

use std::cell::Cell;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::UnshareFlags;

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// Moves this thread, and all that it starts from now on, into a mount and a
/// network namespace of its own, where loopback is up and nothing else is.
pub fn enter() {
    if ENTERED.replace(true) {
        return;
    }
    // The other form is unsafe because of CLONE_FILES, which is not asked for.
    #[expect(deprecated, reason = "the safe form")]
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET)
        .expect("unshare(CLONE_NEWNS | CLONE_NEWNET): the tests need root");
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .expect("mount(\"/\", MS_PRIVATE | MS_REC)");
    let lo = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .expect("ip (package iproute2)");
    assert!(lo.success(), "ip link set lo up: {lo}");
}

/// Has a file of the machine read otherwise, from now on and for this test. To be called before a world is made, which
/// counts mounts.
#[track_caller]
pub fn set_file(path: &str, content: &str) {
    enter();
    let mut file = tempfile::NamedTempFile::new_in("/var/tmp").expect("a file");
    file.write_all(content.as_bytes()).expect("its content");
    // It stays readable for everybody, and has no name any more when this returns.
    mount_bind(file.path(), path).unwrap_or_else(|e| panic!("mount(MS_BIND, {path}): {e}"));
}

/// A /run and an /etc of this test's own: nothing that it writes there is on the machine. To be called before a world is
/// made, which counts mounts.
#[track_caller]
pub fn own_folders() {
    enter();
    let mount = |words: &str| {
        let mounted = Command::new("mount").args(words.split(' ')).status();
        let mounted = mounted.expect("mount (package mount)");
        assert!(mounted.success(), "mount {words}: {mounted}");
    };
    mount("-t tmpfs run /run");
    for folder in ["/run/upper", "/run/work"] {
        std::fs::create_dir(folder).expect("a folder");
    }
    mount("-t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work etc /etc");
}

/// How the machine's cgroups are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Version 1 hierarchies, with version 2 beside them or not.
    V1,
    /// Version 2 alone.
    V2,
}

/// The machine's cgroup layout.
pub fn layout() -> Layout {
    match std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => Layout::V2,
        false => Layout::V1,
    }
}

/// The folder of a process's cgroup in the hierarchy that has `controller`.
///
/// # Panics
/// There is no such process, or no such controller.
#[track_caller]
pub fn cgroup_of(pid: u32, controller: &str) -> PathBuf {
    let file = format!("/proc/{pid}/cgroup");
    let table = std::fs::read_to_string(file).expect("the cgroups of a process");
    let line = table.lines().find(|line| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        match layout() {
            Layout::V1 => controllers.split(',').any(|one| one == controller),
            Layout::V2 => controllers.is_empty(),
        }
    });
    let line = line.unwrap_or_else(|| panic!("no {controller} in {table}"));
    let (controllers, path) = line
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once(':'))
        .expect("three fields");
    let hierarchy = match layout() {
        Layout::V1 => format!("/sys/fs/cgroup/{controllers}"),
        Layout::V2 => "/sys/fs/cgroup".to_owned(),
    };
    PathBuf::from(hierarchy + path)
}

/// The mount table as this thread sees it (not the process: the thread has namespaces of its own).
pub fn mounts() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("the mount table");
    table.lines().map(str::to_owned).collect()
}
