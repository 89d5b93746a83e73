//! `soute network map`: what is wired to what, as ip(8) sees it in each namespace.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use soute_tests::{Outcome, World, output, wait_until};

use crate::neighbour::Neighbour;
use crate::{as_nobody, in_network, inode};

/// Odd names for interfaces. The second makes JSON of ip(8) that is none.
const ODD: &str = "a<&\"'>";
const ODDER: &str = "b\u{1b}[2J";

#[track_caller]
fn ip(words: &[&str]) {
    output(Command::new("ip").args(words)).success();
}

/// `ip -json WORDS` in a process's network.
#[track_caller]
fn ip_json(pid: Option<u32>, words: &[&str]) -> Vec<Value> {
    let told = output(&mut in_network(pid, "ip", &[&["-json"], words].concat()));
    match told.success().json() {
        // Where there is nothing, ip prints [{}].
        Value::Array(all) => all
            .into_iter()
            .filter(|one| one.as_object().is_some_and(|one| !one.is_empty()))
            .collect(),
        other => panic!("no list: {other}"),
    }
}

#[track_caller]
fn map(world: &World) -> Value {
    world.soute(["network", "map", "--json"]).json()
}

#[track_caller]
fn namespace(map: &Value, pid: Option<u32>) -> &Value {
    let ns = inode(pid);
    let mut all = map["namespaces"].as_array().unwrap().iter();
    all.find(|one| one["ns"] == ns)
        .unwrap_or_else(|| panic!("no {ns} in {map:#}"))
}

#[track_caller]
fn link<'m>(namespace: &'m Value, name: &str) -> &'m Value {
    let mut links = namespace["links"].as_array().unwrap().iter();
    links
        .find(|link| link["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {namespace:#}"))
}

/// What ip(8) tells of a namespace.
#[derive(PartialEq)]
struct Told {
    links: Vec<Value>,
    addresses: Vec<Value>,
    defaults: Vec<Value>,
}

#[track_caller]
fn told(pid: Option<u32>) -> Told {
    let defaults = |family| ip_json(pid, &[family, "route", "show", "default"]);
    let mut links = ip_json(pid, &["-details", "link"]);
    for link in &mut links {
        // A bridge's timers, which never rest.
        for data in ["info_data", "info_slave_data"] {
            link["linkinfo"][data].take();
        }
    }
    Told {
        links,
        addresses: ip_json(pid, &["address"]),
        defaults: [defaults("-4"), defaults("-6")].concat(),
    }
}

/// The map, and what ip(8) tells before and after it was made: that of the carrier and of link-local addresses comes late.
#[track_caller]
fn settled(world: &World, pids: &[Option<u32>]) -> (Value, Vec<Told>) {
    let all = || -> Vec<Told> { pids.iter().map(|pid| told(*pid)).collect() };
    let mut seen = None;
    wait_until("nothing changes any more", || {
        let before = all();
        let shown = map(world);
        let same = before == all();
        seen = Some((shown, before));
        same
    });
    seen.unwrap()
}

/// All that ip(8) tells of the links, addresses and default routes there is in the map, and no more.
#[track_caller]
fn assert_as_ip_sees_it(map: &Value, pid: Option<u32>, told: &Told) {
    let seen = namespace(map, pid);
    let links = seen["links"].as_array().unwrap();
    let expected = &told.links;
    assert_eq!(links.len(), expected.len(), "{seen:#}");
    let name_of = |index: &Value| {
        let mut links = links.iter();
        links.find(|link| link["index"] == *index).unwrap()["name"].clone()
    };
    for told in expected {
        let mut found = links.iter();
        let link = found.find(|link| link["index"] == told["ifindex"]).unwrap();
        let context = format!("{link:#} {told:#}");
        assert_eq!(link["name"], told["ifname"], "{context}");
        assert_eq!(link["mac"], told["address"], "{context}");
        assert_eq!(link["mtu"], told["mtu"], "{context}");
        let state = told["operstate"].as_str().unwrap().to_lowercase();
        assert_eq!(link["state"], state, "{context}");
        match &told["linkinfo"]["info_kind"] {
            Value::Null => {}
            kind => assert_eq!(link["kind"], *kind, "{context}"),
        }
        match &told["master"] {
            Value::Null => assert!(link["master"].is_null(), "{context}"),
            master => assert_eq!(name_of(&link["master"]), *master, "{context}"),
        }
        // Of one in the same namespace ip tells the name instead.
        match (&told["link"], &told["link_index"]) {
            (Value::Null, index) => assert_eq!(link["tie"]["index"], *index, "{context}"),
            (name, _) => assert_eq!(name_of(&link["tie"]["index"]), *name, "{context}"),
        }
        assert_eq!(link["tie"]["netnsid"], told["link_netnsid"], "{context}");
    }
    for told in &told.addresses {
        let mut found = links.iter();
        let link = found.find(|link| link["index"] == told["ifindex"]).unwrap();
        let all = |list: &Value, address: &str, prefix: &str| -> BTreeSet<String> {
            let all = list.as_array().unwrap().iter();
            all.map(|one| format!("{}/{}", one[address].as_str().unwrap(), one[prefix]))
                .collect()
        };
        assert_eq!(
            all(&link["addresses"], "address", "prefix"),
            all(&told["addr_info"], "local", "prefixlen"),
            "{link:#}"
        );
    }
    let ways = seen["routes"].as_array().unwrap();
    for told in &told.defaults {
        let gateway = &told["gateway"];
        let has = |way: &Value| way["default"] == true && way["hops"][0]["gateway"] == *gateway;
        assert!(ways.iter().any(has), "{told:#} {seen:#}");
    }
}

/// Two ends of a pair, each of which leads to the other.
#[track_caller]
fn assert_tied(map: &Value, one: (Option<u32>, &str), other: (Option<u32>, &str)) {
    for ((pid, name), (far_pid, far)) in [(one, other), (other, one)] {
        let tie = &link(namespace(map, pid), name)["tie"];
        let end = link(namespace(map, far_pid), far);
        assert_eq!(tie["index"], end["index"], "{tie}");
        assert_eq!(tie["ns"], inode(far_pid), "{tie}");
        assert_eq!((&tie["name"], &tie["mutual"]), (&end["name"], &true.into()));
    }
}

/// A bridge of the test's own, and on it a pair with an odd name that leads to the neighbour's `hand`.
#[track_caller]
fn wire_by_hand(neighbour: &Neighbour) {
    let pid = neighbour.pid().to_string();
    ip(&["link", "add", "br-hand", "up", "type", "bridge"]);
    ip(&["address", "add", "10.9.0.1/24", "dev", "br-hand"]);
    ip(&[
        "link", "add", ODD, "type", "veth", "peer", "name", "hand", "netns", &pid,
    ]);
    ip(&["link", "set", ODD, "up", "master", "br-hand"]);
    neighbour
        .run("ip", &["address", "add", "10.9.0.2/24", "dev", "hand"])
        .success();
}

#[test]
fn each_interface_of_each_namespace_is_there_as_ip_sees_it() {
    let world = World::new();
    let outside = Neighbour::new(0);
    wire_by_hand(&outside);
    ip(&["link", "add", "mv0", "link", "out0", "type", "macvlan"]);
    ip(&["link", "add", "mv1", "link", "out0", "type", "macvlan"]);
    ip(&["link", "set", "mv1", "netns", &outside.pid().to_string()]);
    let vxlan = [
        "link", "add", "vx7", "type", "vxlan", "id", "7", "dstport", "4789",
    ];
    ip(&[&vxlan[..], &["dev", "out0"]].concat());
    world.soute(["network", "create", "back"]).success();
    let both = ["--network", "bridge", "--network", "back", "--name", "web"];
    let web = world.detached([&both[..], &["busybox", "sleep", "1000"]].concat());
    let db = world.detached(["--network", "back", "busybox", "sleep", "1000"]);
    let alone = world.detached(["--network", "none", "busybox", "sleep", "1000"]);
    let [web_pid, db_pid, alone] = [&web, &db, &alone].map(|id| Some(world.pid(id)));
    let neighbour = Some(outside.pid());
    let peer = |id: &str, network: &str| {
        let settings = &world.inspect(id)["NetworkSettings"]["Networks"][network];
        settings["Peer"].as_str().unwrap().to_owned()
    };
    let pids = [None, web_pid, db_pid, alone, neighbour];
    let (map, all) = settled(&world, &pids);
    for (pid, told) in pids.into_iter().zip(&all) {
        assert_as_ip_sees_it(&map, pid, told);
    }
    assert_tied(&map, (web_pid, "eth0"), (None, &peer(&web, "bridge")));
    assert_tied(&map, (web_pid, "eth1"), (None, &peer(&web, "back")));
    assert_tied(&map, (db_pid, "eth0"), (None, &peer(&db, "back")));
    assert_tied(&map, (neighbour, "eth0"), (None, "out0"));
    assert_tied(&map, (neighbour, "hand"), (None, ODD));
    // What stands on another interface names it, here and from another namespace.
    let here = namespace(&map, None);
    let parent = &link(here, "out0")["index"];
    for (there, name) in [(here, "mv0"), (namespace(&map, neighbour), "mv1")] {
        let tie = &link(there, name)["tie"];
        assert_eq!((&tie["index"], &tie["ns"]), (parent, &here["ns"]), "{tie}");
        assert_eq!(tie["name"], "out0");
    }
    assert_eq!(link(here, "vx7")["tag"], 7);
    assert_eq!(namespace(&map, web_pid)["containers"][0]["name"], "web");
    assert_eq!(
        (&here["here"], &here["machine"]),
        (&true.into(), &Value::Null)
    );
    let back = map["networks"].as_array().unwrap().iter();
    let back = back.filter(|network| network["name"] == "back").count();
    assert_eq!(back, 1);
}

#[test]
fn the_drawing_has_both_ends_networks_ports_and_rules() {
    let world = World::new();
    let outside = Neighbour::new(0);
    wire_by_hand(&outside);
    world
        .soute(["network", "create", "--internal", "inside"])
        .success();
    let words = ["--name", "web", "-p", "8080:80", "busybox", "sleep", "1000"];
    let web = world.detached(words);
    world.detached(["--network", "inside", "busybox", "sleep", "1000"]);
    let table = "add table inet wall; add chain inet wall f { type filter hook forward priority 10; policy drop; }";
    output(Command::new("nft").arg(table)).success();
    let peer = &world.inspect(&web)["NetworkSettings"]["Networks"]["bridge"]["Peer"];
    let peer = peer.as_str().unwrap();
    let ends = ip_json(None, &["link", "show", peer]);
    let (index, far) = (&ends[0]["ifindex"], &ends[0]["link_index"]);
    let told = world.soute(["network", "map"]);
    told.success();
    for line in [
        &format!("{index}: {peer}@if{far}  veth ═══ {far}: eth0@if{index}  in web"),
        "network    bridge  10.121.1.0/24",
        "NAT: goes outside by the machine's address",
        "internal: no way out",
        "published  0.0.0.0:8080/tcp → port 80",
        "default    via 10.121.1.1",
        "default    via 192.0.2.2",
        "there      192.0.2.2/30",
        "br-hand  bridge",
        "a<&\"'>@if",
        "table inet soute",
        "not from network to network",
        "table inet wall, not soute's",
        "f: filter at forward, priority 10, drops by default",
    ] {
        told.shows(line);
    }
    let json = map(&world);
    let tables = json["firewall"]["tables"].as_array().unwrap();
    let wall = tables.iter().find(|table| table["name"] == "wall").unwrap();
    assert_eq!(
        (&wall["own"], &wall["chains"][0]["hook"]["policy"]),
        (&false.into(), &"drop".into())
    );
    assert_eq!(json["published"][0]["container"]["name"], "web");
}

/// Whatever things are called, a terminal is not steered, and JSON and the picture are what they should be.
#[test]
fn odd_names_are_shown_and_do_nothing() {
    let world = World::new();
    let outside = Neighbour::new(0);
    wire_by_hand(&outside);
    ip(&["link", "add", ODDER, "type", "bridge"]);
    for flags in [&[][..], &["--json"], &["--svg"]] {
        let told = world.soute([&["network", "map"], flags].concat());
        told.success();
        assert!(!told.stdout.contains('\u{1b}'), "{told}");
    }
    let svg = world.soute(["network", "map", "--svg"]);
    let file = world.path("map.svg");
    std::fs::write(&file, &svg.success().stdout).unwrap();
    output(Command::new("xmllint").arg("--noout").arg(&file)).success();
    svg.shows("a&lt;&amp;&quot;&apos;&gt;@if")
        .shows(": b\\u{1b}[2J<")
        .shows("outside")
        .shows_not("<script")
        .shows_not("href");
    let both = ["network", "map", "--svg", "--json"];
    world.soute(both).fails(125, &["cannot be used with"]);
}

/// Nobody is in it, but a bind mount keeps it.
#[test]
fn a_namespace_that_nobody_is_in_is_there() {
    let world = World::empty();
    let file = world.path("kept");
    std::fs::write(&file, "").unwrap();
    let mut unshare = Command::new("unshare");
    unshare.arg(format!("--net={}", file.display()));
    output(unshare.args(["ip", "link", "add", "own0", "type", "bridge"])).success();
    let shown = map(&world);
    let text = world.soute(["network", "map", file.to_str().unwrap()]);
    let other = world.soute(["network", "map", "/dev/null"]);
    output(Command::new("umount").arg(&file)).success();
    let path = file.to_str().unwrap();
    let mut all = shown["namespaces"].as_array().unwrap().iter();
    let kept = all.find(|one| one["nsfs"][0] == path).unwrap();
    assert_eq!(
        (&kept["nprocs"], &kept["name"]),
        (&0.into(), &"netns kept".into())
    );
    assert_eq!(link(kept, "own0")["kind"], "bridge");
    text.shows("netns kept")
        .shows("2: own0  bridge")
        .shows_not("lo");
    other.fails(1, &["/dev/null is not a namespace"]);
}

#[test]
fn a_part_is_shown_and_what_is_not_there_is_said() {
    let world = World::new();
    let _outside = Neighbour::new(0);
    world.detached(["--name", "web", "-p", "80", "busybox", "sleep", "1000"]);
    world.detached([
        "--name",
        "db",
        "--network",
        "bridge",
        "busybox",
        "sleep",
        "1000",
    ]);
    let part = |words: &[&str]| -> Outcome { world.soute([&["network", "map"], words].concat()) };
    part(&["web"])
        .shows("in web")
        .shows("soute0  bridge")
        .shows_not("in db")
        .shows_not("out0");
    part(&["bridge"])
        .shows("in web")
        .shows("in db")
        .shows_not("out0");
    part(&["web", "db"]).shows("in web").shows("in db");
    part(&["ctr:db"]).shows("in db").shows_not("in web");
    let pid = world.pid("db").to_string();
    part(&[&pid]).shows("in db").shows_not("in web");
    part(&["nothing"]).fails(1, &["no running container \"nothing\""]);
    part(&["99999999"]).fails(1, &["99999999"]);
    world.soute(["network", "create", "new"]).success();
    part(&["new"]).fails(1, &["network new has no bridge yet"]);
    part(&["/proc/self/ns/mnt"]).fails(1, &["a mnt namespace"]);
}

/// Whoever is not root sees his own namespace, and is told what is missing.
#[test]
fn what_is_hidden_is_said() {
    let world = World::new();
    let outside = Neighbour::new(0);
    world.detached(["--name", "web", "-p", "80", "busybox", "sleep", "1000"]);
    let told = output(&mut as_nobody(&world, &["network", "map"]));
    told.success().shows("out0@if2").shows_not("in web");
    for why in ["root's to see", "nftables", "hide their namespaces"] {
        assert!(told.stderr.contains(why), "{told}");
    }
    let json = output(&mut as_nobody(&world, &["network", "map", "--json"])).json();
    assert!(json["notes"].as_array().unwrap().len() >= 3, "{json:#}");
    let end = &link(namespace(&json, None), "out0")["tie"];
    assert_eq!(
        (&end["index"], &end["ns"]),
        (&2.into(), &Value::Null),
        "{end}"
    );
    drop(outside);
}

/// Killed with the test, whatever becomes of it.
struct Holders(Vec<Child>);

impl Drop for Holders {
    fn drop(&mut self) {
        for holder in &mut self.0 {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Each namespace is read once, by one process in between for all of them.
#[test]
fn many_namespaces_are_read_at_once() {
    const MANY: usize = 100;
    let world = World::empty();
    let holders = (0..MANY).map(|_| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--net", "sleep", "1000"])
            .stdin(Stdio::null());
        unshare.spawn().expect("unshare (package util-linux)")
    });
    let holders = Holders(holders.collect());
    let own = inode(None);
    let mut batch = String::from("link add many0 type bridge\n");
    for (number, holder) in holders.0.iter().enumerate() {
        let pid = holder.id();
        wait_until("it has a network of its own", || inode(Some(pid)) != own);
        batch += &format!("link add v{number} master many0 type veth peer name eth0 netns {pid}\n");
    }
    let file = world.path("batch");
    std::fs::write(&file, batch).unwrap();
    ip(&["-batch", file.to_str().unwrap()]);
    let started = std::time::Instant::now();
    let map = map(&world);
    let took = started.elapsed();
    for (number, holder) in holders.0.iter().enumerate() {
        assert_tied(
            &map,
            (Some(holder.id()), "eth0"),
            (None, &format!("v{number}")),
        );
    }
    // A tenth of that on an idle machine.
    assert!(took < std::time::Duration::from_secs(3), "{took:?}");
}
