//! `soute network check`: whether a container reaches another end, step by step.

use std::process::Command;

use soute_tests::{Outcome, Running, World, output, set_file, wait_until};

use crate::address_in;
use crate::names::RESOLVER;
use crate::neighbour::{Neighbour, SERVER};

/// A container of this name with a server on port 80.
#[track_caller]
fn server(world: &World, name: &str, network: &str) {
    let words = [
        "--name",
        name,
        "--network",
        network,
        "debian",
        "python3",
        "-c",
        SERVER,
        "80",
    ];
    world.detached(words);
    wait_until("it listens", || {
        world.soute(["logs", name]).stdout.contains("listening")
    });
}

#[track_caller]
fn sleeper(world: &World, image: &str, name: &str, flags: &[&str]) {
    world.detached([&["--name", name], flags, &[image, "sleep", "1000"]].concat());
}

fn check(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["network", "check", "--timeout", "1"], words].concat())
}

#[test]
fn a_neighbour_is_reached_by_its_name() {
    let world = World::debian();
    world.soute(["network", "create", "net"]).success();
    server(&world, "web", "net");
    sleeper(&world, "debian", "one", &["--network", "net"]);
    let web = address_in(&world, "web", "net");
    let one = address_in(&world, "one", "net");
    check(&world, &["one", "web:80"])
        .success()
        .shows("name       web: /etc/hosts: not in it")
        .shows(&format!("name       web is {web}"))
        .shows("(name server 127.0.0.11:53)")
        .shows(&format!("route      {web} by eth0, from {one}"))
        .shows(&format!("neighbour  {web} is "))
        .shows("reachable")
        .shows("echo       answered after")
        .shows("80/tcp     answered")
        .shows(&format!("web at {web}, port 80/tcp is reached"));
    check(&world, &["one", "web"]).success().shows("is reached");
    check(&world, &["one", "web:81"])
        .code(1)
        .shows("81/tcp     refused (RST)")
        .shows("nothing listens there: web at")
        .shows("hint: its program listens on another port");
    check(&world, &["one", &format!("{web}:81/udp")])
        .code(1)
        .shows(&format!("refused (port unreachable from {web})"));
    // By its own name it is in its own /etc/hosts, by id.
    let id = world.inspect("one")["Id"].as_str().unwrap()[..12].to_owned();
    check(&world, &["one", &id])
        .success()
        .shows("(/etc/hosts)")
        .shows("is its own");
    let told = check(&world, &["--json", "one", "web:80"]).json();
    assert_eq!(told["reachable"], true);
    assert_eq!(told["tried"][0]["address"], web.as_str());
    assert_eq!(told["tried"][0]["port"]["kind"], "answered");
}

/// The machine's own names, by UDP and, for what is too long, by TCP: as the container's programs would.
#[test]
fn names_of_elsewhere_are_asked_as_its_programs_do() {
    set_file("/etc/resolv.conf", "nameserver 192.0.2.2\n");
    let world = World::new();
    let outside = Neighbour::new(0);
    let mut resolver =
        Running::start(&mut outside.command("python3", &["-c", RESOLVER, "192.0.2.2"]));
    resolver.expect("listening");
    for (network, by) in [("bridge", "192.0.2.2:53"), ("net", "127.0.0.11:53")] {
        if network == "net" {
            world.soute(["network", "create", "net"]).success();
        }
        sleeper(&world, "busybox", network, &["--network", network]);
        for name in ["some.example", "big.example"] {
            check(&world, &[network, &format!("{name}:80")])
                .code(1)
                .shows(&format!("{name} is 203.0.113.7 (name server {by})"))
                .shows("route      203.0.113.7 via 10.121.");
        }
        check(&world, &[network, "fails.example"])
            .code(1)
            .shows("the server cannot tell")
            .shows("the name fails.example has no address");
    }
}

#[test]
fn what_is_not_reached_is_told_with_its_reason() {
    let world = World::new();
    let _outside = Neighbour::new(0);
    world.soute(["network", "create", "net"]).success();
    sleeper(&world, "busybox", "one", &["--network", "bridge"]);
    sleeper(&world, "busybox", "two", &["--network", "net"]);
    sleeper(&world, "busybox", "alone", &["--network", "none"]);
    let two = address_in(&world, "two", "net");
    check(&world, &["alone", &two])
        .code(1)
        .shows(&format!("no way from alone to {two}: no route leads there"))
        .shows("soute network connect");
    // Apart, by a rule: soute knows the container, and the packet is lost.
    check(&world, &["one", "two:80"])
        .code(1)
        .shows("(soute)")
        .shows("does not answer: it is filtered, or silent")
        .shows(&format!(
            "'soute network why --from one {two}:80' tells what stops it"
        ));
    // An address of its own network that nobody has.
    let own = address_in(&world, "one", "bridge");
    let (subnet, last) = own.rsplit_once('.').unwrap();
    let free = format!("{subnet}.{}", if last == "250" { 251 } else { 250 });
    check(&world, &["one", &free])
        .code(1)
        .shows(&format!("nobody has the address {free} on the link"));
    check(&world, &["two", "nobody"])
        .code(1)
        .shows("the name nobody has no address in two");
    // Somebody on the way who says no.
    let table = "add table inet wall; add chain inet wall f { type filter hook forward priority 0; }; \
                 add rule inet wall f tcp dport 25 reject with icmpx admin-prohibited";
    output(Command::new("nft").arg(table)).success();
    check(&world, &["one", "192.0.2.2:25"])
        .code(1)
        .shows(&format!("prohibited by an administrator from {subnet}.1"));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let world = World::new();
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    for (words, code, told) in [
        (&["nobody", "10.0.0.1"][..], 1, "no such container: nobody"),
        (
            &["made", "10.0.0.1"],
            1,
            "network check needs a running container",
        ),
        (&["made"], 1, "required"),
        (&["made", "10.0.0.1:99999"], 125, "no port"),
        (&["made", "a b"], 125, "neither an address nor a name"),
        (&["made", "web/udp"], 125, "a port is missing"),
        (&["--timeout", "-1", "made", "web"], 125, "no time to wait"),
    ] {
        world
            .soute([&["network", "check"], words].concat())
            .fails(code, &[told]);
    }
}

/// Its files are its own: a link in them leads nowhere else, and a FIFO is not waited for.
#[test]
fn a_hostile_containers_files_lead_nowhere() {
    let world = World::new();
    let rootfs = world.rootfs("rootfs");
    std::fs::write(world.path("secret"), "192.0.2.77 web\n").unwrap();
    let script = format!(
        "umount /etc/hosts /etc/resolv.conf; rm -f /etc/hosts /etc/resolv.conf; \
         ln -s ../../../../../..{} /etc/hosts && mkfifo /etc/resolv.conf && echo ready && sleep 1000",
        world.path("secret").display()
    );
    let rootfs = rootfs.to_str().unwrap();
    let words = [
        "--name",
        "evil",
        "--cap-add",
        "SYS_ADMIN",
        "--rootfs",
        rootfs,
        "sh",
        "-c",
        &script,
    ];
    world.detached(words);
    wait_until("it is ready", || {
        world.soute(["logs", "evil"]).stdout.contains("ready")
    });
    check(&world, &["evil", "web"])
        .code(1)
        .shows("web: /etc/hosts: there is no such file")
        .shows("web: name server 127.0.0.1:53: no name server is there")
        .shows_not("192.0.2.77");
}
