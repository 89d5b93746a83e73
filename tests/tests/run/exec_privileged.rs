//! `exec --privileged`: all that there is to have in the container's user namespace, for one process.

use soute_tests::{Outcome, World};

fn world(flags: &[&str]) -> World {
    let world = World::new();
    world.detached([&["--name", "box"], flags, &["busybox", "sleep", "1000"]].concat());
    world
}

#[track_caller]
fn exec(world: &World, flags: &[&str], script: &str) -> Outcome {
    world.soute([&["exec"], flags, &["box", "sh", "-c", script]].concat())
}

/// A set of a `cat /proc/PID/status`.
#[track_caller]
fn set(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let hex = line.and_then(|line| line.strip_prefix(":\t"));
    u64::from_str_radix(hex.expect("the set"), 16).expect("a number")
}

const SETS: [&str; 3] = ["CapPrm", "CapEff", "CapBnd"];

fn all() -> u64 {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    u64::MAX >> (63 - last.trim().parse::<u32>().expect("a number"))
}

#[test]
fn it_has_all_capabilities_and_no_filter() {
    for flags in [
        &[][..],
        &["--cap-drop", "ALL"],
        &["--security-opt", "seccomp=unconfined"],
    ] {
        let world = world(flags);
        let before = exec(&world, &[], "cat /proc/1/status");
        let status = exec(&world, &["--privileged"], "cat /proc/self/status");
        for name in SETS {
            assert_eq!(set(status.text(), name), all(), "{name}, {flags:?}");
        }
        status.shows("Seccomp:\t0");
        // The program of the container, and the next process, have what they had.
        let caps = |outcome: &Outcome| SETS.map(|name| set(outcome.text(), name));
        let after = exec(&world, &[], "cat /proc/1/status");
        assert_eq!(caps(&after), caps(&before), "{flags:?}");
        let next = exec(&world, &[], "cat /proc/self/status");
        assert_eq!(caps(&next), caps(&before), "{flags:?}");
    }
}

/// In the machine's own user namespace nobody can give more than soute itself was given.
#[test]
fn with_the_machines_users_it_has_all_that_soute_has() {
    let world = world(&["--userns", "host"]);
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let status = exec(&world, &["--privileged"], "cat /proc/self/status");
    assert_eq!(set(status.text(), "CapEff"), set(&own, "CapEff"));
}

#[test]
fn what_it_may_do_others_may_not() {
    let world = world(&[]);
    let mount = "mount -t tmpfs none /tmp && echo mounted";
    let hostname = "hostname renamed && hostname";
    for script in [mount, hostname] {
        assert_ne!(exec(&world, &[], script).code, 0, "{script}");
    }
    exec(&world, &["--privileged"], mount).prints("mounted");
    exec(&world, &["--privileged"], hostname).prints("renamed");
    // It is the container's own tree and name that it changes.
    exec(
        &world,
        &[],
        "grep -c ' /tmp ' /proc/self/mountinfo; hostname",
    )
    .prints("1\nrenamed");
    world.assert_mounts_unchanged();
}

/// Another user has them within reach of setuid programs alone, as with a login.
#[test]
fn a_user_that_is_not_root_has_none_at_hand() {
    let world = world(&[]);
    let status = exec(
        &world,
        &["--privileged", "--user", "user"],
        "cat /proc/self/status",
    );
    assert_eq!(SETS.map(|name| set(status.text(), name)), [0, 0, all()]);
}
