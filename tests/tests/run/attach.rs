//! `attach`: taking part in a container that runs.

use soute_tests::World;

const ECHO: &str =
    "while read line; do echo said $line; echo error $line >&2; done; echo end; exit 4";

#[test]
fn output_from_now_on_and_the_exit_code() {
    let world = World::new();
    world.detached(["-i", "--name", "talks", "busybox", "sh", "-c", ECHO]);
    let mut attach = world.start(["attach", "talks"]);
    attach.write("one\n");
    attach.expect("said one");
    attach.close();
    let outcome = attach.outcome();
    outcome.code(4).prints("said one\nend");
    assert_eq!(outcome.stderr, "error one\n");
}

#[test]
fn several_at_once_see_the_same() {
    let world = World::new();
    let mut first = world.start(["run", "-i", "--name", "talks", "busybox", "sh", "-c", ECHO]);
    first.write("zero\n");
    first.expect("said zero");
    let mut others: Vec<_> = (0..3)
        .map(|_| world.start(["attach", "--no-stdin", "talks"]))
        .collect();
    // Each is there when it has seen something that was said after it came.
    for (number, other) in others.iter_mut().enumerate() {
        let mut said = 0;
        soute_tests::wait_until("it hears", || {
            said += 1;
            first.write(&format!("{number}-{said}\n"));
            first.expect(&format!("said {number}-{said}"));
            other.hears("said ")
        });
    }
    first.write("all\n");
    for other in &mut others {
        other.expect("said all");
    }
    first.outcome().code(4);
    for other in others {
        other.outcome().code(4).shows("end");
    }
}

#[test]
fn signals_go_to_the_program() {
    let world = World::new();
    world.detached([
        "-i",
        "--name",
        "traps",
        "busybox",
        "sh",
        "-c",
        "trap 'echo got USR1' USR1; trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
    ]);
    soute_tests::wait_until("it is ready", || {
        world.soute(["logs", "traps"]).stdout == "ready\n"
    });
    let mut attach = world.start(["attach", "traps"]);
    // Attached once a first signal shows; what comes before is not for us.
    soute_tests::wait_until("attached", || {
        world.soute(["kill", "-s", "USR1", "traps"]).success();
        attach.hears("got USR1")
    });
    attach.signal(rustix::process::Signal::TERM);
    attach.outcome().code(7);
}

#[test]
fn one_that_leaves_does_not_disturb() {
    let world = World::new();
    world.detached(["-i", "--name", "talks", "busybox", "sh", "-c", ECHO]);
    for _ in 0..5 {
        let attach = world.start(["attach", "--sig-proxy=false", "talks"]);
        attach.signal(rustix::process::Signal::KILL);
        attach.outcome().code(137);
    }
    assert_eq!(world.inspect("talks")["State"]["Running"], true);
    let mut attach = world.start(["attach", "talks"]);
    attach.write("still\n");
    attach.expect("said still");
    attach.outcome().code(4);
}

/// A client that reads nothing holds the output back only for itself once it is gone.
#[test]
fn one_that_does_not_read_is_given_up_when_it_goes() {
    let world = World::new();
    world.detached([
        "--name",
        "much",
        "busybox",
        "sh",
        "-c",
        "read line; yes | head -c 4000000; echo done; exec sleep 1000",
    ]);
    let id = world.inspect("much")["Id"].as_str().unwrap().to_owned();
    let mut attach = world.command(["attach", "--no-stdin", "much"]);
    let mut attached = attach.stdout(std::process::Stdio::piped()).spawn().unwrap();
    attached.kill().unwrap();
    attached.wait().unwrap();
    soute_tests::wait_until("the rest is written", || {
        world.soute(["logs", "--tail", "1", &id]).stdout == "done\n"
    });
}

#[test]
fn only_to_one_that_runs() {
    let world = World::new();
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    let outcome = world.soute(["attach", "made"]);
    outcome.code(1);
    assert!(outcome.stderr.contains("created"), "{outcome}");
}
