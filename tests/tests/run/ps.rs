//! `ps`, `inspect`, `top`: what is there.

use serde_json::{Value, json};
use soute_tests::World;

#[test]
fn those_that_run_and_all() {
    let world = World::new();
    let runs = world.detached(["--name", "runs", "busybox", "sleep", "1000"]);
    world
        .soute(["run", "--name", "ended", "busybox", "sh", "-c", "exit 3"])
        .code(3);
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    let names = |words: &[&str]| {
        let words = [&["ps", "--format", "{{.Names}}"], words].concat();
        let mut names: Vec<String> = world
            .soute(&words)
            .text()
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&[]), ["runs"]);
    assert_eq!(names(&["-a"]), ["ended", "made", "runs"]);
    assert_eq!(names(&["--filter", "status=exited"]), ["ended"]);
    assert_eq!(names(&["--filter", "status=created"]), ["made"]);
    assert_eq!(names(&["-a", "--filter", "exited=3"]), ["ended"]);
    assert_eq!(
        names(&["-a", "--filter", &format!("id={}", &runs[..5])]),
        ["runs"]
    );
    assert_eq!(names(&["--last", "1"]), ["made"]);
    let table = world.soute(["ps", "--all"]);
    table
        .shows("CONTAINER ID")
        .shows("Up ")
        .shows("Exited (3)")
        .shows("Created")
        .shows(&runs[..12]);
    let lines = world.soute(["ps", "-a", "--format", "json"]);
    for line in lines.text().lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn labels() {
    let world = World::new();
    let file = world.path("labels");
    std::fs::write(&file, "from=file\n").unwrap();
    world
        .soute([
            "create",
            "--name",
            "one",
            "-l",
            "colour=blue",
            "-l",
            "bare",
            "--label-file",
            file.to_str().unwrap(),
            "busybox",
            "true",
        ])
        .success();
    world
        .soute([
            "create",
            "--name",
            "two",
            "-l",
            "colour=red",
            "busybox",
            "true",
        ])
        .success();
    let labels = world.inspect("one")["Config"]["Labels"].clone();
    assert_eq!(
        labels,
        serde_json::json!({"bare": "", "colour": "blue", "from": "file"})
    );
    let find = |filter: &str| {
        world
            .soute(["ps", "-a", "--format", "{{.Names}}", "--filter", filter])
            .text()
            .to_owned()
    };
    assert_eq!(find("label=colour=blue"), "one");
    assert_eq!(find("label=colour").lines().count(), 2);
    assert_eq!(find("label=absent"), "");
}

#[test]
fn top_shows_the_processes_here_and_there() {
    let world = World::new();
    let id = world.detached(["busybox", "sh", "-c", "sleep 1000 & echo ready; wait"]);
    soute_tests::wait_until("both run", || {
        world.soute(["logs", &id]).stdout == "ready\n"
    });
    // Whoever waits for it is not in the container.
    world.soute(["exec", "-d", &id, "sleep", "999"]).success();
    let top = world.soute(["top", &id]);
    let lines: Vec<Vec<&str>> = top
        .text()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 4, "{top}");
    let first = lines.iter().find(|line| line.contains(&"sh")).unwrap();
    assert_eq!(first[1], world.pid(&id).to_string());
    assert_eq!(first[2], "1");
    let second = lines
        .iter()
        .find(|line| line.contains(&"1000") && !line.contains(&"sh"))
        .unwrap();
    assert_eq!((second[2], second[3]), ("2", first[1]));
    world.soute(["kill", &id]).success();
    world.soute(["wait", &id]).success();
    let refused = world.soute(["top", &id]);
    refused.code(1);
    assert!(refused.stderr.contains("exited"), "{refused}");
}

/// What a program says about itself must not reach the terminal of who looks.
#[test]
fn names_of_processes_are_made_visible() {
    let world = World::new();
    let id = world.detached(["busybox", "sh", "-c", "exec sleep 1000 \u{1b}]0;owned\u{7}"]);
    // busybox' sleep refuses such an argument; a name does it, too.
    world.soute(["rm", "-f", &id]).success();
    let id = world.detached([
        "busybox",
        "sh",
        "-c",
        "read line < /dev/zero # \u{1b}]0;owned\u{7}",
    ]);
    for words in [
        &["top", &id][..],
        &["ps", "--no-trunc"],
        &["ns", "pids", &id],
        &["ns", "show", &id],
    ] {
        let outcome = world.soute(words);
        outcome.success();
        assert!(!outcome.stdout.contains('\u{1b}'), "{outcome:?}");
    }
}

#[test]
fn inspect_tells_what_was_asked_for() {
    let world = World::new();
    let words = [
        "run",
        "-d",
        "--name",
        "told",
        "--memory",
        "64m",
        "--pids-limit",
        "99",
        "-e",
        "A=1",
        "-w",
        "/tmp",
        "-u",
        "user",
        "--hostname",
        "box",
        "--read-only",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "7",
        "-v",
        "data:/data",
        "busybox",
        "sleep",
        "1000",
    ];
    world.soute(words).success();
    let container = world.inspect("told");
    let field = |path: &str| {
        container
            .pointer(path)
            .unwrap_or_else(|| panic!("no {path} in {container}"))
            .clone()
    };
    assert_eq!(field("/Name"), "/told");
    assert_eq!(field("/HostConfig/Memory"), 64 << 20);
    assert_eq!(field("/HostConfig/PidsLimit"), 99);
    assert_eq!(field("/HostConfig/ReadonlyRootfs"), true);
    assert_eq!(field("/Config/WorkingDir"), "/tmp");
    assert_eq!(field("/Config/User"), "user");
    assert_eq!(field("/Config/Hostname"), "box");
    assert_eq!(field("/Config/StopSignal"), "SIGUSR1");
    assert_eq!(field("/Config/StopTimeout"), 7);
    assert!(
        field("/Config/Env")
            .as_array()
            .unwrap()
            .contains(&"A=1".into())
    );
    assert_eq!(field("/Mounts/0/Name"), "data");
    assert_eq!(field("/Path"), "sleep");
    assert_eq!(
        world
            .soute(["inspect", "--format", "{{.Config.Hostname}}", "told"])
            .text(),
        "box"
    );
    world.soute(["inspect", "no-such-thing"]).code(1);
}

/// What the image says and what was asked for, made one: as Docker shows it, and as it is executed.
#[test]
fn inspect_tells_what_is_executed() {
    let world = World::new();
    let tar = World::busybox_tar();
    let changes = [
        "--change",
        r#"ENTRYPOINT ["echo","a"]"#,
        "--change",
        r#"CMD ["b"]"#,
    ];
    let import = [&["import"], &changes[..], &[tar.to_str().unwrap(), "words"]].concat();
    world.soute(import).success();
    let null = serde_json::Value::Null;
    for (words, entrypoint, command) in [
        (&["words"][..], json!(["echo", "a"]), json!(["b"])),
        (&["words", "c"], json!(["echo", "a"]), json!(["c"])),
        (
            &["--entrypoint", "cat", "words"],
            json!(["cat"]),
            null.clone(),
        ),
        (&["busybox", "true"], null.clone(), json!(["true"])),
    ] {
        let id = world.soute([&["create"], words].concat()).text().to_owned();
        let config = &world.inspect(&id)["Config"];
        assert_eq!(
            (&config["Entrypoint"], &config["Cmd"]),
            (&entrypoint, &command),
            "{words:?}"
        );
    }
    // What Docker has of all that soute cannot do yet.
    let id = world.soute([
        "create",
        "-v",
        "/tmp:/x:ro",
        "-v",
        "named:/y",
        "busybox",
        "true",
    ]);
    let id = id.text();
    let template = "{{.State.Paused}} {{.State.Restarting}} {{.State.Dead}} {{.RestartCount}} {{.HostConfig.Binds}} \
                    {{.HostConfig.NetworkMode}} {{.HostConfig.RestartPolicy.Name}} {{len .NetworkSettings.Networks}}";
    world
        .soute(["inspect", "-f", template, id])
        .prints("false false false 0 [/tmp:/x:ro] bridge no 0");
    world
        .soute([
            "ps",
            "-a",
            "-n",
            "1",
            "--format",
            "{{.Ports}},{{.LocalVolumes}}",
        ])
        .prints(",1");
}
