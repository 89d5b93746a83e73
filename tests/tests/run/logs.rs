//! `logs`: what was written, by whom and when.

use std::time::Duration;

use soute_tests::{World, wait_until};

#[test]
fn both_streams_come_out_where_they_belong() {
    let world = World::new();
    world
        .soute([
            "run",
            "--name",
            "spoke",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2; printf 'no newline'",
        ])
        .success();
    let logs = world.soute(["logs", "spoke"]);
    assert_eq!(
        (logs.success().stdout.as_str(), logs.stderr.as_str()),
        ("out\nno newline", "err\n")
    );
    world.soute(["logs", "no-such-container"]).code(1);
    world
        .soute(["create", "--name", "silent", "busybox", "true"])
        .success();
    world.soute(["logs", "silent"]).prints("");
}

#[test]
fn the_last_lines_and_their_times() {
    let world = World::new();
    world
        .soute(["run", "--name", "counts", "busybox", "seq", "100"])
        .success();
    world
        .soute(["logs", "--tail", "3", "counts"])
        .prints("98\n99\n100");
    world.soute(["logs", "--tail", "0", "counts"]).prints("");
    assert_eq!(
        world
            .soute(["logs", "--tail", "all", "counts"])
            .text()
            .lines()
            .count(),
        100
    );
    let stamped = world.soute(["logs", "--timestamps", "--tail", "1", "counts"]);
    let (time, line) = stamped.text().split_once(' ').unwrap();
    assert_eq!(
        (line, time.len(), &time[10..11]),
        ("100", "2026-11-05T10:00:00.000000000Z".len(), "T")
    );
    world.soute(["logs", "--tail", "some", "counts"]).code(125);
}

#[test]
fn since_and_until() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "-i",
        "--name",
        "in-two-parts",
        "busybox",
        "sh",
        "-c",
        "echo one; read line; echo two",
    ]);
    run.expect("one");
    wait_until("it is written down", || {
        world.soute(["logs", "in-two-parts"]).stdout == "one\n"
    });
    // The clock has moved on from the first line before the second is asked for.
    std::thread::sleep(Duration::from_millis(2));
    let between = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let between = format!("{}.{:09}", between.as_secs(), between.subsec_nanos());
    run.write("go\n");
    run.expect("two");
    run.outcome().success();
    world
        .soute(["logs", "--since", &between, "in-two-parts"])
        .prints("two");
    world
        .soute(["logs", "--until", &between, "in-two-parts"])
        .prints("one");
    world
        .soute(["logs", "--since", "1h", "in-two-parts"])
        .prints("one\ntwo");
    world
        .soute(["logs", "--since", "1h", "--until", "30m", "in-two-parts"])
        .prints("");
    let stamped = world.soute(["logs", "-t", "--tail", "1", "in-two-parts"]);
    let time = stamped.text().split_once(' ').unwrap().0.to_owned();
    world
        .soute(["logs", "--since", &time, "in-two-parts"])
        .prints("two");
}

#[test]
fn following_ends_with_the_container() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "-i",
        "--name",
        "goes-on",
        "busybox",
        "sh",
        "-c",
        "while read line; do echo said $line; done; echo bye",
    ]);
    run.write("one\n");
    run.expect("said one");
    let mut follow = world.start(["logs", "--follow", "goes-on"]);
    follow.expect("said one");
    run.write("two\n");
    follow.expect("said two");
    run.close();
    follow.outcome().success().prints("said one\nsaid two\nbye");
    run.outcome().success();
    // Nothing more is to be expected of one that has ended.
    world
        .soute(["logs", "-f", "--tail", "1", "goes-on"])
        .prints("bye");
}

/// A small limit, much output: the newest is kept, whole lines, and followed without a gap.
#[test]
fn files_rotate() {
    let world = World::new();
    std::fs::write(world.config(), "[log]\nmax_size = 4096\nmax_files = 3\n").unwrap();
    let id = world.detached([
        "--name",
        "much",
        "busybox",
        "sh",
        "-c",
        "seq 10000; exec sleep 1000",
    ]);
    wait_until("all is written", || {
        world.soute(["logs", "--tail", "1", "much"]).stdout == "10000\n"
    });
    let logs = world.soute(["logs", "much"]);
    let numbers: Vec<u32> = logs
        .text()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        numbers.len() > 20 && numbers.len() < 1000,
        "{} lines",
        numbers.len()
    );
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "lines are missing or out of order"
    );
    let sizes = log_files(&world, &id);
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
}

/// Nobody need ask for it: 3 files of 10 MiB, of however much was written.
#[test]
fn files_rotate_by_default() {
    let world = World::new();
    let id = world.detached([
        "--name",
        "endless",
        "busybox",
        "sh",
        "-c",
        "yes $(printf %01000d 7) | head -n 50000; echo end",
    ]);
    world.soute(["wait", "endless"]).prints("0");
    world
        .soute(["logs", "--tail", "1", "endless"])
        .prints("end");
    let sizes = log_files(&world, &id);
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 10 << 20), "{sizes:?}");
    // Two of them are full.
    assert!(sizes.iter().sum::<u64>() > 19 << 20, "{sizes:?}");
}

/// The sizes of the files of a container's log.
fn log_files(world: &World, id: &str) -> Vec<u64> {
    let folder = world.root().join("containers").join(id);
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect()
}

#[test]
fn a_follower_misses_nothing_where_files_rotate_slowly() {
    let world = World::new();
    std::fs::write(world.config(), "[log]\nmax_size = 4096\nmax_files = 3\n").unwrap();
    let mut run = world.start([
        "run",
        "-i",
        "--name",
        "slow",
        "busybox",
        "sh",
        "-c",
        "echo 0; while read n; do seq $n $((n+19)); done",
    ]);
    run.expect("0\n");
    let mut follow = world.start(["logs", "-f", "slow"]);
    for block in 0..20 {
        run.write(&format!("{}\n", block * 20 + 1));
        // Not ahead of the follower: it is asked to keep up, not to read what is gone.
        follow.expect(&format!("\n{}\n", block * 20 + 20));
    }
    run.close();
    let followed = follow.outcome();
    let numbers: Vec<u32> = followed
        .text()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..=400).collect::<Vec<_>>());
    run.outcome().success();
}

#[test]
fn a_terminals_output_is_kept_as_it_came() {
    let world = World::new();
    world
        .soute(["run", "-t", "--name", "typed", "busybox", "echo", "line"])
        .success();
    world.soute(["logs", "typed"]).shows("line\r\n");
}

#[test]
fn an_endless_line_and_bytes_that_are_no_text() {
    let world = World::new();
    let script = "head -c 100000 /dev/zero | tr '\\0' x; printf 'a\\377b\\n'";
    world
        .soute(["run", "--name", "odd", "busybox", "sh", "-c", script])
        .success();
    let logs = world.soute(["logs", "odd"]);
    assert_eq!(logs.success().stdout.matches('x').count(), 100_000);
    logs.shows("a\u{fffd}b");
}
