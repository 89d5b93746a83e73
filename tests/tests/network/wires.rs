//! A container is joined to a bridge by a veth pair.

use std::process::Command;

use serde_json::Value;
use soute_tests::{World, output, wait_until};

/// `ip -json WORDS` on the test's machine.
#[track_caller]
fn ip(words: &[&str]) -> Vec<Value> {
    let told = output(Command::new("ip").arg("-json").args(words));
    match told.success().json() {
        Value::Array(all) => all,
        other => panic!("no list: {other}"),
    }
}

fn link(name: &str) -> Option<Value> {
    ip(&["-details", "link"])
        .into_iter()
        .find(|link| link["ifname"] == name)
}

/// Story scene 7: each end knows the other by its index.
#[test]
fn both_ends_name_each_other() {
    let world = World::new();
    let id = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    let wire = &world.inspect(&id)["NetworkSettings"]["Networks"]["bridge"];
    let peer = link(wire["Peer"].as_str().unwrap()).expect("the machine's end");
    assert_eq!(peer["linkinfo"]["info_kind"], "veth");
    assert_eq!(peer["master"], "soute0");
    let seen = world.soute(["exec", &id, "ip", "-o", "link", "show", "eth0"]);
    let own = format!("eth0@if{}:", peer["ifindex"]);
    seen.shows(&own);
    let index: u64 = seen.text().split(':').next().unwrap().parse().unwrap();
    assert_eq!(peer["link_index"], index);
    assert_eq!(link("soute0").unwrap()["linkinfo"]["info_kind"], "bridge");
}

#[test]
fn neighbours_and_the_machine_reach_each_other() {
    let world = World::new();
    let one = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    let settings = world.inspect(&one)["NetworkSettings"].clone();
    for address in ["IPAddress", "GlobalIPv6Address", "Gateway", "IPv6Gateway"] {
        let address = settings[address].as_str().unwrap();
        let ping = format!("ping -c 1 -W 5 {address}");
        world.sh(&["--network", "bridge"], &ping).success();
    }
    for address in ["IPAddress", "GlobalIPv6Address"] {
        let address = settings[address].as_str().unwrap();
        output(Command::new("busybox").args(["ping", "-c", "1", "-W", "5", address])).success();
    }
}

#[test]
fn a_container_knows_itself_by_its_addresses() {
    let world = World::new();
    let flags = [
        "--network",
        "bridge",
        "--hostname",
        "box",
        "--name",
        "thing",
    ];
    let outcome = world.sh(&flags, "cat /etc/hosts; ip -4 -o addr show eth0; ip route");
    let text = outcome.success().text();
    let hosts = text.lines().find(|line| line.ends_with("box thing"));
    let address = hosts.unwrap().split('\t').next().unwrap();
    outcome.shows(&format!("inet {address}/24"));
    outcome.shows("default via 10.121.0.1 dev eth0");
}

#[test]
fn several_networks_are_several_interfaces() {
    let world = World::new();
    for name in ["front", "back"] {
        world.soute(["network", "create", name]).success();
    }
    let flags = ["--network", "front", "--network", "back"];
    let outcome = world.sh(&flags, "ip -o link; ip route");
    outcome.success().shows("eth0@").shows("eth1@");
    let ways_out = outcome.text().matches("default via").count();
    assert_eq!(ways_out, 1, "{outcome}");
    world
        .sh(&["--network", "front", "--network", "host"], "true")
        .fails(125, &["no other --network"]);
}

/// The kernel takes its time for a namespace that has ended: the next run need not wait for it.
#[test]
fn a_restart_is_joined_again() {
    let world = World::new();
    let id = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    let mac = world.inspect(&id)["NetworkSettings"]["MacAddress"].clone();
    for _ in 0..3 {
        world.soute(["restart", "--time", "0", &id]).success();
        world
            .soute(["exec", &id, "ping", "-c", "1", "-W", "5", "10.121.0.1"])
            .success();
    }
    assert_eq!(world.inspect(&id)["NetworkSettings"]["MacAddress"], mac);
}

/// Somebody removes the bridge: the next container makes it again.
#[test]
fn a_bridge_that_was_removed_comes_back() {
    let world = World::new();
    world.sh(&["--network", "bridge"], "true").success();
    output(Command::new("ip").args(["link", "delete", "soute0"])).success();
    world
        .sh(&["--network", "bridge"], "ping -c 1 -W 5 10.121.0.1")
        .success();
}

#[test]
fn an_interface_in_the_bridges_place_is_named() {
    let world = World::new();
    world.sh(&["--network", "bridge"], "true").success();
    let ip = |words: &[&str]| output(Command::new("ip").args(words)).success().code;
    ip(&["link", "delete", "soute0"]);
    ip(&["link", "add", "soute0", "type", "veth", "peer", "other"]);
    world
        .sh(&["--network", "bridge"], "true")
        .fails(125, &["soute0", "another interface"]);
    assert!(link("soute0").is_some());
}

/// A network makes a bridge of its own, and takes away no other.
#[test]
fn a_bridge_that_is_there_is_nobody_elses() {
    let world = World::new();
    let add = ["link", "add", "soute0", "type", "bridge"];
    output(Command::new("ip").args(add)).success();
    let create = ["network", "create", "--opt", "name=soute0", "net"];
    world.soute(create).fails(1, &["soute0", "already"]);
    world.sh(&["--network", "bridge"], "true").success();
    world.soute(["network", "rm", "bridge"]).success();
    assert!(link("soute0").is_some() && link("soute1").is_none());
}

/// Of a container that is gone, nothing is left but the network's bridge.
#[test]
fn wires_go_with_their_container() {
    let world = World::new();
    let ids: Vec<String> = (0..5)
        .map(|_| world.detached(["--network", "bridge", "busybox", "sleep", "1000"]))
        .collect();
    for id in &ids {
        world.soute(["rm", "--force", id]).success();
    }
    wait_until("all veth are gone", || {
        ip(&["link", "show", "type", "veth"])
            .iter()
            .all(|link| link.get("ifname").is_none())
    });
    world.soute(["network", "rm", "bridge"]).success();
    assert!(link("soute0").is_none());
}
