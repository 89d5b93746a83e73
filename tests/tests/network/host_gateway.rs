//! `--add-host NAME:host-gateway`: the machine by a name.

use soute_tests::{Running, World};

use crate::lan::{Lan, ON_LAN, create};
use crate::neighbour::{CLIENT, SERVER};
use crate::{exec, sleeper};

const NAME: &str = "host.docker.internal:host-gateway";

#[test]
fn the_machine_is_reached_by_its_name() {
    let world = World::debian();
    let mut server =
        Running::start(std::process::Command::new("python3").args(["-c", SERVER, "8000"]));
    server.expect("listening");
    world
        .soute(["network", "create", "--ipv6", "net"])
        .success();
    for network in ["bridge", "net"] {
        let flags = [
            "run",
            "--rm",
            "--network",
            network,
            "--add-host",
            NAME,
            "debian",
        ];
        let client = ["python3", "-c", CLIENT, "host.docker.internal", "8000"];
        world
            .soute([&flags[..], &client].concat())
            .success()
            .shows("you are ");
        // Of both families.
        let hosts = world.soute([&flags[..], &["cat", "/etc/hosts"]].concat());
        let of_machine = |line: &&str| line.ends_with("\thost.docker.internal");
        let lines: Vec<&str> = hosts.success().stdout.lines().filter(of_machine).collect();
        assert_eq!(lines.len(), 2, "{hosts}");
        assert!(lines[1].starts_with("fd"), "{hosts}");
    }
}

/// It is that of the first bridge, whatever joins and leaves.
#[test]
fn it_follows_the_networks() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    for (network, subnet) in [("one", "10.1.0.0/24"), ("two", "10.2.0.0/24")] {
        let words = ["network", "create", "--subnet", subnet, network];
        world.soute(words).success();
    }
    let flags = ["--network", "lan", "--network", "one", "--network", "two"];
    let id = sleeper(
        &world,
        &[&flags[..], &["--add-host", NAME, "--name", "box"]].concat(),
    );
    let told = world.inspect(&id);
    assert_eq!(told["HostConfig"]["ExtraHosts"][0], NAME);
    let shows = |address: &str| {
        exec(&world, &id, "grep host.docker.internal /etc/hosts")
            .success()
            .prints(&format!("{address}\thost.docker.internal"));
    };
    shows("10.1.0.1");
    let network = |deed: &str, name: &str| world.soute(["network", deed, name, "box"]);
    network("disconnect", "one").success();
    shows("10.2.0.1");
    network("disconnect", "two").success();
    exec(&world, &id, "grep host.docker.internal /etc/hosts").code(1);
    world
        .soute(["restart", "--time", "0", "box"])
        .fails(1, &["host-gateway", "in none of them now"]);
    network("connect", "one").success();
    world.soute(["start", "box"]).success();
    shows("10.1.0.1");
}

#[test]
fn without_a_bridge_it_is_refused() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    for network in ["none", "host", "ns:/proc/1/ns/net", "lan"] {
        world
            .sh(&["--network", network, "--add-host", NAME], "true")
            .fails(125, &["--add-host"]);
    }
    assert!(world.ids().is_empty());
}
