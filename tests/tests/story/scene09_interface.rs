//! Scene 9: a network interface is carried from one container to another.

use std::process::Command;

use soute_tests::{World, output};

#[test]
fn it_arrives_with_all_it_has_and_goes_back() {
    let world = World::debian();
    for words in [
        "link add cable type veth peer far",
        "address add 192.0.2.1/24 dev far",
        "link set far up",
        "address add 192.0.2.2/24 dev cable",
        "link set cable up",
    ] {
        output(Command::new("ip").args(words.split(' '))).success();
    }
    for name in ["from", "to"] {
        let words = [
            "--network",
            "none",
            "--name",
            name,
            "debian",
            "sleep",
            "1000",
        ];
        world.detached(words);
    }
    let has = |name: &str| {
        let words = ["exec", name, "cat", "/proc/net/dev", "/proc/net/route"];
        let told = world.soute(words);
        told.success().stdout.contains("cable")
    };
    for (from, to) in [("host", "from"), ("from", "to")] {
        world
            .soute(["network", "move", "cable", from, to])
            .success();
    }
    assert!(has("to") && !has("from"));
    let listen = "import socket; s = socket.create_server(('192.0.2.2', 80)); print('up', flush=True); s.accept()[0].sendall(b'by cable')";
    let mut server = world.start(["exec", "to", "python3", "-c", listen]);
    server.expect("up");
    let ask =
        "import socket; print(socket.create_connection(('192.0.2.2', 80), 5).makefile().read())";
    output(Command::new("python3").args(["-c", ask]))
        .success()
        .prints("by cable");
    server.outcome().success();
    // It was from's before, and is again when to has ended.
    world.soute(["stop", "--time", "0", "to"]).success();
    assert!(has("from"));
}
