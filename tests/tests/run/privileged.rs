//! `--privileged`: as root of the machine, in a root file system of its own.

use soute_tests::World;

#[test]
fn all_capabilities_all_devices_no_filter_nothing_masked() {
    let world = World::new();
    // Docker's meaning: the machine's root is part of it.
    let flags = ["--privileged"];
    // All that soute itself was given: in the machine's user namespace nobody can give more.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own
        .lines()
        .find(|line| line.starts_with("CapEff:"))
        .unwrap();
    let status = world.sh(&flags, "cat /proc/self/status");
    status
        .shows(own)
        .shows("Seccomp:\t0")
        .shows("NoNewPrivs:\t0");
    let script = "test -c /dev/kmsg && echo kmsg; head -c 0 /dev/kmsg && echo opened; mount -t tmpfs none /tmp && echo mounted;
        grep -c -e ' /proc/keys ' -e ' /proc/sys ' -e ' /sys/firmware ' /proc/self/mountinfo;
        grep ' /sys ' /proc/self/mountinfo | grep -c ' rw'";
    world
        .sh(&flags, script)
        .prints("kmsg\nopened\nmounted\n0\n1");
    world.assert_mounts_unchanged();
    let inspected = {
        let id = world.detached(["--privileged", "busybox", "sleep", "1000"]);
        world.inspect(&id)
    };
    assert_eq!(inspected["HostConfig"]["Privileged"], true);
    assert_eq!(inspected["Isolation"]["Seccomp"], serde_json::Value::Null);
    assert_eq!(
        inspected["Isolation"]["UserNamespace"],
        serde_json::Value::Null
    );
}

/// Nothing of it can be had with ids of one's own, whoever asked for them.
#[test]
fn it_is_for_the_machines_root() {
    let world = World::new();
    world.detached(["--name", "own", "busybox", "sleep", "1000"]);
    let joined = world.sh(&["--privileged", "--pid", "container:own"], "true");
    joined.code(125);
    assert!(joined.stderr.contains("--userns host"), "{joined}");
    world.soute(["rm", "-f", "own"]).success();
    std::fs::write(world.config(), "userns = \"auto\"\n").unwrap();
    let set = world.sh(&["--privileged"], "true");
    set.code(125);
    assert!(set.stderr.contains("--userns host"), "{set}");
    world
        .sh(&["--privileged", "--userns", "host"], "true")
        .success();
    for userns in ["auto", "remap:root"] {
        let outcome = world.sh(&["--privileged", "--userns", userns], "true");
        outcome.code(125);
        assert!(outcome.stderr.contains("--userns"), "{outcome}");
    }
}

#[test]
fn unconfined_system_paths_alone() {
    let world = World::new();
    let script = "grep -c -e ' /proc/keys ' -e ' /proc/sys ' /proc/self/mountinfo; grep Seccomp: /proc/self/status";
    world
        .sh(&["--security-opt", "systempaths=unconfined"], script)
        .prints("0\nSeccomp:\t2");
    world.sh(&[], script).prints("2\nSeccomp:\t2");
}
