//! Environment and working directory.

use soute_tests::World;

fn variables(text: &str) -> Vec<&str> {
    let mut variables: Vec<&str> = text.lines().collect();
    variables.sort_unstable();
    variables
}

#[test]
fn nothing_of_the_callers_reaches_the_program() {
    let world = World::new();
    let mut command = world.command(["run", "--rm", "--hostname", "box", "busybox", "env"]);
    command
        .env("SECRET", "1")
        .stdin(std::process::Stdio::null());
    let outcome = soute_tests::output(&mut command);
    assert_eq!(
        variables(outcome.text()),
        [
            "HOME=/root",
            "HOSTNAME=box",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ]
    );
}

#[test]
fn variables_are_set_passed_on_and_replaced() {
    let world = World::new();
    let words = [
        "run",
        "--rm",
        "-e",
        "A=1",
        "-e",
        "A=2",
        "--env",
        "EMPTY=",
        "-e",
        "FROM_CALLER",
        "-e",
        "NOT_SET",
        "-e",
        "PATH=/bin",
        "-e",
        "HOME=/elsewhere",
        "-e",
        "EQUALS=a=b",
        "-e",
        "SPACE=two words",
        "busybox",
        "env",
    ];
    let mut command = world.command(words);
    command
        .env("FROM_CALLER", "passed on")
        .env_remove("NOT_SET")
        .stdin(std::process::Stdio::null());
    let outcome = soute_tests::output(&mut command);
    for line in [
        "A=2",
        "EMPTY=",
        "FROM_CALLER=passed on",
        "PATH=/bin",
        "HOME=/elsewhere",
        "EQUALS=a=b",
        "SPACE=two words",
    ] {
        assert!(
            outcome.text().lines().any(|l| l == line),
            "no {line} in {outcome}"
        );
    }
    outcome.shows_not("NOT_SET").shows_not("A=1");
}

#[test]
fn a_file_of_variables() {
    let world = World::new();
    let file = world.path("env");
    std::fs::write(&file, "# comment\n\nA=from file\nB=x\nPASSED\n").unwrap();
    let words = [
        "run",
        "--rm",
        "--env-file",
        file.to_str().unwrap(),
        "-e",
        "B=y",
        "busybox",
        "env",
    ];
    let mut command = world.command(words);
    command
        .env("PASSED", "on")
        .stdin(std::process::Stdio::null());
    let outcome = soute_tests::output(&mut command);
    outcome
        .success()
        .shows("A=from file\n")
        .shows("B=y\n")
        .shows("PASSED=on\n")
        .shows_not("comment");

    let outcome = world.soute([
        "run",
        "--rm",
        "--env-file",
        "/no/such/file",
        "busybox",
        "true",
    ]);
    outcome.code(125);
    assert!(outcome.stderr.contains("/no/such/file"), "{outcome}");
}

#[test]
fn a_working_directory_that_is_missing_is_made() {
    let world = World::new();
    world
        .sh(&["-w", "/made/for/this"], "pwd; stat -c %u:%a .")
        .prints("/made/for/this\n0:755");
    // Root's, whoever the user is, as with Docker.
    world
        .sh(
            &["-u", "1000", "-w", "/made/for/this"],
            "stat -c %u:%a .; touch x || echo no",
        )
        .prints("0:755\nno");
    world.sh(&["-w", "/tmp/../home"], "pwd").prints("/home");
    let refused = world.sh(&["-w", "/etc/passwd"], "pwd");
    refused.code(125);
    assert!(refused.stderr.contains("/etc/passwd"), "{refused}");
    world.sh(&["-w", "relative"], "pwd").code(125);
}

/// CVE-2024-21626: a working directory by way of a descriptor of the engine's would be the machine's.
#[test]
fn no_working_directory_leads_out() {
    let world = World::new();
    for number in 3..20 {
        let path = format!("/proc/self/fd/{number}");
        let outcome = world.sh(&["-w", &path], "pwd; ls -a ../..; cat ../../etc/hostname");
        assert_ne!(outcome.code, 0, "{outcome}");
    }
}
