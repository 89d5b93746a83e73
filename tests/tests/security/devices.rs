//! Devices: those that every container has, and no others.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::attack::{Attack, USER_NAMESPACES};

fn node(path: &Path, kind: FileType, major: u32, minor: u32) {
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, path, kind, mode, makedev(major, minor)).unwrap();
    rustix::fs::chmod(path, mode).unwrap();
}

/// A device node in the image is a file like any other, even of a device that the container may use. The defence is
/// `NODEV` in the runtime's mounts/overlay.
#[test]
fn nodes_of_the_image_open_no_device() {
    let attack = Attack::new();
    node(
        &attack.root.join("null-too"),
        FileType::CharacterDevice,
        1,
        3,
    );
    node(&attack.root.join("memory"), FileType::CharacterDevice, 1, 1);
    node(&attack.root.join("loop"), FileType::BlockDevice, 7, 0);
    for userns in USER_NAMESPACES {
        for name in ["null-too", "memory", "loop"] {
            let script = format!("echo x > /{name} || head -c 1 /{name}");
            let outcome = attack.run(&["--userns", userns], &["sh", "-c", &script]);
            outcome.fails(1, &["Permission denied"]);
        }
    }
}

/// Nor does one in a folder of the machine, or in a volume. The defence is `NODEV` in the engine's plan/mounts.rs.
#[test]
fn nodes_in_binds_and_volumes_open_no_device() {
    let attack = Attack::new();
    let source = attack.world.path("source");
    std::fs::create_dir(&source).unwrap();
    node(&source.join("null-too"), FileType::CharacterDevice, 1, 3);
    let bind = format!("{}:/mnt", source.display());
    for userns in USER_NAMESPACES {
        let use_it = ["sh", "-c", "echo x > /mnt/null-too"];
        attack
            .run(&["--userns", userns, "-v", &bind], &use_it)
            .fails(1, &["Permission denied"]);
    }
    // In a volume only root in the machine's user namespace could make one.
    let make = "mknod /mnt/null-too c 1 3; echo x > /mnt/null-too";
    attack
        .run(
            &["--userns", "host", "-v", "volume:/mnt"],
            &["sh", "-c", make],
        )
        .fails(1, &["Permission denied"]);
}

/// With CAP_MKNOD, which every container has, and without a user namespace, nodes can be made where devices work, in
/// /dev. The defence is the device cgroup (the runtime's cgroups/devices.rs). With a user namespace the kernel refuses.
#[test]
fn new_nodes_open_no_device() {
    let attack = Attack::new();
    attack
        .run(&[], &["mknod", "/dev/memory", "c", "1", "1"])
        .fails(1, &["Operation not permitted"]);
    for (kind, major, minor) in [
        ("c", 1, 1),
        ("c", 10, 229),
        ("b", 7, 0),
        ("c", 5, 1),
        ("c", 4, 1),
    ] {
        let script =
            format!("mknod /dev/new {kind} {major} {minor} && echo made && head -c 1 /dev/new");
        let outcome = attack.run(&["--userns", "host"], &["sh", "-c", &script]);
        outcome
            .fails(1, &["Operation not permitted"])
            .prints("made");
    }
}

/// CVE-2025-31133 and CVE-2025-62161: /dev/null is a link when masked paths are covered by it, so that what it leads to
/// is mounted there, writable. The defence is that /dev is soute's, and `verified_null` in the runtime's mounts/mask.rs
/// where it is not.
#[test]
fn masks_are_made_of_the_null_device() {
    let attack = Attack::new();
    let dev = attack.world.path("dev");
    std::fs::create_dir(&dev).unwrap();
    let bind = format!("{}:/dev", dev.display());
    for target in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/etc/passwd",
    ] {
        std::os::unix::fs::symlink(target, dev.join("null")).unwrap();
        let outcome = attack.run(&["-v", &bind], &["true"]);
        outcome.fails(125, &["masked paths"]);
        std::fs::remove_file(dev.join("null")).unwrap();
    }
    std::fs::write(dev.join("null"), "").unwrap();
    let outcome = attack.run(&["-v", &bind], &["true"]);
    outcome.fails(125, &["masked paths", "not the null device"]);
}
