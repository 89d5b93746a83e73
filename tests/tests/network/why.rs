//! `soute network why`: what stops a packet is named, and nothing stays of the looking.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use soute_tests::{Outcome, Running, World, output, wait_until};

use crate::neighbour::{Neighbour, SERVER};

/// A container of this name that tells each client its address, on port 80.
#[track_caller]
fn server(world: &World, name: &str, flags: &[&str]) -> String {
    let words = [
        &["--name", name],
        flags,
        &["debian", "python3", "-c", SERVER, "80"],
    ];
    world.detached(words.concat());
    wait_until("it listens", || {
        world.soute(["logs", name]).stdout.contains("listening")
    });
    address(world, name)
}

/// A container of this name that does nothing, in the default network unless `flags` say otherwise.
#[track_caller]
fn sleeper(world: &World, image: &str, name: &str, flags: &[&str]) -> String {
    let words = [&["--name", name], flags, &[image, "sleep", "1000"]];
    world.detached(words.concat());
    address(world, name)
}

#[track_caller]
fn address(world: &World, id: &str) -> String {
    let networks = world.inspect(id)["NetworkSettings"]["Networks"].clone();
    let mut networks = networks.as_object().expect("networks").values();
    let address = networks.next().expect("a network")["IPAddress"].clone();
    address.as_str().expect("an address").to_owned()
}

#[track_caller]
fn nft(words: &str) -> Outcome {
    let outcome = output(Command::new("nft").arg(words));
    outcome.success();
    outcome
}

fn why(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["network", "why", "--timeout", "1"], words].concat())
}

const BRIDGE: [&str; 2] = ["--network", "bridge"];

#[test]
fn a_container_that_answers_is_reached() {
    let world = World::debian();
    let web = server(&world, "web", &BRIDGE);
    let port = format!("{web}:80");
    why(&world, &[&port])
        .success()
        .shows("postrouting  leaves by soute0, port veth")
        .shows(", to container web")
        .shows("request  container web  input        delivered")
        .shows("answer   this machine   input        delivered")
        .shows(&format!("answered by container web {port}"));
    // By name as well, and as JSON.
    let told = why(&world, &["--json", "web:80"]).json();
    assert_eq!(told["verdict"]["kind"], "answered");
    assert_eq!(told["to"], port);
    assert_eq!(told["steps"][0]["way"], "request");
    nothing_stays();
}

#[track_caller]
fn nothing_stays() {
    output(Command::new("nft").args(["list", "tables"]))
        .success()
        .shows_not("soute-why");
}

#[test]
fn where_nothing_listens_that_is_told() {
    let world = World::new();
    let web = sleeper(&world, "busybox", "web", &BRIDGE);
    why(&world, &[&format!("{web}:80")]).code(1).shows(&format!(
        "reaches container web {web}:80, nothing listens there (RST)"
    ));
    why(&world, &[&format!("{web}:53/udp")])
        .code(1)
        .shows("nothing listens there (ICMP port unreachable)");
    // And of the machine itself, by IPv6.
    why(&world, &["[::1]:9"])
        .code(1)
        .shows("reaches this machine [::1]:9, nothing listens there (RST)");
}

/// nft(8)'s own listener tells the same.
#[test]
fn a_policy_that_drops_is_named() {
    let world = World::new();
    let outside = Neighbour::new(0);
    sleeper(&world, "busybox", "web", &BRIDGE);
    nft(
        "add table inet wall; add chain inet wall f { type filter hook forward priority 10; policy drop; }",
    );
    let mut oracle = Running::start(
        Command::new("nft")
            .args(["monitor", "trace"])
            .stdin(Stdio::piped()),
    );
    wait_until("nft listens", || {
        let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap_or_default();
        let pid = oracle.pid().to_string();
        sockets
            .lines()
            .any(|line| line.split_whitespace().nth(2) == Some(&pid))
    });
    let to = format!("{}:80", outside.address());
    why(&world, &["--from", "web", &to])
        .code(1)
        .shows("table inet soute chain forward rule")
        .shows("\"out of networks\": iifname @bridges accept")
        .shows("stopped in this machine, hook forward, by chain f of table inet wall: policy drop");
    let heard = oracle.expect("inet wall f policy drop");
    assert!(
        heard.contains("inet soute forward rule iifname @bridges accept"),
        "{heard}"
    );
    oracle.signal(Signal::TERM);
    // What else is said is not what it was asked for.
    drop(oracle);
}

#[test]
fn a_rule_that_drops_is_named_by_number_and_comment() {
    let world = World::new();
    sleeper(&world, "busybox", "web", &BRIDGE);
    nft("add table inet wall; add chain inet wall in { type filter hook input priority 0; }");
    nft("add rule inet wall in tcp dport 22 counter drop comment \"no ssh\"");
    let listed = output(Command::new("nft").args(["-a", "list", "chain", "inet", "wall", "in"]));
    let listed = listed.success().stdout.clone();
    let handle = listed.lines().find(|line| line.contains("no ssh"));
    let handle = handle
        .and_then(|line| line.rsplit(' ').next())
        .expect("a handle");
    why(&world, &["--from", "web", "10.121.0.1:22"])
        .code(1)
        .shows(&format!(
            "stopped in this machine, hook input, by rule {handle} \"no ssh\" of chain in of table inet wall: \
             tcp dport 22 counter drop"
        ));
    // What cannot be told in nft's words is told by where to find it.
    nft("add rule inet wall in tcp dport 23 tcp option maxseg size > 1 drop");
    why(&world, &["--from", "web", "10.121.0.1:23"])
        .code(1)
        .shows("(nft -a list chain inet wall in)");
    // One that refuses says so itself.
    nft("add rule inet wall in tcp dport 24 reject with tcp reset");
    why(&world, &["--from", "web", "10.121.0.1:24"])
        .code(1)
        .shows("hook input, by rule")
        .shows("reject with tcp reset");
}

/// A container's own firewall is one of those on the way.
#[test]
fn a_containers_own_rules_are_seen() {
    let world = World::new();
    let web = sleeper(&world, "busybox", "web", &BRIDGE);
    let net = format!("--net=/proc/{}/ns/net", world.pid("web"));
    let table = "add table inet own; add chain inet own in { type filter hook input priority 0; policy drop; }";
    output(Command::new("nsenter").args([&net, "nft", table])).success();
    why(&world, &[&format!("{web}:80")])
        .code(1)
        .shows("stopped in container web, hook input, by chain in of table inet own: policy drop");
    // What comes back is stopped there, too.
    why(&world, &["--from", "web", "10.121.0.1:80"])
        .code(1)
        .shows("the answer is stopped in container web, hook input");
    output(Command::new("nsenter").args([&net, "nft", "list", "tables"]))
        .success()
        .shows_not("soute-why");
}

#[test]
fn a_published_port_is_followed_through_its_translations() {
    let world = World::debian();
    let web = server(&world, "web", &["-p", "8080:80"]);
    let told = why(&world, &["127.0.0.1:8080"]);
    told.success()
        .shows("table inet soute chain publish rule")
        .shows(&format!("destination 127.0.0.1:8080 becomes {web}:80"))
        .shows("chain postrouting rule")
        .shows("becomes 10.121.0.1:")
        .shows(&format!("answered by container web {web}:80"));
    // By itself, and by a neighbour.
    sleeper(&world, "debian", "other", &BRIDGE);
    for from in ["web", "other"] {
        why(&world, &["--from", from, "10.121.0.1:8080"])
            .success()
            .shows(&format!("destination 10.121.0.1:8080 becomes {web}:80"))
            .shows(&format!("answered by container web {web}:80"));
    }
}

/// UDP has no answer of its own: that it arrives is all that can be told of a program that is silent.
#[test]
fn udp_arrives_or_is_answered() {
    let world = World::debian();
    let serve = "import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 53))
print('listening', flush=True)
while True:
    text, who = s.recvfrom(100)
    if sys.argv[1] == 'speaks': s.sendto(text, who)";
    for (name, words) in [
        ("speaks", "answered by container speaks"),
        ("silent", "reaches container silent"),
    ] {
        let flags = ["--name", name, "--network", "bridge"];
        let program = ["debian", "python3", "-c", serve, name];
        world.detached([&flags[..], &program].concat());
        wait_until("it listens", || {
            world.soute(["logs", name]).stdout.contains("listening")
        });
        why(&world, &[&format!("{name}:53/udp")])
            .success()
            .shows(words);
        let ipv6 = world.inspect(name)["NetworkSettings"]["GlobalIPv6Address"].clone();
        let ipv6 = ipv6.as_str().expect("an IPv6 address").to_owned();
        why(&world, &[&format!("[{ipv6}]:53/udp")])
            .success()
            .shows(words);
    }
    nft("add table inet wall; add chain inet wall out { type filter hook output priority 0; }");
    nft("add rule inet wall out udp dport 53 drop comment \"no names\"");
    why(&world, &["speaks:53/udp"])
        .code(1)
        .shows("stopped in this machine, hook output, by rule")
        .shows("\"no names\" of chain out of table inet wall: udp dport 53 drop");
}

#[test]
fn what_routing_drops_is_told_with_its_setting() {
    let world = World::new();
    let outside = Neighbour::new(1);
    sleeper(&world, "busybox", "web", &BRIDGE);
    let to = format!("{}:80", outside.address());
    why(&world, &["--from", "web", "203.0.113.1:80"])
        .code(1)
        .shows("dropped by routing in this machine: no route leads to 203.0.113.1");
    let set = |value: &str| {
        let setting = format!("net.ipv4.ip_forward={value}");
        output(Command::new("sysctl").args(["-w", &setting])).success();
    };
    set("0");
    why(&world, &["--from", "web", &to])
        .code(1)
        .shows("net.ipv4.ip_forward is 0, nothing is forwarded")
        .shows("sysctl -w net.ipv4.ip_forward=1");
    set("1");
    // The neighbour does answer, for itself.
    why(&world, &["--from", "web", &to])
        .code(1)
        .shows(&format!("{to} refuses the connection (RST)"));
    // Nobody has this one.
    let subnet = "address add 198.51.100.1/24 dev out1";
    output(Command::new("ip").args(subnet.split(' '))).success();
    why(&world, &["--from", "web", "198.51.100.7:80"])
        .code(1)
        .shows("nobody there has the address 198.51.100.7 (ARP is not answered)");
    why(&world, &["--from", "web", "192.0.2.7:80"])
        .code(1)
        .shows("hint: it is an address of all on a link");
    why(&world, &["203.0.113.1:80"])
        .code(1)
        .shows("no way from this machine to 203.0.113.1: no route leads there");
}

#[test]
fn networks_are_kept_apart_by_a_rule_of_soutes_own() {
    let world = World::new();
    world.soute(["network", "create", "net"]).success();
    sleeper(&world, "busybox", "one", &BRIDGE);
    let there = sleeper(&world, "busybox", "two", &["--network", "net"]);
    why(&world, &["--from", "one", &format!("{there}:80")])
        .code(1)
        .shows("\"not from network to network\" of chain forward of table inet soute")
        .shows("soute network connect");
    let pid = world.pid("one").to_string();
    why(&world, &["--from", &pid, &format!("{there}:80")])
        .code(1)
        .shows(&format!("tcp from process {pid}"))
        .shows("not from network to network");
}

#[test]
fn legacy_iptables_are_named_as_unseen() {
    let world = World::new();
    let outside = Neighbour::new(0);
    sleeper(&world, "busybox", "web", &BRIDGE);
    let rule = ["-I", "FORWARD", "-p", "tcp", "-j", "DROP"];
    output(Command::new("iptables-legacy").args(rule)).success();
    why(&world, &["--from", "web", &format!("{}:80", outside.address())])
        .code(1)
        .shows("seen last at the beginning of forward in this machine, and not at its end")
        .shows("hint: a rule of legacy iptables may drop it there")
        .shows("note: this machine has tables of legacy iptables, whose rules tracing does not show: filter of iptables-legacy");
    output(Command::new("iptables-legacy").args(["-F"])).success();
    let rule = ["-I", "FORWARD", "-p", "tcp", "-j", "REJECT"];
    output(Command::new("iptables-legacy").args(rule)).success();
    why(
        &world,
        &["--from", "web", &format!("{}:80", outside.address())],
    )
    .code(1)
    .shows(
        "refused on the way (ICMP port unreachable): it was seen last at the beginning of forward",
    );
    // iptables' other kind is nftables, whose rules have parts that only iptables knows.
    output(Command::new("iptables-legacy").args(["-F"])).success();
    let rule = [
        "-I",
        "FORWARD",
        "-p",
        "tcp",
        "-m",
        "comment",
        "--comment",
        "no",
        "-j",
        "DROP",
    ];
    output(Command::new("iptables-nft").args(rule)).success();
    why(
        &world,
        &["--from", "web", &format!("{}:80", outside.address())],
    )
    .code(1)
    .shows("hook forward, by rule")
    .shows("of chain FORWARD of table ip filter");
}

/// The kernel takes the table away, not the process.
#[test]
fn a_kill_leaves_no_table() {
    let world = World::new();
    let _outside = Neighbour::new(0);
    sleeper(&world, "busybox", "web", &BRIDGE);
    let net = format!("--net=/proc/{}/ns/net", world.pid("web"));
    let tables = || {
        let own = output(Command::new("nft").args(["list", "tables"]));
        let there = output(Command::new("nsenter").args([&net, "nft", "list", "tables"]));
        own.success().stdout.clone() + &there.success().stdout
    };
    for signal in [Signal::KILL, Signal::INT] {
        let words = [
            "network",
            "why",
            "--timeout",
            "60",
            "--from",
            "web",
            "192.0.2.1:80",
        ];
        nft(
            "add table inet wall; add chain inet wall in { type filter hook input priority 0; policy drop; }",
        );
        let looking = world.start(words);
        wait_until("it looks", || tables().matches("soute-why").count() == 2);
        looking.signal(signal);
        looking.outcome().code(128 + signal.as_raw());
        wait_until("both tables are gone", || !tables().contains("soute-why"));
        nft("delete table inet wall");
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let world = World::new();
    sleeper(&world, "busybox", "web", &BRIDGE);
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    for (words, code, told) in [
        (&["10.0.0.1"][..], 1, "a port is missing"),
        (&[], 1, "ADDRESS:PORT"),
        (&["10.0.0.1:0"], 125, "no port"),
        (&["10.0.0.1:80/sctp"], 125, "sctp is not probed"),
        (&["fd00::1:x"], 125, "too many colons"),
        (&["--timeout", "0", "10.0.0.1:80"], 125, "no time to wait"),
        (&["nobody:80"], 1, "neither an address nor a container"),
        (&["made:80"], 1, "does not run"),
        (
            &["--from", "nobody", "10.0.0.1:80"],
            1,
            "no such container: nobody",
        ),
        (
            &["--from", "made", "10.0.0.1:80"],
            1,
            "container made is created",
        ),
        (
            &["--from", "99999999", "10.0.0.1:80"],
            1,
            "no such container",
        ),
        (
            &["--from", "outside", "10.0.0.1:80"],
            1,
            "not sent, since its answer would go to whoever has that address",
        ),
        (
            &["--from", "192.0.2.9", "10.0.0.1:80"],
            1,
            "Connect from there",
        ),
    ] {
        world
            .soute([&["network", "why"], words].concat())
            .fails(code, &[told]);
    }
    let own = world.command(["network", "why", "10.0.0.1:80"]);
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    output(nobody.arg(own.get_program()).args(own.get_args())).fails(1, &["root"]);
}
