//! What the caller's own surroundings must not change: umask, closed files, folders, limits.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use soute_tests::{Outcome, World, output};

/// `soute WORDS` by way of a shell that does `before` first.
#[track_caller]
fn after(world: &World, before: &str, words: &[&str]) -> Outcome {
    let soute = world.command(words);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{before}; exec \"$@\""))
        .arg("sh");
    shell.arg(soute.get_program()).args(soute.get_args());
    output(&mut shell)
}

#[test]
fn a_strict_umask() {
    let world = World::empty();
    let tar = World::busybox_tar();
    let tar = tar.to_str().unwrap();
    // From the first folder that the engine makes.
    after(&world, "umask 077", &["import", tar, "busybox"]).success();
    let script = "umask; stat -c %a / /etc /etc/hosts /etc/resolv.conf /dev /dev/null /dev/shm /made /data; cat /etc/passwd | wc -l";
    let flags = [
        "run",
        "--rm",
        "-u",
        "user",
        "-w",
        "/made",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let strict = after(&world, "umask 077", &flags);
    let usual = after(&world, "umask 022", &flags);
    assert_eq!(strict.text(), usual.text());
    assert!(
        usual
            .text()
            .starts_with("0022\n755\n755\n644\n644\n755\n666\n1777\n755\n"),
        "{usual}"
    );
}

#[test]
fn closed_standard_files() {
    let world = World::new();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let id = world.path("cid");
        let words = [
            "run",
            "--cidfile",
            id.to_str().unwrap(),
            "--name",
            "closed",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 3",
        ];
        after(&world, &format!("exec {closed}"), &words).code(3);
        let logs = world.soute(["logs", "closed"]);
        assert_eq!(
            (logs.stdout.as_str(), logs.stderr.as_str()),
            ("out\n", "err\n"),
            "{closed}"
        );
        world.soute(["rm", "closed"]).success();
        std::fs::remove_file(&id).unwrap();
        let detached = after(
            &world,
            &format!("exec {closed}"),
            &["run", "-d", "--name", "closed", "busybox", "sleep", "1000"],
        );
        assert_eq!(detached.code, 0, "{closed}: {detached}");
        world.soute(["exec", "closed", "true"]).success();
        world.soute(["rm", "-f", "closed"]).success();
    }
}

#[test]
fn a_full_standard_output_is_an_error_and_no_crash() {
    let world = World::new();
    for words in [
        &["ps"][..],
        &["images"],
        &["version"],
        &["--help"],
        &["create", "busybox", "true"],
    ] {
        let mut command = world.command(words);
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let ended = command.stdin(Stdio::null()).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        assert!(ended.status.code().is_some(), "{words:?}: {}", ended.status);
    }
    // What a program writes has nowhere to go: it ends as in a pipe that nobody reads, or as an error of soute's.
    let mut command = world.command(["run", "--rm", "busybox", "echo", "x"]);
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_ne!(ended.status.code(), Some(0));
    assert!(
        String::from_utf8_lossy(&ended.stderr).contains("No space left"),
        "{ended:?}"
    );
}

#[test]
fn a_working_directory_that_is_gone() {
    let world = World::new();
    let gone = world.path("gone");
    let before = format!("mkdir {0} && cd {0} && rmdir {0}", gone.display());
    after(&world, &before, &["run", "--rm", "busybox", "pwd"]).prints("/");
    after(&world, &before, &["ps"]).success();
    // Unless it is what a relative path begins at.
    let refused = after(
        &world,
        &before,
        &["run", "--rm", "-v", "./x:/x", "busybox", "true"],
    );
    refused.code(125);
}

#[test]
fn relative_engine_folders() {
    let world = World::new();
    let soute = world.command(["ps"]);
    let mut command = Command::new(soute.get_program());
    command.current_dir(world.path("")).args([
        "--root", "root", "--run", "./run", "run", "-d", "--name", "relative", "busybox", "sleep",
        "1000",
    ]);
    output(&mut command).success();
    world.soute(["exec", "relative", "true"]).success();
    world.soute(["rm", "-f", "relative"]).success();
}

/// Characters that mean something in mount options, and more of them than a socket's address holds.
#[test]
fn odd_engine_folders() {
    let world = World::empty();
    for name in [
        "a b",
        "a:b",
        "a,b=c",
        "a\\b",
        "a\"b'c",
        "\u{e9}\n",
        &"long/".repeat(40),
    ] {
        let folder = world.path(name);
        let soute = |words: &[&str]| {
            let mut command = Command::new(world.command(["ps"]).get_program());
            command
                .arg("--root")
                .arg(folder.join("root"))
                .arg("--run")
                .arg(folder.join("run"))
                .args(words);
            output(&mut command)
        };
        soute(&["import", World::busybox_tar().to_str().unwrap(), "busybox"]).success();
        soute(&[
            "run",
            "--rm",
            "-v",
            "data:/data",
            "busybox",
            "sh",
            "-c",
            "echo x > /new; cat /new",
        ])
        .prints("x");
        let id = soute(&["run", "-d", "busybox", "sleep", "1000"])
            .text()
            .to_owned();
        soute(&["exec", &id, "true"]).success();
        soute(&["stop", "-t", "0", &id]).success();
        soute(&["rm", &id]).success();
    }
}

#[test]
fn few_descriptors() {
    let world = World::new();
    // As few as a careful service manager gives. The program inherits the limit, as all limits.
    after(
        &world,
        "ulimit -n 64",
        &["run", "--rm", "busybox", "sh", "-c", "ulimit -n"],
    )
    .prints("64");
    // Too few is an error that says so.
    let starved = after(&world, "ulimit -n 12", &["run", "--rm", "busybox", "true"]);
    starved.code(125);
    assert!(
        starved.stderr.contains("(os error 24)") || starved.stderr.contains("too few"),
        "{starved}"
    );
    world.assert_nothing_left(&[]);
}

#[test]
fn a_limit_above_the_hard_one_needs_a_right() {
    let world = World::new();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"))
        .unwrap();
    const SYS_RESOURCE: u64 = 1 << 24;
    let outcome = after(
        &world,
        "ulimit -n 500",
        &[
            "run",
            "--rm",
            "--ulimit",
            "nofile=400:1000",
            "busybox",
            "sh",
            "-c",
            "ulimit -Sn; ulimit -Hn",
        ],
    );
    if u64::from_str_radix(effective, 16).unwrap() & SYS_RESOURCE != 0 {
        outcome.prints("400\n1000");
    } else {
        outcome.code(125);
        assert!(
            outcome.stderr.contains("nofile") && outcome.stderr.contains("CAP_SYS_RESOURCE"),
            "{outcome}"
        );
    }
}

#[test]
fn many_and_long_arguments() {
    let world = World::new();
    let long = "x".repeat(100_000);
    assert_eq!(
        world
            .soute(["run", "--rm", "busybox", "echo", &long, &long])
            .text()
            .len(),
        200_001
    );
    let many: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let words: Vec<&str> = ["run", "--rm", "busybox", "sh", "-c", "echo $#", "sh"]
        .into_iter()
        .chain(many.iter().map(String::as_str))
        .collect();
    world.soute(&words).prints("5000");
    let variables: Vec<String> = (0..1000)
        .map(|number| format!("--env=V{number}=value"))
        .collect();
    let words: Vec<&str> = ["run", "--rm"]
        .into_iter()
        .chain(variables.iter().map(String::as_str))
        .chain(["busybox", "sh", "-c", "env | grep -c ^V"])
        .collect();
    world.soute(&words).prints("1000");
}

/// The folders of an engine that is new: made with their parents, and nothing beside them.
#[test]
fn a_new_engine_makes_its_folders() {
    let world = World::empty();
    world.soute(["ps"]).success();
    for folder in [world.root(), world.run()] {
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(
            mode & 0o7066,
            0,
            "{} is open to others: {mode:o}",
            folder.display()
        );
    }
    assert!(!world.config().exists());
}
