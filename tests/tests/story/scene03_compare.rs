//! The container's namespaces as seen inside, by lsns(8), and outside, by `soute ns show CONTAINER`.

use std::collections::BTreeMap;

use soute_tests::World;

use super::{KINDS, inode, row, show};

/// What lsns says inside: inode by kind.
#[track_caller]
fn inside(world: &World, container: &str) -> BTreeMap<String, u64> {
    let script = "lsns --noheadings --raw --task $$ --output TYPE,NS";
    let words = ["exec", container, "sh", "-c", script];
    let table = world.soute(words);
    let lines = table
        .text()
        .lines()
        .map(|line| line.split_once(' ').expect("two columns"));
    lines
        .map(|(kind, number)| (kind.to_owned(), number.trim().parse().unwrap()))
        .collect()
}

#[test]
fn both_sides_tell_the_same_inodes() {
    let world = World::debian();
    let id = world.detached([
        "--name",
        "py",
        "debian",
        "python3",
        "-c",
        "import time; time.sleep(1000)",
    ]);
    let (pid, inside) = (world.pid("py"), inside(&world, "py"));
    // Whoever waits for a process of `exec` is outside.
    let mut exec = world.start(["exec", "py", "sh", "-c", "echo there; exec sleep 1000"]);
    exec.expect("there");
    let shown = show(&world, "py");
    assert_eq!(
        (shown["pid"].as_u64(), shown["container"]["id"].as_str()),
        (Some(pid.into()), Some(id.as_str()))
    );
    for kind in KINDS {
        let row = row(&shown, kind);
        assert_eq!(
            Some(row["ns"].as_u64().unwrap()),
            inside.get(*kind).copied(),
            "{kind}"
        );
        assert_eq!(row["ns"], inode(pid, kind), "{kind}");
        // Docker's default shares the user namespace, and on cgroup v1 the cgroup namespace; soute's shares neither.
        assert_eq!(row["sharing"]["kind"], "own", "{row}");
        assert_ne!(row["ns"], inode(std::process::id(), kind), "{kind}");
        if *kind != "user" {
            assert_eq!(
                row["ons"],
                inode(pid, "user"),
                "{kind} is owned by the container's own user namespace"
            );
        }
    }
    // By name, by id, by the beginning of the id: the same.
    for word in [&id[..], &id[..12]] {
        for kind in KINDS {
            assert_eq!(
                row(&show(&world, word), kind)["ns"],
                row(&shown, kind)["ns"]
            );
        }
    }
    world.soute(["ns", "show", "py"]).shows("own").shows("py (");
}

#[test]
fn what_is_shared_is_marked_so() {
    let world = World::debian();
    world.detached([
        "--name",
        "open",
        "--pid",
        "host",
        "--ipc",
        "host",
        "--uts",
        "host",
        "--userns",
        "host",
        "--cgroupns",
        "host",
        "debian",
        "sleep",
        "1000",
    ]);
    let (shown, inside) = (show(&world, "open"), inside(&world, "open"));
    for kind in ["pid", "ipc", "uts", "user", "cgroup"] {
        let row = row(&shown, kind);
        assert_eq!(row["sharing"]["kind"], "machine", "{row}");
        assert_eq!(row["ns"], inode(std::process::id(), kind), "{kind}");
    }
    for kind in ["mnt", "net"] {
        assert_eq!(row(&shown, kind)["sharing"]["kind"], "own");
    }
    for kind in KINDS {
        assert_eq!(
            Some(row(&shown, kind)["ns"].as_u64().unwrap()),
            inside.get(*kind).copied(),
            "{kind}"
        );
    }
}

#[test]
fn what_containers_share_is_marked_so() {
    let world = World::debian();
    world.detached(["--name", "first", "debian", "sleep", "1000"]);
    world.detached([
        "--name",
        "guest",
        "--network",
        "container:first",
        "debian",
        "sleep",
        "1000",
    ]);
    let (first, guest) = (show(&world, "first"), show(&world, "guest"));
    for kind in ["net", "user"] {
        assert_eq!(row(&first, kind)["ns"], row(&guest, kind)["ns"]);
        assert_eq!(row(&guest, kind)["sharing"]["kind"], "others");
        assert_eq!(row(&guest, kind)["nprocs"], 2);
    }
    for kind in ["cgroup", "ipc", "mnt", "pid", "uts"] {
        assert_ne!(row(&first, kind)["ns"], row(&guest, kind)["ns"]);
        assert_eq!(row(&guest, kind)["sharing"]["kind"], "own");
    }
}
