//! Commands that are killed in the middle of what they do.

use std::time::Duration;

use soute_tests::{World, wait_until};

use super::kill;

/// Kills `words` after each of some delays that cover what it does, and asserts that commands work then.
fn killed_at_any_time(world: &World, words: &[&str], mut after: impl FnMut(&World)) {
    for delay in 0..25 {
        let run = world.start(words);
        std::thread::sleep(Duration::from_micros(delay * 1200));
        kill(run.pid());
        let ids = world.ids();
        drop(run);
        after(world);
        world.assert_nothing_left(&ids);
    }
}

#[test]
fn run() {
    let world = World::new();
    killed_at_any_time(
        &world,
        &[
            "run", "--rm", "--name", "same", "-v", "/data", "busybox", "sh", "-c", "true",
        ],
        |world| {
            // The container may have been on its way already; it ends by itself.
            wait_until("no container is left", || {
                world.soute(["ps", "-aq"]).text().is_empty()
            });
        },
    );
    // The name and all else is free.
    world
        .soute(["run", "--rm", "--name", "same", "busybox", "echo", "works"])
        .prints("works");
    for index in ["names", "ranges"] {
        assert_eq!(
            std::fs::read_dir(world.run().join(index)).unwrap().count(),
            0,
            "{index}"
        );
    }
}

#[test]
fn create_and_rm() {
    let world = World::new();
    for delay in 0..15 {
        let create = world.start(["create", "--name", "same", "busybox", "true"]);
        std::thread::sleep(Duration::from_micros(delay * 800));
        kill(create.pid());
        drop(create);
        // There or not there, and nothing between.
        let there = !world.soute(["ps", "-aq"]).text().is_empty();
        assert_eq!(world.soute(["inspect", "same"]).code == 0, there);
        if there {
            let remove = world.start(["rm", "same"]);
            std::thread::sleep(Duration::from_micros(delay * 500));
            kill(remove.pid());
            drop(remove);
        }
        let ids = world.ids();
        world.soute(["rm", "-f", "same"]).success();
        world.soute(["ps"]).success();
        world.assert_nothing_left(&ids);
        world
            .soute(["run", "--rm", "--name", "same", "busybox", "true"])
            .success();
    }
}

/// The monitor is killed while it starts or ends a container.
#[test]
fn the_monitor() {
    let world = World::new();
    for delay in 0..25 {
        let run = world.start([
            "run", "--rm", "--name", "same", "busybox", "sh", "-c", "true",
        ]);
        std::thread::sleep(Duration::from_micros(delay * 1200));
        let ids = world.ids();
        // Whoever is a child of the command, or has been: the monitor is the first of its session.
        for pid in monitors(&run) {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).unwrap(),
                rustix::process::Signal::KILL,
            );
        }
        let outcome = run.outcome();
        assert!([0, 125, 137].contains(&outcome.code), "{outcome}");
        // A first process that has not got so far holds the lock until it sees that its parent is gone.
        wait_until("a command has cleaned up", || {
            world.soute(["ps"]).success();
            world.ids().is_empty()
        });
        world.assert_nothing_left(&ids);
    }
}

fn monitors(run: &soute_tests::Running) -> Vec<i32> {
    let pid = run.pid();
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

#[test]
fn import() {
    let world = World::empty();
    let tar = World::busybox_tar();
    for delay in 0..15 {
        let import = world.start(["import", tar.to_str().unwrap(), "mine"]);
        std::thread::sleep(Duration::from_millis(delay * 3));
        kill(import.pid());
        drop(import);
        // Whole or not there.
        let images = world.soute(["images", "-q"]);
        if !images.text().is_empty() {
            world.soute(["run", "--rm", "mine", "true"]).success();
            world.soute(["rmi", "mine"]).success();
        }
    }
    world
        .soute(["import", tar.to_str().unwrap(), "mine"])
        .success();
    world
        .soute(["run", "--rm", "mine", "echo", "works"])
        .prints("works");
}
