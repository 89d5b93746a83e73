//! Scene 8: one end of the pair is listened to from the machine, though the container has no tool for that.

use std::process::{Command, Stdio};

use soute_tests::{Running, World, output, wait_until};

const ASK: &str = "import socket, sys
socket.create_connection((sys.argv[1], 80), timeout=5).sendall(b'ahoy')";

const SERVE: &str = "import socket
s = socket.create_server(('', 80))
print('up', flush=True)
while True: print(s.accept()[0].recv(9), flush=True)";

#[test]
fn what_a_container_is_told_is_seen_from_the_machine() {
    let world = World::debian();
    let words = ["--network", "bridge", "--name", "listens", "debian"];
    let server = world.detached([&words[..], &["python3", "-c", SERVE]].concat());
    let address = world.inspect(&server)["NetworkSettings"]["IPAddress"].clone();
    let address = address.as_str().unwrap();
    let logs = || world.soute(["logs", &server]).stdout;
    wait_until("it listens", || logs().contains("up"));
    let file = world.path("crossed.pcapng");
    let path = file.to_str().unwrap();
    let capture = ["capture", "listens", "-w", path, "--filter", "tcp port 80"];
    let mut capture = Running::start(world.command(capture).stdin(Stdio::null()));
    wait_until("it hears", || {
        assert!(capture.is_running());
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    let words = ["run", "--rm", "--network", "bridge", "debian"];
    let ask = ["python3", "-c", ASK, address];
    world.soute([&words[..], &ask].concat()).success();
    wait_until("it is told", || logs().contains("ahoy"));
    capture.signal(rustix::process::Signal::INT);
    capture.outcome().success();
    // Wireshark's own reader finds the word in it, and who said it to whom.
    let fields = ["-T", "fields", "-e", "ip.dst", "-e", "tcp.payload"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-r", path, "-Y", "tcp.payload"]);
    output(tshark.args(fields))
        .success()
        .prints(&format!("{address}\t61686f79"));
}
