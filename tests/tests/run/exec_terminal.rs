//! `exec -t`.

use rustix::termios::LocalModes;
use soute_tests::World;

fn world() -> World {
    let world = World::new();
    world.detached(["--name", "box", "busybox", "sleep", "1000"]);
    world
}

#[test]
fn a_terminal_of_its_own() {
    let world = world();
    let mut exec = world.terminal(["exec", "-it", "box", "sh"]);
    exec.expect("#");
    exec.send("tty; stty size; echo $TERM\r");
    exec.expect("/dev/pts/0");
    exec.expect("24 80");
    exec.expect("xterm");
    exec.resize(40, 100);
    exec.expect("#");
    exec.send("stty size\r");
    exec.expect("40 100");
    exec.send("sh -c \"echo st''art; exec sleep 1000\"\r");
    exec.expect("start");
    exec.send("\x03");
    exec.expect("#");
    exec.send("exit 9\r");
    assert_eq!(exec.finish().0, 9);
    assert!(
        exec.modes()
            .local_modes
            .contains(LocalModes::ICANON | LocalModes::ECHO)
    );
}

#[test]
fn detached_by_keys_it_goes_on() {
    let world = world();
    let mut exec = world.terminal([
        "exec",
        "-it",
        "box",
        "sh",
        "-c",
        "echo ready; read line; sleep 1000",
    ]);
    exec.expect("ready");
    exec.send("\x10\x11");
    assert_eq!(exec.finish().0, 0);
    world
        .soute([
            "exec",
            "box",
            "sh",
            "-c",
            "ps | grep -q 'read lin[e]' && echo there",
        ])
        .prints("there");
}

#[test]
fn the_users_own_terminal() {
    let world = world();
    let mut exec = world.terminal([
        "exec",
        "-it",
        "-u",
        "user",
        "box",
        "sh",
        "-c",
        "stat -c %U $(tty); echo x > $(tty) && echo written",
    ]);
    let (code, shown) = exec.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("user") && shown.contains("written"),
        "{shown}"
    );
}

#[test]
fn big_output_arrives_whole() {
    let world = world();
    let mut exec = world.terminal(["exec", "-t", "box", "seq", "100000"]);
    let (code, shown) = exec.finish();
    assert_eq!(code, 0);
    let numbers: Vec<u32> = shown
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 100_000);
    assert_eq!(numbers.last(), Some(&100_000));
}
