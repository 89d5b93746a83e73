//! Containers that join networks and leave them while they run.

use std::process::Command;

use soute_tests::{World, output};

use crate::neighbour::{CLIENT, Neighbour, SERVER};
use crate::{exec, killed_at_every, sleeper};

#[test]
fn a_container_joins_and_leaves_while_it_runs() {
    let world = World::new();
    for network in ["one", "two"] {
        world.soute(["network", "create", network]).success();
    }
    let id = sleeper(&world, &["--network", "one", "--name", "mover"]);
    sleeper(&world, &["--network", "two", "--name", "there"]);
    exec(&world, &id, "ping -c 1 -W 2 there").code(1);
    let connect = ["network", "connect", "--alias", "guest", "two", "mover"];
    assert_eq!(world.soute(connect).success().stderr, "");
    exec(&world, &id, "ping -c 1 -W 2 there").success();
    exec(&world, "there", "ping -c 1 -W 2 guest").success();
    exec(&world, &id, "ip addr show eth1").success();
    let told = world.inspect(&id);
    let address = &told["NetworkSettings"]["Networks"]["two"]["IPAddress"];
    let address = address.as_str().unwrap();
    exec(&world, &id, "cat /etc/hosts").success().shows(address);
    world
        .soute(["network", "connect", "two", "mover"])
        .fails(1, &["mover", "in network two already"]);

    world
        .soute(["network", "disconnect", "two", "mover"])
        .success();
    exec(&world, &id, "ip addr show eth1").code(1);
    exec(&world, &id, "ping -c 1 -W 2 there").code(1);
    exec(&world, "there", "nslookup guest").code(1);
    exec(&world, &id, "cat /etc/hosts")
        .success()
        .shows_not(address);
    let disconnect = ["network", "disconnect", "two", "mover"];
    world
        .soute(disconnect)
        .fails(1, &["mover", "not in network two"]);
    world
        .soute([&disconnect[..2], &["--force"], &disconnect[2..]].concat())
        .success();
    // The other one stayed as it was.
    exec(&world, &id, "ip addr show eth0").success();
    world.soute(["network", "rm", "one"]).fails(1, &["in use"]);
}

/// One that was made with no network, or with one that has no names, has names from then on.
#[test]
fn names_come_with_the_first_network_that_has_some() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    sleeper(&world, &["--network", "net", "--name", "there"]);
    for flags in [["--network", "none"], ["--network", "bridge"]] {
        let id = sleeper(&world, &flags);
        world.soute(["network", "connect", "net", &id]).success();
        exec(&world, &id, "ping -c 1 -W 2 there").success();
        world.soute(["rm", "--force", &id]).success();
    }
    // What it held is free.
    world.soute(["rm", "--force", "there"]).success();
    world.soute(["network", "rm", "net"]).success();
}

#[test]
fn it_stays_joined_when_it_is_started_again() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let subnet = ["network", "create", "--subnet", "10.1.2.0/24", "other"];
    world.soute(subnet).success();
    let id = sleeper(&world, &["--network", "net", "--name", "box"]);
    let connect = ["network", "connect", "--ip", "10.1.2.9", "other", "box"];
    world.soute(connect).success();
    world.soute(["restart", "--time", "0", "box"]).success();
    exec(&world, &id, "ip addr").success().shows("10.1.2.9/24");
    world.soute(["kill", "box"]).success();
    world.soute(["wait", "box"]).success();
    // While it does not run.
    world
        .soute(["network", "disconnect", "other", "box"])
        .success();
    world.soute(["start", "box"]).success();
    exec(&world, &id, "ip addr").success().shows_not("10.1.2.9");
    world.soute(["kill", "box"]).success();
    world.soute(["wait", "box"]).success();
    world
        .soute(["network", "connect", "other", "box"])
        .success();
    world.soute(["start", "box"]).success();
    exec(&world, &id, "ip addr").success().shows("10.1.2.");
}

/// The way outside, and the way in, are by the network that is left.
#[test]
fn the_ways_go_by_the_network_that_is_left() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    for network in ["one", "two"] {
        world.soute(["network", "create", network]).success();
    }
    let flags = ["--network", "one", "-p", "8080:80", "--name", "web"];
    let words = ["debian", "python3", "-c", SERVER, "80"];
    let id = world.detached([&flags[..], &words].concat());
    soute_tests::wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    let client = || outside.run("python3", &["-c", CLIENT, &outside.machine(), "8080"]);
    client().success();
    world.soute(["network", "connect", "two", "web"]).success();
    world
        .soute(["network", "disconnect", "one", "web"])
        .success();
    client().success();
    let out = [
        "exec",
        "web",
        "python3",
        "-c",
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.2', 9)); print(s.getsockname()[0])",
    ];
    let by = &world.inspect(&id)["NetworkSettings"]["Networks"]["two"];
    world
        .soute(out)
        .success()
        .prints(by["IPAddress"].as_str().unwrap());
    // It led to the network that is gone, and leads there no more.
    let table = output(Command::new("nft").args(["list", "table", "inet", "soute"]));
    table.success().shows(by["IPAddress"].as_str().unwrap());
    let told = world.soute(["network", "disconnect", "two", "web"]);
    assert!(told.success().stderr.contains("lead nowhere"), "{told}");
    client().code(1);
}

#[test]
fn what_cannot_be_joined_is_refused_and_left_alone() {
    let world = World::new();
    let subnet = ["network", "create", "--subnet", "10.1.2.0/24", "net"];
    world.soute(subnet).success();
    let id = sleeper(&world, &["--network", "host"]);
    world
        .soute(["network", "connect", "net", &id])
        .fails(1, &["no network of its own", "--network host"]);
    let id = sleeper(&world, &["--network", "none"]);
    for (flags, why) in [
        (&["--ip", "10.1.3.1"][..], "not in the subnet"),
        (&["--ip", "10.1.2.1"], "the bridge's own"),
        (&["--alias", "a b"], "no name"),
    ] {
        world
            .soute([&["network", "connect"], flags, &["net", &id]].concat())
            .fails(1, &[why]);
    }
    world
        .soute(["network", "connect", "nosuch", &id])
        .fails(1, &["no such network: nosuch"]);
    world
        .soute(["network", "connect", "net", "nosuch"])
        .fails(1, &["no such container: nosuch"]);
    world
        .soute(["network", "connect", "--alias", "x", "bridge", &id])
        .fails(1, &["the alias x"]);
    exec(&world, &id, "ip link").success().shows_not("eth0");
    let told = world.soute(["network", "inspect", "net"]).json();
    assert_eq!(told[0]["Containers"], serde_json::json!({}));
    world.soute(["network", "rm", "net"]).success();
}

#[test]
fn addresses_that_are_wanted_are_given() {
    let world = World::new();
    let subnets = ["--subnet", "10.1.2.0/24", "--subnet", "fd00:1:2::/64"];
    world
        .soute([&["network", "create"], &subnets[..], &["net"]].concat())
        .success();
    world.soute(["network", "create", "four"]).success();
    let id = sleeper(&world, &["--network", "none", "--name", "box"]);
    let flags = ["--ip6", "fd00:1:2::9", "--mac-address", "02:00:00:00:00:09"];
    world
        .soute([&["network", "connect"], &flags[..], &["net", "box"]].concat())
        .success();
    exec(&world, &id, "ip addr show eth0")
        .success()
        .shows("fd00:1:2::9/64")
        .shows("02:00:00:00:00:09");
    world
        .soute(["network", "connect", "--ip6", "fd00:1:2::8", "four", "box"])
        .fails(1, &["network four has no IPv6"]);
}

/// It ends in the middle of it: nothing of it is left in the network.
#[test]
fn a_container_may_end_while_it_is_connected() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    for round in 0..8 {
        let id = sleeper(&world, &["--network", "none"]);
        let connect = world.start(["network", "connect", "net", &id]);
        std::thread::sleep(std::time::Duration::from_millis(3 * round));
        world.soute(["kill", &id]).success();
        // Whether it was joined first.
        connect.outcome();
        world.soute(["wait", &id]).success();
        let told = world.soute(["network", "inspect", "net"]).json();
        assert_eq!(told[0]["Containers"], serde_json::json!({}));
        soute_tests::wait_until("its wire is gone", || {
            let veth = output(Command::new("ip").args(["-o", "link", "show", "type", "veth"]));
            veth.stdout.is_empty()
        });
        world.soute(["rm", &id]).success();
    }
    world.soute(["network", "rm", "net"]).success();
}

/// `kill -9` at some of the system calls of a connect and of a disconnect: the next command makes it one or the other.
#[test]
fn a_killed_command_leaves_nothing_half_done() {
    a_command_is_killed(11);
}

mod slow {
    /// The same at each of them.
    #[test]
    fn a_command_killed_anywhere_leaves_nothing_half_done() {
        super::a_command_is_killed(1);
    }
}

#[track_caller]
fn a_command_is_killed(at_every: usize) {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let id = sleeper(&world, &["--network", "none", "--name", "box"]);
    killed_at_every(at_every, 100, &world, "net", || consistent(&world, &id));
}

/// Whether the container is in the network; all that tells of it tells the same.
#[track_caller]
fn consistent(world: &World, id: &str) -> bool {
    let told = world.soute(["network", "inspect", "net"]).json();
    let member = told[0]["Containers"] != serde_json::json!({});
    let noted = world.inspect(id)["NetworkSettings"]["Networks"]["net"].is_object();
    let inside = exec(world, id, "ip link").stdout.contains("eth0");
    let veth = output(Command::new("ip").args(["-o", "link", "show", "type", "veth"]));
    let outside = !veth.stdout.is_empty();
    // What its monitor answers, and its own file.
    let named = exec(world, id, "nslookup box 127.0.0.11").code == 0;
    let hosts = exec(world, id, "cat /etc/hosts").stdout;
    let hosts = hosts.lines().any(|line| line.starts_with("10."));
    assert_eq!(
        [member, noted, inside, outside, named, hosts],
        [member; 6],
        "member, noted, inside, outside, named, in /etc/hosts"
    );
    member
}
