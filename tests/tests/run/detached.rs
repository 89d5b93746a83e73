//! `run -d`: the id, and a life without the command that started it.

use soute_tests::{World, output, wait_until};

#[test]
fn the_id_is_printed_and_the_container_runs() {
    let world = World::new();
    let id = world.detached([
        "--name",
        "web",
        "busybox",
        "sh",
        "-c",
        "echo started; exec sleep 1000",
    ]);
    let container = world.inspect("web");
    assert_eq!(container["Id"], id.as_str());
    assert_eq!(container["State"]["Status"], "running");
    let pid = world.pid("web");
    assert!(
        std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .unwrap()
            .contains(&id)
    );
    wait_until("it has spoken", || {
        world.soute(["logs", "web"]).stdout == "started\n"
    });
}

/// Whoever waits for the end of the command's output must not wait for the container.
#[test]
fn nothing_of_the_callers_is_held() {
    let world = World::new();
    // `output` fails if the pipes stay open after the command's end.
    let id = world
        .soute(["run", "-d", "busybox", "sleep", "1000"])
        .text()
        .to_owned();
    let container = world.inspect(&id);
    let monitor = container["Isolation"]["Monitor"].as_i64().unwrap();
    let folder = std::fs::read_link(format!("/proc/{monitor}/cwd")).unwrap();
    assert_eq!(folder, std::path::Path::new("/"));
    let stat = std::fs::read_to_string(format!("/proc/{monitor}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    // Session and terminal: its own, and none (proc_pid_stat(5), fields 6 and 7).
    assert_eq!((fields[3], fields[4]), (monitor.to_string().as_str(), "0"));
    for descriptor in 0..3 {
        let file = std::fs::read_link(format!("/proc/{monitor}/fd/{descriptor}")).unwrap();
        assert_eq!(file, std::path::Path::new("/dev/null"));
    }
}

#[test]
fn the_exit_code_and_the_end_are_told_afterwards() {
    let world = World::new();
    let id = world.detached([
        "--name",
        "ends",
        "busybox",
        "sh",
        "-c",
        "echo last words; exit 3",
    ]);
    assert_eq!(world.soute(["wait", &id]).text(), "3");
    let state = world.inspect("ends")["State"].clone();
    assert_eq!(
        (
            state["Status"].as_str(),
            state["ExitCode"].as_i64(),
            state["Running"].as_bool()
        ),
        (Some("exited"), Some(3), Some(false))
    );
    assert!(
        state["FinishedAt"].as_str() > state["StartedAt"].as_str(),
        "{state}"
    );
    world.soute(["logs", "ends"]).prints("last words");
}

/// From "runs" to "has ended with 3", and never a moment of another code.
#[test]
fn no_wrong_exit_code_shows_for_a_moment() {
    let world = World::new();
    for round in 0..10 {
        let name = format!("round-{round}");
        world.detached(["--name", &name, "busybox", "sh", "-c", "read line; exit 3"]);
        wait_until("it has ended", || {
            let state = world.inspect(&name)["State"].clone();
            match state["Status"].as_str() {
                Some("exited") => {
                    assert_eq!(state["ExitCode"], 3, "{state}");
                    true
                }
                _ => false,
            }
        });
    }
}

#[test]
fn with_rm_it_removes_itself() {
    let world = World::new();
    let id = world.detached(["--rm", "-v", "/data", "busybox", "true"]);
    wait_until("it is gone", || {
        world.soute(["ps", "-aq"]).text().is_empty()
    });
    for folder in [
        world.root().join("containers"),
        world.run().join("containers"),
    ] {
        wait_until("its folders are gone", || !folder.join(&id).exists());
    }
    world.soute(["inspect", &id]).code(1);
}

/// `sh -c 'soute run -d …'` and the end of that shell.
#[test]
fn it_outlives_its_callers_session() {
    let world = World::new();
    let mut terminal = world.terminal([
        "run",
        "-d",
        "--name",
        "stays",
        "-it",
        "busybox",
        "sh",
        "-c",
        "tty; read line; echo got $line; sleep 1000",
    ]);
    assert_eq!(terminal.finish().0, 0);
    drop(terminal);
    assert_eq!(world.inspect("stays")["State"]["Running"], true);
    wait_until("its own terminal is there", || {
        world.soute(["logs", "stays"]).stdout.contains("/dev/pts/0")
    });
}

#[test]
fn the_cid_file() {
    let world = World::new();
    let file = world.path("cid");
    let id = world.detached(["--cidfile", file.to_str().unwrap(), "busybox", "true"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
    // It may be the only note of that container.
    let refused = world.soute([
        "run",
        "-d",
        "--cidfile",
        file.to_str().unwrap(),
        "busybox",
        "true",
    ]);
    refused.code(125);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
    let unused = world.path("unused");
    world
        .soute([
            "run",
            "--rm",
            "--cidfile",
            unused.to_str().unwrap(),
            "no-such-image",
        ])
        .code(125);
    assert!(!unused.exists());
}

#[test]
fn it_lives_in_the_cgroup_that_was_asked_for() {
    let world = World::new();
    let parent = format!("/soute-test-{}", std::process::id());
    let id = world.detached(["--cgroup-parent", &parent, "busybox", "sleep", "1000"]);
    let pid = world.pid(&id);
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = format!("{parent}/{id}");
    assert!(
        cgroups.lines().any(|line| line.ends_with(&path)),
        "{cgroups}"
    );
    world.soute(["rm", "-f", &id]).success();
    let left = output(std::process::Command::new("find").args([
        "/sys/fs/cgroup",
        "-type",
        "d",
        "-name",
        &parent[1..],
    ]));
    for folder in left.stdout.lines() {
        std::fs::remove_dir(folder).unwrap();
    }
}

/// systemd ends all that is left in a unit's or a session's cgroup when it ends, and a limit there is a limit for all.
#[test]
fn the_monitor_is_not_in_its_callers_cgroup() {
    let world = World::new();
    let mut attended = world.start(["run", "-i", "--name", "attended", "busybox", "cat"]);
    attended.write("hello\n");
    attended.expect("hello");
    world.detached(["--name", "detached", "busybox", "sleep", "1000"]);
    let cgroups = |pid: &str, end: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        text.lines().filter(|line| line.ends_with(end)).count()
    };
    for name in ["detached", "attended"] {
        let inspected = world.inspect(name);
        let monitor = inspected["Isolation"]["Monitor"].to_string();
        let id = inspected["Id"].as_str().unwrap();
        let wanted = cgroups(&world.pid(name).to_string(), id);
        assert!(wanted > 0);
        // One that is attended moves when it has lasted for a moment.
        wait_until("the monitor has a cgroup of its own", || {
            cgroups(&monitor, "/monitors") == wanted
        });
    }
    attended.outcome().success();
}
