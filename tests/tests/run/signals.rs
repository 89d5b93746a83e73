//! Signals to `soute run` are signals to the program.

use std::process::Command;

use rustix::process::Signal;
use soute_tests::{Running, World};

/// Says what it receives; ends at SIGTERM.
const TELLS: &str = "
    for signal in HUP INT QUIT USR1 USR2 ALRM; do trap \"echo got $signal\" $signal; done
    trap 'echo got TERM; exit 3' TERM
    echo ready
    while :; do sleep 0.01; done";

#[test]
fn they_are_forwarded_without_a_terminal() {
    let world = World::new();
    let mut run = world.start(["run", "--rm", "busybox", "sh", "-c", TELLS]);
    run.expect("ready");
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::ALARM, "ALRM"),
    ] {
        run.signal(signal);
        run.expect(&format!("got {name}"));
    }
    run.signal(Signal::TERM);
    run.outcome().code(3).shows("got TERM");
}

#[test]
fn they_end_soute_run_alone_without_sig_proxy() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "--name",
        "stays",
        "--sig-proxy=false",
        "busybox",
        "sh",
        "-c",
        TELLS,
    ]);
    run.expect("ready");
    run.signal(Signal::TERM);
    run.outcome().code(128 + 15).shows_not("got TERM");
    assert_eq!(world.inspect("stays")["State"]["Running"], true);
}

/// nohup(1) is for soute, not for what runs in the container.
#[test]
fn what_the_caller_ignores_or_blocks_the_program_does_not() {
    let world = World::new();
    let soute = world.command(["run", "--rm", "busybox", "grep", "Sig", "/proc/self/status"]);
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "trap '' HUP INT QUIT TERM USR1 PIPE CHLD; exec \"$@\"",
        "sh",
    ]);
    shell.arg(soute.get_program()).args(soute.get_args());
    let status = soute_tests::output(&mut shell);
    for line in status.text().lines() {
        let (name, mask) = line.split_once(':').unwrap();
        if matches!(name, "SigBlk" | "SigIgn" | "SigCgt") {
            let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
            // glibc keeps 32 and 33 to itself, and lets what posix_spawn(3) starts ignore them.
            assert_eq!(mask & !(0b11 << 31), 0, "{line}");
        }
    }
    // In a process that exec starts, too.
    let id = world.detached(["busybox", "sleep", "1000"]);
    let soute = world.command(["exec", &id, "grep", "SigIgn", "/proc/self/status"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]);
    shell.arg(soute.get_program()).args(soute.get_args());
    let ignored = soute_tests::output(&mut shell);
    let mask = u64::from_str_radix(ignored.text().rsplit(':').next().unwrap().trim(), 16).unwrap();
    assert_eq!(mask & !(0b11 << 31), 0, "{ignored}");
}

/// `soute WORDS`, called by a program that ignores `signals` (not a shell: dash keeps SIGCHLD to itself).
fn ignoring(signals: &str, world: &World, words: &[&str]) -> Command {
    let soute = world.command(words);
    let mut env = Command::new("env");
    env.arg(format!("--ignore-signal={signals}"));
    env.arg(soute.get_program()).args(soute.get_args());
    env
}

/// nohup(1), and a script's job in the background.
#[test]
fn what_the_caller_ignores_is_not_passed_on() {
    let world = World::new();
    let words = ["run", "--rm", "busybox", "sh", "-c", TELLS];
    let mut run = Running::start(&mut ignoring("HUP,INT", &world, &words));
    run.expect("ready");
    run.signal(Signal::HUP);
    run.signal(Signal::INT);
    run.signal(Signal::USR1);
    run.expect("got USR1");
    run.signal(Signal::TERM);
    let outcome = run.outcome();
    outcome.code(3).shows_not("got HUP").shows_not("got INT");
}

/// The kernel reaps the children of whoever ignores SIGCHLD, and tells nobody how they ended.
#[test]
fn a_caller_that_ignores_sigchld_takes_no_exit_code_away() {
    let world = World::new();
    let run = |words: &[&str]| soute_tests::output(&mut ignoring("CHLD", &world, words));
    run(&["run", "--rm", "busybox", "sh", "-c", "exit 7"]).code(7);
    run(&["run", "--rm", "--init", "busybox", "sh", "-c", "exit 8"]).code(8);
    let id = run(&["run", "-d", "busybox", "sleep", "1000"])
        .text()
        .to_owned();
    run(&["exec", &id, "sh", "-c", "exit 9"]).code(9);
    run(&["stop", "-t", "0", &id]).success();
    assert_eq!(world.inspect(&id)["State"]["ExitCode"], 137);
}

/// What ends by Ctrl-C in a terminal ends so too when the container has one.
#[test]
fn a_key_in_the_terminal_signals_the_program() {
    let world = World::new();
    let mut run = world.terminal(["run", "--rm", "-it", "busybox", "sh", "-c", TELLS]);
    run.expect("ready");
    run.send("\x03");
    run.expect("got INT");
    run.send("\x1c");
    run.expect("got QUIT");
    world.soute(["ps", "-q"]).success();
    let id = world.soute(["ps", "-q"]).text().to_owned();
    world.soute(["kill", "--signal", "TERM", &id]).success();
    run.expect("got TERM");
    assert_eq!(run.finish().0, 3);
}
