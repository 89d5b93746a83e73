//! Scene 12: how `soute debug` and `soute enter` begin and end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use soute_tests::{Layout, Mounted, Running, World, layout, output, wait_until};

use crate::bare;
use crate::scene12_debug::mounts;
use crate::scene12_enter::wait_for_child;

/// The process that waits for the program of a session, and the program, once it is `name`.
fn processes(session: &Running, name: &str) -> [u32; 2] {
    let waiting = wait_for_child(session.pid());
    let mut program = 0;
    wait_until("it runs", || {
        program = wait_for_child(waiting);
        let comm = fs::read_to_string(format!("/proc/{program}/comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    });
    [waiting, program]
}

/// Whoever waits for them may take his time: what has ended has no command line.
fn wait_until_gone(pids: &[u32]) {
    for pid in pids {
        wait_until("it has ended", || {
            let line = fs::read(format!("/proc/{pid}/cmdline"));
            line.is_ok_and(|line| line.is_empty()) || !Path::new(&format!("/proc/{pid}")).exists()
        });
    }
}

/// Whoever kills soute means the program.
#[test]
fn nothing_outlives_one_that_is_killed() {
    let world = World::debian();
    let id = bare(&world);
    for words in [
        &["debug", &id][..],
        &["debug", "--tools", "debian", &id],
        &["debug", "--join-cgroup", "--user", "7", &id],
        &["enter", &id],
        &["enter", "--ns", "net,mnt", &id],
    ] {
        let session = world.start([words, &["sleep", "1000"]].concat());
        let processes = processes(&session, "sleep");
        session.signal(Signal::KILL);
        session.outcome();
        wait_until_gone(&processes);
    }
}

/// A program that never comes to run is waited for as long as nobody wants otherwise.
#[test]
fn a_signal_is_heard_before_the_program_runs() {
    let world = World::debian();
    let id = bare(&world);
    let stalling = world.path("stalling");
    let stalling = stalling.to_str().unwrap();
    output(Command::new("mkfifo").arg(stalling)).success();
    let _stalled = Mounted::instead(stalling, "/etc/services");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for flags in [&[][..], &["--join-cgroup"]] {
            let session = world.start([&["debug"], flags, &[&id, "true"]].concat());
            let child = wait_for_child(session.pid());
            session.signal(signal);
            session.outcome().code(code);
            wait_until_gone(&[child]);
        }
    }
}

/// A file that thaws a cgroup, which then is thawed in the end, however the test ends.
struct Frozen(PathBuf, &'static str);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, self.1);
    }
}

/// Nothing runs in a frozen cgroup, but beside it.
#[test]
fn a_frozen_cgroup_is_not_joined() {
    let world = World::debian();
    let id = bare(&world);
    let (folder, file, [freeze, thaw]) = match layout() {
        Layout::V2 => (world.cgroup(&id, ""), "cgroup.freeze", ["1", "0"]),
        _ => (
            world.cgroup(&id, "freezer"),
            "freezer.state",
            ["FROZEN", "THAWED"],
        ),
    };
    let file = folder.join(file);
    fs::write(&file, freeze).unwrap();
    let frozen = Frozen(file, thaw);
    for command in ["debug", "enter"] {
        let words = [command, "--join-cgroup", &id, "sleep", "0"];
        world
            .soute(words)
            .fails(125, &["--join-cgroup", "is frozen"]);
        world.soute([command, &id, "sleep", "0"]).success();
    }
    drop(frozen);
    world
        .soute(["debug", "--join-cgroup", &id, "true"])
        .success();
}

/// In a copy of a mount namespace, that of a user namespace above.
#[test]
fn nothing_is_mounted_in_a_copy() {
    let world = World::debian();
    let id = bare(&world);
    let host = world.detached(["--userns", "host", "bare", "/sleep", "1000"]);
    let before = mounts(&world, &host);
    let mount = ["mount", "-t", "tmpfs", "none", "/sys"];
    for command in [&["debug"][..], &["enter", "--tools", "machine"]] {
        let seen = world.soute([command, &[&id], &mount].concat());
        seen.fails(32, &["permission denied"]);
    }
    // Without one it is, and not seen in the container.
    world
        .soute([&["debug", &host], &mount[..]].concat())
        .success();
    assert_eq!(mounts(&world, &host), before);
}

/// Whose files are meant is said, and what was meant by a word.
#[test]
fn words_are_understood() {
    let world = World::debian();
    let id = bare(&world);
    for (words, code, why) in [
        (
            &["debug", &id, "none-such"][..],
            127,
            "not found in the machine's PATH",
        ),
        (
            &["debug", &id, "/sleep"],
            127,
            "no such file among the machine's files",
        ),
        (
            &["debug", "--user", "none", &id, "id"],
            125,
            "in the container's /etc/passwd",
        ),
        (
            &["debug", "--tools", "debian", &id, "none-such"],
            127,
            "in the image's PATH",
        ),
        (
            &["debug", "--tools", "debian", "--user", "none", &id, "id"],
            125,
            "in the image's /etc/passwd",
        ),
        (
            &["enter", "--ns", "net", &id, "none-such"],
            127,
            "in the machine's PATH",
        ),
        (&["enter", &id, "none-such"], 127, "in the container's PATH"),
        (
            &["debug", &id, "--user", "0", "id"],
            125,
            "--user: options come before",
        ),
        (&["enter", &id, "-t", "id"], 125, "-t: options come before"),
        (&["debug", &id, "--", "-t"], 127, "\"-t\": not found"),
        (
            &["debug", "-it", &id, "id"],
            125,
            "-t: standard input is no terminal",
        ),
    ] {
        world.soute(words).fails(code, &[why]);
    }
    let mut session = world.start(["debug", "-i", "--tools", "machine", &id, "cat"]);
    session.write("typed\n");
    session.outcome().prints("typed");
    let mut terminal = world.terminal(["debug", "-it", &id, "tty"]);
    terminal.expect("/dev/pts/0");
    assert_eq!(terminal.finish().0, 0);
}
