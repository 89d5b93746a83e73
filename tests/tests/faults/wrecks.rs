//! Containers that cannot be read or cleaned up: nobody else's affair.

use std::fs;
use std::process::Command;

use rustix::fs::IFlags;
use soute_tests::{World, output, wait_until};

#[test]
fn a_record_that_is_corrupt() {
    let world = World::new();
    let made = |name: &str| {
        let words = ["create", "--name", name, "-v", "/data", "busybox", "true"];
        world.soute(words).text().to_owned()
    };
    let (id, other) = (made("wreck"), made("other"));
    let record = world
        .root()
        .join("containers")
        .join(&id)
        .join("config.json");
    fs::write(record, "{\"id\":").unwrap();
    let list = world.soute(["ps", "-a", "--format", "{{.Names}} {{.State}} {{.Status}}"]);
    list.success()
        .shows("wreck dead Dead\n")
        .shows("other created Created\n");
    world
        .soute(["ps", "-q", "--no-trunc", "--filter", "status=dead"])
        .prints(&id);
    world.soute(["info"]).success();
    world.soute(["rmi", "no-such"]).code(1);
    // Who means it is told.
    for words in [
        &["inspect", "wreck"][..],
        &["start", "wreck"],
        &["rm", "wreck"],
    ] {
        world.soute(words).fails(1, &["config.json"]);
    }
    world.soute(["start", "other"]).success();
    world.soute(["wait", "other"]).prints("0");
    world.soute(["rm", "-f", "-v", "wreck"]).prints("wreck");
    assert_eq!(world.ids(), [other.as_str()]);
    world.soute(["rm", "-f", "-v", &other]).success();
    let volumes = fs::read_dir(world.root().join("volumes")).unwrap();
    assert_eq!(volumes.count(), 0);
    // All that was its is free.
    for index in ["names", "ranges"] {
        let left = fs::read_dir(world.run().join(index)).unwrap();
        assert_eq!(left.count(), 0, "{index}");
    }
}

#[test]
fn a_record_that_is_corrupt_while_the_container_runs() {
    let world = World::new();
    let id = world.detached(["--name", "wreck", "busybox", "sleep", "1000"]);
    let record = world
        .root()
        .join("containers")
        .join(&id)
        .join("config.json");
    fs::write(record, "").unwrap();
    world.soute(["ps", "-a"]).success().shows("Dead");
    world.soute(["rm", "-f", "wreck"]).success();
    world.assert_nothing_left(&[id]);
}

/// A record that cannot be read is told of when names are put back, and then by nobody but who names it.
#[test]
fn a_record_that_is_corrupt_after_a_boot() {
    let world = World::new();
    let made = |name: &str| {
        let words = ["create", "--name", name, "busybox", "true"];
        world.soute(words).text().to_owned()
    };
    let (id, _) = (made("wreck"), made("other"));
    let record = world
        .root()
        .join("containers")
        .join(&id)
        .join("config.json");
    fs::write(record, "").unwrap();
    fs::remove_dir_all(world.run()).unwrap();
    let first = world.soute(["start", "other"]);
    first.success();
    assert!(
        first.stderr.contains("warning") && first.stderr.contains(&id),
        "{first}"
    );
    assert_eq!(world.soute(["ps"]).success().stderr, "");
    world.soute(["rm", "-f", "other", &id]).success();
}

#[test]
fn one_that_cannot_be_removed() {
    let world = World::new();
    let id = world.detached(["--rm", "busybox", "sleep", "1000"]);
    let busy = world.root().join("containers").join(&id).join("busy");
    fs::create_dir(&busy).unwrap();
    let mount = |words: &[&str]| {
        output(Command::new(words[0]).args(&words[1..]).arg(&busy)).success();
    };
    mount(&["mount", "-t", "tmpfs", "busy"]);
    world.soute(["kill", &id]).success();
    wait_until("its monitor has ended, too", || {
        world.soute(["ps"]).stderr.contains("warning")
    });
    // All commands go on, and say so.
    for words in [
        &["ps"][..],
        &["run", "--rm", "busybox", "true"],
        &["images"],
    ] {
        let outcome = world.soute(words);
        outcome.success();
        let warnings = outcome.stderr.matches("soute: warning: ").count();
        assert!(
            warnings == 1 && outcome.stderr.contains(&id[..12]),
            "{outcome}"
        );
    }
    world.soute(["rm", "-f", &id]).fails(1, &["busy"]);
    mount(&["umount"]);
    assert_eq!(world.soute(["ps"]).success().stderr, "");
    world.assert_nothing_left(&[id]);
}

/// As `chattr +i` and `+a` do in a container with --userns host and all capabilities.
#[test]
fn files_that_cannot_be_changed_are_in_nobodys_way() {
    let world = World::new();
    let script =
        "mkdir /data/folder; touch /data/file /data/folder/file; echo ready; exec sleep 1000";
    let id = world.detached(["--rm", "-v", "/data", "busybox", "sh", "-c", script]);
    wait_until("there are files", || {
        world.soute(["logs", &id]).stdout == "ready\n"
    });
    let volumes = world.root().join("volumes");
    let volume = fs::read_dir(&volumes).unwrap().next().unwrap().unwrap();
    for (name, flags) in [
        ("file", IFlags::IMMUTABLE),
        ("folder/file", IFlags::APPEND),
        ("folder", IFlags::IMMUTABLE),
        ("", IFlags::APPEND),
    ] {
        let file = fs::File::open(volume.path().join("_data").join(name)).unwrap();
        rustix::fs::ioctl_setflags(file, flags).unwrap();
    }
    world.soute(["rm", "-f", &id]).success();
    assert_eq!(world.soute(["ps"]).success().stderr, "");
    world.assert_nothing_left(&[id]);
    assert_eq!(fs::read_dir(volumes).unwrap().count(), 0);
}
