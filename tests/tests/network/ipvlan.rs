//! What a kernel may lack: ipvlan and VLANs. Without them, the refusal.

use soute_tests::World;

use crate::lan::{BEYOND, Lan, ON_LAN, create, ip, ip_in};
use crate::{exec, sleeper};

/// Whether the kernel makes a link of this kind, by the words behind it.
#[track_caller]
fn has(kind: &str) -> bool {
    let made = ip(&format!("link add link out1 name probe type {kind}"));
    if made.code == 0 {
        ip("link delete probe").success();
        return true;
    }
    assert!(made.stderr.contains("Unknown device type"), "{made}");
    false
}

#[test]
fn containers_share_an_ethernet_address() {
    let world = World::new();
    let lan = Lan::new();
    if !has("ipvlan") {
        create(&world, "ipvlan", &ON_LAN)
            .fails(1, &["no ipvlan", "its module ipvlan", "CONFIG_IPVLAN"]);
        return;
    }
    create(&world, "ipvlan", &ON_LAN).success();
    let told = world.soute(["network", "inspect", "lan"]).json();
    assert_eq!(
        told[0]["Options"],
        serde_json::json!({"parent": "out1", "ipvlan_mode": "l2", "ipvlan_flag": "bridge"})
    );
    let flags = [
        "--network",
        "lan",
        "--ip",
        "198.51.100.9",
        "--name",
        "there",
    ];
    let id = sleeper(&world, &flags);
    ip_in(&world, &id, "-d link show eth0")
        .success()
        .shows("ipvlan")
        .shows("mode l2")
        .shows("mtu 1400");
    exec(&world, &id, &format!("ping -c 1 -W 5 {BEYOND}")).success();
    world
        .sh(&["--network", "lan"], "ping -c 1 -W 5 there")
        .success();
    let wire = &world.inspect(&id)["NetworkSettings"]["Networks"]["lan"];
    let mac = wire["MacAddress"].as_str().unwrap();
    ip("link show out1").success().shows(mac);
    lan.ip("neigh show 198.51.100.9").success().shows(mac);
    let flags = ["--network", "lan", "--mac-address", "02:00:00:00:00:07"];
    world.sh(&flags, "true").fails(125, &["has that of out1"]);
    world
        .sh(&["--network", "lan", "-p", "80:80"], "true")
        .fails(125, &["--publish", "ipvlan"]);
    // The address is the parent's until the namespace of the run before has ended.
    for _ in 0..3 {
        world.soute(["restart", "--time", "0", "there"]).success();
        exec(&world, &id, "ping -c 1 -W 5 198.51.100.1").success();
    }
    world
        .soute(["network", "disconnect", "lan", "there"])
        .success();
    ip_in(&world, &id, "link").success().shows_not("eth0");
    world
        .soute(["network", "connect", "lan", "there"])
        .success();
    exec(&world, &id, "ping -c 1 -W 5 198.51.100.1").success();
    for (driver, option, why) in [
        ("ipvlan", "ipvlan_mode=l3", "one mode and one flag"),
        ("ipvlan", "ipvlan_flag=private", "one mode and one flag"),
        ("macvlan", "macvlan_mode=bridge", "macvlans or ipvlans"),
    ] {
        let words = [
            "network",
            "create",
            "--driver",
            driver,
            "-o",
            option,
            "-o",
            "parent=out1",
            "x",
        ];
        world
            .soute(words)
            .fails(1, &["network lan is on out1", why]);
    }
}

/// Behind a router, which the machine is: no gateway, no ARP, and a route outside to the machine.
#[test]
fn in_mode_l3_the_link_itself_leads_out() {
    let world = World::new();
    let lan = Lan::new();
    if !has("ipvlan") {
        return;
    }
    let words = [
        "--opt",
        "parent=out1",
        "--opt",
        "ipvlan_mode=l3",
        "--subnet",
        "10.77.0.0/24",
    ];
    create(
        &world,
        "ipvlan",
        &[&words[..], &["--gateway", "10.77.0.1"]].concat(),
    )
    .fails(1, &["--gateway", "l3"]);
    create(&world, "ipvlan", &words).success();
    lan.ip("route add 10.77.0.0/24 via 198.51.100.2").success();
    ip("route add default via 198.51.100.1").success();
    let id = sleeper(&world, &["--network", "lan", "--name", "there"]);
    ip_in(&world, &id, "route")
        .success()
        .shows("default dev eth0");
    exec(&world, &id, "ping -c 1 -W 5 198.51.100.1").success();
    exec(&world, &id, &format!("ping -c 1 -W 5 {BEYOND}")).success();
    world
        .sh(&["--network", "lan"], "ping -c 1 -W 5 there")
        .success();
    let told = world.soute(["network", "inspect", "lan"]).json();
    assert!(told[0]["IPAM"]["Config"][0]["Gateway"].is_null(), "{told}");
    let told = world.inspect(&id);
    assert_eq!(told["NetworkSettings"]["Networks"]["lan"]["Gateway"], "");
}

/// A parent by the name of a VLAN is made with the first container, and goes with the last network on it.
#[test]
fn a_vlan_is_made_where_it_is_missing() {
    let world = World::new();
    let lan = Lan::new();
    let mut words = ON_LAN;
    words[1] = "parent=out1.50";
    if !has("vlan id 7") {
        create(&world, "macvlan", &words).fails(1, &["no vlan", "its module 8021q"]);
        return;
    }
    lan.ip("link add link eth0 name tagged type vlan id 50")
        .success();
    lan.ip("address del 198.51.100.1/24 dev eth0").success();
    lan.ip("address add 198.51.100.1/24 dev tagged").success();
    lan.ip("link set tagged up").success();
    create(&world, "macvlan", &words).success();
    let other = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=out1.50",
        "other",
    ];
    world.soute(other).success();
    world
        .sh(&["--network", "lan"], &format!("ping -c 1 -W 5 {BEYOND}"))
        .success();
    ip("-d link show out1.50")
        .success()
        .shows("vlan protocol 802.1Q id 50");
    world.soute(["network", "rm", "lan"]).success();
    ip("link show out1.50").success();
    world.soute(["network", "rm", "other"]).success();
    ip("link show out1.50").code(1);
    // One of the machine's own stays.
    ip("link add link out1 name out1.50 type vlan id 50").success();
    create(&world, "macvlan", &words).success();
    world.soute(["network", "rm", "lan"]).success();
    ip("link show out1.50").success();
}
