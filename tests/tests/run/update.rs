//! `soute update`: limits of containers that are there already.

use std::fs;

use soute_tests::{Layout, World, layout, wait_until};

use crate::limits::cgroup_has;

#[test]
fn limits_change_at_once_and_for_good() {
    let world = World::new();
    let flags = ["--name", "grows", "--memory", "32m", "--pids-limit", "10"];
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    let update = [
        "update",
        "--memory",
        "64m",
        "--memory-reservation",
        "16m",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "grows",
    ];
    world.soute(update).success().prints("grows");
    let is_so = || {
        cgroup_has(
            &world,
            &id,
            &[
                ("memory", "memory.limit_in_bytes", "67108864"),
                // As much swap again as memory, as it was begun with.
                ("memory", "memory.memsw.limit_in_bytes", "134217728"),
                ("memory", "memory.soft_limit_in_bytes", "16777216"),
                ("cpu", "cpu.cfs_quota_us", "50000"),
                ("cpu", "cpu.shares", "512"),
                ("cpuset", "cpuset.cpus", "0"),
                // What was not named.
                ("pids", "pids.max", "10"),
            ],
            &[
                ("memory", "memory.max", "67108864"),
                ("memory", "memory.swap.max", "67108864"),
                ("memory", "memory.low", "16777216"),
                ("cpu", "cpu.max", "50000 100000"),
                ("cpuset", "cpuset.cpus", "0"),
                ("pids", "pids.max", "10"),
            ],
        );
        let told = &world.inspect("grows")["HostConfig"];
        assert_eq!(
            (&told["Memory"], &told["PidsLimit"]),
            (&(64 << 20).into(), &10.into())
        );
    };
    is_so();
    world.soute(["restart", "--time", "0", "grows"]).success();
    is_so();
    // While it does not run, too; and no limit any more.
    world.soute(["stop", "--time", "0", "grows"]).success();
    let update = ["update", "--pids-limit", "-1", "--cpu-quota", "-1", "grows"];
    world.soute(update).success();
    world.soute(["start", "grows"]).success();
    cgroup_has(
        &world,
        &id,
        &[
            ("pids", "pids.max", "max"),
            ("cpu", "cpu.cfs_quota_us", "-1"),
        ],
        &[
            ("pids", "pids.max", "max"),
            ("cpu", "cpu.max", "max 100000"),
        ],
    );
}

/// What cannot be leaves all as it was.
#[test]
fn a_limit_that_cannot_be_changes_nothing() {
    let world = World::new();
    let flags = ["--name", "stays", "--memory", "32m", "--memory-swap", "48m"];
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    let update = |words: &[&str]| world.soute([&["update"][..], words, &["stays"]].concat());
    for (words, why) in [
        (&["--memory", "1m"][..], "--memory 1048576: 6m is the least"),
        (&["--cpus", "1000"], "CPUs"),
        (&["--cpuset-cpus", "0,999"], "999"),
        (&["--memory-reservation", "40m"], "reservation"),
        (&["--memory", "64m", "--cpu-shares", "600"], "swap"),
        (&[], "nothing is to be changed"),
    ] {
        update(words).fails(1, &[why]);
    }
    let unchanged = || {
        let told = &world.inspect("stays")["HostConfig"];
        assert_eq!(told["Memory"], 32 << 20);
        cgroup_has(
            &world,
            &id,
            &[
                ("memory", "memory.limit_in_bytes", "33554432"),
                ("memory", "memory.memsw.limit_in_bytes", "50331648"),
                ("cpu", "cpu.shares", "1024"),
            ],
            &[
                ("memory", "memory.max", "33554432"),
                ("memory", "memory.swap.max", "16777216"),
            ],
        );
    };
    unchanged();
    // Neither are limits when a port is none.
    let words = ["--memory", "40m", "--publish-rm", "80"];
    update(&words).fails(1, &["80"]);
    unchanged();
    // What is left for swap alone is another when memory alone changes.
    update(&["--memory", "40m"]).success();
    let both = ("memory", "memory.memsw.limit_in_bytes", "50331648");
    let rest = ("memory", "memory.swap.max", "8388608");
    cgroup_has(&world, &id, &[both], &[rest]);
    update(&["--memory", "64m", "--memory-swap", "96m"]).success();
    update(&["--memory", "32m", "--memory-swap", "48m"]).success();
    unchanged();
    world
        .soute(["update", "--memory", "64m", "nobody"])
        .fails(1, &["no such container: nobody"]);
}

/// What the kernel refuses, when it has taken another limit already.
#[test]
fn a_limit_that_the_kernel_refuses_changes_nothing() {
    // Version 2 lets a cgroup have less than those below it.
    if layout() == Layout::V2 {
        return;
    }
    let world = World::new();
    let flags = ["--name", "stays", "--memory", "32m", "--cpus", "1"];
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    let below = world.cgroup(&id, "cpu").join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cpu.cfs_quota_us"), "80000").unwrap();
    let update = ["update", "--memory", "64m", "--cpus", "0.5", "stays"];
    world.soute(update).fails(1, &["cpu.cfs_quota_us"]);
    let unchanged = [
        ("memory", "memory.limit_in_bytes", "33554432"),
        ("memory", "memory.memsw.limit_in_bytes", "67108864"),
        ("cpu", "cpu.cfs_quota_us", "100000"),
    ];
    cgroup_has(&world, &id, &unchanged, &[]);
    assert_eq!(world.inspect("stays")["HostConfig"]["Memory"], 32 << 20);
    fs::remove_dir(&below).unwrap();
    // The kernel counts it for a moment more.
    wait_until("it is not refused any more", || {
        world.soute(update).code == 0
    });
}

/// It holds: who had room has none any more.
#[test]
fn a_smaller_limit_holds() {
    let world = World::new();
    // The first process needs no other any more, where a shell that cannot fork ends.
    let script =
        "for n in 1 2 3 4 5 6; do sleep 1000 & done; read line; (sleep 1000 & sleep 1000); wait";
    let words = ["-i", "--pids-limit", "20", "--name", "forks", "busybox"];
    let mut running = world.start([&["run"][..], &words, &["sh", "-c", script]].concat());
    let id = {
        let mut id = String::new();
        wait_until("it runs", || {
            id = world.soute(["ps", "--quiet", "--no-trunc"]).stdout;
            !id.is_empty()
        });
        id.trim().to_owned()
    };
    let pids = || {
        let file = world.cgroup(&id, "pids").join("pids.current");
        fs::read_to_string(file).unwrap().trim().to_owned()
    };
    wait_until("six sleep", || pids() == "7");
    world
        .soute(["update", "--pids-limit", "8", "forks"])
        .success();
    running.write("go on\n");
    let told = || format!("{}", world.soute(["logs", "forks"]));
    wait_until("none can be made", || told().contains("can't fork"));
    assert_eq!(pids(), "7");
    world.soute(["kill", "forks"]).success();
    running.outcome().code(137);
}
