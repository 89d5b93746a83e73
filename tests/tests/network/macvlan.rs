//! Containers with Ethernet addresses of their own on an interface of the machine's.

use std::process::Command;

use soute_tests::{Running, World, output};

use crate::lan::{BEYOND, Lan, ON_LAN, PARENT, create, ip, ip_in};
use crate::neighbour::{CLIENT, SERVER};
use crate::{address_in, exec, killed_at_every, sleeper};

/// The machine's own subnet is the network's, its link the way out, and no rule of the machine's is asked.
#[test]
fn a_container_is_on_the_machines_link() {
    let world = World::debian();
    let lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    let words = ["--network", "lan", "--name", "web", "debian", "python3"];
    let id = world.detached([&words[..], &["-c", SERVER, "80"]].concat());
    let own = address_in(&world, &id, "lan");
    let last: u8 = own.strip_prefix("198.51.100.").unwrap().parse().unwrap();
    assert!(last >= 128, "{own}");
    ip_in(&world, &id, "-d link show eth0")
        .success()
        .shows("macvlan mode bridge")
        .shows("mtu 1400");
    ip_in(&world, &id, "route")
        .success()
        .shows("default via 198.51.100.1 dev eth0");

    soute_tests::wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    // From outside, at its own address.
    let client = lan.neighbour.run("python3", &["-c", CLIENT, &own, "80"]);
    client.success().prints("you are 198.51.100.1");
    // To outside and beyond, by its own address.
    let server = &mut lan.neighbour.command("python3", &["-c", SERVER, "80"]);
    let mut server = Running::start(server);
    server.expect("listening");
    let client = ["exec", "web", "python3", "-c", CLIENT, BEYOND, "80"];
    world
        .soute(client)
        .success()
        .prints(&format!("you are {own}"));

    // A neighbour by name, and not the machine.
    let other = ["run", "--rm", "--network", "lan", "debian", "python3", "-c"];
    let other = |host: &str| world.soute([&other[..], &[CLIENT, host, "80"]].concat());
    other("web").success().shows("you are 198.51.100.");
    other("198.51.100.2").code(1);
    output(Command::new("nft").args(["list", "ruleset"]))
        .success()
        .shows_not(PARENT)
        .shows_not("198.51.100");
}

#[test]
fn it_is_told_as_docker_tells_it() {
    let world = World::new();
    let _lan = Lan::new();
    let more = ["--opt", "macvlan_mode=private", "--opt", "mtu=1300"];
    let six = ["--subnet", "2001:db8:100::/64"];
    create(&world, "macvlan", &[&ON_LAN[..], &more, &six].concat()).success();
    let list = world.soute(["network", "ls"]);
    list.success().shows("macvlan").shows(PARENT);
    let id = sleeper(&world, &["--network", "lan"]);
    let told = world.soute(["network", "inspect", "lan"]).json();
    let told = &told[0];
    assert_eq!(told["Driver"], "macvlan");
    assert_eq!(
        told["Options"],
        serde_json::json!({
            "parent": "out1", "macvlan_mode": "private", "com.docker.network.driver.mtu": "1300",
        })
    );
    assert_eq!(told["IPAM"]["Config"][0]["Gateway"], "198.51.100.1");
    assert_eq!(told["IPAM"]["Config"][0]["IPRange"], "198.51.100.128/25");
    assert_eq!(told["IPAM"]["Config"][1]["Gateway"], "2001:db8:100::1");
    let own = format!("{}/24", address_in(&world, &id, "lan"));
    assert_eq!(told["Containers"][&id]["IPv4Address"], own);
    let link = ip_in(&world, &id, "-d link show eth0");
    link.success().shows("mode private").shows("mtu 1300");
    let wire = &world.inspect(&id)["NetworkSettings"]["Networks"]["lan"];
    link.shows(wire["MacAddress"].as_str().unwrap());
    assert!(wire["Peer"].is_null(), "{wire}");
    exec(&world, &id, "ping -6 -c 1 -W 5 2001:db8:100::1").success();
    ip_in(&world, &id, "-6 route")
        .success()
        .shows("default via 2001:db8:100::1");
}

/// Whom the mode keeps apart does not come together by way of the machine.
#[test]
fn the_mode_says_whom_a_container_reaches() {
    let world = World::new();
    let _lan = Lan::new();
    for (mode, reached) in [("bridge", 0), ("private", 1)] {
        let mode = format!("macvlan_mode={mode}");
        create(
            &world,
            "macvlan",
            &[&ON_LAN[..], &["--opt", &mode]].concat(),
        )
        .success();
        let there = sleeper(&world, &["--network", "lan", "--name", "there"]);
        let lan = ["--network", "lan"];
        world
            .sh(
                &lan,
                &format!("ping -c 1 -W 2 {}", address_in(&world, &there, "lan")),
            )
            .code(reached);
        world.sh(&lan, "ping -c 1 -W 2 198.51.100.1").success();
        world.soute(["rm", "--force", "there"]).success();
        world.soute(["network", "rm", "lan"]).success();
    }
    ip("link show out1").success();
}

#[test]
fn in_mode_passthru_one_has_the_interface() {
    let world = World::new();
    let _lan = Lan::new();
    let passthru = ["--opt", "macvlan_mode=passthru"];
    create(&world, "macvlan", &[&ON_LAN[..], &passthru].concat()).success();
    let id = sleeper(&world, &["--network", "lan", "--name", "one"]);
    exec(&world, &id, "ping -c 1 -W 2 198.51.100.1").success();
    let wire = &world.inspect(&id)["NetworkSettings"]["Networks"]["lan"];
    let mac = wire["MacAddress"].as_str().unwrap();
    ip("link show out1").success().shows(mac);
    world
        .sh(&["--network", "lan"], "true")
        .fails(125, &["mode passthru", "out1"]);
    world.soute(["restart", "--time", "0", "one"]).success();
    world.soute(["rm", "--force", "one"]).success();
    let flags = ["--network", "lan", "--mac-address", "02:00:00:00:00:07"];
    world
        .sh(&flags, "true")
        .fails(125, &["02:00:00:00:00:07", "has that of out1"]);
    world.sh(&["--network", "lan"], "true").success();
    create(&world, "macvlan", &["--opt", "parent=out1"]).fails(1, &["there is a network lan"]);
    let other = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=out1",
        "x",
    ];
    world
        .soute(other)
        .fails(1, &["network lan is on out1, too", "passthru"]);
}

/// The kernel ends the namespace of the run before when it has time, and its addresses with it.
#[test]
fn it_has_the_same_addresses_when_it_is_started_again() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    let flags = ["--network", "lan", "--ip", "198.51.100.9"];
    let id = sleeper(&world, &[&flags[..], &["--name", "box"]].concat());
    let mac = |world: &World| {
        world.inspect(&id)["NetworkSettings"]["MacAddress"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = mac(&world);
    for _ in 0..5 {
        world.soute(["restart", "--time", "0", "box"]).success();
        assert_eq!(mac(&world), before);
        exec(&world, "box", "ping -c 1 -W 2 198.51.100.1").success();
    }
    let flags = ["--network", "lan", "--mac-address", &before];
    // For as long as a namespace may take to end.
    world
        .sh(&flags, "true")
        .fails(125, &[&before, "another link on out1"]);
    world
        .sh(&["--network", "lan", "--ip", "198.51.100.9"], "true")
        .fails(125, &["198.51.100.9"]);
    world
        .sh(&["--network", "lan", "--ip", "198.51.100.1"], "true")
        .fails(125, &["198.51.100.1", "it is the gateway's"]);
}

#[test]
fn an_internal_one_has_no_way_out() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &[&ON_LAN[..], &["--internal"]].concat()).success();
    let id = sleeper(&world, &["--network", "lan", "--name", "there"]);
    ip_in(&world, &id, "route").success().shows_not("default");
    world
        .sh(&["--network", "lan"], "ping -c 1 -W 2 there")
        .success();
}

#[test]
fn a_container_joins_and_leaves_while_it_runs() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    world.soute(["network", "create", "net"]).success();
    let id = sleeper(&world, &["--network", "net", "--name", "box"]);
    sleeper(&world, &["--network", "lan", "--name", "there"]);
    world.soute(["network", "connect", "lan", "box"]).success();
    exec(&world, &id, "ping -c 1 -W 2 there").success();
    ip_in(&world, &id, "route")
        .success()
        .shows_not("198.51.100.1 dev");
    // By whatever name it goes.
    ip_in(&world, &id, "link set eth1 down").success();
    ip_in(&world, &id, "link set eth1 name mine").success();
    world
        .soute(["network", "disconnect", "lan", "box"])
        .success();
    ip_in(&world, &id, "link")
        .success()
        .shows("eth0")
        .shows_not("mine")
        .shows_not("eth1");
    // The way out by the link that is left.
    world.soute(["network", "connect", "lan", "box"]).success();
    world
        .soute(["network", "disconnect", "net", "box"])
        .success();
    ip_in(&world, &id, "route")
        .success()
        .shows("default via 198.51.100.1 dev eth1");
    world.soute(["network", "rm", "lan"]).fails(1, &["in use"]);
    world.soute(["network", "prune"]).success().prints("net");
    // What mends bridges makes none of a parent.
    world.soute(["network", "reconcile"]).success();
    ip("link show type bridge").success().prints("");
}

/// `kill -9` at some of the system calls of a connect and of a disconnect.
#[test]
fn a_killed_command_leaves_nothing_half_done() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    let id = sleeper(&world, &["--network", "none", "--name", "box"]);
    killed_at_every(9, 90, &world, "lan", || consistent(&world, &id));
}

/// Whether the container is in the network; all that tells of it tells the same.
#[track_caller]
fn consistent(world: &World, id: &str) -> bool {
    let told = world.soute(["network", "inspect", "lan"]).json();
    let member = told[0]["Containers"] != serde_json::json!({});
    let noted = world.inspect(id)["NetworkSettings"]["Networks"]["lan"].is_object();
    let inside = ip_in(world, id, "link").success().stdout.contains("eth0");
    assert_eq!(
        [member, noted, inside],
        [member; 3],
        "member, noted, inside"
    );
    member
}

/// Published ports are the machine's, and lead by a bridge.
#[test]
fn ports_are_published_on_bridges() {
    let world = World::debian();
    let lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    world.soute(["network", "create", "net"]).success();
    let run = |networks: &[&str]| {
        let words = ["-p", "8080:80", "debian", "python3", "-c", SERVER, "80"];
        world.soute([&["run", "-d"], networks, &words].concat())
    };
    run(&["--network", "lan"]).fails(125, &["--publish", "network lan", "macvlan", "no way"]);
    run(&["--network", "lan", "--network", "net"]).fails(
        125,
        &[
            "--publish",
            "network lan",
            "name the bridge's network before",
        ],
    );
    let id = run(&["--network", "net", "--network", "lan"])
        .text()
        .to_owned();
    soute_tests::wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    let client = |host: &str, port: &str| lan.neighbour.run("python3", &["-c", CLIENT, host, port]);
    // From where the container is not itself: there it answers directly.
    client(&lan.neighbour.machine(), "8080")
        .success()
        .prints(&format!("you are {}", lan.neighbour.address()));
    client(&address_in(&world, &id, "lan"), "80").success();
    let told = world.soute(["network", "disconnect", "net", &id]);
    assert!(told.success().stderr.contains("lead nowhere"), "{told}");
    client(&lan.neighbour.machine(), "8080").code(1);
}

/// What a network stands on is the machine's, and stays.
#[test]
fn a_parent_that_is_a_bridge_outlives_the_network() {
    let world = World::new();
    let _lan = Lan::new();
    ip("link add br0 type bridge").success();
    ip("link set br0 up").success();
    ip("link set out1 master br0").success();
    create(&world, "macvlan", &ON_LAN).fails(1, &["out1", "a port of br0", "br0 itself"]);
    let mut words = ON_LAN;
    words[1] = "parent=br0";
    create(&world, "macvlan", &words).success();
    world
        .sh(&["--network", "lan"], "ping -c 1 -W 5 198.51.100.1")
        .success();
    world.soute(["network", "rm", "lan"]).success();
    ip("link show br0").success();
}

#[test]
fn a_parent_that_is_not_as_it_should_be_is_told() {
    let world = World::new();
    let _lan = Lan::new();
    create(&world, "macvlan", &ON_LAN).success();
    ip("link set out1 down").success();
    let told = world.sh(&["--network", "lan"], "true");
    assert!(told.success().stderr.contains("out1 is down"), "{told}");
    ip("link set out1 name away").success();
    world
        .sh(&["--network", "lan"], "true")
        .fails(125, &["network lan", "out1", "none of this name"]);
    ip("link set away name out1").success();
    ip("link set out1 mtu 1200").success();
    create_named(
        &world,
        "wide",
        &["--opt", "mtu=1300", "--opt", "parent=out1"],
    );
    world
        .sh(&["--network", "wide"], "true")
        .fails(125, &["1300 bytes", "out1 takes 1200"]);
    world.soute(["network", "rm", "wide"]).success();
    // With it goes what stands on it: the container is in the network and has no link there, until it is taken out.
    let id = sleeper(&world, &["--network", "lan", "--name", "box"]);
    ip("link delete out1").success();
    ip_in(&world, &id, "link").success().shows_not("eth0");
    world
        .soute(["network", "disconnect", "lan", "box"])
        .success();
    world
        .soute(["network", "connect", "lan", "box"])
        .fails(1, &["none of this name"]);
    world.soute(["network", "rm", "lan"]).success();
}

#[track_caller]
fn create_named(world: &World, name: &str, words: &[&str]) {
    let create = ["network", "create", "--driver", "macvlan"];
    world
        .soute([&create[..], words, &[name]].concat())
        .success();
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    let _lan = Lan::new();
    ip("link add tun0 type veth peer name tun1").success();
    world
        .soute(["network", "create", "--subnet", "10.1.0.0/16", "net"])
        .success();
    for (words, why) in [
        (&[][..], "--opt parent=INTERFACE"),
        (&["--opt", "parent=nosuch0"], "no interface nosuch0"),
        (&["--opt", "parent=nosuch0.5"], "no interface nosuch0"),
        (&["--opt", "parent=lo"], "leads nowhere"),
        (&["--opt", "parent=soute1"], "that network's own"),
        (&["--opt", "parent=a/b"], "an interface's name"),
        (
            &["--opt", "parent=out1", "--opt", "macvlan_mode=l2"],
            "passthru",
        ),
        (
            &["--opt", "parent=out1", "--opt", "name=x"],
            "no such option of the driver",
        ),
        (
            &["--opt", "parent=out1", "--subnet", "10.1.2.0/24"],
            "overlaps that of network net",
        ),
        (
            &["--opt", "parent=out1", "--subnet", "169.254.0.0/16"],
            "link-local",
        ),
        (
            &[
                "--opt",
                "parent=out1",
                "--aux-address",
                "printer=198.51.100.7",
            ],
            "--ip-range",
        ),
    ] {
        create(&world, "macvlan", words).fails(1, &[why]);
    }
    create(&world, "overlay", &[]).fails(125, &["bridge, macvlan or ipvlan"]);
    world
        .sh(&["--network", "lan"], "true")
        .fails(125, &["no such network: lan"]);
    // Nobody's subnet may be chosen, too, and the machine's routes keep clear of it.
    create(&world, "macvlan", &["--opt", "parent=out1"]).success();
    let told = world.soute(["network", "inspect", "lan"]).json();
    assert_eq!(told[0]["IPAM"]["Config"][0]["Subnet"], "10.121.0.0/24");
}
