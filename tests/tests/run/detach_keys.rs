//! `--detach-keys`: what is asked for takes the place of ctrl-p, ctrl-q, in every command that has a terminal.

use soute_tests::{Terminal, World};

const DEFAULT: &str = "\x10\x11";

/// Says what it was sent, line by line; ctrl-q would else be the terminal's own.
const ECHO: &str = "stty -ixon -echo; echo ready; while read line; do echo \"got <$line>\"; done";

/// The default keys are the program's now, the others leave.
#[track_caller]
fn leaves_by(terminal: &mut Terminal, keys: &str) {
    terminal.send(&format!("{DEFAULT}\r"));
    terminal.expect(&format!("got <{DEFAULT}>"));
    terminal.send(keys);
    assert_eq!(terminal.finish().0, 0);
}

#[test]
fn of_run() {
    let world = World::new();
    for (name, keys, typed) in [
        ("two", "ctrl-x,q", "\x18q"),
        ("one", "ctrl-]", "\x1d"),
        ("letters", "a,b,c", "abc"),
    ] {
        let flags = ["run", "-it", "--name", name, "--detach-keys", keys];
        let mut run = world.terminal([&flags[..], &["busybox", "sh", "-c", ECHO]].concat());
        run.expect("ready");
        leaves_by(&mut run, typed);
        assert_eq!(world.inspect(name)["State"]["Running"], true, "{keys}");
    }
}

#[test]
fn of_start() {
    let world = World::new();
    let create = ["create", "-it", "--name", "made", "busybox"];
    world
        .soute([&create[..], &["sh", "-c", ECHO]].concat())
        .success();
    let mut start = world.terminal(["start", "-ai", "--detach-keys", "ctrl-x,q", "made"]);
    start.expect("ready");
    leaves_by(&mut start, "\x18q");
    assert_eq!(world.inspect("made")["State"]["Running"], true);
}

#[test]
fn of_exec() {
    let world = World::new();
    world.detached(["--name", "box", "busybox", "sleep", "1000"]);
    let exec = ["exec", "-it", "--detach-keys", "ctrl-x,q", "box"];
    let mut exec = world.terminal([&exec[..], &["sh", "-c", ECHO]].concat());
    exec.expect("ready");
    leaves_by(&mut exec, "\x18q");
    // The process goes on.
    world
        .soute(["exec", "box", "sh", "-c", "ps | grep -c 'got <[$]line'"])
        .prints("1");
}

#[test]
fn keys_that_are_none_are_refused() {
    let world = World::new();
    world.detached(["--name", "box", "busybox", "sleep", "1000"]);
    for words in [
        &["run", "-d", "--detach-keys", "ctrl-nothing", "busybox"][..],
        &["start", "-a", "--detach-keys", "ctrl-nothing", "box"],
        &["attach", "--detach-keys", "ctrl-nothing", "box"],
        &["exec", "--detach-keys", "ctrl-nothing", "box", "true"],
    ] {
        world.soute(words).fails(125, &["ctrl-nothing"]);
    }
}
