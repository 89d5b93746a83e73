//! Scene 1, live: namespaces as they come and go.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;
use serde_json::Value;
use soute_tests::{Running, Terminal, World, output, wait_until};

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

/// Namespaces made before another one, and to be dropped before it: a number that is free is given to the next that is made,
/// the lowest first, and other tests make some. One whose number was given away before a look is not seen going.
fn lower() -> Vec<Running> {
    (0..12).map(|_| another().0).collect()
}

/// One that `watch` has told of: those that were there before its first look are none.
fn seen_coming(watch: &mut Running, line: impl Fn(u64, u32) -> String) -> (Running, u64) {
    // They stay: the number of one that has gone would be given to the next, which is not told from it.
    let mut before = Vec::new();
    for _ in 0..10 {
        let (process, inode) = another();
        for _ in 0..100 {
            if watch.hears(&line(inode, process.pid())) {
                return (process, inode);
            }
        }
        before.push(process);
    }
    panic!("nothing was seen coming");
}

#[test]
fn a_line_for_each() {
    let world = World::empty();
    let mut watch = world.start(["ns", "watch", "--interval", "0.1", "uts"]);
    let lower = lower();
    let line = |inode: u64, pid: u32| format!(" + uts    {inode}  1  {pid}  ");
    let (process, inode) = seen_coming(&mut watch, line);
    let pid = process.pid();
    drop((lower, process));
    let text = watch.expect(&format!(" - uts    {inode}  1  {pid}  "));
    // No other kind, and nothing that was there before.
    let own = inode_of_ours();
    assert!(text.lines().all(|line| line.contains(" uts ")), "{text}");
    assert!(!text.contains(&own), "{text}");
    // As anything else that goes on until it is ended.
    watch.signal(Signal::TERM);
    watch.outcome().code(128 + 15);
}

fn inode_of_ours() -> String {
    inode(std::process::id(), "uts").to_string()
}

#[test]
fn an_object_for_each() {
    let world = World::empty();
    let mut watch = world.start(["ns", "watch", "--json", "--interval", "0.1"]);
    let lower = lower();
    let line = |_: u64, pid: u32| format!("/proc/{pid}/ns/uts\",\"nprocs\":1,\"pid\":{pid},");
    let (process, inode) = seen_coming(&mut watch, line);
    let pid = process.pid();
    drop((lower, process));
    wait_until("it is seen going", || {
        let seen = watch.expect("");
        let mut gone = seen
            .lines()
            .filter(|line| line.contains("\"event\":\"gone\""));
        gone.any(|line| line.contains(&format!("\"pid\":{pid},"))) || watch.hears("nothing at all")
    });
    watch.signal(Signal::INT);
    let outcome = watch.outcome();
    let events = outcome.code(128 + 2).stdout.lines();
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

/// `soute ns watch >&-`: nobody will ever read.
#[test]
fn a_closed_output_is_refused() {
    let world = World::empty();
    let watch = world.command(["ns", "watch"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >&-"]);
    shell.arg(watch.get_program()).args(watch.get_args());
    output(&mut shell).fails(1, &["standard output is closed"]);
}

/// `soute ns watch` on a terminal, as `script` of a shell with job control has it: `"$@"`.
fn page(world: &World, script: &str) -> Terminal {
    let watch = world.command(["ns", "watch", "--interval", "0.1"]);
    let mut shell = Command::new("sh");
    shell.args(["-mc", script, "sh"]);
    shell.arg(watch.get_program()).args(watch.get_args());
    let terminal = Terminal::start(shell.env("TERM", "xterm"));
    // Room for all that there are.
    terminal.resize(1000, 160);
    terminal
}

/// The page is there, and namespaces on it.
#[track_caller]
fn is_shown(terminal: &mut Terminal) {
    terminal.expect("\x1b[?1049h");
    terminal.expect("all kinds   every 0.1 s");
    terminal.expect(&format!(" {}  uts ", inode_of_ours()));
    assert!(!echoes(terminal));
}

fn echoes(terminal: &Terminal) -> bool {
    let modes = terminal.modes().local_modes;
    modes.contains(LocalModes::ECHO | LocalModes::ICANON)
}

/// The page, which the shell has started.
fn job(terminal: &Terminal) -> Pid {
    let shell = terminal.pid();
    let children = format!("/proc/{shell}/task/{shell}/children");
    let children = std::fs::read_to_string(children).unwrap();
    Pid::from_raw(children.trim().parse().unwrap()).unwrap()
}

#[test]
fn a_page_with_keys() {
    let world = World::empty();
    let mut terminal = page(&world, "exec \"$@\"");
    is_shown(&mut terminal);
    let lower = lower();
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
    terminal.expect("q back");
    // Escape is what nothing follows.
    terminal.send("\x1b");
    terminal.expect("q leave");
    terminal.send("\x1b");
    terminal.send("\r");
    terminal.expect("namespace   uts:[");
    terminal.send("q");
    terminal.expect("NPROCS");
    drop((lower, process));
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
    assert!(echoes(&terminal));
}

#[test]
fn a_page_that_is_stopped_goes_on() {
    let world = World::empty();
    let script = "\"$@\"; echo stopped $?; read key; stty sane; fg; \
        echo stopped $?; read key; stty sane; fg; echo left $?";
    let mut terminal = page(&world, script);
    is_shown(&mut terminal);
    terminal.send("\x1a");
    // With the screen that the shell had.
    terminal.expect("\x1b[?1049l");
    terminal.expect(&format!("stopped {}", 128 + 20));
    assert!(echoes(&terminal));
    terminal.send("\n");
    is_shown(&mut terminal);
    // No way to leave it in order, but one to come back.
    kill_process(job(&terminal), Signal::STOP).unwrap();
    terminal.expect(&format!("stopped {}", 128 + 19));
    terminal.send("\n");
    is_shown(&mut terminal);
    terminal.send("q");
    terminal.expect("\x1b[?1049l");
    terminal.expect("left 0");
    terminal.finish();
    assert!(echoes(&terminal));
}

#[test]
fn a_page_that_is_ended_leaves_the_terminal_in_order() {
    let world = World::empty();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = page(&world, "\"$@\"; echo ended $?");
        is_shown(&mut terminal);
        kill_process(job(&terminal), signal).unwrap();
        terminal.expect("\x1b[?25h\x1b[?1049l");
        terminal.expect(&format!("ended {}", 128 + signal.as_raw()));
        terminal.finish();
        assert!(echoes(&terminal));
    }
}

/// A look at /proc that takes longer than any test waits.
#[test]
fn keys_are_heard_while_it_looks() {
    let world = World::empty();
    let watch = world.command(["ns", "watch"]);
    let mut slow = Command::new("strace");
    slow.args(["--follow-forks", "--trace=getdents64", "--trace-path=/proc"]);
    slow.args(["--inject=getdents64:delay_enter=1000s", "--output"]);
    slow.arg(world.path("calls"));
    slow.arg(watch.get_program()).args(watch.get_args());
    let mut terminal = Terminal::start(slow.env("TERM", "xterm"));
    terminal.expect("looking …");
    terminal.send("?");
    terminal.expect("choose a namespace");
    terminal.send("q");
    terminal.expect("looking …");
    let rest = terminal.expect("q leave");
    assert!(!rest.contains(&inode_of_ours()), "it has looked: {rest}");
    // Whoever is delayed by strace cannot leave.
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::empty();
    world
        .soute(["ns", "watch", "--interval", "0"])
        .fails(125, &["0.1"]);
    world.soute(["ns", "watch", "nett"]).fails(125, &["nett"]);
}
