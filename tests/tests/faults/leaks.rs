//! What is there while a container runs, and what is left when it has ended.

use std::fs;
use std::io::ErrorKind;

use soute_tests::World;

use super::monitor;

/// What each descriptor of `pid` is. One that is closed while they are looked at is none.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries
        .filter_map(|entry| match fs::read_link(entry.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            name => Some(name.unwrap().display().to_string()),
        })
        .collect()
}

#[test]
fn the_mount_table_is_the_same_before_during_and_after() {
    let world = World::new();
    let id = world.detached([
        "-v",
        "data:/data",
        "--tmpfs",
        "/tmp",
        "busybox",
        "sleep",
        "1000",
    ]);
    world.assert_mounts_unchanged();
    world.soute(["exec", &id, "true"]).success();
    world
        .soute(["run", "--rm", "--rootfs", "/", "true"])
        .success();
    world.assert_mounts_unchanged();
    world.soute(["rm", "-f", &id]).success();
    world.assert_mounts_unchanged();
}

#[test]
fn a_monitor_holds_what_it_needs_and_no_more() {
    let world = World::new();
    let script = "echo line; until test -e /go; do sleep 0.01; done; echo more; exec sleep 1000";
    let words = ["-i", "--network", "none", "busybox", "sh", "-c", script];
    let id = world.detached(words);
    soute_tests::wait_until("the log is written", || {
        world.soute(["logs", &id]).stdout == "line\n"
    });
    let monitor = monitor(&world, &id);
    soute_tests::wait_until("it has settled", || {
        let held = descriptors(monitor);
        // No image, no root file system, no cgroup or namespace of the container's.
        let foreign = [
            "/layers/", "/upper", "/dev/pts", "mnt:[", "net:[", "user:[", "/store", "/cgroup/",
        ];
        // A clone of a layer, attached nowhere, is "/".
        !held
            .iter()
            .any(|name| name == "/" || foreign.iter().any(|foreign| name.contains(foreign)))
    });
    let held = descriptors(monitor);
    let count = |what: &str| held.iter().filter(|name| name.contains(what)).count();
    assert_eq!(count("/dev/null"), 3, "{held:?}");
    // Input, output, errors.
    assert_eq!(count("pipe:"), 3, "{held:?}");
    // Whoever wants to talk to it; nobody does now.
    assert_eq!(count("socket:"), 1, "{held:?}");
    assert_eq!(count("signalfd"), 1, "{held:?}");
    assert!(held.len() <= 16, "{held:?}");
    // What it does need is still there.
    world.soute(["exec", &id, "touch", "/go"]).success();
    soute_tests::wait_until("the log goes on", || {
        world.soute(["logs", &id]).stdout == "line\nmore\n"
    });
}

#[test]
fn the_program_has_its_standard_files_and_no_more() {
    let world = World::new();
    let inside = |flags: &[&str], name: &str| {
        let id = world.detached([flags, &["busybox", "sleep", "1000"]].concat());
        let pid = world.pid(&id);
        soute_tests::wait_until("the program runs", || {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim() == name)
        });
        descriptors(pid)
    };
    for flags in [
        &[][..],
        &["-i"],
        &["-t"],
        &["-u", "user"],
        &["--userns", "host"],
        &["--security-opt", "no-new-privileges"],
    ] {
        let held = inside(flags, "sleep");
        assert_eq!(held.len(), 3, "{flags:?}: {held:?}");
        for name in held {
            assert!(
                name == "/dev/null" || name.starts_with("pipe:") || name.starts_with("/dev/pts/"),
                "{flags:?}: {name}"
            );
        }
    }
    // The reaper stays soute's own code for as long as the container runs: it must hold nothing either.
    let held = inside(&["--init"], "soute");
    assert!(
        held.iter().all(|name| name == "/dev/null"
            || name.starts_with("pipe:")
            || name.contains("signalfd")
            || name.contains("pidfd")),
        "{held:?}"
    );
}

/// Descriptors of the caller's (a shell's, a service manager's) are not passed to the container or kept by the monitor.
#[test]
fn descriptors_of_the_caller_go_nowhere() {
    let world = World::new();
    let secret = world.path("secret");
    fs::write(&secret, "secret").unwrap();
    let soute = world.command(["run", "-d", "busybox", "sleep", "1000"]);
    let words: Vec<String> = std::iter::once(soute.get_program())
        .chain(soute.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // A shell leaves descriptors open that it was told to open.
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "exec 7<\"$0\"; exec \"$@\""])
        .arg(&secret)
        .args(&words);
    let id = soute_tests::output(&mut shell).text().to_owned();
    let has_it = |pid| descriptors(pid).iter().any(|name| name.contains("secret"));
    assert!(!has_it(world.pid(&id)));
    let monitor = monitor(&world, &id);
    soute_tests::wait_until("the monitor has settled", || !has_it(monitor));
}

#[test]
fn nothing_is_left_whatever_the_end() {
    let world = World::new();
    for (words, code) in [
        (&["busybox", "true"][..], 0),
        (&["busybox", "sh", "-c", "exit 3"], 3),
        (&["busybox", "no-such-program"], 127),
        (&["busybox", "/etc/passwd"], 126),
        (&["-u", "no-such-user", "busybox", "true"], 125),
        (&["-w", "/etc/passwd/x", "busybox", "true"], 125),
        (&["--init", "busybox", "true"], 0),
        (&["--network", "host", "busybox", "true"], 0),
        (
            &[
                "--pid",
                "host",
                "busybox",
                "sh",
                "-c",
                "sleep 1000 & exit 0",
            ],
            0,
        ),
        (&["--userns", "host", "busybox", "true"], 0),
        (&["--read-only", "busybox", "true"], 0),
        (
            &[
                "-v", "/data", "--tmpfs", "/tmp", "busybox", "touch", "/data/x", "/x",
            ],
            0,
        ),
        (
            &[
                "--memory",
                "32m",
                "--pids-limit",
                "10",
                "--cpus",
                "0.5",
                "busybox",
                "true",
            ],
            0,
        ),
        (&["--sysctl", "net.no.such=1", "busybox", "true"], 125),
        (
            &[
                "--mount",
                "type=bind,src=/no/such,dst=/mnt",
                "busybox",
                "true",
            ],
            125,
        ),
        (&["--device", "/dev/no-such", "busybox", "true"], 125),
        (&["--cap-add", "NO_SUCH", "busybox", "true"], 125),
    ] {
        world.soute([&["run", "--rm"], words].concat()).code(code);
        world.assert_nothing_left(&[]);
        for index in ["names", "ranges"] {
            let left: Vec<_> = fs::read_dir(world.run().join(index))
                .unwrap()
                .flatten()
                .collect();
            assert!(left.is_empty(), "{words:?}: {left:?}");
        }
    }
    // The volumes of --rm are gone; no image was changed.
    assert_eq!(
        fs::read_dir(world.root().join("volumes"))
            .map(Iterator::count)
            .unwrap_or(0),
        0
    );
}

/// A folder that the kernel made immutable to root, an overlay's `work`, whiteouts, deep trees: all of it goes.
#[test]
fn odd_files_of_the_container_are_removed_with_it() {
    let world = World::new();
    let script = "rm -r /home /etc/group; mkfifo /fifo; mknod /node c 1 3; ln -s / /link; ln /bin/busybox /hard; mkdir /empty; chmod 0 /empty;
        mkdir -p $(printf '/d%.0s' $(seq 200)); touch \"$(printf 'new\\nline')\" '*' -- -rf; setfattr -n user.x -v y /link 2>/dev/null; true";
    world
        .soute(["run", "--name", "odd", "busybox", "sh", "-c", script])
        .success();
    let ids = world.ids();
    world.soute(["rm", "odd"]).success();
    world.assert_nothing_left(&ids);
}
