//! Published ports.

use std::net::TcpListener;
use std::process::Command;

use soute_tests::{Outcome, World, output};

use crate::neighbour::{CLIENT, Neighbour, SERVER};

/// A container of Debian's Python that tells each client its address, on port 80.
#[track_caller]
fn server(world: &World, flags: &[&str]) -> String {
    serving(world, flags, &[SERVER, "80"])
}

/// A container of Debian's Python in which a program serves that says `listening`.
#[track_caller]
fn serving(world: &World, flags: &[&str], program: &[&str]) -> String {
    let id = world.detached([flags, &["debian", "python3", "-c"], program].concat());
    soute_tests::wait_until("it listens", || {
        world.soute(["logs", &id]).stdout.contains("listening")
    });
    id
}

/// A client on the machine itself.
fn connect(address: &str, port: &str) -> Outcome {
    output(Command::new("python3").args(["-c", CLIENT, address, port]))
}

#[test]
fn a_port_leads_in_from_everywhere() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let id = server(&world, &["-p", "8080:80"]);
    let machine = outside.machine();
    // Whoever has an address of his own is seen by it.
    let from_outside = |address: &str| outside.run("python3", &["-c", CLIENT, address, "8080"]);
    from_outside(&machine)
        .success()
        .prints(&format!("you are {}", outside.address()));
    from_outside("2001:db8:0::1")
        .success()
        .prints(&format!("you are {}", outside.address6()));
    connect("127.0.0.1", "8080")
        .success()
        .prints("you are 10.121.0.1");
    connect(&machine, "8080")
        .success()
        .prints(&format!("you are {machine}"));
    let inside = ["debian", "python3", "-c", CLIENT, &machine, "8080"];
    let neighbour = [&["run", "--rm", "--network", "bridge"], &inside[..]].concat();
    world.soute(neighbour).success().shows("you are 10.121.0.");
    // Itself, by way of the machine.
    let itself = [&["exec", &id], &inside[1..]].concat();
    world.soute(itself).success().prints("you are 10.121.0.1");
    let told = &world.inspect(&id)["NetworkSettings"]["Ports"]["80/tcp"];
    assert_eq!(told[0]["HostPort"], "8080");
    world.soute(["ps"]).shows("*:8080->80/tcp");
    // Nobody else gets it meanwhile.
    let busy = |address: &str| {
        let got = TcpListener::bind((address, 8080)).map_err(|e| e.kind());
        assert_eq!(got.unwrap_err(), std::io::ErrorKind::AddrInUse, "{address}");
    };
    busy("0.0.0.0");
    busy("::");
    world.soute(["rm", "-f", &id]).success();
    TcpListener::bind("[::]:8080").unwrap();
}

#[test]
fn a_port_of_one_address_is_at_no_other() {
    let world = World::debian();
    let (one, other) = (Neighbour::new(0), Neighbour::new(1));
    let flags = ["-p", "192.0.2.1:8080:80", "-p", "[2001:db8:0::1]:8081:80"];
    server(&world, &flags);
    let knock = |from: &Neighbour, address: &str, port: &str| {
        from.run("python3", &["-c", CLIENT, address, port]).code
    };
    for from in [&one, &other] {
        assert_eq!(knock(from, "192.0.2.1", "8080"), 0);
        assert_eq!(knock(from, "192.0.2.5", "8080"), 1);
        assert_eq!(knock(from, "2001:db8:0::1", "8081"), 0);
        assert_eq!(knock(from, "2001:db8:1::1", "8081"), 1);
    }
    assert_eq!(connect("127.0.0.1", "8080").code, 1);
}

#[test]
fn all_that_the_image_exposes_is_published() {
    let world = World::new();
    let tar = World::busybox_tar().display().to_string();
    let expose = ["--change", "EXPOSE 80 81/udp"];
    world
        .soute([&["import"], &expose[..], &[&tar, "exposing"]].concat())
        .success();
    let id = world.detached(["-P", "exposing", "sleep", "1000"]);
    let ports = world.inspect(&id)["NetworkSettings"]["Ports"].clone();
    for port in ["80/tcp", "81/udp"] {
        let number: u16 = ports[port][0]["HostPort"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(number > 1024, "{ports}");
    }
    let several = world.detached(["-p", "8000-8010:80", "busybox", "sleep", "1000"]);
    let again = world.detached(["-p", "8000-8010:80", "busybox", "sleep", "1000"]);
    for (id, port) in [(several, "8000"), (again, "8001")] {
        let told = &world.inspect(&id)["NetworkSettings"]["Ports"]["80/tcp"];
        assert_eq!(told[0]["HostPort"], port);
    }
}

/// `kill -9` at some of the system calls of an update: what the container is said to have is held and led in, or free.
#[test]
fn a_killed_update_leaves_nothing_half_done() {
    let world = World::new();
    let id = world.detached(["--name", "web", "busybox", "sleep", "1000"]);
    let published = || {
        // The next command puts it in order.
        let told = world.soute(["ps"]);
        let noted = world.inspect(&id)["NetworkSettings"]["Ports"]["80/tcp"].is_array();
        let held = TcpListener::bind("0.0.0.0:8080").is_err();
        let rules = output(Command::new("nft").args(["list", "map", "inet", "soute", "any4"]));
        let led = rules.stdout.contains("8080");
        assert_eq!(
            [noted, held, led],
            [noted; 3],
            "noted, held, led in: {told}{rules}"
        );
        noted
    };
    let deeds = ["--publish-add", "--publish-rm"].map(|deed| ["update", deed, "8080:80", "web"]);
    crate::each_way_killed(7, 50, &world, deeds, published);
}

#[test]
fn another_network_comes_in_by_the_machines_address() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    server(&world, &["-p", "8080:80"]);
    world.soute(["network", "create", "other"]).success();
    let client = [
        "run",
        "--rm",
        "--network",
        "other",
        "debian",
        "python3",
        "-c",
        CLIENT,
    ];
    let machine = outside.machine();
    let words = [&client[..], &[&machine, "8080"]].concat();
    world.soute(words).success().shows("you are 10.121.1.");
}

#[test]
fn a_port_of_loopback_stays_the_machines() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    server(&world, &["-p", "127.0.0.1:8080:80"]);
    connect("127.0.0.1", "8080").success();
    connect(&outside.machine(), "8080").code(1);
    outside
        .run("python3", &["-c", CLIENT, &outside.machine(), "8080"])
        .fails(1, &["refused"]);
    // Nor by a route to 127.0.0.0/8, which the bridge's setting would let through.
    outside.run(
        "ip",
        &[
            "route",
            "add",
            "127.0.0.1/32",
            "via",
            &outside.machine(),
            "table",
            "local",
        ],
    );
    outside
        .run("python3", &["-c", CLIENT, "127.0.0.1", "8080"])
        .code(1);
}

#[test]
fn a_port_that_is_taken_names_its_owner() {
    let world = World::new();
    let id = world.detached([
        "-p", "8080:80", "--name", "first", "busybox", "sleep", "1000",
    ]);
    world
        .sh(&["-p", "8080:80"], "true")
        .fails(125, &["port 8080/tcp is container first's"]);
    world.sh(&["-p", "8080:80/udp"], "true").success();
    // In the thread's own network, as all of the test.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    world.sh(&["-p", &format!("{port}:80")], "true").fails(
        125,
        &[&format!(
            "port {port}/tcp is process {}'s",
            std::process::id()
        )],
    );
    world
        .sh(&["-p", "203.0.113.9:80:80"], "true")
        .fails(125, &["203.0.113.9 is no address of this machine"]);
    // It is free with its container, however that ends.
    world.soute(["rm", "--force", &id]).success();
    world.sh(&["-p", "8080:80"], "true").success();
    let id = world.detached(["-p", "8080:80", "busybox", "sleep", "1000"]);
    crate::kill_monitor(&world, &id);
    world.sh(&["-p", "8080:80"], "true").success();
    let table = output(Command::new("nft").args(["list", "map", "inet", "soute", "any4"]));
    table.success().shows_not("8080");
}

#[test]
fn a_start_that_fails_publishes_nothing() {
    let world = World::new();
    world
        .soute(["run", "-p", "8080:80", "busybox", "/nothing"])
        .code(127);
    world
        .soute(["run", "-p", "8080:80", "-p", "8080:81", "busybox", "true"])
        .fails(125, &["8080"]);
    let table = output(Command::new("nft").args(["list", "map", "inet", "soute", "any4"]));
    table.success().shows_not("8080");
}

#[test]
fn ranges_free_ports_and_the_images_own() {
    let world = World::new();
    let id = world.detached([
        "-p",
        "8000-8002:80-82",
        "-p",
        "90",
        "busybox",
        "sleep",
        "1000",
    ]);
    let ports = world.inspect(&id)["NetworkSettings"]["Ports"].clone();
    for (inside, outside) in [("80/tcp", "8000"), ("81/tcp", "8001"), ("82/tcp", "8002")] {
        assert_eq!(ports[inside][0]["HostPort"], outside);
    }
    let free: u16 = ports["90/tcp"][0]["HostPort"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(free > 1024);
    for (words, why) in [
        (&["-p", "x"][..], "\"x\" is no port"),
        (
            &["-p", "80", "--network", "host"],
            "cannot be given with --network host",
        ),
        (
            &["-p", "80", "--network", "none"],
            "cannot be given with --network none",
        ),
    ] {
        world.sh(words, "true").fails(125, &[why]);
    }
}

/// A reload of the machine's firewall wipes everything; any command puts it back.
#[test]
fn a_flushed_table_comes_back() {
    let world = World::debian();
    let id = server(&world, &["-p", "8080:80"]);
    connect("127.0.0.1", "8080").success();
    crate::behind_its_back(&world, &id, || {
        output(Command::new("nft").args(["flush", "ruleset"])).success();
        connect("127.0.0.1", "8080").code(1);
        world.soute(["network", "reconcile"]).success();
        connect("127.0.0.1", "8080").success();
    });
}

/// Whoever says localhost means ::1 first, which the kernel does not translate.
#[test]
fn the_machine_itself_comes_in_by_localhost() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    world.soute(["network", "create", "four"]).success();
    for (flags, port) in [
        (&["-p", "8080:80"][..], "8080"),
        // No IPv6 at all in there.
        (&["-p", "8081:80", "--network", "four"], "8081"),
        (&["-p", "[::1]:8082:80"], "8082"),
        (&["-p", "[::1]:8083:80", "--network", "four"], "8083"),
    ] {
        server(&world, flags);
        connect("::1", port).success().shows("you are ");
    }
    connect("127.0.0.1", "8080").success();
    connect("127.0.0.1", "8082").code(1);
    let by_outside = |port: &str| outside.run("python3", &["-c", CLIENT, "2001:db8:0::1", port]);
    by_outside("8080").success();
    by_outside("8082").code(1);
    by_outside("8083").code(1);
}

/// Ports of a container that runs.
#[test]
fn ports_come_and_go_while_it_runs() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let id = server(&world, &["-p", "8080:80", "--name", "web"]);
    let both = |port: &str| {
        let outside = outside.run("python3", &["-c", CLIENT, &outside.machine(), port]);
        [outside.code, connect("::1", port).code]
    };
    assert_eq!((both("8080"), both("8081")), ([0, 0], [1, 1]));
    let add = ["update", "--publish-add", "8081:80", "web"];
    world.soute(add).success().prints("web");
    assert_eq!((both("8080"), both("8081")), ([0, 0], [0, 0]));
    world
        .soute(add)
        .fails(1, &["port 8081/tcp is container web's"]);
    let busy = TcpListener::bind("0.0.0.0:8082").unwrap();
    world
        .soute([
            "update",
            "--publish-add",
            "8083:80",
            "--publish-add",
            "8082:80",
            "web",
        ])
        .fails(1, &["8082", "process"]);
    drop(busy);
    // All or nothing.
    assert_eq!(both("8083"), [1, 1]);
    world
        .soute(["update", "--publish-rm", "8080:80", "web"])
        .success();
    assert_eq!((both("8080"), both("8081")), ([1, 1], [0, 0]));
    let gone = TcpListener::bind("[::]:8080").unwrap();
    drop(gone);
    world
        .soute(["update", "--publish-rm", "8080:80", "web"])
        .fails(1, &["publishes no port 8080:80/tcp"]);
    let told = &world.inspect(&id)["NetworkSettings"]["Ports"]["80/tcp"];
    assert_eq!(told[0]["HostPort"], "8081");
    // And when it is started again, or was changed while it did not run.
    world.soute(["stop", "--time", "0", "web"]).success();
    let words = ["--publish-rm", "8081:80", "--publish-add", "8084:80", "web"];
    world.soute([&["update"][..], &words].concat()).success();
    world.soute(["start", "web"]).success();
    soute_tests::wait_until("it listens again", || both("8084") == [0, 0]);
    assert_eq!(both("8081"), [1, 1]);
    world.soute(["update", "web"]).fails(1, &["--publish-add"]);
    let id = world.detached(["--network", "none", "debian", "sleep", "1000"]);
    world
        .soute(["update", "--publish-add", "80", &id])
        .fails(1, &["no network of its own", "--network none"]);
}

/// Each engine puts back its own, and leaves the other's alone.
#[test]
fn two_engines_share_the_table() {
    let world = World::new();
    let other = |words: &[&str]| {
        let mut command = Command::new(std::env::var_os("SOUTE_BIN").unwrap());
        for (flag, folder) in [("--root", "other-root"), ("--run", "other-run")] {
            command.arg(flag).arg(world.path(folder));
        }
        let outcome = output(command.arg("--config").arg(world.config()).args(words));
        outcome.success();
        outcome
    };
    world.detached(["-p", "8081:80", "busybox", "sleep", "1000"]);
    let words = ["run", "--detach", "-p", "8082:80", "hello", "--stay"];
    let id = other(&words).text().trim().to_owned();
    let table = || output(Command::new("nft").args(["list", "table", "inet", "soute"]));
    let both = || {
        for words in ["8081", "8082", "soute0", "soute1"] {
            table().success().shows(words);
        }
    };
    both();
    world.soute(["network", "reconcile"]).success();
    both();
    output(Command::new("nft").args(["flush", "ruleset"])).success();
    world.soute(["network", "reconcile"]).success();
    other(&["network", "reconcile"]);
    both();
    other(&["rm", "--force", &id]);
    table().success().shows("8081").shows_not("8082");
}

#[test]
fn udp_is_led_in_from_everywhere_as_well() {
    let world = World::debian();
    let outside = Neighbour::new(0);
    let serve = "import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 53))
print('listening', flush=True)
while True:
    text, address = s.recvfrom(100)
    s.sendto(text + b' from ' + address[0].removeprefix('::ffff:').encode(), address)";
    // Connected: an answer from another address than that which was asked is none.
    let ask = "import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 5353))
s.send(b'hello')
print(s.recv(100).decode())";
    let id = serving(&world, &["-p", "5353:53/udp"], &[serve]);
    let machine = outside.machine();
    let outcome = |client: &str, address: &str| match client {
        "outside" => outside.run("python3", &["-c", ask, address]),
        "machine" => output(Command::new("python3").args(["-c", ask, address])),
        container => world.soute(["exec", container, "python3", "-c", ask, address]),
    };
    let other = world.detached(["debian", "sleep", "1000"]);
    world.soute(["network", "create", "net"]).success();
    let elsewhere = world.detached(["--network", "net", "debian", "sleep", "1000"]);
    let seen = &world.inspect(&id)["NetworkSettings"]["Networks"]["bridge"]["IPv6Gateway"];
    let bridge6 = seen.as_str().unwrap().to_owned();
    // Whoever comes from another network is seen by his address, and whoever would be answered past the machine is not.
    for (client, address, seen) in [
        ("outside", machine.as_str(), outside.address()),
        ("outside", "2001:db8:0::1", outside.address6()),
        ("machine", "127.0.0.1", "10.121.0.1".to_owned()),
        // By the monitor, whose address that is on the bridge.
        ("machine", "::1", bridge6.clone()),
        ("machine", &machine, machine.clone()),
        (&other, &machine, "10.121.0.1".to_owned()),
        (
            &elsewhere,
            &machine,
            crate::address_in(&world, &elsewhere, "net"),
        ),
        // Itself, by way of the machine.
        (&id, &machine, "10.121.0.1".to_owned()),
    ] {
        outcome(client, address)
            .success()
            .prints(&format!("hello from {seen}"));
    }
}

/// What the kernel does not translate: a network without IPv6, and `::1` alone.
#[test]
fn datagrams_come_in_by_localhost_too() {
    let world = World::debian();
    world.soute(["network", "create", "four"]).success();
    let serve = "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 53))
print('listening', flush=True)
while True:
    text, address = s.recvfrom(100)
    s.sendto(text + b' ' + text, address)";
    let server = |port: &str| serving(&world, &["--network", "four", "-p", port], &[serve]);
    let ask = "import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
for n in range(3):
    s.send(b'%d' % n)
    assert s.recv(100) == b'%d %d' % (n, n)";
    let asked = |address: &str, port: &str| {
        output(Command::new("python3").args(["-c", ask, address, port])).code
    };
    let both = server("5353:53/udp");
    server("[::1]:5354:53/udp");
    assert_eq!([asked("::1", "5353"), asked("127.0.0.1", "5353")], [0, 0]);
    assert_eq!([asked("::1", "5354"), asked("127.0.0.1", "5354")], [0, 1]);
    // The port is given back, and taken anew by another way.
    let update = |flag: &str, port: &str| world.soute(["update", flag, port, &both]);
    update("--publish-rm", "5353:53/udp").success();
    assert_eq!([asked("::1", "5353"), asked("127.0.0.1", "5353")], [1, 1]);
    update("--publish-add", "[::1]:5353:53/udp").success();
    assert_eq!([asked("::1", "5353"), asked("127.0.0.1", "5353")], [0, 1]);
}
