//! Containers find each other by name, and the rest of the world by whom the machine asks.

use std::process::Command;

use soute_tests::{Outcome, Running, World, output, set_file};

use crate::neighbour::Neighbour;
use crate::{address, sleeper};

/// A name server that tells every name's address to be 203.0.113.7, by UDP and TCP, and prints each name that it is asked:
/// `python3 -c RESOLVER ADDRESS`. What begins with "big" it tells by TCP alone.
pub const RESOLVER: &str = "import socket, sys, threading
def name(q):
    at, parts = 12, []
    while q[at]:
        parts.append(q[at+1:at+1+q[at]].decode()); at += 1 + q[at]
    return '.'.join(parts), q[12:at+5]
def answer(q, stream):
    asked, question = name(q)
    print('asked', asked, 'by', 'tcp' if stream else 'udp', flush=True)
    if asked.startswith('big') and not stream:
        return q[:2] + b'\\x83\\x80\\0\\1\\0\\0\\0\\0\\0\\0' + question
    if asked.startswith('fails'):
        return q[:2] + b'\\x81\\x82\\0\\1\\0\\0\\0\\0\\0\\0' + question
    if question[-4:-2] != b'\\0\\1':
        return q[:2] + b'\\x81\\x80\\0\\1\\0\\0\\0\\0\\0\\0' + question
    return q[:2] + b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0' + question + b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4' + bytes([203, 0, 113, 7])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind((sys.argv[1], 53))
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
t.bind((sys.argv[1], 53)); t.listen()
def streams():
    while True:
        c, _ = t.accept()
        q = c.recv(2000)
        a = answer(q[2:], True)
        c.sendall(len(a).to_bytes(2, 'big') + a)
        c.close()
threading.Thread(target=streams, daemon=True).start()
print('listening', flush=True)
while True:
    q, who = u.recvfrom(2000)
    u.sendto(answer(q, False), who)";

/// Asks 127.0.0.11 for an address of a name by TCP: `python3 -c BY_TCP NAME`.
const BY_TCP: &str = "import socket, sys
q = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + b''.join(bytes([len(p)]) + p.encode() for p in sys.argv[1].split('.')) + b'\\0\\0\\1\\0\\1'
s = socket.create_connection(('127.0.0.11', 53), timeout=5)
for _ in range(2):
    s.sendall(len(q).to_bytes(2, 'big') + q)
    n = int.from_bytes(s.recv(2), 'big')
    a = b''
    while len(a) < n: a += s.recv(n - len(a))
    print('.'.join(map(str, a[-4:])))";

#[track_caller]
fn lookup(world: &World, flags: &[&str], name: &str) -> Outcome {
    world.sh(flags, &format!("nslookup {name}"))
}

/// A program of the machine's in a container's network.
fn inside(world: &World, id: &str, program: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", world.pid(id)));
    output(command.arg(program).args(words))
}

#[track_caller]
fn resolver(address: &str) -> Running {
    let mut resolver = Running::start(Command::new("python3").args(["-c", RESOLVER, address]));
    resolver.expect("listening");
    resolver
}

#[test]
fn neighbours_are_found_by_all_their_names() {
    let world = World::new();
    world
        .soute(["network", "create", "--ipv6", "net"])
        .success();
    let flags = ["--network", "net", "--name", "Web", "--hostname", "front"];
    let alias = ["--network-alias", "www.example", "busybox", "sleep", "1000"];
    let id = world.detached([&flags[..], &alias].concat());
    let there = address(&world, &id);
    let net = ["--network", "net"];
    for name in ["web", "WEB", "web.net", "front", "www.example", &id[..12]] {
        lookup(&world, &net, name).success().shows(&there);
        world.sh(&net, &format!("ping -c 1 -W 2 {name}")).success();
    }
    world
        .sh(&net, "ping -6 -c 1 -W 2 web")
        .success()
        .shows("(fd");
    lookup(&world, &net, &there).success().shows("Web.net");
    // Itself, too.
    world
        .soute(["exec", "Web", "ping", "-c", "1", "web"])
        .success();
    world.soute(["rm", "--force", "Web"]).success();
    lookup(&world, &net, "web").code(1);
}

#[test]
fn who_shares_a_name_shares_its_visitors() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let both = [1, 2].map(|_| {
        let flags = ["--network", "name=net,alias=pool"];
        let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
        address(&world, &id)
    });
    lookup(&world, &["--network", "net"], "pool")
        .success()
        .shows(&both[0])
        .shows(&both[1]);
}

#[test]
fn names_are_a_networks_own() {
    let world = World::new();
    for network in ["one", "two"] {
        world.soute(["network", "create", network]).success();
    }
    let run = |network: &str, name: &str| {
        let flags = ["--network", network, "--name", name];
        world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat())
    };
    let there = address(&world, &run("one", "here"));
    run("bridge", "nameless");
    lookup(&world, &["--network", "two"], "here").code(1);
    lookup(&world, &["--network", "one"], "nameless").code(1);
    lookup(&world, &["--network", "one", "--network", "two"], "here")
        .success()
        .shows(&there);
    let unnamed = world.sh(&["--network", "bridge"], "cat /etc/resolv.conf");
    unnamed.success().shows_not("127.0.0.11");
    world
        .sh(&["--network", "bridge", "--network-alias", "x"], "true")
        .fails(125, &["the alias x", "bridge", "soute network create"]);
    world
        .sh(&["--network", "one", "--network-alias", "a b"], "true")
        .fails(125, &["\"a b\"", "no name"]);
}

/// systemd-resolved listens on the machine's loopback, where no container comes.
#[test]
fn others_names_are_asked_of_the_machines_resolver() {
    set_file("/etc/resolv.conf", "nameserver 127.0.0.53\nsearch lan\n");
    let world = World::new();
    let _outside = Neighbour::new(0);
    let mut resolver = resolver("127.0.0.53");
    world.soute(["network", "create", "net"]).success();
    lookup(&world, &["--network", "net"], "example.org")
        .success()
        .shows("203.0.113.7");
    resolver.expect("asked example.org by udp");
    let told = world.sh(&["--network", "net"], "cat /etc/resolv.conf");
    told.success()
        .shows("nameserver 127.0.0.11\n")
        .shows("search lan\n")
        .shows("ndots:0");
    // A container's own resolv.conf stays as it is when the machine's changes.
    let id = world.detached(["--network", "net", "busybox", "sleep", "1000"]);
    for name in ["big.example.org", "example.net"] {
        inside(&world, &id, "python3", &["-c", BY_TCP, name])
            .success()
            .prints("203.0.113.7\n203.0.113.7");
    }
    resolver.expect("asked example.net by tcp");
}

#[test]
fn what_is_cut_is_asked_again_by_tcp() {
    set_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    let world = World::debian();
    let _outside = Neighbour::new(0);
    let mut resolver = resolver("127.0.0.53");
    world.soute(["network", "create", "net"]).success();
    // The C library's resolver asks again by itself.
    let words = ["debian", "getent", "ahostsv4", "big.example.org"];
    world
        .soute([&["run", "--rm", "--network", "net"], &words[..]].concat())
        .success()
        .shows("203.0.113.7");
    resolver.expect("asked big.example.org by udp");
    resolver.expect("asked big.example.org by tcp");
}

#[test]
fn one_that_fails_is_not_the_last() {
    set_file(
        "/etc/resolv.conf",
        "nameserver 127.0.0.52\nnameserver 127.0.0.51\nnameserver 127.0.0.53\n",
    );
    let world = World::new();
    let _outside = Neighbour::new(0);
    // Nobody listens at the first.
    let mut failing = resolver("127.0.0.51");
    let mut resolver = resolver("127.0.0.53");
    world.soute(["network", "create", "net"]).success();
    lookup(&world, &["--network", "net"], "fails.example.org").code(1);
    failing.expect("asked fails.example.org by udp");
    resolver.expect("asked fails.example.org by udp");
}

#[test]
fn dns_names_other_resolvers() {
    set_file("/etc/resolv.conf", "nameserver 192.0.2.99\n");
    let world = World::new();
    let outside = Neighbour::new(0);
    let address = outside.address();
    let mut resolver = Running::start(&mut outside.command("python3", &["-c", RESOLVER, &address]));
    resolver.expect("listening");
    world.soute(["network", "create", "net"]).success();
    lookup(
        &world,
        &["--network", "net", "--dns", &address],
        "example.org",
    )
    .success()
    .shows("203.0.113.7");
    resolver.expect("asked example.org by udp");
}

/// A VPN that comes up gives the machine another resolver, and running containers with it.
#[test]
fn a_resolver_that_changes_is_followed() {
    set_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    let world = World::new();
    let _outside = Neighbour::new(0);
    let [mut first, mut second] = ["127.0.0.53", "127.0.0.51"].map(resolver);
    world.soute(["network", "create", "net"]).success();
    let id = world.detached(["--network", "net", "busybox", "sleep", "1000"]);
    let ask = |name: &str| {
        let asked = world.soute(["exec", &id, "nslookup", name]);
        asked.success().shows("203.0.113.7");
    };
    ask("before.example.org");
    first.expect("asked before.example.org by udp");
    // By now the test's own file.
    std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.51\n").unwrap();
    ask("after.example.org");
    second.expect("asked after.example.org by udp");
}

/// CVE-2024-29018: what has no way outside does not get there by its questions.
#[test]
fn an_internal_network_asks_nobody() {
    set_file("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    let world = World::new();
    let _outside = Neighbour::new(0);
    let mut resolver = resolver("127.0.0.53");
    world
        .soute(["network", "create", "--internal", "inside"])
        .success();
    let told = lookup(&world, &["--network", "inside"], "secret.example.org");
    told.code(1);
    assert!(format!("{told}").contains("NXDOMAIN"), "{told}");
    world.soute(["network", "create", "net"]).success();
    lookup(&world, &["--network", "net"], "last.example.org").success();
    let first = resolver.expect("asked ");
    assert!(!first.contains("secret"), "{first}");
}

/// A name server of the container's own has port 53 for itself.
#[test]
fn a_container_may_serve_port_53() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let id = sleeper(&world, &["--network", "net", "--name", "me"]);
    let bind = "import socket
for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
    s = socket.socket(socket.AF_INET, kind)
    s.bind(('0.0.0.0', 53))";
    inside(&world, &id, "python3", &["-c", bind]).success();
    world.soute(["exec", &id, "nslookup", "me"]).success();
}

/// A start that is killed leaves no name.
#[test]
fn a_killed_monitor_leaves_no_name() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let flags = ["--network", "net", "--name", "gone"];
    let id = world.detached([&flags[..], &["busybox", "sleep", "1000"]].concat());
    crate::kill_monitor(&world, &id);
    lookup(&world, &["--network", "net"], "gone").code(1);
}

/// What a container sends to its name server is anything.
#[test]
fn rubbish_harms_nobody() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    let id = sleeper(&world, &["--network", "net", "--name", "me"]);
    let rubbish = "import os, random, socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
random.seed(1)
for n in range(2000):
    u.sendto(random.randbytes(random.randrange(0, 600)), ('127.0.0.11', 53))
for n in range(200):
    t = socket.create_connection(('127.0.0.11', 53), timeout=5)
    t.sendall(random.randbytes(random.randrange(0, 6000)))
    t.close()";
    inside(&world, &id, "python3", &["-c", rubbish]).success();
    world.soute(["exec", &id, "nslookup", "me"]).success();
}
