//! `soute run hello`: the image that is in the binary.

use soute_tests::World;

#[test]
fn it_runs_anywhere_and_tells_what_it_sees() {
    let world = World::empty();
    let outcome = world.soute([
        "run",
        "--rm",
        "--name",
        "seen",
        "--hostname",
        "box",
        "--memory",
        "64m",
        "hello",
    ]);
    let text = outcome.text().to_lowercase();
    for word in [
        "namespace",
        "pid",
        "user",
        "box",
        "mount",
        "capabilit",
        "seccomp",
        "cgroup",
    ] {
        assert!(text.contains(word), "no {word:?} in {outcome}");
    }
    // Without a terminal on the other side there are no colours.
    assert!(!text.contains('\u{1b}'));
    world.assert_mounts_unchanged();
}

#[test]
fn what_it_tells_is_so() {
    let world = World::empty();
    let flags = [
        "--hostname",
        "box",
        "--memory",
        "64m",
        "--pids-limit",
        "20",
        "--cpuset-cpus",
        "0",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_RAW",
        "--security-opt",
        "no-new-privileges",
        "--userns",
        "host",
    ];
    let outcome = world.soute([&["run", "--rm"], &flags[..], &["hello"]].concat());
    for line in [
        "on host \"box\"",
        "memory: 64 MiB",
        "processes: 20",
        "allowed CPUs: 0\n",
        "capabilities: 1 of",
        "net_raw",
        "no_new_privs: on",
        "interfaces: lo",
    ] {
        outcome.shows(line);
    }
    // Each namespace is the container's own, but for those that are not.
    let whose = |kind: &str| {
        let text = outcome.text();
        let (_, rest) = text.split_once(&format!("  {kind} ")).unwrap();
        rest.split_whitespace().nth(1).unwrap().to_owned()
    };
    for kind in ["mnt", "pid", "net", "cgroup", "uts", "ipc"] {
        assert_eq!(whose(kind), "own", "{kind}: {outcome}");
    }
    assert_eq!(whose("user"), "machine's");
}
