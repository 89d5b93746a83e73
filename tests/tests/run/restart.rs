//! `restart` of what goes when it ends.

use soute_tests::{World, wait_until};

#[test]
fn one_that_removes_itself_is_still_there_after_a_restart() {
    let world = World::new();
    let script = "echo life >> /data/lives; echo life >> /lives; exec sleep 1000";
    let flags = ["--rm", "--name", "self", "-v", "/data"];
    let id = world.detached([&flags[..], &["busybox", "sh", "-c", script]].concat());
    let lives = |count: &str| {
        wait_until("it lives again", || {
            let words = [
                "exec",
                "self",
                "sh",
                "-c",
                "wc -l < /lives; wc -l < /data/lives",
            ];
            world.soute(words).stdout.trim() == format!("{count}\n{count}")
        });
    };
    lives("1");
    for count in ["2", "3"] {
        world.soute(["restart", "-t", "0", "self"]).prints("self");
        assert_eq!(world.inspect("self")["Id"], id.as_str());
        lives(count);
    }
    // Its next end of its own is its last.
    world.soute(["stop", "-t", "0", "self"]).success();
    wait_until("it is gone", || {
        world.soute(["ps", "-aq"]).text().is_empty()
    });
    let volumes = std::fs::read_dir(world.root().join("volumes")).unwrap();
    assert_eq!(volumes.count(), 0, "its anonymous volume is gone, too");
}

#[test]
fn a_start_of_what_runs_is_no_failure() {
    let world = World::new();
    let id = world.detached(["--name", "runs", "busybox", "sleep", "1000"]);
    let pid = world.pid(&id);
    world.soute(["start", "runs"]).prints("runs");
    assert_eq!(world.pid(&id), pid);
}

/// Docker's rule: there is a container, and this is how to find it.
#[test]
fn the_cidfile_names_a_container_that_could_not_start() {
    let world = World::new();
    let file = world.path("cid");
    let words = [
        "run",
        "--cidfile",
        file.to_str().unwrap(),
        "busybox",
        "no-such-program",
    ];
    world.soute(words).code(127);
    let id = std::fs::read_to_string(&file).unwrap();
    assert_eq!(world.inspect(&id)["State"]["Status"], "exited");
    // None is made by a command line that is wrong.
    let other = world.path("other");
    let words = ["run", "--cidfile", other.to_str().unwrap(), "no-such-image"];
    world
        .soute([&words[..1], &["--pull", "never"], &words[1..]].concat())
        .code(125);
    assert!(!other.exists());
}
