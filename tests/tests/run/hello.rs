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

/// What it sees from inside is what the machine and `inspect` show of it.
#[test]
fn it_tells_what_the_machine_shows_of_it() {
    let world = World::empty();
    world.detached(["--name", "look", "hello", "--stay"]);
    let told = told(&world, "look");
    let pid = world.pid("look");
    for kind in ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"] {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let link = link.display().to_string();
        let own = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        let inode = link.trim_matches(|c: char| !c.is_ascii_digit());
        let whose = match own.display().to_string() == link {
            true => "machine's",
            false => "own",
        };
        let words: Vec<&str> = told.split_whitespace().collect();
        let seen = words.windows(3).any(|cell| cell == [kind, inode, whose]);
        assert!(seen, "{kind} is {inode}, {whose}, on the machine: {told}");
    }
    let isolation = &world.inspect("look")["Isolation"]["UserNamespace"];
    for (file, field, name) in [("uid_map", "UidMap", "uids"), ("gid_map", "GidMap", "gids")] {
        let map = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let map: Vec<u64> = map
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        let &[0, first, count] = &map[..] else {
            panic!("not one range from 0: {map:?}");
        };
        let last = first + count - 1;
        let line = format!(
            "{name}: 0-{} in here are {first}-{last} outside\n",
            count - 1
        );
        assert!(told.contains(&line), "no {line:?} in {told}");
        let inspected = serde_json::json!([{"Container": 0, "Host": first, "Size": count}]);
        assert_eq!(isolation[field], inspected);
    }
}

/// All that `hello` has said; it says it at once.
fn told(world: &World, name: &str) -> String {
    let mut told = String::new();
    soute_tests::wait_until("it has told all", || {
        told = world.soute(["logs", name]).stdout;
        told.contains("--stay")
    });
    told
}
