//! `create` and `start`: the two halves of `run`.

use soute_tests::World;

#[test]
fn a_container_is_made_and_started_later() {
    let world = World::new();
    let id = world
        .soute([
            "create",
            "--name",
            "made",
            "busybox",
            "sh",
            "-c",
            "echo run; exit 2",
        ])
        .text()
        .to_owned();
    assert_eq!(world.inspect(&id)["State"]["Status"], "created");
    assert!(world.soute(["ps", "-q"]).text().is_empty());
    assert_eq!(world.soute(["ps", "-aq", "--no-trunc"]).text(), id);
    world
        .soute(["start", "--attach", "made"])
        .code(2)
        .prints("run");
    // And again: its files are kept from start to start.
    world.soute(["start", "made"]).prints("made");
    assert_eq!(world.soute(["wait", "made"]).text(), "2");
    world.soute(["logs", "made"]).prints("run\nrun");
    world.soute(["rm", "made"]).success();
    world.soute(["start", "made"]).code(1);
}

#[test]
fn changes_stay_and_tmpfs_does_not() {
    let world = World::new();
    let script = "cat /kept /tmp/lost 2>/dev/null; echo kept > /kept; echo lost > /tmp/lost";
    world
        .soute([
            "create", "--name", "twice", "--tmpfs", "/tmp", "busybox", "sh", "-c", script,
        ])
        .success();
    world.soute(["start", "-a", "twice"]).prints("");
    world.soute(["start", "-a", "twice"]).prints("kept");
}

#[test]
fn input_for_one_that_was_made_with_it() {
    let world = World::new();
    world
        .soute(["create", "-i", "--name", "reads", "busybox", "cat"])
        .success();
    let mut start = world.start(["start", "-ai", "reads"]);
    start.write("through\n");
    start.expect("through");
    start.outcome().success().prints("through");
    world
        .soute(["create", "--name", "deaf", "busybox", "cat"])
        .success();
    world.soute(["start", "-ai", "deaf"]).code(1);
}

#[test]
fn a_start_that_fails_says_why_and_can_be_tried_again() {
    let world = World::new();
    let missing = world.path("later");
    let mount = format!("type=bind,src={},dst=/mnt", missing.display());
    let created = world.soute([
        "create",
        "--name",
        "early",
        "--mount",
        &mount,
        "busybox",
        "cat",
        "/mnt/file",
    ]);
    if created.code != 0 {
        // Refused at once is as good: then nothing is left of it.
        assert!(created.stderr.contains("later"), "{created}");
        assert!(world.soute(["ps", "-aq"]).text().is_empty());
        return;
    }
    let outcome = world.soute(["start", "-a", "early"]);
    outcome.code(1);
    assert!(outcome.stderr.contains("later"), "{outcome}");
    std::fs::create_dir(&missing).unwrap();
    std::fs::write(missing.join("file"), "found").unwrap();
    world.soute(["start", "-a", "early"]).prints("found");
}

#[test]
fn one_that_runs_is_not_started_twice() {
    let world = World::new();
    world.detached(["--name", "runs", "busybox", "sleep", "1000"]);
    let pid = world.pid("runs");
    // Docker says nothing and does nothing; soute says so. Neither starts another.
    world.soute(["start", "runs"]);
    assert_eq!(world.pid("runs"), pid);
}

/// `--rm` is a word about the container's end, whoever starts it.
#[test]
fn one_that_removes_itself_does_so_after_its_start() {
    let world = World::new();
    let volumes = || {
        let folder = std::fs::read_dir(world.root().join("volumes")).unwrap();
        folder.count()
    };
    for start in [&["start", "--attach"][..], &["start"]] {
        let id = world
            .soute([
                "create",
                "--rm",
                "--name",
                "once",
                "-v",
                "/data",
                "busybox",
                "sh",
                "-c",
                "echo ran; exit 3",
            ])
            .text()
            .to_owned();
        assert_eq!(world.inspect("once")["State"]["Status"], "created");
        assert_eq!(volumes(), 1);
        let started = world.soute([start, &["once"]].concat());
        match start.len() {
            2 => started.code(3).prints("ran"),
            _ => started.success(),
        };
        soute_tests::wait_until("it is gone", || {
            world.soute(["ps", "-aq"]).text().is_empty()
        });
        world.soute(["inspect", &id]).code(1);
        world.assert_nothing_left(&[id]);
        assert_eq!(volumes(), 0);
    }
}
