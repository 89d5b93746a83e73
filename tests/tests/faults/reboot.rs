//! The machine goes down: /run is empty afterwards, and what was on disk is as it was.

use std::fs;

use soute_tests::World;

use super::{kill, lives, monitor};

#[test]
fn names_ids_and_states_are_as_before() {
    let world = World::new();
    let runs = world.detached(["--name", "runs", "busybox", "sleep", "1000"]);
    let removes = world.detached([
        "--rm", "--name", "removes", "-v", "/data", "busybox", "sleep", "1000",
    ]);
    world
        .soute([
            "run",
            "--name",
            "ended",
            "busybox",
            "sh",
            "-c",
            "echo said; exit 3",
        ])
        .code(3);
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    let map = world.inspect("ended")["Isolation"]["UserNamespace"].clone();
    for container in [&runs, &removes] {
        let (monitor, pid) = (monitor(&world, container), world.pid(container));
        kill(monitor);
        kill(pid);
        soute_tests::wait_until("it is gone", || !lives(monitor) && !lives(pid));
    }
    fs::remove_dir_all(world.run()).unwrap();

    let state = |name: &str| world.inspect(name)["State"].clone();
    assert_eq!(state("runs")["Status"], "exited");
    assert_eq!(state("runs")["ExitCode"], 137);
    assert_eq!(
        (
            state("ended")["Status"].as_str(),
            state("ended")["ExitCode"].as_i64()
        ),
        (Some("exited"), Some(3))
    );
    assert_eq!(state("made")["Status"], "created");
    world.soute(["logs", "ended"]).prints("said");
    // --rm: gone with the boot.
    assert!(!world.ids().contains(&removes));
    assert_eq!(world.soute(["ps", "-aq"]).text().lines().count(), 3);
    // Names are taken still, and ids are whose they were.
    world
        .soute(["create", "--name", "ended", "busybox", "true"])
        .code(125);
    assert_eq!(world.inspect("ended")["Isolation"]["UserNamespace"], map);
    world.soute(["start", "runs"]).success();
    world.soute(["exec", "runs", "true"]).success();
    // The cgroups of before are not gone as with a real boot, and yet in nobody's way.
    world.soute(["rm", "-f", "runs"]).success();
    let left = soute_tests::output(std::process::Command::new("find").args([
        "/sys/fs/cgroup",
        "-type",
        "d",
        "-name",
        &removes,
    ]));
    for folder in left.stdout.lines() {
        fs::remove_dir(folder).unwrap();
    }
}

/// What a start writes down is on the disk when the kernel thinks fit: the power may be cut before.
#[test]
fn a_power_cut_soon_after_the_first_start() {
    let world = World::new();
    for (number, left) in ["", "{\"started\""].iter().enumerate() {
        let name = format!("cut-{number}");
        let id = world.detached(["--name", &name, "busybox", "sleep", "1000"]);
        kill(monitor(&world, &name));
        world.soute(["ps"]).success();
        fs::remove_dir_all(world.run()).unwrap();
        fs::write(
            world.root().join("containers").join(&id).join("last.json"),
            left,
        )
        .unwrap();
        world
            .soute(["ps", "-a", "--format", "{{.State}} {{.Status}}"])
            .shows("exited Exited (137)");
        assert_eq!(world.inspect(&name)["State"]["ExitCode"], 137);
        world.soute(["start", &name]).success();
        world.soute(["rm", "-f", &name]).success();
        world.assert_nothing_left(&[id]);
    }
}
