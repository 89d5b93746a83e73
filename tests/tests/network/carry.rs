//! Interfaces that are carried from one network to another. (Story scene 9.)

use std::process::Command;

use soute_tests::{Outcome, World, output, wait_until};

use crate::{exec, sleeper};

#[track_caller]
fn ip(words: &str) -> Outcome {
    let outcome = output(Command::new("ip").args(words.split(' ')));
    outcome.success();
    outcome
}

/// On the machine: vpn0 with addresses and routes, a veth pair with vpn1.
#[track_caller]
fn vpn() {
    for words in [
        "link add vpn0 type veth peer vpn1",
        "address add 198.51.100.1/24 dev vpn1",
        "link set vpn1 up",
        "address add 198.51.100.2/24 dev vpn0",
        "address add 2001:db8:7::2/64 dev vpn0 nodad",
        "link set vpn0 up",
        "route add 203.0.113.0/24 via 198.51.100.1 dev vpn0 metric 77",
        "-6 route add 2001:db8:8::/64 dev vpn0",
        // As tunnels have them: the other end, and routes by it, from another address.
        "address add 198.51.100.77 peer 10.77.0.1/32 dev vpn0",
        "route add 203.0.112.0/24 via 10.77.0.1 dev vpn0 src 198.51.100.77 mtu 1300",
        "route add 203.0.111.0/24 via 10.88.0.1 dev vpn0 onlink",
    ] {
        ip(words);
    }
}

#[track_caller]
fn there_with_all_it_had(told: &Outcome) {
    told.success()
        .shows("inet 198.51.100.2/24")
        .shows("inet6 2001:db8:7::2/64")
        .shows("UP")
        .shows("203.0.113.0/24 via 198.51.100.1")
        .shows("metric 77")
        .shows("2001:db8:8::/64")
        .shows("inet 198.51.100.77 peer 10.77.0.1/32")
        .shows("203.0.112.0/24 via 10.77.0.1")
        .shows("src 198.51.100.77")
        .shows("203.0.111.0/24 via 10.88.0.1")
        .shows("onlink");
}

const TELL: &str = "ip addr show dev vpn0; ip route; ip -6 route";

#[test]
fn an_interface_goes_to_a_container_and_comes_back_when_that_ends() {
    let world = World::new();
    vpn();
    let (one, two) = (
        sleeper(&world, &["--network", "none", "--name", "one"]),
        sleeper(&world, &["--network", "none", "--name", "two"]),
    );
    let others = ip("-o address show vpn1").stdout;
    world
        .soute(["network", "move", "vpn0", "host", "one"])
        .success();
    there_with_all_it_had(&exec(&world, &one, TELL));
    exec(&world, &one, "ping -c 1 -W 2 198.51.100.1").success();
    // Nothing else is disturbed.
    assert_eq!(ip("-o address show vpn1").stdout, others);
    // From container to container.
    world
        .soute(["network", "move", "vpn0", "one", "two"])
        .success();
    exec(&world, &one, "ip link").success().shows_not("vpn0");
    there_with_all_it_had(&exec(&world, &two, TELL));
    // Back to where it came from, by the end of a program, or by force.
    world.soute(["kill", "two"]).success();
    world.soute(["wait", "two"]).success();
    there_with_all_it_had(&exec(&world, &one, TELL));
    world.soute(["rm", "--force", "one"]).success();
    there_with_all_it_had(&output(Command::new("sh").args(["-c", TELL])));
}

/// Whatever it is called by then, it is the one that goes back. A dummy, where the kernel has some.
#[test]
fn what_was_renamed_in_there_comes_back_as_what_it_was() {
    let world = World::new();
    let dummy = ["link", "add", "dev0", "type", "dummy"];
    if output(Command::new("ip").args(dummy)).code != 0 {
        ip("link add dev0 type veth peer dev1");
    }
    ip("address add 198.51.100.2/24 dev dev0");
    let id = sleeper(&world, &["--network", "none", "--cap-add", "NET_ADMIN"]);
    world
        .soute(["network", "move", "dev0", "host", &id])
        .success();
    let script =
        "ip link set dev0 down && ip link set dev0 name mine && ip link add dev0 type bridge";
    exec(&world, &id, script).success();
    world.soute(["rm", "--force", &id]).success();
    let told = ip("-d address show dev0");
    told.shows("198.51.100.2/24").shows_not("bridge");
}

#[test]
fn the_machine_takes_one_out_of_a_container_or_a_process() {
    let world = World::new();
    vpn();
    let id = sleeper(&world, &["--network", "none", "--name", "one"]);
    world
        .soute(["network", "move", "vpn0", "host", "one"])
        .success();
    world
        .soute(["network", "move", "vpn0", "one", "host"])
        .success();
    there_with_all_it_had(&output(Command::new("sh").args(["-c", TELL])));
    world
        .soute(["network", "move", "vpn0", "host", "one"])
        .success();
    let pid = world.pid(&id).to_string();
    world
        .soute(["network", "move", "vpn0", &pid, "host"])
        .success();
    there_with_all_it_had(&output(Command::new("sh").args(["-c", TELL])));
    world.soute(["rm", "--force", "one"]).success();
    there_with_all_it_had(&output(Command::new("sh").args(["-c", TELL])));
}

/// Who took its name meanwhile keeps it.
#[test]
fn one_whose_name_was_taken_comes_back_under_another() {
    let world = World::new();
    vpn();
    sleeper(&world, &["--network", "none", "--name", "one"]);
    world
        .soute(["network", "move", "vpn0", "host", "one"])
        .success();
    ip("link add vpn0 type bridge");
    world.soute(["rm", "--force", "one"]).success();
    ip("address show dev carried0").shows("198.51.100.2/24");
}

#[test]
fn one_that_is_lost_is_told() {
    let world = World::new();
    vpn();
    let id = sleeper(&world, &["--network", "none", "--name", "one"]);
    world
        .soute(["network", "move", "vpn0", "host", "one"])
        .success();
    crate::kill_monitor(&world, &id);
    let told = world.inspect("one");
    let why = told["State"]["Error"].as_str().unwrap();
    assert!(why.contains("vpn0 of the machine is lost"), "{why}");
    wait_until("the kernel has destroyed it", || {
        !output(Command::new("ip").args(["link", "show", "vpn1"]))
            .stdout
            .contains("vpn1")
    });
}

#[test]
fn what_cannot_be_carried_stays() {
    let world = World::new();
    vpn();
    sleeper(&world, &["--network", "none", "--name", "one"]);
    let host = world.detached([
        "--network",
        "host",
        "--name",
        "same",
        "busybox",
        "sleep",
        "1000",
    ]);
    ip("link add br9 type bridge");
    // A number is a process's, whoever is called so.
    let number = std::process::id().to_string();
    sleeper(&world, &["--network", "host", "--name", &number]);
    for (words, why) in [
        (["nosuch", "host", "one"], "there is no interface nosuch"),
        (
            ["lo", "host", "one"],
            "interface lo where it is to go already",
        ),
        (["vpn0", "host", "nosuch"], "no such container: nosuch"),
        (["vpn0", "nosuch", "one"], "no such container: nosuch"),
        (["vpn0", "host", "same"], "in the same network already"),
        (["vpn0", "host", "host"], "in the same network already"),
        (["vpn0", "host", "1"], "nobody to bring it back"),
        (["vpn0", "host", &number], "nobody to bring it back"),
        (
            ["vpn0", "host", &format!("ctr:{number}")],
            "in the same network already",
        ),
        (
            ["vpn0", "999999999", "one"],
            "there is no process 999999999",
        ),
    ] {
        world
            .soute([&["network", "move"], &words[..]].concat())
            .fails(1, &[why]);
    }
    there_with_all_it_had(&output(Command::new("sh").args(["-c", TELL])));
    world.soute(["rm", "--force", &host]).success();
}
