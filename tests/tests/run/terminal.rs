//! `-t`: the program has a terminal, and the caller's is as before when it ends.

use rustix::process::Signal;
use rustix::termios::{LocalModes, OutputModes};
use soute_tests::{Terminal, World, wait_until};

fn is_raw(terminal: &Terminal) -> bool {
    let modes = terminal.modes();
    !modes
        .local_modes
        .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

fn is_cooked(terminal: &Terminal) -> bool {
    let modes = terminal.modes();
    let local = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    modes.local_modes.contains(local) && modes.output_modes.contains(OutputModes::OPOST)
}

#[test]
fn the_program_has_a_terminal_of_the_containers_own() {
    let world = World::new();
    let script = "tty; stty -a | head -1; ls /dev/pts; test -t 0 && test -t 1 && test -t 2 && echo all; \
        echo controlling > /dev/tty; echo $TERM; stat -c %t:%T /dev/console";
    let mut run = world.terminal(["run", "--rm", "-it", "busybox", "sh", "-c", script]);
    let (code, shown) = run.finish();
    assert_eq!(code, 0, "{shown}");
    for expected in [
        "/dev/pts/0",
        "rows 24; columns 80",
        "ptmx",
        "all",
        "controlling",
        "xterm",
        "88:0",
    ] {
        assert!(shown.contains(expected), "no {expected:?} in {shown}");
    }
}

#[test]
fn the_windows_size_is_followed() {
    let world = World::new();
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done";
    let mut run = world.terminal([
        "run", "--rm", "--name", "sized", "-it", "busybox", "sh", "-c", script,
    ]);
    run.expect("ready");
    run.resize(50, 132);
    run.expect("50 132");
    run.resize(7, 9);
    run.expect("7 9");
    world.soute(["kill", "sized"]).success();
    assert_eq!(run.finish().0, 137);
}

#[test]
fn the_callers_terminal_is_raw_meanwhile_and_as_before_after() {
    let world = World::new();
    let mut run = world.terminal([
        "run",
        "--rm",
        "-it",
        "busybox",
        "sh",
        "-c",
        "echo ready; read line; echo $line; exit 4",
    ]);
    let before = run.modes();
    run.expect("ready");
    assert!(is_raw(&run), "{:?}", run.modes());
    run.send("typed\r");
    // Once by the container's terminal, which echoes, once by the program.
    run.expect("typed");
    run.expect("typed");
    assert_eq!(run.finish().0, 4);
    assert_eq!(format!("{:?}", run.modes()), format!("{before:?}"));
}

#[test]
fn the_callers_terminal_is_restored_when_soute_fails_or_is_told_to_end() {
    let world = World::new();
    let mut run = world.terminal(["run", "--rm", "-it", "busybox", "no-such-program"]);
    assert_eq!(run.finish().0, 127);
    assert!(is_cooked(&run), "{:?}", run.modes());

    // The monitor dies, and the container with it.
    let mut run = world.terminal([
        "run",
        "--rm",
        "--name",
        "lost",
        "-it",
        "busybox",
        "sh",
        "-c",
        "echo ready; cat",
    ]);
    run.expect("ready");
    assert!(is_raw(&run));
    let monitor = world.inspect("lost")["Isolation"]["Monitor"]
        .as_i64()
        .unwrap();
    kill(monitor, Signal::KILL);
    assert_eq!(run.finish().0, 128 + 9);
    assert!(is_cooked(&run), "{:?}", run.modes());

    for signal in [Signal::TERM, Signal::HUP] {
        let mut run = world.terminal(["run", "-it", "busybox", "sh", "-c", "echo ready; cat"]);
        run.expect("ready");
        assert!(is_raw(&run));
        kill(run.pid().into(), signal);
        assert_eq!(run.finish().0, 128 + signal.as_raw());
        assert!(is_cooked(&run), "{signal:?}: {:?}", run.modes());
    }
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let world = World::new();
    let mut run = world.terminal([
        "run",
        "--name",
        "left",
        "-it",
        "busybox",
        "sh",
        "-c",
        "echo ready; read line; echo got $line; cat",
    ]);
    run.expect("ready");
    // Ctrl-P alone is the program's, as soon as what follows is no Ctrl-Q.
    run.send("a\x10b\r");
    run.expect("got a\x10b");
    run.send("\x10\x11");
    assert_eq!(run.finish().0, 0);
    assert!(is_cooked(&run), "{:?}", run.modes());
    assert_eq!(world.inspect("left")["State"]["Running"], true);

    let mut again = world.terminal(["attach", "--detach-keys", "ctrl-x,q", "left"]);
    again.send("hello\r");
    again.expect("hello");
    again.expect("hello");
    again.send("\x18q");
    assert_eq!(again.finish().0, 0);
    assert_eq!(world.inspect("left")["State"]["Running"], true);
}

#[test]
fn a_terminal_without_input_and_input_without_a_terminal() {
    let world = World::new();
    // -t alone: the program has a terminal, the caller's stays as it is.
    let mut run = world.terminal([
        "run",
        "--rm",
        "-t",
        "busybox",
        "sh",
        "-c",
        "tty; stty size; echo done",
    ]);
    run.expect("/dev/pts/0");
    assert_eq!(run.finish().0, 0);
    // -t with a pipe for output: the terminal's end of line shows.
    world
        .soute(["run", "--rm", "-t", "busybox", "echo", "line"])
        .success()
        .shows("line\r\n");
    // -it needs a terminal on this side.
    let refused = world.soute(["run", "--rm", "-it", "busybox", "true"]);
    refused.code(125);
    assert!(refused.stderr.contains("terminal"), "{refused}");
}

#[test]
fn another_users_program_owns_its_terminal() {
    let world = World::new();
    let script = "stat -c %U $(tty); echo again > /dev/tty; echo reopened > $(tty)";
    let mut run = world.terminal([
        "run", "--rm", "-it", "-u", "user", "busybox", "sh", "-c", script,
    ]);
    let (code, shown) = run.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("user") && shown.contains("again") && shown.contains("reopened"),
        "{shown}"
    );
}

/// Whoever closes the terminal and goes on must not make the monitor spin on its other end.
#[test]
fn a_program_that_closes_its_terminal_costs_nothing() {
    let world = World::new();
    let mut run = world.terminal([
        "run",
        "--rm",
        "--name",
        "closer",
        "-it",
        "busybox",
        "sh",
        "-c",
        "echo closing; exec <&- >&- 2>&-; exec sleep 1000",
    ]);
    run.expect("closing");
    let monitor = world.inspect("closer")["Isolation"]["Monitor"]
        .as_i64()
        .unwrap();
    let pid = world.pid("closer");
    wait_until("sleep runs", || {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "sleep")
    });
    // How often it was woken, not how long that took: a monitor that spins is woken without end.
    assert_sleeps(monitor);
    world.soute(["kill", "closer"]).success();
    assert_eq!(run.finish().0, 137);
}

/// Asserts that a process comes to rest: it is asleep and uses no processor time between two looks.
fn assert_sleeps(pid: i64) {
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process");
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        (
            fields[0].to_owned(),
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap(),
        )
    };
    wait_until("the monitor rests", || {
        let before = ticks();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let after = ticks();
        before == after && after.0 == "S"
    });
}

fn kill(pid: i64, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
