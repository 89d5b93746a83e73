//! Standard input, output and error without a terminal.

use std::process::Stdio;

use rustix::process::Signal;
use soute_tests::{Running, World};

#[test]
fn output_and_errors_stay_apart() {
    let world = World::new();
    let outcome = world.sh(
        &["--network", "none"],
        "echo out; echo err >&2; echo out2; echo err2 >&2",
    );
    outcome.success().prints("out\nout2");
    assert_eq!(outcome.stderr, "err\nerr2\n");
}

#[test]
fn without_i_the_input_is_empty() {
    let world = World::new();
    let mut run = world.start(["run", "--rm", "busybox", "sh", "-c", "cat; echo end"]);
    // The caller's input stays open, and is not the program's.
    run.expect("end");
    run.outcome().success().prints("end");
}

#[test]
fn input_ends_while_output_goes_on() {
    let world = World::new();
    let script =
        "while read line; do echo got $line; done; echo end of input; sleep 0.01; echo still here";
    let mut run = world.start(["run", "--rm", "-i", "busybox", "sh", "-c", script]);
    run.write("one\n");
    run.expect("got one\n");
    run.write("two\nno newline");
    run.close();
    run.expect("still here");
    run.outcome()
        .success()
        .prints("got one\ngot two\nend of input\nstill here");
}

#[test]
fn a_program_that_closes_its_input_is_not_waited_for() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "--rm",
        "-i",
        "busybox",
        "sh",
        "-c",
        "exec <&-; echo closed; exit 3",
    ]);
    run.expect("closed");
    run.outcome().code(3);
}

/// It fills all that lies between, and is nobody's business but its sender's.
#[test]
fn input_that_is_not_read_holds_up_no_signal_and_nobody_else() {
    let world = World::new();
    let file = world.path("input");
    std::fs::write(&file, vec![b'x'; 4 << 20]).unwrap();
    let script =
        "trap 'echo got USR1' USR1; trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let words = ["run", "-i", "--name", "deaf", "busybox", "sh", "-c", script];
    let input = std::fs::File::open(&file).unwrap();
    let mut run = Running::start(world.command(words).stdin(input));
    run.expect("ready");
    // As much of it is on the way as there is room for.
    std::thread::sleep(std::time::Duration::from_millis(300));
    run.signal(Signal::USR1);
    run.expect("got USR1");
    let mut attach = world.start(["attach", "--no-stdin", "deaf"]);
    soute_tests::wait_until("it is attached", || {
        run.signal(Signal::USR1);
        attach.hears("got USR1")
    });
    attach.signal(Signal::TERM);
    attach.outcome().code(3);
    run.outcome().code(3);
}

/// Both streams at once, more than any buffer between holds, each byte where it belongs.
#[test]
fn ten_megabytes_through_each_stream_arrive_whole() {
    const SIZE: usize = 10 << 20;
    let world = World::new();
    let script = "yes out | head -c 10485760 & yes error | head -c 10485760 >&2; wait";
    let outcome = world.sh(&["--network", "none"], script);
    outcome.success();
    assert_eq!((outcome.stdout.len(), outcome.stderr.len()), (SIZE, SIZE));
    assert!(
        outcome.stdout == "out\n".repeat(SIZE / 4),
        "stdout was changed on the way"
    );
    assert!(
        outcome
            .stderr
            .trim_end_matches(|c| c != '\n')
            .lines()
            .all(|line| line == "error"),
        "stderr was changed"
    );
}

#[test]
fn ten_megabytes_in_and_out_arrive_whole() {
    let world = World::new();
    let file = world.path("input");
    let bytes: Vec<u8> = (0..10u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(&file, &bytes).unwrap();
    let copied = world
        .command(["run", "--rm", "-i", "busybox", "cat"])
        .stdin(std::fs::File::open(&file).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(copied.status.success());
    assert!(
        copied.stdout == bytes,
        "{} bytes of {} came back",
        copied.stdout.len(),
        bytes.len()
    );
}

#[test]
fn a_reader_that_leaves_ends_the_command_and_not_the_container() {
    let world = World::new();
    let mut run = world
        .command([
            "run",
            "--name",
            "chatty",
            "busybox",
            "sh",
            "-c",
            "while :; do echo line; sleep 0.01; done",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(run.stdout.take());
    // 128 + SIGPIPE, as any program in a pipe.
    assert_eq!(run.wait().unwrap().code(), Some(128 + 13));
    assert_eq!(world.inspect("chatty")["State"]["Running"], true);
}

/// `soute … 2>&1 | head`: what cannot be said is not said, and the exit code is what it would have been.
#[test]
fn a_reader_of_errors_that_leaves_changes_no_exit_code() {
    let world = World::new();
    let closed = || std::io::pipe().unwrap().1;
    let code = |words: &[&str]| {
        let mut command = world.command(words);
        command.stdin(Stdio::null()).stdout(closed());
        command.stderr(closed()).status().unwrap().code()
    };
    assert_eq!(code(&["inspect", "missing"]), Some(1));
    assert_eq!(code(&["run", "--nonsense"]), Some(125));
    assert_eq!(code(&["run", "--rm", "busybox", "missing"]), Some(127));
    let script = "while :; do echo line; sleep 0.01; done";
    let chatty = ["run", "--name", "chatty", "busybox", "sh", "-c", script];
    assert_eq!(code(&chatty), Some(128 + 13));
    assert_eq!(world.inspect("chatty")["State"]["Running"], true);
}

#[test]
fn only_the_streams_that_were_asked_for() {
    let world = World::new();
    let outcome = world.sh(
        &["--network", "none", "-a", "stderr"],
        "echo out; echo err >&2",
    );
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("", "err\n")
    );
    let outcome = world.sh(
        &["--network", "none", "-a", "stdout"],
        "echo out; echo err >&2",
    );
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("out\n", "")
    );
}

#[test]
fn the_standard_files_can_be_reopened_by_any_user() {
    let world = World::new();
    for user in ["root", "user"] {
        let outcome = world.sh(
            &["--network", "none", "-u", user],
            "echo out > /dev/stdout; echo err > /dev/stderr; echo tty 2>&1 > /proc/self/fd/1",
        );
        outcome.success().prints("out\ntty");
        assert_eq!(outcome.stderr, "err\n", "as {user}");
    }
}
