//! The container's own /etc/hosts and kin take no room of the machine's.

use soute_tests::World;

/// They were once binds of files in /run, which is small, and everybody's.
#[test]
fn they_cannot_fill_the_machine() {
    let world = World::new();
    let script = "for f in hosts hostname resolv.conf; do dd if=/dev/zero of=/etc/$f bs=1M count=100 2>/dev/null && echo $f; done;
        stat -c %a /dev/null";
    let id = world.detached(["busybox", "sh", "-c", &format!("{script}; sleep 1000")]);
    soute_tests::wait_until("it is full", || {
        world.soute(["logs", &id]).stdout.contains("666")
    });
    world.soute(["logs", &id]).prints("666");
    let used = soute_tests::output(std::process::Command::new("du").arg("-sm").arg(world.run()));
    let megabytes: u64 = used
        .text()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(megabytes <= 1, "{used}");
}

#[test]
fn a_read_only_root_has_them_read_only() {
    let world = World::new();
    let script =
        "for f in hosts hostname resolv.conf; do echo x >> /etc/$f || echo no; done 2>/dev/null";
    world.sh(&["--read-only"], script).prints("no\nno\nno");
    world.sh(&[], script).prints("");
}

/// One's own /dev covers the engine's, in which they live.
#[test]
fn they_are_there_with_the_machines_dev() {
    let world = World::new();
    let flags = ["-v", "/dev:/dev", "--hostname", "box"];
    world.sh(&flags, "cat /etc/hostname").prints("box");
}

/// An image without these files, as most are, has them below it: they are no changes of the container's.
#[test]
fn they_are_no_changes() {
    let world = World::new();
    let script = "ls /etc/hosts /etc/hostname /etc/resolv.conf && touch /etc/new && sleep 1000";
    let id = world.detached(["busybox", "sh", "-c", script]);
    let changed = world.root().join("containers").join(&id).join("upper/etc");
    soute_tests::wait_until("it has made its file", || changed.join("new").exists());
    let names: Vec<_> = std::fs::read_dir(&changed)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["new"]);
}
