//! Docker's exit codes: the program's own, 128 + n by signal n, 127 not found, 126 not executable, 125 soute's.

use soute_tests::World;

#[test]
fn the_programs_own() {
    let world = World::new();
    for code in [0, 1, 42, 255] {
        world.sh(&[], &format!("exit {code}")).code(code);
    }
}

#[test]
fn of_a_signal_that_killed_the_program() {
    let world = World::new();
    let words = [
        "run",
        "--rm",
        "-i",
        "--name",
        "killed",
        "busybox",
        "sh",
        "-c",
        "echo up; cat",
    ];
    let mut program = world.start(words);
    program.expect("up");
    world.soute(["kill", "killed"]).success();
    program.outcome().code(128 + 9);
    // As a child of the reaper a program is killed by its own signals, too (PID 1 is not: pid_namespaces(7)).
    world
        .sh(&["--init"], "kill -USR1 $$; echo survived")
        .code(128 + 10)
        .prints("");
}

#[test]
fn of_a_program_that_is_not_in_the_image() {
    let world = World::new();
    for program in [
        "no-such-program",
        "/no/such/program",
        "./no-such-program",
        "",
    ] {
        let outcome = world.soute(["run", "--rm", "busybox", program]);
        outcome.code(127).prints("");
        assert!(outcome.stderr.contains("soute: error: "), "{outcome}");
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

#[test]
fn of_a_program_that_cannot_be_executed() {
    let world = World::new();
    for program in ["/etc/passwd", "/etc", "/etc/passwd/x/.."] {
        let outcome = world.soute(["run", "--rm", "busybox", program]);
        let expected = if program.contains("..") { 127 } else { 126 };
        outcome.code(expected).prints("");
        assert!(outcome.stderr.contains("soute: error: "), "{outcome}");
    }
}

#[test]
fn of_a_script_whose_interpreter_is_missing() {
    let world = World::new();
    let folder = world.rootfs("rootfs");
    std::fs::write(folder.join("script"), "#!/no/interpreter\n").unwrap();
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(folder.join("script"))
        .status()
        .unwrap();
    let outcome = world.soute([
        "run",
        "--rm",
        "--rootfs",
        folder.to_str().unwrap(),
        "/script",
    ]);
    outcome.code(127);
    assert!(outcome.stderr.contains("interpreter"), "{outcome}");
}

#[test]
fn of_what_soute_itself_cannot_do() {
    let world = World::new();
    for words in [
        &["run", "--rm", "no-such-image", "true"][..],
        &["run", "--no-such-flag", "busybox"],
        &["run", "--memory", "lots", "busybox", "true"],
        &["run", "--user", "no-such-user", "busybox", "true"],
        &["run"],
        &["run", "--rm", "busybox:no-such-tag", "true"],
    ] {
        let outcome = world.soute(words);
        outcome.code(125).prints("");
        assert!(outcome.stderr.starts_with("soute: "), "{outcome}");
        assert!(
            world
                .soute(["ps", "--all", "--quiet", "--filter", "status=running"])
                .text()
                .is_empty()
        );
    }
}

#[test]
fn a_failed_start_keeps_the_container_without_rm_and_tells_why() {
    let world = World::new();
    world
        .soute(["run", "--name", "broken", "busybox", "no-such-program"])
        .code(127);
    let container = world.inspect("broken");
    assert_eq!(container["State"]["ExitCode"], 127);
    let why = container["State"]["Error"].as_str().unwrap();
    assert!(why.contains("no-such-program"), "{why}");
    world.soute(["rm", "broken"]).success();
}
