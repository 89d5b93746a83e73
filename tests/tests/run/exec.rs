//! `exec`: a further program in a container that runs.

use rustix::process::{Pid, Signal, kill_process};
use soute_tests::{Layout, World, layout, wait_until};

fn world() -> World {
    let world = World::new();
    world.detached([
        "--name",
        "box",
        "-e",
        "FROM_RUN=1",
        "-w",
        "/tmp",
        "--hostname",
        "inside",
        "busybox",
        "sleep",
        "1000",
    ]);
    world
}

#[test]
fn it_is_where_the_container_is() {
    let world = world();
    let look = "for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done; readlink /proc/self/root";
    let first = world.soute(["exec", "box", "sh", "-c", &look.replace("self", "1")]);
    let own = world.soute(["exec", "box", "sh", "-c", look]);
    assert_eq!(own.text(), first.text());
    world.soute(["exec", "box", "hostname"]).prints("inside");
    world
        .soute(["exec", "box", "sh", "-c", "pwd; echo $FROM_RUN $HOME"])
        .prints("/tmp\n1 /root");
    // In the same cgroup, so that the limits hold for it, too.
    let cgroups = world.soute([
        "exec",
        "box",
        "sh",
        "-c",
        "diff /proc/1/cgroup /proc/self/cgroup && echo same",
    ]);
    cgroups.prints("same");
}

#[test]
fn with_the_containers_privileges_and_filter() {
    let world = world();
    let status = |words: &[&str]| {
        let outcome = world.soute(
            [
                &["exec"],
                words,
                &[
                    "box",
                    "grep",
                    "-E",
                    "^(Cap|Seccomp:|NoNew)",
                    "/proc/self/status",
                ],
            ]
            .concat(),
        );
        outcome.text().to_owned()
    };
    assert_eq!(
        status(&[]),
        world
            .soute([
                "exec",
                "box",
                "grep",
                "-E",
                "^(Cap|Seccomp:|NoNew)",
                "/proc/1/status"
            ])
            .text()
    );
    let privileged = status(&["--privileged"]);
    assert!(privileged.contains("Seccomp:\t0"), "{privileged}");
    let user = status(&["-u", "user"]);
    assert!(user.contains("CapEff:\t0000000000000000"), "{user}");
}

/// Systemd in a container hands its cgroup's controllers down: then no process can be in that cgroup itself.
#[test]
fn beside_a_first_process_that_has_moved_into_a_cgroup_of_its_own() {
    let world = world();
    if layout() == Layout::V1 {
        return;
    }
    let folder = world.cgroup("box", "pids");
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
    std::fs::create_dir(folder.join("init.scope")).unwrap();
    write("init.scope/cgroup.procs", &world.pid("box").to_string());
    write("cgroup.subtree_control", "+pids");
    world
        .soute(["exec", "box", "cat", "/proc/self/cgroup"])
        .shows("/init.scope");
}

/// The rules for devices come with the first, and not once more with each.
#[test]
fn privileged_any_number_of_times() {
    let world = world();
    let privileged = || {
        world
            .soute(["exec", "--privileged", "box", "true"])
            .success();
    };
    privileged();
    match layout() {
        Layout::V1 => {
            let folder = world.cgroup("box", "devices");
            std::fs::write(folder.join("devices.allow"), "c 10:229 r").unwrap();
            privileged();
            let list = std::fs::read_to_string(folder.join("devices.list")).unwrap();
            assert!(list.contains("c 10:229 r"), "{list}");
        }
        // A cgroup takes 64 programs.
        Layout::V2 => (0..65).for_each(|_| privileged()),
    }
}

#[test]
fn as_whom_where_and_with_what() {
    let world = world();
    world
        .soute([
            "exec",
            "-u",
            "user:root",
            "-w",
            "/home",
            "-e",
            "A=1",
            "-e",
            "FROM_RUN=2",
            "box",
            "sh",
            "-c",
            "id -u; id -g; pwd; echo $A $FROM_RUN $HOME",
        ])
        .prints("1000\n0\n/home\n1 2 /home");
    let file = world.path("env");
    std::fs::write(&file, "B=2\n").unwrap();
    world
        .soute([
            "exec",
            "--env-file",
            file.to_str().unwrap(),
            "box",
            "sh",
            "-c",
            "echo $B",
        ])
        .prints("2");
    world
        .soute(["exec", "-u", "no-such-user", "box", "true"])
        .code(125);
}

#[test]
fn exit_codes() {
    let world = world();
    for (words, code) in [
        (&["box", "sh", "-c", "exit 42"][..], 42),
        (&["box", "sh", "-c", "kill -9 $$"], 137),
        (&["box", "no-such-program"], 127),
        (&["box", "/etc/passwd"], 126),
        (&["no-such-container", "true"], 125),
        (&["box"], 125),
        (&["--no-such-flag", "box", "true"], 125),
        (&["-w", "/no/such/folder", "box", "true"], 125),
    ] {
        let outcome = world.soute([&["exec"], words].concat());
        if words.contains(&"-w") {
            // Docker refuses, 126 or 127 with its runtimes; what counts is that it is not run elsewhere.
            assert!((125..=127).contains(&outcome.code), "{outcome}");
            continue;
        }
        outcome.code(code);
    }
}

#[test]
fn streams_and_input() {
    let world = world();
    let outcome = world.soute(["exec", "box", "sh", "-c", "echo out; echo err >&2; cat"]);
    assert_eq!(
        (outcome.success().stdout.as_str(), outcome.stderr.as_str()),
        ("out\n", "err\n")
    );
    let mut exec = world.start(["exec", "-i", "box", "sh", "-c", "cat; echo end"]);
    exec.write("through\n");
    exec.expect("through");
    exec.outcome().success().prints("through\nend");
}

#[test]
fn ten_megabytes_through_each_stream_arrive_whole() {
    let world = world();
    let script = "yes out | head -c 10485760 & yes error | head -c 10485760 >&2; wait";
    let outcome = world.soute(["exec", "box", "sh", "-c", script]);
    outcome.success();
    assert!(
        outcome.stdout == "out\n".repeat(10485760 / 4),
        "stdout was changed on the way"
    );
    assert_eq!(outcome.stderr.len(), 10485760);
}

#[test]
fn signals_are_passed_on() {
    let world = world();
    let script = "trap 'echo got TERM; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut exec = world.start(["exec", "box", "sh", "-c", script]);
    exec.expect("ready");
    exec.signal(Signal::TERM);
    exec.outcome().code(3).shows("got TERM");
}

#[test]
fn detached_it_goes_on_alone() {
    let world = world();
    world
        .soute([
            "exec",
            "-d",
            "box",
            "sh",
            "-c",
            "echo $$ > /tmp/pid; exec sleep 1000",
        ])
        .prints("");
    wait_until("it runs", || {
        world
            .soute([
                "exec",
                "box",
                "sh",
                "-c",
                "test \"$(cat /proc/$(cat /tmp/pid)/comm)\" = sleep",
            ])
            .code
            == 0
    });
    world
        .soute(["exec", "-d", "box", "no-such-program"])
        .code(127);
}

#[test]
fn its_end_is_the_containers_end_and_not_the_other_way_round() {
    let world = world();
    world
        .soute([
            "exec",
            "box",
            "sh",
            "-c",
            "sleep 1000 >/dev/null 2>&1 & exit 0",
        ])
        .success();
    assert_eq!(world.inspect("box")["State"]["Running"], true);
    let mut exec = world.start(["exec", "box", "sh", "-c", "echo ready; exec sleep 1000"]);
    exec.expect("ready");
    world.soute(["kill", "box"]).success();
    exec.outcome().code(137);
}

#[test]
fn in_one_that_does_not_run() {
    let world = World::new();
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    let outcome = world.soute(["exec", "made", "true"]);
    outcome.code(125);
    assert!(outcome.stderr.contains("created"), "{outcome}");
}

/// An ended process for which nobody waits would keep its PID namespace, and PID 1 in it, from ending.
#[test]
fn one_that_is_stopped_does_not_keep_the_container_from_ending() {
    let world = world();
    let mut exec = world.start(["exec", "box", "sh", "-c", "echo ready; exec sleep 1000"]);
    exec.expect("ready");
    exec.signal(Signal::STOP);
    world.soute(["stop", "-t", "0", "box"]).success();
    world.soute(["rm", "box"]).success();
    exec.signal(Signal::CONT);
    exec.outcome().code(137);
}

#[test]
fn whoever_waits_for_it_may_be_killed() {
    let world = world();
    let mut exec = world.start(["exec", "box", "sh", "-c", "echo ready; exec sleep 1000"]);
    exec.expect("ready");
    let pid = exec.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let waits = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    // Nothing of it is the container's.
    let waiter = children.trim();
    for file in ["cgroup", "ns/user", "ns/mnt", "ns/pid_for_children"] {
        let look = |pid: &str| {
            let path = format!("/proc/{pid}/{file}");
            let link = std::fs::read_link(&path).map(|link| link.display().to_string());
            link.or_else(|_| std::fs::read_to_string(&path)).unwrap()
        };
        assert_eq!(look(waiter), look(&pid.to_string()), "{file}");
    }
    kill_process(waits, Signal::KILL).unwrap();
    wait_until("it is told so", || !exec.is_running());
    // The program goes on, and is in nobody's way.
    world.soute(["stop", "-t", "0", "box"]).success();
    exec.outcome().code(137);
}

/// Written in time, everything arrives; what others write later is not waited for, however much it is.
#[test]
fn its_end_does_not_wait_for_who_keeps_its_output() {
    let world = world();
    let script = "seq 20000; sleep 1000 & exit 4";
    let (code, shown) = world.terminal(["exec", "box", "sh", "-c", script]).finish();
    assert_eq!(code, 4);
    let lines: Vec<_> = shown.lines().map(str::trim).collect();
    assert_eq!((lines.len(), lines.last()), (20_000, Some(&"20000")));
    let script = "yes & sleep 0.1; exit 5";
    let mut exec = world.terminal(["exec", "box", "sh", "-c", script]);
    assert_eq!(exec.finish().0, 5);
}

/// CVE-2019-5736: the program of soute itself must not be reachable from inside, before the program is executed.
#[test]
fn nothing_of_soutes_is_open_in_it() {
    let world = world();
    // sh opens nothing of its own for this (it would for a pipe); ls has the folder that it reads.
    let listed = world.soute([
        "exec",
        "box",
        "sh",
        "-c",
        "ls -l /proc/$$/fd > /tmp/open; grep -v -e total -e pipe: -e /dev/null -e /tmp/open /tmp/open",
    ]);
    assert_eq!(listed.stdout, "", "{listed}");
    world
        .soute(["exec", "box", "readlink", "/proc/self/exe"])
        .prints("/bin/busybox");
}

#[test]
fn many_at_once() {
    let world = world();
    let running: Vec<_> = (0..20)
        .map(|n| {
            world.start([
                "exec".to_owned(),
                "box".into(),
                "sh".into(),
                "-c".into(),
                format!("echo {n}; exit {n}"),
            ])
        })
        .collect();
    for (number, exec) in running.into_iter().enumerate() {
        exec.outcome()
            .code(number.try_into().unwrap())
            .prints(&number.to_string());
    }
}
