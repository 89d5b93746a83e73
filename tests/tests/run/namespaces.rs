//! Which namespaces are the container's own, the machine's, or another container's.

use soute_tests::{World, output};

const KINDS: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// `KIND:[INODE]` of each namespace of this thread, in the order of [`KINDS`].
fn ours() -> Vec<String> {
    let link = |kind: &&str| {
        std::fs::read_link(format!("/proc/thread-self/ns/{kind}"))
            .unwrap()
            .display()
            .to_string()
    };
    KINDS.iter().map(link).collect()
}

const LOOK: &str =
    "for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done";

#[track_caller]
fn inside(world: &World, flags: &[&str]) -> Vec<String> {
    world
        .sh(flags, LOOK)
        .text()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The kinds that are the same on both sides.
fn same(one: &[String], other: &[String]) -> Vec<String> {
    assert_eq!(
        (one.len(), other.len()),
        (KINDS.len(), KINDS.len()),
        "{one:?} {other:?}"
    );
    let pairs = KINDS.iter().zip(one.iter().zip(other));
    pairs
        .filter(|(_, (a, b))| a == b)
        .map(|(kind, _)| (*kind).to_owned())
        .collect()
}

#[test]
fn all_are_the_containers_own() {
    let world = World::new();
    assert_eq!(same(&inside(&world, &[]), &ours()), [""; 0]);
    // And another's are others: of one that runs, since a number is given out anew after its end.
    let other = world.detached(["busybox", "sleep", "1000"]);
    let other: Vec<String> = world
        .soute(["exec", &other, "sh", "-c", LOOK])
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(same(&inside(&world, &[]), &other), [""; 0]);
}

#[test]
fn each_can_be_the_machines() {
    let world = World::new();
    for (flags, shared) in [
        (&["--network", "host"][..], &["net"][..]),
        (&["--pid", "host"], &["pid"]),
        (&["--ipc", "host"], &["ipc"]),
        (&["--uts", "host"], &["uts"]),
        (&["--cgroupns", "host"], &["cgroup"]),
        (&["--userns", "host"], &["user"]),
        (
            &["--network", "host", "--pid", "host", "--ipc", "host"],
            &["ipc", "net", "pid"],
        ),
        (
            &[
                "--userns",
                "host",
                "--pid",
                "host",
                "--network",
                "host",
                "--ipc",
                "host",
                "--uts",
                "host",
            ],
            &["ipc", "net", "pid", "user", "uts"],
        ),
    ] {
        assert_eq!(same(&inside(&world, flags), &ours()), shared, "{flags:?}");
    }
}

#[test]
fn the_machines_processes_are_seen_with_pid_host() {
    let world = World::new();
    let own = std::process::id();
    let outcome = world.sh(&["--pid", "host"], &format!("test -d /proc/{own} && echo seen; cat /proc/{own}/environ || echo not read; kill -0 {own} || echo not signalled"));
    // Seen, and with the rights of another user: none.
    outcome.prints("seen\nnot read\nnot signalled");
    // When the program ends, what it left behind ends, too: the kernel does not do it here.
    let mark = format!("{}", 1_000_000 + own);
    world
        .sh(
            &["--pid", "host"],
            &format!("sleep {mark} >/dev/null 2>&1 & exit 0"),
        )
        .success();
    assert_eq!(
        output(std::process::Command::new("pgrep").args(["-f", &format!("^sleep {mark}$")])).stdout,
        ""
    );
}

#[test]
fn another_containers_processes_network_and_ipc_are_joined() {
    let world = World::new();
    world.detached([
        "--name",
        "first",
        "--shm-size",
        "1m",
        "busybox",
        "sh",
        "-c",
        "echo shared > /dev/shm/file; ip link add dummy0 type dummy 2>/dev/null; exec sleep 1000",
    ]);
    let first: Vec<String> = world
        .soute(["exec", "first", "sh", "-c", LOOK])
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    for (flags, shared) in [
        (&["--pid", "container:first"][..], &["pid", "user"][..]),
        (&["--network", "container:first"], &["net", "user"]),
        (&["--ipc", "container:first"], &["ipc", "user"]),
        (
            &[
                "--pid",
                "container:first",
                "--network",
                "container:first",
                "--ipc",
                "container:first",
            ],
            &["ipc", "net", "pid", "user"],
        ),
    ] {
        assert_eq!(same(&inside(&world, flags), &first), shared, "{flags:?}");
    }
    world
        .sh(
            &["--pid", "container:first"],
            "cat /proc/1/cmdline | tr '\\0' ' '; kill -0 1 && echo may signal",
        )
        .prints("sleep 1000 may signal");
    world
        .sh(&["--ipc", "container:first"], "cat /dev/shm/file")
        .prints("shared");
    // The first goes on when a guest ends.
    assert_eq!(world.inspect("first")["State"]["Running"], true);
}

#[test]
fn the_hosts_end_is_the_guests_end() {
    let world = World::new();
    world.detached(["--name", "first", "busybox", "sleep", "1000"]);
    let script = "echo ready; exec sleep 1000";
    let words = [
        "run",
        "--name",
        "guest",
        "--pid",
        "container:first",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let mut guest = world.start(words);
    guest.expect("ready");
    world.soute(["kill", "first"]).success();
    guest.outcome().code(137);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let world = World::new();
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    for (flags, named) in [
        (&["--pid", "container:no-such"][..], "no-such"),
        (&["--network", "container:made"], "made"),
        (&["--ipc", "container:made", "--userns", "host"], "userns"),
        (&["--network", "no-such"], "no-such"),
        (&["--pid", "container:"], "container:"),
    ] {
        let outcome = world.sh(flags, "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(named), "{outcome}");
    }
}

#[test]
fn without_a_network_there_is_loopback_alone() {
    let world = World::new();
    let outcome = world.sh(&["--network", "none"], "ls /sys/class/net; cat /sys/class/net/lo/operstate; ping -c 1 -w 5 127.0.0.1 > /dev/null && echo answers");
    outcome.prints("lo\nunknown\nanswers");
}
