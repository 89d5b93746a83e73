//! The way outside, and who does not get in.

use std::process::Command;

use soute_tests::{Outcome, Running, World, output};

use crate::address;
use crate::neighbour::{Neighbour, SERVER};

fn ping(address: &str) -> String {
    format!("ping -c 1 -W 2 {address}")
}

#[track_caller]
fn forwarding() -> String {
    std::fs::read_to_string("/proc/thread-self/net/../../sys/net/ipv4/ip_forward")
        .or_else(|_| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward"))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn a_container_reaches_the_outside_by_the_machines_address() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let mut server = Running::start(&mut outside.command("python3", &["-c", SERVER, "80"]));
    server.expect("listening");
    let script = format!(
        "{} && {} && nc {} 80 && nc {} 80",
        ping(&outside.address()),
        ping(&outside.address6()),
        outside.address(),
        outside.address6(),
    );
    let outcome = world.sh(&["--network", "bridge"], &script);
    outcome
        .success()
        .shows("you are 192.0.2.1\n")
        .shows("you are 2001:db8::1\n");
}

/// Who set it is told, once.
#[test]
fn forwarding_is_turned_on_and_told() {
    let world = World::new();
    let off = output(Command::new("sysctl").args(["-w", "net.ipv4.ip_forward=0"]));
    off.success();
    let told = world.sh(&["--network", "bridge"], "true");
    told.success();
    assert!(
        told.stderr.contains("net.ipv4.ip_forward is 1 now"),
        "{told}"
    );
    let again = world.sh(&["--network", "bridge"], "true");
    assert_eq!(again.success().stderr, "");
    assert_eq!(forwarding(), "1");
}

/// Forwarding is for containers: the machine is no router for others now.
#[test]
fn the_machine_is_no_router_for_others() {
    let world = World::new();
    let (one, other) = (Neighbour::new(0), Neighbour::new(1));
    let between = || one.run("busybox", &["ping", "-c", "1", "-W", "1", &other.address()]);
    between().code(1);
    world.sh(&["--network", "bridge"], "true").success();
    assert_eq!(forwarding(), "1");
    between().code(1);
    // It would be one: nothing else stands in the way.
    output(Command::new("nft").args(["flush", "ruleset"])).success();
    between().success();
    world.soute(["network", "reconcile"]).success();
    between().code(1);
}

#[test]
fn a_machine_that_was_a_router_stays_one() {
    let world = World::new();
    let (one, other) = (Neighbour::new(0), Neighbour::new(1));
    output(Command::new("sysctl").args(["-w", "net.ipv4.ip_forward=1"])).success();
    let quiet = world.sh(&["--network", "bridge"], "true");
    assert!(!quiet.success().stderr.contains("ip_forward"), "{quiet}");
    one.run("busybox", &["ping", "-c", "1", "-W", "2", &other.address()])
        .success();
}

#[test]
fn networks_are_apart() {
    let world = World::new();
    world.soute(["network", "create", "other"]).success();
    let id = world.detached(["--network", "other", "busybox", "sleep", "1000"]);
    let there = address(&world, &id);
    world.sh(&["--network", "other"], &ping(&there)).success();
    world.sh(&["--network", "bridge"], &ping(&there)).code(1);
}

#[test]
fn nobody_outside_gets_in() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let id = world.detached(["--network", "bridge", "busybox", "sleep", "1000"]);
    let there = address(&world, &id);
    let knock = || -> Outcome { outside.run("busybox", &["ping", "-c", "1", "-W", "1", &there]) };
    knock().code(1);
    crate::behind_its_back(&world, &id, || {
        output(Command::new("nft").args(["flush", "ruleset"])).success();
        knock().success();
        // Any command puts it back in passing.
        world.soute(["ps"]).success();
        knock().code(1);
    });
}

#[test]
fn an_internal_network_has_no_way_out() {
    let world = World::new();
    let outside = Neighbour::new(0);
    world
        .soute(["network", "create", "--internal", "inside"])
        .success();
    let id = world.detached(["--network", "inside", "busybox", "sleep", "1000"]);
    let there = address(&world, &id);
    world.sh(&["--network", "inside"], &ping(&there)).success();
    world
        .sh(&["--network", "inside"], &ping(&outside.address()))
        .code(1);
    outside
        .run("busybox", &["ping", "-c", "1", "-W", "1", &there])
        .code(1);
}

/// The machine's own firewall has the last word.
#[test]
fn a_drop_of_the_machines_firewall_is_a_drop() {
    let world = World::new();
    let outside = Neighbour::new(0);
    world
        .sh(&["--network", "bridge"], &ping(&outside.address()))
        .success();
    let table = "add table inet wall; add chain inet wall f { type filter hook forward priority 10; policy drop; }";
    output(Command::new("nft").arg(table)).success();
    let told = world.sh(&["--network", "bridge"], &ping(&outside.address()));
    told.fails(1, &["chain f of table inet wall has the policy drop"]);
}

/// Nothing of the table stays for a network that is no more.
#[test]
fn a_network_that_is_removed_leaves_no_element() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    world.sh(&["--network", "net"], "true").success();
    let table = || output(Command::new("nft").args(["list", "table", "inet", "soute"]));
    table().success().shows("soute1");
    world.soute(["network", "rm", "net"]).success();
    table().success().shows_not("soute1");
}

/// CVE-2020-13401: a container that says it is the machine's router is not believed.
#[test]
fn no_container_is_the_machines_router() {
    let world = World::new();
    world.sh(&["--network", "bridge"], "true").success();
    let setting = |interface: &str| {
        let name = format!("net.ipv6.conf.{interface}.accept_ra");
        output(Command::new("sysctl").args(["-n", &name]))
            .text()
            .to_owned()
    };
    assert_eq!(setting("soute0"), "0");
    assert_ne!(setting("default"), "2");
}

/// The machine's own way goes on, although it forwards now.
#[test]
fn the_machine_heeds_its_own_router_still() {
    let world = World::new();
    let _outside = Neighbour::new(0);
    world.sh(&["--network", "bridge"], "true").success();
    let setting = output(Command::new("sysctl").args(["-n", "net.ipv6.conf.out0.accept_ra"]));
    setting.success().prints("2");
}

/// While containers run, nobody need call soute for its rules to come back.
#[test]
fn a_flush_is_repaired_by_those_who_are_there() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let ids = [0; 3].map(|_| world.detached(["-p", "80", "busybox", "sleep", "1000"]));
    let there = address(&world, &ids[0]);
    // The order of elements is nobody's promise.
    let table = || {
        let list = ["--stateless", "list", "table", "inet", "soute"];
        let shown = output(Command::new("nft").args(list)).stdout;
        let mut words: Vec<String> = shown
            .split([' ', ',', '\n', '\t'])
            .map(str::to_owned)
            .collect();
        words.retain(|word| !word.is_empty());
        words.sort();
        words
    };
    let before = table();
    for change in [
        "flush ruleset",
        "flush table inet soute",
        "flush map inet soute any4",
        "delete element inet soute bridges { \"soute0\" }",
        "add rule inet soute forward accept",
    ] {
        output(Command::new("nft").args(change.split(' '))).success();
        soute_tests::wait_until("all is as before", || table() == before);
        let knock = outside.run("busybox", &["ping", "-c", "1", "-W", "1", &there]);
        knock.code(1);
    }
}

/// Somebody has deleted the bridge under containers that run.
#[test]
fn a_bridge_that_was_deleted_is_made_again() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let ids = [0; 2].map(|_| world.detached(["busybox", "sleep", "1000"]));
    let there = address(&world, &ids[1]);
    let exec = |address: &str| world.soute(["exec", &ids[0], "sh", "-c", &ping(address)]);
    exec(&there).success();
    output(Command::new("ip").args(["link", "delete", "soute0"])).success();
    // Any command makes it again in passing.
    world.soute(["ps"]).success();
    exec(&there).success();
    exec(&outside.address()).success();
    world.sh(&[], &ping(&there)).success();
}
