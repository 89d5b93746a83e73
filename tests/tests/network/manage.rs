//! `soute network`.

use std::process::Command;

use soute_tests::{World, output};

#[test]
fn a_network_is_made_listed_and_removed() {
    let world = World::new();
    let labelled = ["network", "create", "--label", "a=b", "--ipv6", "net"];
    let made = world.soute(labelled);
    let id = made.success().text().trim().to_owned();
    let list = world.soute(["network", "ls", "--no-trunc"]);
    list.success()
        .shows(&id)
        .shows("net")
        .shows("soute1")
        .shows("10.121.0.0/24");
    let told = world.soute(["network", "inspect", "net", &id[..8]]);
    let told = told.success().json();
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0]["Id"], id);
    assert_eq!(told[0]["Labels"]["a"], "b");
    assert_eq!(told[0]["EnableIPv6"], true);
    assert_eq!(told[0]["IPAM"]["Config"][0]["Gateway"], "10.121.0.1");
    // Clients decode the options as texts.
    let mut options = told[0]["Options"].as_object().unwrap().values();
    assert!(options.all(serde_json::Value::is_string), "{}", told[0]);
    world
        .soute(["network", "rm", "net"])
        .success()
        .prints("net");
    world
        .soute(["network", "rm", "net"])
        .fails(1, &["no such network: net"]);
    world.soute(["network", "rm", "--force", "net"]).success();
}

#[test]
fn one_in_use_stays() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    world.soute(["network", "create", "idle"]).success();
    let run = [
        "--network",
        "net",
        "--name",
        "user",
        "busybox",
        "sleep",
        "1000",
    ];
    let id = world.detached(run);
    world
        .soute(["network", "rm", "net"])
        .fails(1, &["net", "in use by user"]);
    world.soute(["network", "prune"]).success().prints("idle");
    let told = world.soute(["network", "inspect", "net"]).json();
    let user = &told[0]["Containers"][&id];
    let address = world.inspect(&id)["NetworkSettings"]["IPAddress"].clone();
    let address = format!("{}/24", address.as_str().unwrap());
    assert_eq!(
        (&user["Name"], &user["IPv4Address"]),
        (&"user".into(), &address.into())
    );
    world.soute(["rm", "--force", "user"]).success();
    world.soute(["network", "rm", "net"]).success();
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    world
        .soute(["network", "create", "--subnet", "10.1.0.0/16", "net"])
        .success();
    for (words, why) in [
        (&["net"][..], "there is a network net already"),
        (&["host"], "means something else"),
        (&["a/b"], "no network's name"),
        (
            &["--subnet", "10.1.2.0/24", "x"],
            "overlaps that of network net, 10.1.0.0/16",
        ),
        (
            &["--subnet", "10.2.0.0/16", "--subnet", "10.3.0.0/16", "x"],
            "one subnet of each family",
        ),
        (
            &["--subnet", "10.2.0.0/16", "--gateway", "10.3.0.1", "x"],
            "lies in no --subnet",
        ),
        (
            &["--subnet", "10.2.0.0/16", "--ip-range", "10.3.0.0/24", "x"],
            "lies in no --subnet",
        ),
        (&["--subnet", "169.254.0.0/16", "x"], "link-local"),
        (&["--subnet", "fe80::/64", "x"], "link-local"),
        (&["--opt", "mtu=9", "x"], "a number from 68"),
    ] {
        world
            .soute([&["network", "create"], words].concat())
            .fails(1, &[why]);
    }
    for words in [
        ["--subnet", "10.2.0.1/16", "x"],
        ["--subnet", "banana", "x"],
    ] {
        world
            .soute([&["network", "create"][..], &words].concat())
            .fails(125, &["invalid"]);
    }
    for driver in ["none", "host"] {
        let words = ["network", "create", "--driver", driver, "x"];
        world
            .soute(words)
            .fails(125, &[&format!("--network {driver}")]);
    }
    world
        .sh(&["--network", "nosuch"], "true")
        .fails(125, &["no such network: nosuch", "soute network ls"]);
    assert_eq!(
        world
            .soute(["network", "ls", "--quiet"])
            .text()
            .lines()
            .count(),
        1
    );
}

/// A subnet that the machine has a route to is somebody's.
#[test]
fn routes_of_the_machine_are_kept_clear_of() {
    let world = World::new();
    let ip = |words: &[&str]| {
        soute_tests::output(std::process::Command::new("ip").args(words)).success();
    };
    ip(&["link", "add", "vpn0", "type", "veth", "peer", "vpn1"]);
    ip(&["link", "set", "vpn0", "up"]);
    ip(&["route", "add", "10.121.0.0/23", "dev", "vpn0"]);
    world
        .soute(["network", "create", "--subnet", "10.121.1.0/24", "x"])
        .fails(1, &["10.121.1.0/24", "the route 10.121.0.0/23 dev vpn0"]);
    world.soute(["network", "create", "net"]).success();
    let told = world.soute(["network", "inspect", "net"]).json();
    assert_eq!(told[0]["IPAM"]["Config"][0]["Subnet"], "10.121.2.0/24");
}

/// Root, as a container engine's own container may have it.
#[test]
fn root_without_its_capability_is_told_so() {
    let world = World::new();
    let lesser = |words: &[&str]| {
        let command = world.command(words);
        let mut lesser = Command::new("setpriv");
        lesser.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
        output(lesser.arg(command.get_program()).args(command.get_args()))
    };
    lesser(&["run", "--rm", "--network", "bridge", "busybox", "true"])
        .fails(125, &["not permitted", "CAP_NET_ADMIN", "--network none"]);
    lesser(&["run", "--rm", "--network", "none", "busybox", "true"]).success();
    lesser(&["network", "reconcile"]).fails(1, &["CAP_NET_ADMIN"]);
    // Nothing is left of what could not be.
    world.soute(["ps", "--all", "--quiet"]).prints("");
    let bridge = world.soute(["network", "inspect", "bridge"]).json();
    assert_eq!(bridge[0]["Containers"], serde_json::json!({}));
    // Without them nothing is amiss for whoever only looks.
    let list = lesser(&["network", "ls"]);
    assert_eq!(list.success().stderr, "");
}
