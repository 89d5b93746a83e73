//! Every process is in a set of namespaces, each an inode under /proc/PID/ns.

use std::process::{Command, Stdio};

use soute_tests::{Running, World, wait_until};

use super::{inode, row, show};

/// A process in some namespaces of its own that no container engine made, and the command that keeps it.
fn stranger() -> (Running, u32) {
    let mut command = Command::new("unshare");
    command.args([
        "--fork",
        "--pid",
        "--mount-proc",
        "--uts",
        "--kill-child",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]);
    let mut unshare = Running::start(command.stdin(Stdio::null()));
    unshare.expect("ready");
    let parent = unshare.pid();
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let child = children.trim().parse().expect("one child");
    wait_until("it sleeps", || {
        std::fs::read_to_string(format!("/proc/{child}/comm"))
            .is_ok_and(|name| name.trim() == "sleep")
    });
    (unshare, child)
}

#[test]
fn any_process_is_shown_with_the_inode_and_owner_of_each() {
    let world = World::empty();
    let (_unshare, pid) = stranger();
    let shown = show(&world, &pid.to_string());
    assert_eq!(shown["pid"], pid);
    assert_eq!(shown["pids"], serde_json::json!([pid, 1]));
    assert_eq!(shown["command"], serde_json::json!(["sleep", "1000"]));
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let row = row(&shown, kind);
        assert_eq!(row["ns"], inode(pid, kind), "{kind}");
        let whose = row["sharing"]["kind"].as_str().unwrap();
        let expected = match kind {
            "pid" => "own",
            // With unshare itself, and the network with the test.
            "mnt" | "uts" | "net" => "others",
            _ => "machine",
        };
        assert_eq!(whose, expected, "{kind}: {row}");
        // All are the machine's root's.
        if kind != "user" {
            assert_eq!(row["ons"], inode(pid, "user"), "{kind}");
        }
    }
    let own = row(&shown, "pid");
    assert_eq!(
        (own["nprocs"].as_u64(), own["first"].as_u64()),
        (Some(1), Some(pid.into()))
    );
    assert_eq!(own["command"], "sleep 1000");

    let text = world.soute(["ns", "show", &pid.to_string()]);
    text.shows("sleep 1000")
        .shows("own")
        .shows("shared with the machine")
        .shows(&inode(pid, "pid").to_string());
}

#[test]
fn the_list_has_them_all() {
    let world = World::new();
    let (_unshare, stranger) = stranger();
    let id = world.detached(["busybox", "sleep", "1000"]);
    let container = world.pid(&id);
    let list = world.soute(["ns", "ls", "--json"]).json();
    let rows = list["namespaces"].as_array().unwrap();
    let find = |pid: u32, kind: &str| {
        let number = inode(pid, kind);
        rows.iter()
            .find(|row| row["ns"] == number && row["type"] == kind)
            .unwrap_or_else(|| panic!("no {kind} of {pid}"))
    };
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = find(container, kind);
        assert_eq!(
            (own["nprocs"].as_u64(), own["pid"].as_u64()),
            (Some(1), Some(container.into())),
            "{own}"
        );
        assert!(own["machine"].is_null(), "{own}");
    }
    assert!(find(stranger, "pid")["machine"].is_null());
    assert!(!find(stranger, "user")["machine"].is_null());
    // A user namespace knows its parent, and the others their owner.
    assert_eq!(
        find(container, "user")["pns"],
        inode(std::process::id(), "user")
    );
    assert_eq!(find(container, "net")["ons"], inode(container, "user"));
    world
        .soute(["ns", "ls"])
        .shows("NS")
        .shows(&inode(container, "net").to_string());
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new();
    for word in ["99999999", "no-such-container", "/no/such/path"] {
        let outcome = world.soute(["ns", "show", word]);
        outcome.code(1);
        assert!(outcome.stderr.contains(word), "{outcome}");
    }
}

#[test]
fn a_container_stands_in_the_trees_below_the_machine() {
    let world = World::debian();
    let id = world.detached(["--network", "none", "debian", "sleep", "1000"]);
    let pid = world.pid(&id);
    for kind in ["user", "pid"] {
        let tree = world.soute(["ns", "tree", kind, "--json"]).json();
        assert_eq!(tree["type"], kind);
        let rows = tree["namespaces"].as_array().unwrap();
        let own = rows.iter().find(|row| row["ns"] == inode(pid, kind));
        let own = own.unwrap_or_else(|| panic!("{tree}"));
        assert_eq!(own["pns"], inode(std::process::id(), kind));
        assert_eq!((&own["nprocs"], &own["pid"]), (&1.into(), &pid.into()));
        if kind == "user" {
            let one_of_each = serde_json::json!({
                "cgroup": 1, "ipc": 1, "mnt": 1, "net": 1, "pid": 1, "uts": 1
            });
            assert_eq!(own["owns"], one_of_each);
        }
        let text = world.soute(["ns", "tree", kind]);
        text.success()
            .shows(&format!("\u{2500} {} ", inode(pid, kind)))
            .shows("sleep 1000");
    }
    world
        .soute(["ns", "tree", "net"])
        .fails(125, &["invalid value 'net'"]);
}
