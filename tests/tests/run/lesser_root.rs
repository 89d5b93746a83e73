//! soute run by a root that lacks CAP_SYS_RESOURCE, as in a container or on a machine that keeps it back.

use std::process::Command;

use soute_tests::{Outcome, World, output};

/// Runs `soute WORDS` without the capability, and with 512:1024 as its own limit of open files.
#[track_caller]
fn soute(world: &World, words: &[&str]) -> Outcome {
    let soute = world.command(words);
    let mut command = Command::new("prlimit");
    command.args(["--nofile=512:1024", "setpriv"]);
    command.args(["--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]);
    command.arg(soute.get_program()).args(soute.get_args());
    for (name, value) in soute.get_envs() {
        command.env(name, value.expect("the world only sets variables"));
    }
    output(&mut command)
}

#[track_caller]
fn sh(world: &World, flags: &[&str], script: &str) -> Outcome {
    soute(
        world,
        &[&["run", "--rm"], flags, &["busybox", "sh", "-c", script]].concat(),
    )
}

#[test]
fn what_needs_no_right_is_granted() {
    let world = World::new();
    let limits = "ulimit -Sn; ulimit -Hn";
    sh(&world, &[], limits).prints("512\n1024");
    sh(&world, &["--ulimit", "nofile=100:200"], limits).prints("100\n200");
    sh(&world, &["--ulimit", "nofile=1024"], limits).prints("1024\n1024");
    sh(
        &world,
        &["--oom-score-adj", "700"],
        "cat /proc/self/oom_score_adj",
    )
    .prints("700");
}

#[test]
fn what_needs_the_right_is_refused_before_anything_is_made() {
    let world = World::new();
    for (flags, words) in [
        (
            ["--ulimit", "nofile=100:1025"],
            &["--ulimit nofile", "1024", "CAP_SYS_RESOURCE"][..],
        ),
        (
            ["--ulimit", "nofile=-1"],
            &["--ulimit nofile", "1024", "CAP_SYS_RESOURCE"],
        ),
        (
            ["--oom-score-adj", "-10"],
            &["--oom-score-adj -10", "CAP_SYS_RESOURCE"],
        ),
    ] {
        sh(&world, &flags, "true").fails(125, words);
        let create = [&["create"], &flags[..], &["busybox", "true"]].concat();
        soute(&world, &create).fails(125, words);
        assert!(world.soute(["ps", "-aq"]).text().is_empty(), "{flags:?}");
    }
    world.assert_nothing_left(&[]);
}

/// Of whatever group root is, /dev is root's.
#[test]
fn the_group_of_the_caller_is_of_no_matter() {
    let world = World::new();
    for userns in ["host", "auto"] {
        let look = ["stat", "-c", "%u:%g", "/dev", "/dev/null", "/dev/shm", "/"];
        let flags = ["run", "--rm", "--userns", userns, "busybox"];
        let soute = world.command([&flags[..], &look].concat());
        let mut command = Command::new("setpriv");
        command.args(["--regid=1234", "--clear-groups"]);
        command.arg(soute.get_program()).args(soute.get_args());
        for (name, value) in soute.get_envs() {
            command.env(name, value.expect("the world only sets variables"));
        }
        output(&mut command).prints("0:0\n0:0\n0:0\n0:0");
    }
}

/// One that was made by a root with all rights is not started with less than it was promised.
#[test]
fn a_start_says_what_it_cannot_grant() {
    let world = World::new();
    let create = ["create", "--name", "made", "--ulimit", "nofile=100:1025"];
    let script = ["busybox", "sh", "-c", "ulimit -Hn"];
    world.soute([&create[..], &script].concat()).success();
    soute(&world, &["start", "-a", "made"]).fails(1, &["prlimit", "1025", "not permitted"]);
    assert_eq!(world.inspect("made")["State"]["Running"], false);
    world.soute(["start", "-a", "made"]).prints("1025");
}
