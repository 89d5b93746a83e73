//! `kill -9` of each process that takes part.

use std::process::Command;

use soute_tests::{World, output, wait_until};
use syscalls::Sysno;

use super::{kill, lives, monitor};

#[test]
fn soute_run_is_killed_and_the_container_lives_on() {
    let world = World::new();
    let script = "echo ready; while read line; do echo said $line; done; echo end; exit 3";
    let mut run = world.start(["run", "-i", "--name", "on", "busybox", "sh", "-c", script]);
    run.expect("ready");
    kill(run.pid());
    run.outcome().code(137);
    assert_eq!(world.inspect("on")["State"]["Running"], true);
    let mut attach = world.start(["attach", "on"]);
    attach.write("hello\n");
    attach.expect("said hello");
    attach.outcome().code(3);
    world.soute(["logs", "on"]).prints("ready\nsaid hello\nend");
    assert_eq!(world.inspect("on")["State"]["ExitCode"], 3);
}

#[test]
fn soute_run_is_killed_and_rm_still_removes() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "--rm",
        "--name",
        "on",
        "busybox",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]);
    run.expect("ready");
    let ids = world.ids();
    kill(run.pid());
    run.outcome().code(137);
    assert_eq!(world.inspect("on")["State"]["Running"], true);
    world.soute(["kill", "on"]).success();
    world.assert_nothing_left(&ids);
}

#[test]
fn the_monitor_is_killed_and_the_container_with_it() {
    let world = World::new();
    let id = world.detached(["--name", "lost", "busybox", "sleep", "1000"]);
    let pid = world.pid("lost");
    kill(monitor(&world, "lost"));
    wait_until("its first process is gone", || !lives(pid));
    let state = world.inspect("lost")["State"].clone();
    assert_eq!(
        (state["Status"].as_str(), state["ExitCode"].as_i64()),
        (Some("exited"), Some(137)),
        "{state}"
    );
    assert!(
        state["Error"].as_str().unwrap().contains("monitor"),
        "{state}"
    );
    // It can be started again, and removed.
    world.soute(["start", "lost"]).success();
    assert_ne!(world.pid("lost"), pid);
    world.soute(["rm", "-f", "lost"]).success();
    world.assert_nothing_left(&[id]);
}

#[test]
fn who_takes_part_is_told_that_the_monitor_was_killed() {
    let world = World::new();
    let mut run = world.start([
        "run",
        "--name",
        "lost",
        "busybox",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]);
    run.expect("ready");
    let wait = world.start(["wait", "lost"]);
    let monitor = monitor(&world, "lost");
    kill(monitor);
    let outcome = run.outcome();
    outcome.code(137);
    assert!(
        outcome.stderr.contains("monitor") && outcome.stderr.contains("lost"),
        "{outcome}"
    );
    wait.outcome().success().prints("137");
}

#[test]
fn the_next_command_of_any_kind_cleans_up_after_a_killed_monitor() {
    let world = World::new();
    for command in [
        &["ps"][..],
        &["run", "--rm", "busybox", "true"],
        &["images"],
        &["rm", "-f", "no-such"],
    ] {
        let id = world.detached(["--rm", "-v", "/data", "busybox", "sleep", "1000"]);
        kill(monitor(&world, &id));
        world.soute(command).success();
        world.assert_nothing_left(&[id]);
        assert_eq!(
            std::fs::read_dir(world.root().join("volumes"))
                .map(Iterator::count)
                .unwrap_or(0),
            0,
            "{command:?}"
        );
    }
}

/// What a killed monitor's container had become another user, whom the kernel does not kill by itself.
#[test]
fn processes_of_other_users_go_too() {
    let world = World::new();
    for flags in [
        &["-u", "user"][..],
        &["--pid", "host"],
        &["--pid", "host", "-u", "user"],
        &["--init"],
    ] {
        let script = "(setsid sleep 1000 &); exec sleep 1000";
        let id =
            world.detached([&["--name", "many"], flags, &["busybox", "sh", "-c", script]].concat());
        let pids: Vec<u32> = {
            let mut found = Vec::new();
            wait_until("both run", || {
                let list = world.soute(["ns", "pids", "--json", &id]).json();
                found = list["processes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["pids"][0].as_u64().unwrap() as u32)
                    .collect();
                found.len() >= 2
            });
            found
        };
        kill(monitor(&world, "many"));
        world.soute(["ps"]).success();
        for pid in pids {
            wait_until("all are gone", || !lives(pid));
        }
        world.soute(["rm", "many"]).success();
        world.assert_nothing_left(&[id]);
    }
}

/// A program that changes its user by itself (su, sudo, a set-user-id program) is not killed with its parent by the kernel.
#[test]
fn a_first_process_that_changed_its_user_goes_too() {
    let world = World::new();
    let id = world.detached([
        "--name",
        "su",
        "busybox",
        "su",
        "user",
        "-c",
        "exec sleep 1000",
    ]);
    let pid = world.pid("su");
    wait_until("it is another", || {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "sleep")
    });
    kill(monitor(&world, "su"));
    world.soute(["ps"]).success();
    wait_until("it is gone", || !lives(pid));
    assert_eq!(world.inspect("su")["State"]["ExitCode"], 137);
    world.soute(["rm", "su"]).success();
    world.assert_nothing_left(&[id]);
}

#[test]
fn the_first_process_is_killed() {
    let world = World::new();
    for flags in [&[][..], &["--init"], &["--pid", "host"]] {
        let id =
            world.detached([&["--name", "shot"], flags, &["busybox", "sleep", "1000"]].concat());
        let wait = world.start(["wait", "shot"]);
        kill(world.pid("shot"));
        wait.outcome().success().prints("137");
        let state = world.inspect("shot")["State"].clone();
        assert_eq!(
            (
                state["Status"].as_str(),
                state["ExitCode"].as_i64(),
                state["OOMKilled"].as_bool()
            ),
            (Some("exited"), Some(137), Some(false))
        );
        assert_eq!(state["Error"], "", "{state}");
        world.soute(["rm", "shot"]).success();
        world.assert_nothing_left(&[id]);
    }
}

/// Monitor and first process at once, as when a person kills all that has "soute" in its name.
#[test]
fn all_of_it_is_killed() {
    let world = World::new();
    let ids: Vec<String> = (0..3)
        .map(|_| world.detached(["busybox", "sleep", "1000"]))
        .collect();
    let victims: Vec<u32> = ids
        .iter()
        .flat_map(|id| [monitor(&world, id), world.pid(id)])
        .collect();
    victims.into_iter().for_each(kill);
    let states = world.soute(["ps", "-a", "--format", "{{.State}}"]);
    states.prints("exited\nexited\nexited");
    world
        .soute(
            [
                &["rm"],
                ids.iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .as_slice(),
            ]
            .concat(),
        )
        .success();
    world.assert_nothing_left(&ids);
}

/// A monitor that is stopped answers nobody, and still nothing but its own container waits for it.
#[test]
fn a_stopped_monitor_holds_up_no_other_container() {
    let world = World::new();
    let id = world.detached(["--name", "stuck", "busybox", "sleep", "1000"]);
    let pid = rustix::process::Pid::from_raw(monitor(&world, "stuck") as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    world.soute(["run", "--rm", "busybox", "true"]).success();
    world.soute(["ps", "-a"]).shows("stuck");
    world.soute(["exec", "stuck", "true"]).success();
    world.soute(["logs", "stuck"]).success();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    world.soute(["rm", "-f", "stuck"]).success();
    world.assert_nothing_left(&[id]);
}

/// A container may end after the command has seen that it runs, and before its monitor has answered.
#[test]
fn what_ends_while_the_command_waits_for_its_monitor_is_stopped() {
    let world = World::new();
    for words in [&["stop"][..], &["rm", "-f"]] {
        let id = world.detached(["busybox", "sleep", "1000"]);
        let (monitor, pid) = (monitor(&world, &id), world.pid(&id));
        let process = rustix::process::Pid::from_raw(monitor.cast_signed()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
        // More than its queue holds: who comes now waits outside.
        let queue: Vec<_> = (0..20).map(|_| world.start(["wait", &id])).collect();
        let waits_outside = |pid: u32| {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
            call.starts_with(&format!("{} ", Sysno::connect as i32))
        };
        wait_until("the queue is full", || {
            queue.iter().any(|wait| waits_outside(wait.pid()))
        });
        let command = world.start([words, &[&id]].concat());
        wait_until("it waits, too", || waits_outside(command.pid()));
        kill(pid);
        kill(monitor);
        command.outcome().success();
        for wait in queue {
            // What has been removed tells no exit code.
            assert!(wait.outcome().code <= 1);
        }
        world.soute(["rm", "-f", &id]).success();
    }
}

/// Whoever waits for a container to end cleans up after its monitor himself: no other command may come.
#[test]
fn the_monitor_is_killed_while_its_container_is_removed() {
    let world = World::new();
    for flags in [&[][..], &["--rm"]] {
        let id = world.detached([flags, &["--name", "stuck", "busybox", "sleep", "1000"]].concat());
        let (monitor, pid) = (monitor(&world, "stuck"), world.pid("stuck"));
        let stop = |signal| {
            let process = rustix::process::Pid::from_raw(monitor.cast_signed()).unwrap();
            rustix::process::kill_process(process, signal).unwrap();
        };
        stop(rustix::process::Signal::STOP);
        let remove = world.start(["rm", "-f", "stuck"]);
        wait_until("it is killed", || !lives(pid));
        kill(monitor);
        remove.outcome().success();
        world.assert_nothing_left(&[id]);
    }
}

/// A cgroup that the monitor could not remove is removed by whoever comes next, and in nobody's way.
#[test]
fn a_cgroup_that_was_busy_goes_later() {
    let world = World::new();
    let busy = |flags: &[&str]| {
        let id = world.detached([flags, &["busybox", "sleep", "1000"]].concat());
        let (monitor, cgroup) = (monitor(&world, &id), world.cgroup(&id, "pids"));
        let mut mount = Command::new("mount");
        output(mount.arg("--bind").args([&cgroup, &cgroup])).success();
        (id, monitor, cgroup)
    };
    let stays = busy(&["--name", "stays"]);
    let goes = busy(&["--rm", "--name", "goes"]);
    world.soute(["kill", "stays", "goes"]).success();
    wait_until("the monitors have given up", || {
        !lives(stays.1) && !lives(goes.1)
    });
    output(Command::new("umount").arg(&goes.2)).success();
    let list = world.soute(["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    list.success().prints("stays dead");
    assert!(list.stderr.contains("warning"), "{list}");
    output(Command::new("umount").arg(&stays.2)).success();
    world.soute(["start", "stays"]).success();
    world.soute(["rm", "-f", "stays"]).success();
    world.assert_nothing_left(&[stays.0, goes.0]);
}

/// `shutdown` and service managers ask monitors to end: their containers are stopped in their own way.
#[test]
fn a_monitor_that_is_asked_to_end_asks_its_container() {
    let world = World::new();
    world.detached([
        "--name",
        "asked",
        "busybox",
        "sh",
        "-c",
        "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 0.01; done",
    ]);
    wait_until("it is ready", || {
        world.soute(["logs", "asked"]).stdout == "ready\n"
    });
    let pid = rustix::process::Pid::from_raw(monitor(&world, "asked") as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    world.soute(["wait", "asked"]).prints("6");
    world.soute(["logs", "asked"]).prints("ready\nbye");
}

#[test]
fn exec_is_killed_and_the_container_lives_on() {
    let world = World::new();
    world.detached(["--name", "box", "busybox", "sleep", "1000"]);
    let mut exec = world.start([
        "exec",
        "-i",
        "box",
        "sh",
        "-c",
        "echo ready; cat; echo end of input > /tmp/end",
    ]);
    exec.expect("ready");
    kill(exec.pid());
    exec.outcome().code(137);
    // It has lost its input, as in a shell whose pipe is closed.
    wait_until("it has ended", || {
        world.soute(["exec", "box", "test", "-e", "/tmp/end"]).code == 0
    });
    assert_eq!(world.inspect("box")["State"]["Running"], true);
}
