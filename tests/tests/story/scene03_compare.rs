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

/// Two containers that were made with other flags: those differences, and no other.
#[test]
fn the_difference_is_what_was_asked_for() {
    let world = World::debian();
    let volume = world.path("data");
    std::fs::create_dir(&volume).unwrap();
    let bind = format!("{}:/data", volume.display());
    let flags = ["--userns", "host", "--memory", "32m", "--env", "A=1"];
    let names = ["--network", "none", "--hostname", "same", "--name"];
    let sleep = ["debian", "sleep", "1000"];
    world.detached([&names[..], &["plain"], &flags, &sleep].concat());
    let flags = [
        "--userns",
        "host",
        "--memory",
        "64m",
        "--env",
        "A=\u{1b}[31m\nx",
    ];
    let more = [
        "--cap-add",
        "SYS_TIME",
        "--security-opt",
        "no-new-privileges",
        "-v",
        &bind,
    ];
    let id = world.detached([&names[..], &["other"], &flags, &more, &sleep].concat());
    let told = world
        .soute(["ns", "diff", "--json", "plain", "other"])
        .json();
    assert_eq!(told["other"]["container"]["id"], id.as_str());
    let of = |section: &str| -> BTreeMap<String, [Option<String>; 2]> {
        let mut sections = told["sections"].as_array().unwrap().iter();
        let section = sections.find(|one| one["name"] == section).unwrap();
        let differences = section["differences"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        differences
            .map(|one| {
                let sides = [text(&one["one"]), text(&one["other"])];
                (one["what"].as_str().unwrap().to_owned(), sides)
            })
            .collect()
    };
    let kinds: Vec<String> = of("namespaces").into_keys().collect();
    assert_eq!(kinds, ["cgroup", "ipc", "mnt", "net", "pid", "uts"]);
    assert!(of("ids").is_empty());
    let gained = of("capabilities")["effective"].clone().map(Option::unwrap);
    assert_eq!(gained[0], gained[1].replace("sys_time ", ""), "{gained:?}");
    assert_eq!(
        of("restrictions").into_keys().collect::<Vec<_>>(),
        ["no_new_privs"]
    );
    let mounts = of("mounts");
    assert_eq!(mounts["/data"][0], None);
    assert!(
        mounts
            .keys()
            .all(|at| at == "/data" || at.starts_with("/sys/fs/cgroup"))
    );
    let limit = match soute_tests::layout() {
        soute_tests::Layout::V1 => "memory.limit_in_bytes",
        soute_tests::Layout::V2 => "memory.max",
    };
    let sizes = [32, 64].map(|mib| Some((mib << 20).to_string()));
    assert_eq!(of("limits")[limit], sizes);
    let environment: Vec<String> = of("environment").into_keys().collect();
    assert_eq!(environment, ["A"]);
    let text = world.soute(["ns", "diff", "plain", "other"]);
    text.success()
        .shows("-A 1\n+A \\x1b[31m\\nx\n")
        .shows("+/data ");
    // With itself nothing differs.
    let same = world.soute(["ns", "diff", "other", "other"]);
    assert_eq!(same.success().stdout.lines().count(), 2, "{same}");
    world
        .soute(["ns", "diff", "plain", "nobody"])
        .fails(1, &["no running container", "nobody"]);
    let path = format!("/proc/{}/ns/net", world.pid(&id));
    world
        .soute(["ns", "diff", "plain", &path])
        .fails(1, &["not namespaces"]);
}
