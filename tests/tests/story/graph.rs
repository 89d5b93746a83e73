//! The machine in one picture: what is in which namespaces, what shares them, and how it is wired.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use soute_tests::{Running, World, output};

use super::{KINDS, inode};

const HOSTILE: &str = "<&\"'>]]>\u{1b}[2J";

/// A process in a network and host name of its own, called as no sane one is, with a child that has ended and is not waited for.
fn stranger() -> (Running, u32) {
    let mut command = Command::new("unshare");
    let script = "sleep 0.3 & echo ready; exec -a \"$0\" sleep 1000";
    command.args(["--net", "--uts", "bash", "-c", script, HOSTILE]);
    let mut stranger = Running::start(command.stdin(Stdio::null()));
    stranger.expect("ready");
    let pid = stranger.pid();
    soute_tests::wait_until("it sleeps", || {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|text| text.starts_with(HOSTILE.as_bytes()))
    });
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.trim();
    soute_tests::wait_until("its child has ended", || {
        std::fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|text| text.contains("(sleep) Z"))
    });
    (stranger, pid)
}

#[track_caller]
fn graph(world: &World, targets: &[&str]) -> Value {
    world
        .soute([&["ns", "graph", "--json"], targets].concat())
        .json()
}

/// The world with that first process.
#[track_caller]
fn of_pid(graph: &Value, pid: u32) -> &Value {
    let mut worlds = graph["worlds"].as_array().unwrap().iter();
    worlds
        .find(|world| world["pid"] == pid)
        .unwrap_or_else(|| panic!("no {pid} in {graph}"))
}

#[track_caller]
fn namespace<'w>(world: &'w Value, kind: &str) -> &'w Value {
    let mut all = world["namespaces"].as_array().unwrap().iter();
    all.find(|own| own["type"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {world}"))
}

/// `web`, `guest` in its network, and what each is by its first process.
fn two(world: &World) -> (u32, u32) {
    let sleep = ["debian", "sleep", "1000"];
    world.detached([&["--name", "web"], &sleep[..]].concat());
    let network = ["--name", "guest", "--network", "container:web"];
    world.detached([&network[..], &sleep].concat());
    (world.pid("web"), world.pid("guest"))
}

#[test]
fn worlds_have_the_kernels_inodes_and_name_whom_they_share_with() {
    let world = World::debian();
    let (web, guest) = two(&world);
    let (_stranger, alone) = stranger();
    let told = graph(&world, &["web", "guest", &alone.to_string()]);
    for pid in [web, guest, alone] {
        let one = of_pid(&told, pid);
        assert_eq!(one["asked"], true, "{one}");
        for kind in KINDS.iter().chain(&["time"]) {
            assert_eq!(namespace(one, kind)["ns"], inode(pid, kind), "{kind}");
        }
        assert_eq!(namespace(one, "time")["whose"], "machine");
    }
    for (own, other) in [(web, guest), (guest, web)] {
        let (name, one, other) = match own == web {
            true => ("guest", of_pid(&told, own), of_pid(&told, other)),
            false => ("web", of_pid(&told, own), of_pid(&told, other)),
        };
        assert_eq!(one["container"]["engine"], "soute");
        // With the network goes the user namespace that owns it.
        for kind in ["net", "user"] {
            let shared = namespace(one, kind);
            assert_eq!(shared["whose"], "shared", "{shared}");
            let with = serde_json::json!([{ "world": other["id"], "name": name }]);
            assert_eq!(shared["with"], with);
        }
        for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
            let own = namespace(one, kind);
            assert_eq!(own["whose"], "own", "{own}");
            assert_eq!(own["ons"], inode(web, "user"), "{own}");
        }
        let first = &one["processes"][0];
        assert_eq!(first["pids"][1], 1, "{first}");
        // Asked for by name: no process of it is.
        assert_eq!(first["asked"], false);
    }
    // The interfaces are at the one that has them first, and tied to ends that are there.
    assert_eq!(of_pid(&told, guest)["interfaces"], serde_json::json!([]));
    let link = &of_pid(&told, web)["interfaces"][0];
    assert_eq!(
        (&link["name"], &link["kind"]),
        (&"eth0".into(), &"veth".into())
    );
    let mut links = told["worlds"].as_array().unwrap().iter().flat_map(|world| {
        let links = world["interfaces"].as_array().unwrap().iter();
        links.map(move |link| (namespace(world, "net")["ns"].clone(), link))
    });
    let peer =
        links.find(|(ns, one)| *ns == link["tie"]["ns"] && one["index"] == link["tie"]["index"]);
    let (_, peer) = peer.unwrap_or_else(|| panic!("no peer in {told}"));
    assert_eq!(peer["tie"]["index"], link["index"]);

    // Who has ended is in no world: it has left most of its namespaces.
    for one in told["worlds"].as_array().unwrap() {
        assert_eq!(one["namespaces"].as_array().unwrap().len(), 8, "{one}");
    }
    let alone = of_pid(&told, alone);
    assert_eq!(alone["nprocs"], 1, "{alone}");
    assert!(alone["container"].is_null(), "{alone}");
    for kind in ["net", "uts"] {
        assert_eq!(namespace(alone, kind)["whose"], "own", "{kind}");
    }
    assert_eq!(namespace(alone, "user")["whose"], "machine");
    assert_eq!(alone["processes"][0]["asked"], true);
    assert_eq!(alone["processes"][0]["command"], format!("{HOSTILE} 1000"));
    let machine = &told["worlds"][0];
    assert_eq!(
        (&machine["machine"], &machine["inside"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(
        namespace(machine, "user")["ns"],
        inode(std::process::id(), "user")
    );
}

#[test]
fn the_picture_is_well_formed_and_names_them_all() {
    let world = World::debian();
    two(&world);
    let (_stranger, alone) = stranger();
    let file = world.path("graph.svg");
    let path = file.to_str().unwrap();
    let alone = alone.to_string();
    let targets = ["ns", "graph", "web", "guest", &alone, "--svg"];
    world.soute([&targets[..], &[path]].concat()).prints("");
    output(Command::new("xmllint").arg("--noout").arg(&file)).success();
    let printed = world.soute([&targets[..], &["-"]].concat());
    printed.success();
    // As network map has it.
    let bare = world.soute(targets);
    bare.success();
    assert!(bare.stdout.starts_with("<?xml"), "{bare}");
    let escaped = "&lt;&amp;&quot;&apos;&gt;]]&gt;\\u{1b}[2J";
    for picture in [&std::fs::read_to_string(&file).unwrap(), &printed.stdout] {
        for text in [
            ">web<",
            ">guest<",
            escaped,
            " with web<",
            " with guest<",
            ">2: eth0@if",
            "class=\"shares\"",
        ] {
            assert!(picture.contains(text), "{text:?} is not in {picture}");
        }
        assert!(
            !picture.contains('\u{1b}')
                && !picture.contains("<script")
                && !picture.contains("href")
        );
    }
    let text = world.soute(&targets[..5]);
    text.success()
        .shows("▶ web  soute container")
        .shows("eth0@if")
        .shows("<&\"'>]]>\\u{1b}[2J 1000")
        .shows("→ 1");
    assert!(!text.stdout.contains('\u{1b}'), "{text}");
    // The whole machine, whatever is on it.
    let whole = world.soute(["ns", "graph", "--svg", path]);
    whole.success();
    output(Command::new("xmllint").arg("--noout").arg(&file)).success();
    assert!(graph(&world, &[])["worlds"].as_array().unwrap().len() <= 32);
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let world = World::debian();
    let none = world.path("none/graph.svg");
    let own = std::process::id().to_string();
    let words = ["ns", "graph", &own, "--svg", none.to_str().unwrap()];
    world
        .soute(words)
        .fails(1, &["cannot be written", "none/graph.svg"]);
    world
        .soute(["ns", "graph", "--svg", "-", "--json"])
        .fails(125, &["cannot be used with"]);
    world.soute(["ns", "graph", "nobody"]).fails(1, &["nobody"]);
    world
        .soute(["ns", "graph", "99999999"])
        .fails(1, &["99999999"]);
}

/// Whoever may not look sees what is not hidden, and is told that there is more.
#[test]
fn without_root_what_may_be_seen_is_shown() {
    let world = World::debian();
    let mut sleep = Command::new("sleep");
    sleep.arg("1000").uid(65534).gid(65534).stdin(Stdio::null());
    let sleep = Running::start(&mut sleep);
    let soute = world.binary_for_all();
    let graph = |word: &str| {
        let mut command = Command::new(&soute);
        output(command.args(["ns", "graph", word]).uid(65534).gid(65534))
    };
    let seen = graph("--json");
    seen.success();
    assert!(
        seen.stderr.is_empty() || seen.stderr.contains("soute: "),
        "{seen}"
    );
    let told = seen.json();
    let notes = told["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|note| note.as_str().unwrap().contains("hide their namespaces")),
        "{told}"
    );
    let pids = told["worlds"].as_array().unwrap().iter().flat_map(|world| {
        let all = world["processes"].as_array().unwrap().iter();
        all.map(|process| process["pids"][0].as_u64().unwrap())
    });
    assert!(
        pids.into_iter().any(|pid| pid == u64::from(sleep.pid())),
        "{told}"
    );
    graph(&std::process::id().to_string()).fails(1, &["are hidden from this user"]);
}
