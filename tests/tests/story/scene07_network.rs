//! The network: a bridge, pairs whose ends know each other by index, NAT to the outside, containers that talk to each other.

use soute_tests::World;

/// What Python sees of its interface, as no tool is in the image: its number, the other end's, its address.
const LOOK: &str = "import fcntl, socket, struct, time
own, peer = (open(f'/sys/class/net/eth0/{n}').read().strip() for n in ('ifindex', 'iflink'))
s = socket.socket()
address = fcntl.ioctl(s, 0x8915, struct.pack('256s', b'eth0'))[20:24]
print(own, peer, socket.inet_ntoa(address), flush=True)
time.sleep(1000)";

const ASK: &str = "import socket, sys
socket.create_connection((sys.argv[1], 80), timeout=5)
print('reached')";

const SERVE: &str = "import socket
s = socket.create_server(('', 80))
while True: s.accept()";

#[test]
fn the_map_matches_every_end_to_its_peer() {
    let world = World::debian();
    let look = |name: &str| -> Vec<String> {
        let words = ["--name", name, "--network", "bridge", "debian"];
        let id = world.detached([&words[..], &["python3", "-c", LOOK]].concat());
        let mut seen = String::new();
        soute_tests::wait_until("it has looked", || {
            seen = world.soute(["logs", &id]).stdout;
            seen.ends_with('\n')
        });
        seen.split_whitespace().map(str::to_owned).collect()
    };
    let seen = [("one", look("one")), ("two", look("two"))];
    let map = world.soute(["network", "map"]);
    map.shows("soute0  bridge")
        .shows("network    bridge  10.121.0.0/24")
        .shows("NAT: goes outside by the machine's address")
        .shows("from networks to outside");
    for (name, seen) in &seen {
        let [own, peer, address] = &seen[..] else {
            panic!("{seen:?}");
        };
        map.shows(&format!(
            "@if{own}  veth ═══ {own}: eth0@if{peer}  in {name}"
        ))
        .shows(&format!("─ {peer}: veth"))
        .shows(&format!("there      {address}/24"));
    }
    // They talk to each other.
    let server = world.detached(["--network", "bridge", "debian", "python3", "-c", SERVE]);
    let address = world.inspect(&server)["NetworkSettings"]["IPAddress"].clone();
    let address = address.as_str().unwrap();
    soute_tests::wait_until("it is reached", || {
        world
            .soute(["exec", "one", "python3", "-c", ASK, address])
            .code
            == 0
    });
    world
        .soute(["network", "ports"])
        .shows("0.0.0.0:80")
        .shows(": python3 (");
}
