//! `/dev`: the standard devices, those that were asked for, and no others.

use soute_tests::World;

#[test]
fn the_standard_ones_work() {
    let world = World::new();
    let script = "echo x > /dev/null && echo null; head -c 4 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; echo x > /dev/full || echo full;
        for link in fd stdin stdout stderr ptmx core; do echo $link $(readlink /dev/$link); done; ls /dev";
    let outcome = world.sh(&[], script);
    outcome
        .shows("null\n")
        .shows(" 00 00 00 00\n")
        .shows("4\nfull\n");
    outcome
        .shows("fd /proc/self/fd\n")
        .shows("stdin /proc/self/fd/0\n")
        .shows("stdout /proc/self/fd/1\n")
        .shows("stderr /proc/self/fd/2\n");
    outcome.shows("ptmx pts/ptmx\n");
    for device in [
        "full", "mqueue", "null", "pts", "random", "shm", "tty", "urandom", "zero",
    ] {
        outcome.shows(&format!("\n{device}\n"));
    }
    // Nothing of the machine's.
    outcome
        .shows_not("vda")
        .shows_not("sda")
        .shows_not("kmsg")
        .shows_not("\nmem\n");
}

#[test]
fn one_that_was_asked_for_with_the_rights_that_were() {
    let world = World::new();
    world
        .sh(
            &["--device", "/dev/null:/dev/mine"],
            "stat -c %t:%T /dev/mine; echo x > /dev/mine && echo written",
        )
        .prints("1:3\nwritten");
    world
        .sh(
            &["--device", "/dev/kmsg:/dev/log:r"],
            "head -c 1 /dev/log | wc -c; echo x > /dev/log || echo no writing",
        )
        .shows("no writing");
    for (device, why) in [
        ("/dev/no-such", "no-such"),
        ("/etc/passwd", "passwd"),
        ("/dev/null:/dev/x:z", "z"),
    ] {
        let outcome = world.sh(&["--device", device], "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(why), "{outcome}");
    }
}

/// CAP_MKNOD is in the default set: what is made must be dead all the same.
#[test]
fn nodes_that_the_container_makes_are_of_no_use() {
    let world = World::new();
    let disk = "mknod /disk b 254 0 && head -c 1 /disk >/dev/null && echo read; true";
    world.sh(&[], disk).shows_not("read");
    // Root without a user namespace can make the node: the device cgroup and nodev stand before the disk.
    world.sh(&["--userns", "host"], disk).shows_not("read");
    world
        .sh(
            &["--userns", "host"],
            "mknod /dev/kmem2 c 1 11 && head -c 1 /dev/kmem2 >/dev/null && echo read; true",
        )
        .shows_not("read");
}

#[test]
fn a_folder_without_a_device_is_refused() {
    let world = World::new();
    let folder = world.path("empty");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    let outcome = world.sh(
        &["--device", &format!("{}:/dev/x", folder.display())],
        "true",
    );
    outcome.code(125);
    assert!(outcome.stderr.contains("without any device"), "{outcome}");
}
