//! Scene 1, live: namespaces as they come and go.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::termios::LocalModes;
use serde_json::Value;
use soute_tests::{Running, Terminal, World, wait_until};

use super::inode;

/// A process with a host name of its own, and the inode of that namespace.
fn another() -> (Running, u64) {
    let mut command = Command::new("unshare");
    command.args(["--uts", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut process = Running::start(command.stdin(Stdio::null()));
    process.expect("ready");
    let inode = inode(process.pid(), "uts");
    (process, inode)
}

/// One that `watch` has told of: those that were there before its first look are none.
fn seen_coming(watch: &mut Running, line: impl Fn(u64, u32) -> String) -> (Running, u64) {
    for _ in 0..10 {
        let (process, inode) = another();
        for _ in 0..150 {
            if watch.hears(&line(inode, process.pid())) {
                return (process, inode);
            }
        }
    }
    panic!("nothing was seen coming");
}

#[test]
fn a_line_for_each() {
    let world = World::empty();
    let mut watch = world.start(["ns", "watch", "--interval", "0.1", "uts"]);
    let line = |inode: u64, pid: u32| format!(" + uts    {inode}  1  {pid}  ");
    let (process, inode) = seen_coming(&mut watch, line);
    let pid = process.pid();
    drop(process);
    let text = watch.expect(&format!(" - uts    {inode}  1  {pid}  "));
    // No other kind, and nothing that was there before.
    let own = inode_of_ours();
    assert!(text.lines().all(|line| line.contains(" uts ")), "{text}");
    assert!(!text.contains(&own), "{text}");
    watch.signal(Signal::TERM);
    watch.outcome().success();
}

fn inode_of_ours() -> String {
    inode(std::process::id(), "uts").to_string()
}

#[test]
fn an_object_for_each() {
    let world = World::empty();
    let mut watch = world.start(["ns", "watch", "--json", "--interval", "0.1"]);
    let line = |_: u64, pid: u32| format!("/proc/{pid}/ns/uts\",\"nprocs\":1,\"pid\":{pid},");
    let (process, inode) = seen_coming(&mut watch, line);
    let pid = process.pid();
    drop(process);
    wait_until("it is seen going", || {
        let seen = watch.expect("");
        let mut gone = seen
            .lines()
            .filter(|line| line.contains("\"event\":\"gone\""));
        gone.any(|line| line.contains(&format!("\"pid\":{pid},"))) || watch.hears("nothing at all")
    });
    watch.signal(Signal::INT);
    let outcome = watch.outcome();
    let events = outcome.success().stdout.lines();
    let events: Vec<Value> = events
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut ours = events
        .iter()
        .filter(|event| event["namespace"]["pid"] == pid);
    let appeared = ours.next().unwrap();
    assert_eq!(appeared["event"], "appeared");
    assert_eq!(appeared["namespace"]["ns"], inode);
    assert_eq!(appeared["namespace"]["type"], "uts");
    assert!(
        appeared["time"].as_str().unwrap().ends_with('Z'),
        "{appeared}"
    );
}

/// `soute ns watch | head -1`
#[test]
fn it_ends_with_its_reader() {
    let world = World::empty();
    let mut command = world.command(["ns", "watch", "--interval", "3600"]);
    let mut watch = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(watch.stdout.take());
    wait_until("it has ended", || watch.try_wait().unwrap().is_some());
    assert!(watch.wait().unwrap().success());
}

#[test]
fn a_page_with_keys() {
    let world = World::empty();
    let mut command = world.command(["ns", "watch", "--interval", "0.1"]);
    let mut terminal = Terminal::start(command.env("TERM", "xterm"));
    // Room for all that there are.
    terminal.resize(500, 160);
    terminal.expect("all kinds   every 0.1 s");
    assert!(!terminal.modes().local_modes.contains(LocalModes::ECHO));
    let (process, inode) = another();
    terminal.expect(&format!("+ {inode}  uts"));
    // One kind after the other.
    terminal.send("t");
    terminal.expect("soute ns watch   mnt");
    terminal.send("t");
    terminal.expect("soute ns watch   uts");
    terminal.expect(&inode_of_ours());
    // The last one, closely.
    terminal.send("\x1b[F\r");
    terminal.expect("namespace   uts:[");
    terminal.send("q");
    terminal.expect("NPROCS");
    drop(process);
    terminal.expect(&format!("- {inode}  uts"));
    // Smaller, and smaller than anything.
    terminal.resize(10, 40);
    terminal.resize(1, 1);
    terminal.resize(24, 80);
    terminal.send("?");
    terminal.expect("choose a namespace");
    terminal.send("\x03");
    let (code, rest) = terminal.finish();
    assert_eq!(code, 0);
    // The screen is given back.
    assert!(rest.ends_with("\x1b[?25h\x1b[?1049l"), "{rest:?}");
    assert!(terminal.modes().local_modes.contains(LocalModes::ECHO));
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::empty();
    world
        .soute(["ns", "watch", "--interval", "0"])
        .fails(125, &["0.1"]);
    world.soute(["ns", "watch", "nett"]).fails(125, &["nett"]);
}
