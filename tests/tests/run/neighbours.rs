//! `container:NAME`: what comes with another container's namespaces.

use soute_tests::World;

fn start_named(world: &World, flags: &[&str]) {
    let base = ["run", "-d", "--name", "first"];
    let command = ["busybox", "sleep", "1000"];
    world.soute([&base, flags, &command].concat()).success();
}

const JOIN: [&str; 2] = ["--network", "container:first"];

#[test]
fn a_joined_network_brings_its_names() {
    let world = World::new();
    let flags = ["--hostname", "box", "--add-host", "db:192.0.2.7"];
    start_named(&world, &[&flags[..], &["--dns", "192.0.2.53"]].concat());
    let files = "/etc/hosts /etc/hostname /etc/resolv.conf";
    let guest = world.sh(&JOIN, &format!("hostname; echo $HOSTNAME; cat {files}"));
    guest.shows("box\nbox\n").shows("192.0.2.7\tdb");
    guest.shows("nameserver 192.0.2.53");
    // The same files, not copies.
    world
        .sh(&JOIN, "echo '192.0.2.9 late' >> /etc/hosts")
        .success();
    world
        .soute(["exec", "first", "tail", "-n", "1", "/etc/hosts"])
        .prints("192.0.2.9 late");
    // Another namespace brings nothing of the kind.
    world
        .sh(&["--pid", "container:first"], "cat /etc/hosts")
        .shows_not("192.0.2.7");
}

/// Its user namespace is joined as well, and from there nobody may enter the machine's namespaces.
#[test]
fn what_the_neighbour_shares_with_the_machine_is_shared_with_both() {
    let world = World::new();
    let kinds = ["net", "pid", "ipc"];
    let look = "for kind in net pid ipc user; do readlink /proc/self/ns/$kind; done";
    for kind in kinds {
        let flag = match kind {
            "net" => "--network",
            "pid" => "--pid",
            _ => "--ipc",
        };
        start_named(&world, &[flag, "host"]);
        let machine = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        let first = world.soute(["exec", "first", "sh", "-c", look]);
        let guest = world.sh(&[flag, "container:first"], look);
        guest.shows(machine.to_str().unwrap());
        let user = first.text().lines().last().unwrap();
        guest.shows(user);
        let words = ["run", "-d", "--name", "guest", flag, "container:first"];
        world
            .soute([&words[..], &["busybox", "sleep", "1000"]].concat())
            .success();
        let seen = world.soute(["exec", "guest", "sh", "-c", look]);
        seen.shows(machine.to_str().unwrap()).shows(user);
        world.soute(["rm", "-f", "guest", "first"]).success();
    }
}

#[test]
fn the_machines_network_has_the_machines_name() {
    let world = World::new();
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let look = "hostname; cat /etc/hostname; echo $HOSTNAME";
    world
        .sh(&["--network", "host"], look)
        .prints(&format!("{name}\n{name}\n{name}"));
    world
        .sh(&["--network", "host", "--hostname", "box"], "hostname")
        .prints("box");
}

#[test]
fn shared_memory_may_be_none_and_is_always_shareable() {
    let world = World::new();
    let look = "grep -c ' /dev/shm ' /proc/self/mountinfo";
    world.sh(&["--ipc", "none"], look).prints("0");
    world.sh(&["--ipc", "shareable"], look).prints("1");
    let outcome = world.sh(&["--ipc", "none", "--shm-size", "1m"], "true");
    outcome.code(125);
    assert!(outcome.stderr.contains("--shm-size"), "{outcome}");
}
