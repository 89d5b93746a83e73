//! Published ports where the machine's own firewall drops what comes in by default, as ufw does.

use std::process::Command;
use std::time::{Duration, Instant};

use soute_tests::{Outcome, World, output, wait_until};

use crate::neighbour::{CLIENT, Neighbour, SERVER};

/// As [`CLIENT`], and does not wait long.
pub const KNOCK: &str = "import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.7)
print(s.makefile().read(), end='')";

pub const MACHINE6: &str = "2001:db8:0::1";

/// What a firewall that is on lets in: answers, itself, what IPv6 needs, and what `user` says.
fn policy(family: &str, input: &str, forward: &str) {
    let icmp = if family == "ip" { "icmp" } else { "ipv6-icmp" };
    nft(&format!(
        "table {family} filter {{
            set allowed {{ type inet_service; flags interval; }}
            chain user {{ }}
            chain input {{
                type filter hook input priority 0; policy {input};
                iifname lo accept
                ct state established,related accept
                ct state invalid drop
                meta l4proto {icmp} accept
                ip{} saddr {} drop
                jump user
            }}
            chain forward {{
                type filter hook forward priority 0; policy {forward};
                ct state established,related accept
            }}
        }}",
        if family == "ip6" { "6" } else { "" },
        if family == "ip6" {
            "2001:db8:ff::/64"
        } else {
            "198.51.100.0/24"
        },
    ));
}

#[track_caller]
fn nft(script: &str) {
    output(Command::new("nft").arg(script)).success();
}

/// A container of Debian's Python that tells each client its address, on port 80, and what its start told.
#[track_caller]
pub fn server(world: &World, flags: &[&str]) -> (String, String) {
    let words = ["debian", "python3", "-c", SERVER, "80"];
    let started = world.soute([&["run", "-d"], flags, &words].concat());
    let id = started.success().text().trim().to_owned();
    wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    (id, started.stderr)
}

#[track_caller]
pub fn knock(outside: &Neighbour, address: &str) -> Outcome {
    outside.run("python3", &["-c", KNOCK, address, "8080"])
}

/// Nobody outside gets in, by either family.
#[track_caller]
pub fn is_closed(outside: &Neighbour) {
    for address in [outside.machine().as_str(), MACHINE6] {
        knock(outside, address).code(1);
    }
}

/// Everybody outside gets in, with the address that he has.
#[track_caller]
pub fn is_open(outside: &Neighbour) {
    opens(outside, &outside.machine(), &outside.address());
    opens(outside, MACHINE6, &outside.address6());
}

/// Within a second it lets in who is seen with that address.
#[track_caller]
pub fn opens(outside: &Neighbour, address: &str, seen: &str) {
    turns(outside, address, &format!("you are {seen}\n"));
}

#[track_caller]
pub fn closes(outside: &Neighbour, address: &str) {
    turns(outside, address, "");
}

#[track_caller]
fn turns(outside: &Neighbour, address: &str, heard: &str) {
    let since = Instant::now();
    loop {
        // What a knock began before the change may end after it.
        let began = since.elapsed();
        let knocked = knock(outside, address);
        if knocked.stdout == heard {
            return;
        }
        assert!(began < Duration::from_secs(1), "{address}: {knocked}");
    }
}

/// The machine, another container and the container itself get in.
#[track_caller]
pub fn serves_the_machine(world: &World, outside: &Neighbour, id: &str) {
    let machine = outside.machine();
    for address in ["127.0.0.1", "::1", &machine, MACHINE6] {
        output(Command::new("python3").args(["-c", CLIENT, address, "8080"]))
            .success()
            .shows("you are ");
    }
    let inside = ["python3", "-c", CLIENT, machine.as_str(), "8080"];
    let other = [
        &["run", "--rm", "--network", "bridge", "debian"],
        &inside[..],
    ]
    .concat();
    world.soute(other).success().shows("you are 10.121.0.");
    let itself = [&["exec", id], &inside[..]].concat();
    world.soute(itself).success().shows("you are 10.121.0.");
}

#[test]
fn a_machine_without_a_firewall_is_as_ever() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let (id, told) = server(&world, &["-p", "8080:80"]);
    assert!(!told.contains("alone"), "{told}");
    is_open(&outside);
    serves_the_machine(&world, &outside, &id);
    let elements = output(Command::new("nft").args(["list", "set", "inet", "soute", "local_any4"]));
    elements.success().shows_not("elements");
}

#[test]
fn a_firewall_of_each_family_keeps_it_closed_until_a_rule_lets_it_pass() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let machine = outside.machine();
    policy("ip", "drop", "accept");
    policy("ip6", "drop", "accept");
    let (id, told) = server(&world, &["-p", "8080:80"]);
    for said in [
        "port 8080/tcp serves this machine and its containers alone by IPv4: chain input of table ip filter drops",
        "alone by IPv6: chain input of table ip6 filter drops",
        "--publish-open",
    ] {
        assert!(told.contains(said), "{told}");
    }
    is_closed(&outside);
    serves_the_machine(&world, &outside, &id);
    world
        .soute(["network", "ports"])
        .shows("for this machine alone");
    for rule in [
        "tcp dport 8080 accept",
        "tcp dport 8000-8100 counter accept",
        "tcp dport { 22, 8080 } accept",
        "tcp dport { 22, 8000-8100 } ct state new accept",
        "tcp dport vmap { 22 : drop, 8080 : accept }",
        "meta l4proto . th dport { tcp . 8080 } accept",
        "tcp dport != 22 accept",
    ] {
        nft(&format!("add rule ip filter user {rule}"));
        opens(&outside, &machine, &outside.address());
        knock(&outside, MACHINE6).code(1);
        nft("flush chain ip filter user");
        closes(&outside, &machine);
    }
    for other in [
        "tcp dport 8081 accept",
        "udp dport 8080 accept",
        "tcp sport 8080 accept",
        "iifname \"none0\" tcp dport 8080 accept",
        "tcp dport 8080 ct state established accept",
        "tcp dport 8080 drop; add rule ip filter user tcp dport 8080 accept",
    ] {
        nft(&format!("add rule ip filter user {other}"));
        world.soute(["network", "reconcile"]).success();
        knock(&outside, &machine).code(1);
        nft("flush chain ip filter user");
    }
    // What only some may reach is closed to all: nobody on the machine serves it.
    nft("add rule ip filter user ip saddr 192.0.2.2 tcp dport 8080 accept");
    world.soute(["network", "reconcile"]).success();
    assert_eq!(knock(&outside, &machine).stdout, "");
    nft("delete table ip filter");
    opens(&outside, &machine, &outside.address());
    knock(&outside, MACHINE6).code(1);
    nft("chain ip6 filter input { policy accept; }");
    is_open(&outside);
    serves_the_machine(&world, &outside, &id);
}

#[test]
fn a_firewall_of_both_families_is_heard_when_it_is_turned_on() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let (id, told) = server(&world, &["-p", "8080:80"]);
    assert!(!told.contains("alone"), "{told}");
    is_open(&outside);
    policy("inet", "drop", "accept");
    closes(&outside, &outside.machine());
    is_closed(&outside);
    serves_the_machine(&world, &outside, &id);
    // A rule that comes to let ports pass by what is in its set.
    nft("add rule inet filter user tcp dport @allowed accept");
    is_closed(&outside);
    nft("add element inet filter allowed { 80, 8000-8100 }");
    is_open(&outside);
    nft("flush set inet filter allowed");
    closes(&outside, MACHINE6);
    is_closed(&outside);
    // What ends in a drop is closed without a policy.
    nft("chain inet filter input { policy accept; }");
    is_open(&outside);
    nft("add rule inet filter input reject");
    closes(&outside, &outside.machine());
    is_closed(&outside);
}

/// What it drops of what is forwarded it drops, open or closed.
#[test]
fn a_drop_of_what_is_forwarded_is_one_for_itself() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    policy("inet", "accept", "drop");
    let (id, told) = server(&world, &["-p", "8080:80"]);
    assert!(
        told.contains("drops what is forwarded") && !told.contains("alone"),
        "{told}"
    );
    is_closed(&outside);
    let from_machine = || {
        output(Command::new("python3").args(["-c", CLIENT, "127.0.0.1", "8080"]))
            .success()
            .shows("you are ");
    };
    from_machine();
    nft("chain inet filter input { policy drop; }");
    is_closed(&outside);
    from_machine();
    nft("add rule inet filter user tcp dport 8080 accept");
    nft("add rule inet filter forward ct status dnat accept");
    is_open(&outside);
    serves_the_machine(&world, &outside, &id);
}

#[test]
fn publish_open_is_open() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    policy("inet", "drop", "accept");
    let (id, told) = server(&world, &["-p", "8080:80", "--publish-open"]);
    assert!(!told.contains("alone"), "{told}");
    is_open(&outside);
    assert_eq!(world.inspect(&id)["HostConfig"]["PublishOpen"], true);
    // Whatever is put back is put back so.
    nft("delete table inet soute");
    world.soute(["network", "reconcile"]).success();
    is_open(&outside);
    world.soute(["rm", "-f", &id]).success();
    // The machine's administrator may say so for all.
    std::fs::write(world.config(), "publish_open = true\n").unwrap();
    let (id, told) = server(&world, &["-p", "8080:80"]);
    assert!(!told.contains("alone"), "{told}");
    is_open(&outside);
    assert_eq!(world.inspect(&id)["HostConfig"]["PublishOpen"], false);
    assert_eq!(world.inspect(&id)["NetworkSettings"]["PublishOpen"], true);
}

/// Rules as iptables-nft(8) makes them, in chains as ufw's.
#[test]
fn rules_of_iptables_are_understood() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let machine = outside.machine();
    let iptables = |words: &str| {
        output(Command::new("iptables-nft").args(words.split(' '))).success();
    };
    for words in [
        "-N ufw-before-input",
        "-N ufw-not-local",
        "-N ufw-user-input",
        "-A INPUT -j ufw-before-input",
        "-A ufw-before-input -i lo -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate INVALID -j DROP",
        "-A ufw-before-input -p icmp --icmp-type echo-request -j ACCEPT",
        "-A ufw-before-input -j ufw-not-local",
        "-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
        "-A ufw-not-local -m limit --limit 3/min -j LOG",
        "-A ufw-not-local -j DROP",
        "-A ufw-before-input -j ufw-user-input",
        "-P INPUT DROP",
    ] {
        iptables(words);
    }
    let (_, told) = server(&world, &["-p", "8080:80"]);
    assert!(
        told.contains("chain INPUT of table ip filter drops"),
        "{told}"
    );
    knock(&outside, &machine).code(1);
    knock(&outside, MACHINE6).success();
    for rule in [
        "-p tcp --dport 8080 -j ACCEPT",
        "-p tcp -m multiport --dports 22,8000:8100 -j ACCEPT",
        "-p tcp --dport 8000:8100 -m comment --comment web -m conntrack --ctstate NEW -j ACCEPT",
    ] {
        iptables(&format!("-A ufw-user-input {rule}"));
        opens(&outside, &machine, &outside.address());
        iptables("-F ufw-user-input");
        closes(&outside, &machine);
    }
    iptables("-A ufw-user-input -p tcp -m multiport --dports 22,8081 -j ACCEPT");
    world.soute(["network", "reconcile"]).success();
    knock(&outside, &machine).code(1);
}

/// A port that a running container gets, and one of UDP, whose client goes on asking.
#[test]
fn a_port_that_is_added_is_looked_at_as_well() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    policy("inet", "drop", "accept");
    let (id, told) = server(&world, &[]);
    assert!(!told.contains("alone"), "{told}");
    let added = world.soute([
        "update",
        "--publish-add",
        "8080:80",
        "--publish-add",
        "5000:5000/udp",
        &id,
    ]);
    added.success();
    assert!(
        added
            .stderr
            .contains("ports 8080/tcp, 5000/udp serve this machine and its containers alone:"),
        "{added}"
    );
    is_closed(&outside);
    nft("add rule inet filter user tcp dport 8080 accept");
    is_open(&outside);
    let echo = "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 5000))
while True:
    d, a = s.recvfrom(99)
    s.sendto(d, a)";
    world
        .soute(["exec", "-d", &id, "python3", "-c", echo])
        .success();
    // One socket: all its packets are one connection.
    let asks = "import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.1)
s.connect((sys.argv[1], 5000))
for n in range(40):
    s.send(b'hello')
    try:
        print(s.recv(99).decode(), flush=True)
        break
    except TimeoutError:
        print('nothing', flush=True)";
    let mut client = soute_tests::Running::start(
        &mut outside.command("python3", &["-c", asks, &outside.machine()]),
    );
    client.expect("nothing");
    nft("add rule inet filter user udp dport 5000 accept");
    client.expect("hello");
}
