//! Scene 10: a program in a container believes that it is the machine, network-wise; or another container; or that there is no
//! network at all.

use std::fs;
use std::process::{Command, Stdio};

use soute_tests::{Running, World, output, wait_until};

use crate::{inode, row, show};

/// The interfaces, as Python sees them.
const LOOK: &str = "import socket; print(*sorted(name for _, name in socket.if_nameindex()))";

fn looked(world: &World, network: &str) -> String {
    let words = ["run", "--rm", "--network", network, "debian"];
    let look = ["python3", "-c", LOOK];
    let seen = world.soute([&words[..], &look].concat());
    seen.success().stdout.trim().to_owned()
}

#[test]
fn the_network_is_the_one_that_was_asked_for() {
    let world = World::debian();
    for words in ["link add bow type veth peer name stern", "link set bow up"] {
        output(Command::new("ip").args(words.split(' '))).success();
    }
    assert_eq!(looked(&world, "host"), "bow lo stern");
    assert_eq!(looked(&world, "none"), "lo");
    assert_eq!(looked(&world, "bridge"), "eth0 lo");

    let words = ["--network", "bridge", "--name", "first", "debian"];
    let first = world.detached([&words[..], &["sleep", "1000"]].concat());
    let words = ["--network", "container:first", "--name", "second", "debian"];
    let second = world.detached([&words[..], &["sleep", "1000"]].concat());
    let (one, other) = (world.pid(&first), world.pid(&second));
    assert_eq!(inode(one, "net"), inode(other, "net"));
    assert_ne!(inode(one, "mnt"), inode(other, "mnt"));
    let shown = show(&world, "second");
    let sharing = row(&shown, "net")["sharing"].to_string();
    assert!(sharing.contains(&one.to_string()), "{sharing}");
    // What one serves at its own 127.0.0.1, the other reaches there.
    let serve = "import socket; s = socket.create_server(('127.0.0.1', 81)); print('up', flush=True); s.accept()[0].sendall(b'same')";
    let ask =
        "import socket; print(socket.create_connection(('127.0.0.1', 81), 5).makefile().read())";
    let mut server = world.start(["exec", "first", "python3", "-c", serve]);
    server.expect("up");
    world
        .soute(["exec", "second", "python3", "-c", ask])
        .success()
        .prints("same");
    server.outcome().success();

    // Any namespace by its file: here that of a process of the machine.
    let mut alone = Running::start(
        Command::new("unshare")
            .args(["--net", "sleep", "1000"])
            .stdin(Stdio::null()),
    );
    // The test's own is its thread's: the world is another one than the process began in.
    let net_of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let (own, its) = (net_of("thread-self"), alone.pid().to_string());
    wait_until("it is alone", || net_of(&its) != own);
    let target = format!("--net=/proc/{}/ns/net", alone.pid());
    let ip = ["ip", "link", "add", "hold", "type", "veth"];
    output(Command::new("nsenter").arg(&target).args(ip)).success();
    let path = format!("ns:/proc/{}/ns/net", alone.pid());
    let seen = looked(&world, &path);
    assert!(seen.contains("hold") && !seen.contains("bow"), "{seen}");
    assert!(alone.is_running());
    alone.signal(rustix::process::Signal::KILL);
}
