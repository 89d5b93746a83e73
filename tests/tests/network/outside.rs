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

/// The same by IPv6.
#[test]
fn networks_are_apart_and_closed_by_ipv6() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let create = |flags: &[&str]| {
        world
            .soute([&["network", "create", "--ipv6"], flags].concat())
            .success();
    };
    create(&["other"]);
    create(&["--internal", "inside"]);
    let address6 = |network: &str| {
        let id = world.detached(["--network", network, "busybox", "sleep", "1000"]);
        let told = &world.inspect(&id)["NetworkSettings"]["Networks"][network];
        told["GlobalIPv6Address"].as_str().unwrap().to_owned()
    };
    let (other, inside) = (address6("other"), address6("inside"));
    world.sh(&["--network", "other"], &ping(&other)).success();
    world.sh(&["--network", "inside"], &ping(&inside)).success();
    for there in [&other, &inside] {
        world.sh(&["--network", "bridge"], &ping(there)).code(1);
        outside
            .run("busybox", &["ping", "-c", "1", "-W", "1", there])
            .code(1);
    }
    world
        .sh(&["--network", "other"], &ping(&outside.address6()))
        .success();
    world
        .sh(&["--network", "inside"], &ping(&outside.address6()))
        .code(1);
}

/// With IPv6 off, containers have none; whoever asks for it is told.
#[test]
fn a_machine_without_ipv6_has_networks_without() {
    let world = World::new();
    let outside = Neighbour::new(0);
    world
        .soute(["network", "create", "--ipv6", "six"])
        .success();
    let off = ["-w", "net.ipv6.conf.all.disable_ipv6=1"];
    output(Command::new("sysctl").args(off)).success();
    for network in ["six", "bridge"] {
        let script = format!(
            "ip -6 addr show eth0 scope global; {}",
            ping(&outside.address())
        );
        world
            .sh(&["--network", network], &script)
            .success()
            .shows_not("inet6");
    }
    let wanted: [&[&str]; 2] = [&["--ipv6", "x"], &["--subnet", "fd00:1::/64", "x"]];
    for words in wanted {
        world
            .soute([&["network", "create"], words].concat())
            .fails(1, &["network x", "no IPv6", "disable_ipv6"]);
    }
    world
        .sh(&["--network", "name=six,ip6=fd00::9"], "true")
        .fails(125, &["network six has no IPv6"]);
}

/// Whose packets are the size that the way outside takes.
#[test]
fn packets_are_as_long_as_outside_or_as_said() {
    let world = World::new();
    let _outside = Neighbour::new(0);
    let mtu = ["link", "set", "out0", "mtu", "1400"];
    output(Command::new("ip").args(mtu)).success();
    let tell = "cat /sys/class/net/eth0/mtu";
    world
        .sh(&["--network", "bridge"], tell)
        .success()
        .prints("1400");
    world
        .soute(["network", "create", "--opt", "mtu=1300", "short"])
        .success();
    world
        .sh(&["--network", "short"], tell)
        .success()
        .prints("1300");
}

#[test]
fn without_masquerade_a_container_is_seen_by_its_own_address() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let mut server = Running::start(&mut outside.command("python3", &["-c", SERVER, "80"]));
    server.expect("listening");
    let option = "com.docker.network.bridge.enable_ip_masquerade=false";
    let named = ["--opt", "com.docker.network.bridge.name=routed0"];
    world
        .soute(
            [
                &["network", "create", "--opt", option],
                &named[..],
                &["routed"],
            ]
            .concat(),
        )
        .success();
    world
        .sh(
            &["--network", "routed"],
            &format!("nc {} 80", outside.address()),
        )
        .success()
        .shows("you are 10.121.");
    output(Command::new("ip").args(["link", "show", "routed0"])).success();
}

/// Somebody has emptied a chain while no container was there whose monitor would have heard.
#[test]
fn the_first_container_finds_the_rules_whole() {
    let world = World::new();
    world.sh(&["--network", "bridge"], "true").success();
    let chain = ["chain", "inet", "soute", "forward"];
    output(Command::new("nft").arg("flush").args(chain)).success();
    world.sh(&["--network", "bridge"], "true").success();
    output(Command::new("nft").arg("list").args(chain))
        .success()
        .shows("not into networks");
}

/// Of nf_tables there is none: whoever needs it is told, and nobody else.
#[test]
fn a_kernel_without_nf_tables_is_named() {
    let world = World::new();
    let run = ["run", "--rm", "--network", "bridge", "busybox", "true"];
    let log = world.path("sockets");
    let strace = |more: &[&str]| {
        let soute = world.command(run);
        let mut strace = Command::new("strace");
        strace
            .args(["--follow-forks", "--trace=socket", "--output"])
            .arg(&log)
            .args(more);
        strace.arg(soute.get_program()).args(soute.get_args());
        strace.envs(
            soute
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        output(&mut strace)
    };
    strace(&[]).success();
    let made = std::fs::read_to_string(&log).unwrap();
    let mut calls = made.lines().filter(|line| line.contains("socket("));
    let first = calls
        .position(|line| line.contains("NETLINK_NETFILTER"))
        .unwrap()
        + 1;
    let refuse = format!("--inject=socket:error=EPROTONOSUPPORT:when={first}");
    strace(&[&refuse]).fails(125, &["this kernel has no nf_tables", "--network none"]);
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
    // As firewalld has it: the last rule, of another chain.
    output(Command::new("nft").arg("delete table inet wall")).success();
    let reject =
        "add table inet wall; add chain inet wall last; add rule inet wall last counter reject;
        add chain inet wall f { type filter hook forward priority 10; policy accept; };
        add rule inet wall f ct state established accept; add rule inet wall f jump last";
    output(Command::new("nft").arg(reject)).success();
    let told = world.sh(&["--network", "bridge"], &ping(&outside.address()));
    told.fails(
        1,
        &["chain f of table inet wall ends with a rule that drops"],
    );
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
        let since = std::time::Instant::now();
        soute_tests::wait_until("all is as before", || table() == before);
        // "Within a second", and what a busy machine takes for it.
        let took = since.elapsed();
        assert!(
            took < std::time::Duration::from_secs(5),
            "{change}: {took:?}"
        );
        let knock = outside.run("busybox", &["ping", "-c", "1", "-W", "1", &there]);
        knock.code(1);
    }
}

/// Somebody has deleted the bridge under containers that run.
#[test]
fn a_bridge_that_was_deleted_is_made_again() {
    let world = World::new();
    let outside = Neighbour::new(0);
    let sleep = ["busybox", "sleep", "1000"];
    let published = [&["-p", "80:80"], &sleep[..]].concat();
    let ids = [world.detached(published), world.detached(sleep)];
    let there = address(&world, &ids[1]);
    let exec = |address: &str| world.soute(["exec", &ids[0], "sh", "-c", &ping(address)]);
    exec(&there).success();
    output(Command::new("ip").args(["link", "delete", "soute0"])).success();
    // Any command makes it again in passing.
    world.soute(["ps"]).success();
    exec(&there).success();
    exec(&outside.address()).success();
    world.sh(&[], &ping(&there)).success();
    // What a container sends to its own port may come back by its wire (bridge-nf-call-iptables).
    let wires = output(Command::new("ip").args(["-d", "-o", "link", "show", "type", "veth"]));
    assert_eq!(wires.stdout.matches("hairpin on").count(), 1, "{wires}");
}
