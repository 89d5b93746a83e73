//! `stop`, `kill`, `restart`, `wait`, `rm`.

use soute_tests::{World, wait_until};

/// Ends in its own way at SIGNAL.
fn polite(signal: &str) -> String {
    format!("trap 'echo asked; exit 0' {signal}; echo ready; while :; do sleep 0.01; done")
}

fn ready(world: &World, name: &str) {
    wait_until("it is ready", || {
        world.soute(["logs", name]).stdout.contains("ready")
    });
}

#[test]
fn stop_asks_first() {
    let world = World::new();
    world.detached(["--name", "polite", "busybox", "sh", "-c", &polite("TERM")]);
    ready(&world, "polite");
    world.soute(["stop", "polite"]).prints("polite");
    assert_eq!(world.inspect("polite")["State"]["ExitCode"], 0);
    world.soute(["logs", "polite"]).prints("ready\nasked");
    // Once more is no failure, as with Docker.
    world.soute(["stop", "polite"]).prints("polite");
}

#[test]
fn stop_asks_with_the_containers_own_signal() {
    let world = World::new();
    world.detached([
        "--name",
        "usr1",
        "--stop-signal",
        "USR1",
        "busybox",
        "sh",
        "-c",
        &polite("USR1"),
    ]);
    ready(&world, "usr1");
    world.soute(["stop", "usr1"]).success();
    assert_eq!(world.inspect("usr1")["State"]["ExitCode"], 0);
    world.detached(["--name", "usr2", "busybox", "sh", "-c", &polite("USR2")]);
    ready(&world, "usr2");
    world
        .soute(["stop", "--signal", "SIGUSR2", "usr2"])
        .success();
    assert_eq!(world.inspect("usr2")["State"]["ExitCode"], 0);
}

/// As long as a number can say: until the end of time, and no panic.
#[test]
fn stop_waits_as_long_as_it_is_told() {
    let world = World::new();
    world.detached(["--name", "polite", "busybox", "sh", "-c", &polite("TERM")]);
    ready(&world, "polite");
    world
        .soute(["stop", "-t", &i64::MAX.to_string(), "polite"])
        .prints("polite");
    assert_eq!(world.inspect("polite")["State"]["ExitCode"], 0);
}

#[test]
fn stop_kills_what_does_not_listen() {
    let world = World::new();
    // PID 1 has no default actions: sleep does not even notice SIGTERM.
    world.detached(["--name", "deaf", "busybox", "sleep", "1000"]);
    world.soute(["stop", "--time", "0", "deaf"]).success();
    assert_eq!(world.inspect("deaf")["State"]["ExitCode"], 137);
    world.detached([
        "--name",
        "deaf2",
        "--stop-timeout",
        "0",
        "busybox",
        "sleep",
        "1000",
    ]);
    world.soute(["stop", "deaf2"]).success();
    assert_eq!(world.inspect("deaf2")["State"]["ExitCode"], 137);
}

#[test]
fn kill_sends_any_signal() {
    let world = World::new();
    world.detached(["--name", "traps", "busybox", "sh", "-c", &polite("HUP")]);
    ready(&world, "traps");
    world
        .soute(["kill", "--signal", "1", "traps"])
        .prints("traps");
    assert_eq!(world.soute(["wait", "traps"]).text(), "0");
    let outcome = world.soute(["kill", "traps"]);
    outcome.code(1);
    assert!(outcome.stderr.contains("exited"), "{outcome}");
    world
        .soute(["kill", "--signal", "NOSUCH", "traps"])
        .code(125);
}

#[test]
fn restart_is_a_new_life_of_the_same_container() {
    let world = World::new();
    let id = world.detached([
        "--name",
        "again",
        "busybox",
        "sh",
        "-c",
        "echo life >> /lives; echo ready; exec sleep 1000",
    ]);
    ready(&world, "again");
    let pid = world.pid("again");
    world.soute(["restart", "-t", "0", "again"]).prints("again");
    assert_ne!(world.pid("again"), pid);
    assert_eq!(world.inspect("again")["Id"], id.as_str());
    wait_until("it lives again", || {
        world
            .soute(["exec", "again", "wc", "-l", "/lives"])
            .stdout
            .starts_with('2')
    });
    // One that has ended is just started.
    world.soute(["stop", "-t", "0", "again"]).success();
    world.soute(["restart", "again"]).success();
    assert_eq!(world.inspect("again")["State"]["Running"], true);
}

#[test]
fn wait_waits() {
    let world = World::new();
    world.detached([
        "-i",
        "--name",
        "waits",
        "busybox",
        "sh",
        "-c",
        "read line; exit 11",
    ]);
    world.detached(["--name", "other", "busybox", "sh", "-c", "exit 12"]);
    let mut wait = world.start(["wait", "waits", "other"]);
    assert!(wait.is_running());
    let mut attach = world.start(["attach", "waits"]);
    attach.write("end\n");
    attach.outcome().code(11);
    wait.outcome().success().prints("11\n12");
    assert_eq!(world.soute(["wait", "waits"]).text(), "11");
    world.soute(["wait", "no-such"]).code(1);
}

#[test]
fn rm_takes_what_has_ended_and_with_force_the_rest() {
    let world = World::new();
    world.detached(["--name", "runs", "busybox", "sleep", "1000"]);
    let refused = world.soute(["rm", "runs"]);
    refused.code(1);
    assert!(refused.stderr.contains("running"), "{refused}");
    world
        .soute(["run", "--name", "ended", "busybox", "true"])
        .success();
    // One failure does not spare the others.
    let outcome = world.soute(["rm", "no-such", "ended"]);
    outcome.code(1).prints("ended");
    world.soute(["rm", "--force", "runs"]).prints("runs");
    world.soute(["rm", "--force", "no-such"]).success();
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
    // The name is free again.
    world
        .soute(["run", "--rm", "--name", "runs", "busybox", "true"])
        .success();
}

#[test]
fn rm_of_one_that_removes_itself() {
    let world = World::new();
    world.detached(["--rm", "--name", "self", "busybox", "sleep", "1000"]);
    world.soute(["rm", "-f", "self"]).success();
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
    world.detached(["--rm", "--name", "self", "busybox", "sleep", "1000"]);
    world.soute(["stop", "-t", "0", "self"]).success();
    wait_until("it is gone", || {
        world.soute(["ps", "-aq"]).text().is_empty()
    });
}

/// All that a container starts ends with it, in whatever session it hides.
#[test]
fn nothing_survives_the_first_process() {
    let world = World::new();
    let script = "(setsid sh -c 'trap \"\" TERM HUP; echo ready; while :; do sleep 1000; done' &) ; exec sleep 1000";
    let id = world.detached(["--name", "family", "busybox", "sh", "-c", script]);
    ready(&world, "family");
    let pids: Vec<u32> = world.soute(["ns", "pids", "--json", &id]).json()["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| process["pids"][0].as_u64().unwrap().try_into().unwrap())
        .collect();
    assert!(pids.len() >= 2, "{pids:?}");
    world.soute(["kill", "family"]).success();
    world.soute(["wait", "family"]).prints("137");
    for pid in pids {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} lives on"
        );
    }
}

/// Each ends when it sees that the other has been asked, too.
#[test]
fn several_are_asked_before_one_is_waited_for() {
    let world = World::new();
    world
        .soute(["run", "--rm", "-v", "meet:/meet", "busybox", "true"])
        .success();
    for (name, other) in [("one", "two"), ("two", "one")] {
        let script = format!(
            "trap 'touch /meet/{name}; while [ ! -e /meet/{other} ]; do sleep 0.05; done; exit 7' TERM;
            echo ready; while :; do sleep 0.01; done"
        );
        let words = [
            "--name",
            name,
            "-v",
            "meet:/meet",
            "busybox",
            "sh",
            "-c",
            &script,
        ];
        world.detached(words);
        ready(&world, name);
    }
    world
        .soute(["stop", "-t", "600", "one", "no-such", "two"])
        .code(1)
        .prints("one\ntwo");
    for name in ["one", "two"] {
        assert_eq!(world.inspect(name)["State"]["ExitCode"], 7, "{name}");
    }
}
