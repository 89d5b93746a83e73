//! `--init`: a reaper as PID 1.

use soute_tests::World;

/// A grandchild that ends after its parent did: whose child is it then?
const ORPHAN: &str = "(sh -c 'echo $$ > /tmp/orphan; exec true' &); sleep 0.05; ";

#[test]
fn zombies_are_reaped() {
    let world = World::new();
    let script = format!("{ORPHAN} for i in $(seq 500); do test -e /proc/$(cat /tmp/orphan) || break; sleep 0.01; done;
        test -e /proc/$(cat /tmp/orphan) && echo zombie; cat /proc/1/comm; echo $$");
    let outcome = world.sh(&["--init"], &script);
    outcome.success().shows_not("zombie");
    assert_eq!(outcome.text().lines().last(), Some("2"), "{outcome}");
    // Without it the program is PID 1 itself, and a `sleep` as PID 1 reaps nobody.
    world
        .soute(["run", "--rm", "busybox", "sh", "-c", "echo $$"])
        .prints("1");
}

#[test]
fn signals_and_the_exit_code_are_passed_on() {
    let world = World::new();
    let script = "trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut run = world.start(["run", "--rm", "--init", "busybox", "sh", "-c", script]);
    run.expect("ready");
    run.signal(rustix::process::Signal::TERM);
    run.outcome().code(5).shows("got TERM");
    // The default action of a signal works, which it does not for PID 1.
    let mut run = world.start([
        "run",
        "--rm",
        "--init",
        "busybox",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]);
    run.expect("ready");
    run.signal(rustix::process::Signal::INT);
    run.outcome().code(128 + 2);
    world.sh(&["--init"], "exit 9").code(9);
}

/// All that a program can be sent by others, real-time signals (37: RTMIN+3, systemd's to halt) and job control's too.
#[test]
fn every_signal_is_passed_on() {
    let world = World::new();
    let signals = ["IO", "PWR", "VTALRM", "PROF", "URG", "TSTP", "37", "64"];
    let traps: String = signals
        .map(|signal| format!("trap 'echo got {signal}' {signal}; "))
        .concat();
    let script = traps + "echo ready; while :; do sleep 0.01; done";
    let words = ["run", "--init", "--stop-signal", "RTMIN+3", "--name", "box"];
    let words = [&words[..], &["busybox", "sh", "-c", &script]].concat();
    let mut run = world.start(words);
    run.expect("ready");
    for signal in signals {
        world.soute(["kill", "--signal", signal, "box"]).success();
        run.expect(&format!("got {signal}\n"));
    }
    world.soute(["kill", "box"]).success();
    run.outcome().code(137);
}

#[test]
fn everything_ends_with_the_program() {
    let world = World::new();
    // A child in a session of its own outlives the program, and not the container.
    world
        .sh(&["--init"], "setsid sleep 1000 >/dev/null 2>&1 & exit 6")
        .code(6);
    world
        .soute(["run", "--rm", "--init", "busybox", "no-such-program"])
        .code(127);
    world
        .soute(["run", "--rm", "--init", "busybox", "/etc/passwd"])
        .code(126);
}

#[test]
fn with_a_terminal_the_program_has_the_foreground() {
    let world = World::new();
    let mut run = world.terminal(["run", "--rm", "--init", "-it", "busybox", "sh"]);
    run.expect("#");
    run.send("echo one$((1+1))three\r");
    run.expect("one2three");
    run.send("sh -c \"echo st''art; exec sleep 1000\"\r");
    run.expect("start");
    run.send("\x03");
    run.expect("#");
    run.send("exit 8\r");
    assert_eq!(run.finish().0, 8);
}
