//! Several at once, and one that is killed.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use soute_tests::{World, output, wait_until};

use super::stored;

/// Six import, load and remove the same, and run it, at once.
#[test]
fn imports_removals_and_runs_at_once() {
    let world = World::new();
    let tar = World::busybox_tar();
    let tar = tar.to_str().unwrap();
    let running: Vec<_> = (0..4)
        .map(|n| {
            let name = format!("copy:{n}");
            let mut sh = world.command(["import", tar, &name]);
            sh.stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            (name, sh.spawn().unwrap())
        })
        .collect();
    for _ in 0..3 {
        world.soute(["run", "--rm", "busybox", "true"]).success();
        world.soute(["images"]).success();
    }
    for (name, child) in running {
        let ended = child.wait_with_output().unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        world.soute(["run", "--rm", &name, "true"]).success();
        world.soute(["rmi", &name]).success();
    }
    world.soute(["run", "--rm", "busybox", "true"]).success();
    world.soute(["rmi", "busybox"]).success();
    assert_eq!(stored(&world), [""; 0]);
}

/// What a layer's name promises is on the disk before the name is there.
#[test]
fn layers_are_synced_before_they_are_named() {
    let world = World::empty();
    let trace = world.path("trace");
    let import = world.command(["import", World::busybox_tar().to_str().unwrap(), "synced"]);
    let mut strace = std::process::Command::new("strace");
    strace
        .args(["--follow-forks", "--trace=syncfs,renameat2", "--output"])
        .arg(&trace)
        .arg(import.get_program())
        .args(import.get_args());
    output(&mut strace).success();
    let trace = fs::read_to_string(&trace).unwrap();
    let at = |call: &str| {
        trace
            .find(call)
            .unwrap_or_else(|| panic!("no {call} in {trace}"))
    };
    assert!(at("syncfs(") < at("RENAME_NOREPLACE"), "{trace}");
}

/// `kill -9` in the middle of a layer: what it had unpacked goes with the next command.
#[test]
fn a_killed_import_is_swept() {
    let world = World::new();
    let before = stored(&world);
    let tar = fs::read(World::busybox_tar()).unwrap();
    let mut import = world.command(["import", "-", "killed"]);
    let mut child = import
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&tar[..tar.len() / 2]).unwrap();
    wait_until("it unpacks", || stored(&world).len() > before.len());
    // One that is alive is left alone.
    let other = World::busybox_tar();
    world
        .soute(["import", other.to_str().unwrap(), "other"])
        .success();
    assert!(stored(&world).iter().any(|name| name.contains(".tmp-")));
    world.soute(["rmi", "other"]).success();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    drop(stdin);
    world.soute(["ps"]).success();
    assert_eq!(stored(&world), before);
    world.soute(["rmi", "killed"]).fails(1, &["killed"]);
    world
        .soute(["import", other.to_str().unwrap(), "other"])
        .success();
    world.soute(["rmi", "other"]).success();
    assert_eq!(stored(&world), before);
    output(&mut world.command(["run", "--rm", "busybox", "true"])).success();
}
