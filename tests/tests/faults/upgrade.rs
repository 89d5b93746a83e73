//! A new binary is installed over one that runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use soute_tests::{Outcome, Running, World, output, wait_until};

fn words(world: &World, words: &[&str]) -> Vec<String> {
    let command = world.command(words);
    command
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

#[track_caller]
fn soute(binary: &Path, world: &World, arguments: &[&str]) -> Outcome {
    output(
        Command::new(binary)
            .args(words(world, arguments))
            .stdin(Stdio::null()),
    )
}

#[test]
fn containers_go_on() {
    let world = World::new();
    let installed = world.path("soute");
    let built = std::env::var_os("SOUTE_BIN").unwrap();
    fs::copy(&built, &installed).unwrap();

    let script = "while read line; do echo said $line; done; echo end; exit 3";
    let mut run = Running::start(
        Command::new(&installed)
            .args(words(
                &world,
                &[
                    "run", "-i", "--name", "before", "busybox", "sh", "-c", script,
                ],
            ))
            .stdin(Stdio::piped()),
    );
    run.write("one\n");
    run.expect("said one");
    soute(
        &installed,
        &world,
        &[
            "run", "-d", "--init", "--name", "reaped", "busybox", "sleep", "1000",
        ],
    )
    .success();

    // As a package manager does: a new file, renamed over the old one.
    let new = world.path("soute.new");
    fs::copy(&built, &new).unwrap();
    fs::rename(&new, &installed).unwrap();
    run.write("two\n");
    run.expect("said two");
    soute(&installed, &world, &["exec", "before", "true"]).success();
    soute(&installed, &world, &["exec", "reaped", "true"]).success();
    assert_eq!(
        soute(&installed, &world, &["ps", "-q"])
            .text()
            .lines()
            .count(),
        2
    );

    // Or removed for good.
    fs::remove_file(&installed).unwrap();
    run.write("three\n");
    run.expect("said three");
    run.outcome().code(3).shows("end");
    wait_until("its end is written down", || {
        world.inspect("before")["State"]["ExitCode"] == 3
    });
    world.soute(["stop", "-t", "0", "reaped"]).success();
    world
        .soute(["logs", "before"])
        .prints("said one\nsaid two\nsaid three\nend");
}
