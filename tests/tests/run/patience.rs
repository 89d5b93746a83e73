//! How long `stop` waits for a program before it kills it: `--stop-timeout`, `stop --time`.

use soute_tests::{World, wait_until};

/// Starts `name`, whose program ends with 0 by itself `seconds` after SIGTERM, and waits until it would.
#[track_caller]
fn lingering(world: &World, name: &str, flags: &[&str], seconds: u32) {
    let script = format!(
        "trap 'echo asked; sleep {seconds}; echo ended; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    );
    let command = ["busybox", "sh", "-c", &script];
    world.detached([&["--name", name], flags, &command].concat());
    wait_until("it is ready", || {
        world.soute(["logs", name]).stdout.contains("ready")
    });
}

#[track_caller]
fn exit_code(world: &World, name: &str) -> i64 {
    let state = world.inspect(name)["State"].clone();
    assert_eq!(state["Status"], "exited", "{name}: {state}");
    state["ExitCode"].as_i64().expect("a number")
}

/// By default each of these would end with 0, long before the default's 10 seconds are over.
#[test]
fn short_patience_kills_what_would_have_ended_by_itself() {
    let world = World::new();
    for (name, flags, stop) in [
        ("its-own", &["--stop-timeout", "0"][..], &["stop"][..]),
        ("asked", &[], &["stop", "--time", "0"]),
        (
            "asked-for-less",
            &["--stop-timeout", "600"],
            &["stop", "-t", "0"],
        ),
        ("one-second", &["--stop-timeout", "1"], &["stop"]),
    ] {
        lingering(&world, name, flags, 8);
        world.soute([stop, &[name]].concat()).prints(name);
        assert_eq!(exit_code(&world, name), 137, "{name}");
    }
}

#[test]
fn what_the_command_says_goes_before_what_the_container_says() {
    let world = World::new();
    for (name, seconds) in [("longer", "30"), ("for-ever", "-1"), ("any-negative", "-7")] {
        lingering(&world, name, &["--stop-timeout", "0"], 1);
        world.soute(["stop", "-t", seconds, name]).prints(name);
        world.soute(["logs", name]).prints("ready\nasked\nended");
        assert_eq!(exit_code(&world, name), 0, "{name}");
    }
}

#[test]
fn restart_is_as_patient_as_it_is_told() {
    let world = World::new();
    for (name, flags, restart) in [
        ("its-own", &["--stop-timeout", "0"][..], &["restart"][..]),
        ("asked", &[], &["restart", "--time", "0"]),
    ] {
        lingering(&world, name, flags, 8);
        world.soute([restart, &[name]].concat()).prints(name);
        let mut said = String::new();
        wait_until("it lives again", || {
            said = world.soute(["logs", name]).stdout;
            said.matches("ready").count() == 2
        });
        assert!(!said.contains("ended"), "{said}");
    }
    lingering(&world, "longer", &["--stop-timeout", "0"], 1);
    world.soute(["restart", "-t", "30", "longer"]).success();
    wait_until("it lives again", || {
        world.soute(["logs", "longer"]).stdout == "ready\nasked\nended\nready\n"
    });
}

#[test]
fn what_is_no_number_of_seconds_is_refused() {
    let world = World::new();
    for seconds in ["soon", "1.5", "", "99999999999999999999"] {
        let flags = ["run", "--rm", "--stop-timeout", seconds, "busybox", "true"];
        world.soute(flags).fails(125, &["--stop-timeout"]);
        world
            .soute(["stop", "--time", seconds, "x"])
            .fails(125, &["--time"]);
    }
}

mod slow {
    use super::*;

    /// By default each of these would be killed after 10 seconds.
    #[test]
    fn long_patience_lets_it_end_by_itself() {
        let world = World::new();
        let cases = [
            ("its-own", &["--stop-timeout", "40"][..], &["stop"][..]),
            ("its-own-for-ever", &["--stop-timeout", "-1"], &["stop"]),
            ("asked", &[], &["stop", "--time", "40"]),
        ];
        for (name, flags, _) in cases {
            lingering(&world, name, flags, 13);
        }
        // All at once, so that the test takes as long as one of them.
        let stops = cases.map(|(name, _, stop)| world.start([stop, &[name]].concat()));
        for stop in stops {
            stop.outcome().success();
        }
        for (name, ..) in cases {
            assert_eq!(exit_code(&world, name), 0, "{name}");
            world.soute(["logs", name]).prints("ready\nasked\nended");
        }
    }
}
