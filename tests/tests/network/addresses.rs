//! Which address a container gets.

use std::collections::HashSet;

use soute_tests::{Running, World};

use crate::address;

#[test]
fn the_wanted_one() {
    let world = World::new();
    world
        .soute([
            "network",
            "create",
            "--subnet",
            "10.1.2.0/24",
            "--subnet",
            "fd00:1::/64",
            "net",
        ])
        .success();
    let flags = [
        "--network",
        "net",
        "--ip",
        "10.1.2.200",
        "--ip6",
        "fd00:1::200",
    ];
    let flags = [&flags[..], &["--mac-address", "02:11:22:33:44:55"]].concat();
    let outcome = world.sh(&flags, "ip addr show eth0");
    outcome
        .success()
        .shows("inet 10.1.2.200/24")
        .shows("inet6 fd00:1::200/64")
        .shows("link/ether 02:11:22:33:44:55");
}

#[test]
fn one_that_cannot_be_is_refused() {
    let world = World::new();
    world
        .soute(["network", "create", "--subnet", "10.1.2.0/24", "net"])
        .success();
    for (ip, why) in [
        ("10.1.3.1", "not in the subnet 10.1.2.0/24"),
        ("10.1.2.1", "the bridge's own"),
        ("10.1.2.0", "the network's address"),
        ("10.1.2.255", "the broadcast address"),
    ] {
        world
            .sh(&["--network", "net", "--ip", ip], "true")
            .fails(125, &[ip, "net", why]);
    }
    let id = world.detached([
        "--network",
        "net",
        "--ip",
        "10.1.2.9",
        "busybox",
        "sleep",
        "1000",
    ]);
    world
        .sh(&["--network", "net", "--ip", "10.1.2.9"], "true")
        .fails(125, &["10.1.2.9", &id[..12]]);
    world
        .sh(
            &["--network", "net", "--mac-address", "01:00:00:00:00:01"],
            "true",
        )
        .fails(125, &["01:00:00:00:00:01", "group"]);
    world
        .sh(&["--network", "host", "--ip", "10.1.2.9"], "true")
        .fails(125, &["--ip", "--network NAME"]);
}

#[test]
fn there_are_as_many_as_the_range_has() {
    let world = World::new();
    let create = ["network", "create", "--subnet", "10.1.2.0/24"];
    let create = [&create[..], &["--ip-range", "10.1.2.64/31", "net"]].concat();
    world.soute(create).success();
    let run = ["--network", "net", "busybox", "sleep", "1000"];
    let ids = [world.detached(run), world.detached(run)];
    let both: HashSet<String> = ids.iter().map(|id| address(&world, id)).collect();
    assert_eq!(
        both,
        HashSet::from(["10.1.2.64".into(), "10.1.2.65".into()])
    );
    world
        .sh(&["--network", "net"], "true")
        .fails(125, &["no address is left", "10.1.2.64/31"]);
    // One that ends frees its own.
    world.soute(["kill", &ids[0]]).success();
    world.soute(["wait", &ids[0]]).success();
    world.sh(&["--network", "net"], "true").success();
}

#[test]
fn many_at_once_have_one_each() {
    let world = World::new();
    let starts: Vec<Running> = (0..20)
        .map(|_| {
            let words = [
                "run",
                "--detach",
                "--network",
                "bridge",
                "busybox",
                "sleep",
                "1000",
            ];
            Running::start(&mut world.command(words))
        })
        .collect();
    let ids: Vec<String> = starts
        .into_iter()
        .map(|start| start.outcome().success().text().trim().to_owned())
        .collect();
    let addresses: HashSet<String> = ids.iter().map(|id| address(&world, id)).collect();
    assert_eq!(addresses.len(), 20);
}

mod slow {
    use super::{HashSet, Running, World, address};

    /// Ten at a time, until there are two hundred: none has another's address, and each is found by its name.
    #[test]
    fn two_hundred_containers_have_an_address_and_a_name_each() {
        let world = World::new();
        world.soute(["network", "create", "net"]).success();
        let mut addresses = HashSet::new();
        for round in 0..20 {
            let starts: Vec<Running> = (0..10)
                .map(|number| {
                    let name = format!("box{}", 10 * round + number);
                    let flags = ["run", "--detach", "--network", "net", "--name", &name];
                    let words = [&flags[..], &["busybox", "sleep", "1000"]].concat();
                    Running::start(&mut world.command(words))
                })
                .collect();
            for start in starts {
                let id = start.outcome().success().text().trim().to_owned();
                addresses.insert(address(&world, &id));
            }
        }
        assert_eq!(addresses.len(), 200);
        let script =
            "for n in $(seq 0 199); do nslookup box$n > /dev/null || echo $n; done; echo end";
        world
            .sh(&["--network", "net"], script)
            .success()
            .prints("end");
    }
}

/// Whoever is killed holds no address.
#[test]
fn a_killed_monitor_leaves_none() {
    let world = World::new();
    let flags = ["--network", "bridge", "--ip", "10.121.0.9"];
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    crate::kill_monitor(&world, &id);
    world.sh(&flags, "true").success();
}

/// A start that fails gives back what it took.
#[test]
fn a_failed_start_holds_none() {
    let world = World::new();
    let flags = ["--network", "bridge", "--ip", "10.121.0.9"];
    let words = [&["run"], &flags[..], &["busybox", "/nothing/there"]].concat();
    world.soute(words).code(127);
    let words = [
        &["run", "--mount", "type=bind,source=/nothing,target=/x"],
        &flags[..],
        &["busybox", "true"],
    ]
    .concat();
    world.soute(words).code(125);
    world.sh(&flags, "true").success();
}
