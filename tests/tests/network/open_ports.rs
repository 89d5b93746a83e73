//! `soute network ports`: each socket that waits, as ss(8) sees it, and each port that leads to a container.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};

use serde_json::Value;
use soute_tests::{Running, World, output, wait_until};

use crate::neighbour::{Neighbour, SERVER};
use crate::{as_nobody, in_network, inode};

#[track_caller]
fn ports(world: &World, flags: &[&str]) -> Vec<Value> {
    let words = [&["network", "ports", "--json"], flags].concat();
    let told = world.soute(words).json();
    told["ports"].as_array().unwrap().clone()
}

/// Protocol, address as ss(8) has it, port.
type Seen = (String, String, u64);

/// What ss(8) sees in a process's network.
#[track_caller]
fn ss(pid: Option<u32>) -> BTreeSet<Seen> {
    let told = output(&mut in_network(pid, "ss", &["-H", "-l", "-t", "-u", "-n"]));
    let lines = told.success().stdout.lines();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields[4].rsplit_once(':').unwrap();
            (
                fields[0].to_owned(),
                address.to_owned(),
                port.parse().unwrap(),
            )
        })
        .collect()
}

/// What the list has of sockets in that namespace.
fn sockets(ports: &[Value], ns: u64) -> BTreeSet<Seen> {
    let is_seen = |port: &&Value| {
        port["ns"] == ns && ["listen", "unconn"].contains(&port["state"].as_str().unwrap())
    };
    ports
        .iter()
        .filter(is_seen)
        .map(|port| {
            let address = port["address"].as_str().unwrap();
            let shown = match (address, port["only_ipv6"].as_bool().unwrap()) {
                ("::", false) => "*".to_owned(),
                (ipv6, _) if ipv6.contains(':') => format!("[{ipv6}]"),
                (ipv4, _) => ipv4.to_owned(),
            };
            (
                port["protocol"].as_str().unwrap().to_owned(),
                shown,
                port["port"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// A container of Debian's Python that listens at port 80.
#[track_caller]
fn server(world: &World, flags: &[&str]) -> String {
    let id = world.detached([flags, &["debian", "python3", "-c", SERVER, "80"]].concat());
    wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    id
}

#[test]
fn each_socket_is_there_as_ss_sees_it() {
    let world = World::debian();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let id = server(&world, &["--network", "bridge", "--name", "web"]);
    let pid = world.pid(&id);
    let all = ports(&world, &[]);
    assert_eq!(sockets(&all, inode(None)), ss(None), "{all:#?}");
    assert_eq!(sockets(&all, inode(Some(pid))), ss(Some(pid)), "{all:#?}");
    assert!(ss(Some(pid)).contains(&("tcp".into(), "*".into(), 80)));
    for (protocol, port) in [
        ("tcp", tcp.local_addr().unwrap().port()),
        ("tcp", tcp6.local_addr().unwrap().port()),
        ("udp", udp.local_addr().unwrap().port()),
    ] {
        let is = |one: &&Value| {
            one["protocol"] == protocol && one["port"] == port && one["ns"] == inode(None)
        };
        let found = all.iter().find(is).unwrap();
        assert_eq!(found["owners"][0]["pid"], std::process::id(), "{found}");
        assert!(found["container"].is_null(), "{found}");
    }
    let web = all
        .iter()
        .find(|one| one["ns"] == inode(Some(pid)))
        .unwrap();
    assert_eq!(web["owners"][0]["pid"], pid);
    assert_eq!(web["container"]["name"], "web");
    world
        .soute(["network", "ports"])
        .shows("PROTO")
        .shows(&format!("web: python3 ({pid})"));
}

/// Where it leads, by which rule, and whether anybody is there; not the socket that keeps it from others.
#[test]
fn a_published_port_is_shown_as_such() {
    let world = World::debian();
    let id = server(
        &world,
        &[
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:5353:53/udp",
            "--name",
            "web",
        ],
    );
    let settings = world.inspect(&id)["NetworkSettings"].clone();
    let address = settings["IPAddress"].as_str().unwrap();
    let all = ports(&world, &[]);
    let here: Vec<&Value> = all.iter().filter(|one| one["ns"] == inode(None)).collect();
    assert!(
        here.iter().all(|one| one["state"] == "published"),
        "{here:#?}"
    );
    let find = |port: u16, to: &str| {
        let mut here = here.iter();
        here.find(|one| one["port"] == port && one["leads_to"]["address"] == to)
            .unwrap_or_else(|| panic!("no {port} to {to} in {all:#?}"))
    };
    let web = find(8080, address);
    assert_eq!(
        (&web["protocol"], &web["address"]),
        (&"tcp".into(), &"0.0.0.0".into())
    );
    assert_eq!(web["leads_to"]["port"], 80);
    assert_eq!(web["leads_to"]["interface"], "eth0");
    assert_eq!(web["leads_to"]["listening"], true);
    assert_eq!(web["container"]["id"], id);
    assert_eq!(web["owners"][0]["pid"], world.pid(&id));
    assert_eq!(
        web["rule"],
        format!("inet soute any4 {{ tcp . 8080 : {address} . 80 }}")
    );
    // As nft has it: the same element is there.
    let map = output(Command::new("nft").args(["list", "map", "inet", "soute", "any4"]));
    map.shows(&format!("{address} . 80"));
    let six = settings["GlobalIPv6Address"].as_str().unwrap();
    assert_eq!(find(8080, six)["leads_to"]["listening"], true);
    let dns = find(5353, address);
    assert_eq!(
        (&dns["protocol"], &dns["leads_to"]["listening"]),
        (&"udp".into(), &false.into())
    );
    let text = world.soute(["network", "ports"]);
    text.shows(&format!("web {address}:80 (eth0)"))
        .shows("web: nobody listens")
        .shows("PUBLISHED");
    // The reserving sockets are those of the monitor, which ss sees, or would if it showed TCP's that do not listen.
    assert!(ss(None).contains(&("udp".into(), "127.0.0.1".into(), 5353)));
    world.soute(["rm", "--force", &id]).success();
    assert!(ports(&world, &[]).iter().all(|one| one["port"] != 8080));
}

#[test]
fn a_process_in_the_machines_network_is_its_containers() {
    let world = World::debian();
    // Its root is not the machine's, whose ports below 1024 are not for it.
    let flags = ["--network", "host", "--name", "web", "debian"];
    let id = world.detached([&flags[..], &["python3", "-c", SERVER, "8090"]].concat());
    wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    let all = ports(&world, &[]);
    let found = all.iter().find(|one| one["port"] == 8090).unwrap();
    assert_eq!(found["ns"], inode(None));
    assert_eq!(found["container"]["name"], "web");
}

#[test]
fn other_namespaces_are_shown_when_asked_for() {
    let world = World::empty();
    let outside = Neighbour::new(0);
    let mut server = Running::start(&mut outside.command("python3", &["-c", SERVER, "80"]));
    server.expect("listening");
    let ns = inode(Some(outside.pid()));
    let has = |flags: &[&str]| ports(&world, flags).iter().any(|one| one["ns"] == ns);
    assert!(!has(&[]) && has(&["--all"]));
}

/// What nftables holds of others may lead ports anywhere, and is not taken apart.
#[test]
fn rules_of_others_that_may_forward_are_named() {
    let world = World::empty();
    let chain =
        "add table ip mine; add chain ip mine lead { type nat hook prerouting priority -100; }";
    output(Command::new("nft").arg(chain)).success();
    let told = world.soute(["network", "ports"]);
    told.success();
    assert!(told.stderr.contains("ip mine lead"), "{told}");
}

/// What a process calls itself does not steer a terminal.
#[test]
fn odd_names_are_shown_and_do_nothing() {
    let world = World::empty();
    let script = "import socket, time
open('/proc/self/comm', 'w').write('o<&\x1b[2J')
s = socket.create_server(('127.0.0.1', 80))
print('listening', flush=True)
time.sleep(1000)";
    let mut command = Command::new("python3");
    let mut odd = Running::start(command.args(["-c", script]).stdin(Stdio::null()));
    odd.expect("listening");
    let told = world.soute(["network", "ports"]);
    told.success()
        .shows(&format!("o<&\\u{{1b}}[2J ({})", odd.pid()));
    assert!(!told.stdout.contains('\u{1b}'));
    let json = ports(&world, &[]);
    assert_eq!(json[0]["owners"][0]["name"], "o<&\u{1b}[2J");
}

#[test]
fn what_is_hidden_is_said() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    world.detached(["-p", "8080:80", "busybox", "sleep", "1000"]);
    let told = output(&mut as_nobody(&world, &["network", "ports"]));
    told.success()
        .shows(&format!("127.0.0.1:{port}"))
        .shows_not("PUBLISHED");
    for why in ["root's to see", "hide their descriptors"] {
        assert!(told.stderr.contains(why), "{told}");
    }
    world
        .soute(["network", "ports", "web"])
        .fails(125, &["web"]);
}
