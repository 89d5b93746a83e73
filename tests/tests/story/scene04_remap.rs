//! Remap root: container root is bob's subordinate uid on the machine, and the image is neither copied nor chowned.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use soute_tests::{World, output};

/// A copy of /etc in its place, with a user bob in it; gone at the end. The machine's own is not touched: the test's
/// mounts are its own.
struct Etc(PathBuf);

impl Etc {
    fn with(world: &World, subuid: &str, subgid: &str) -> Self {
        let copy = world.path("etc");
        output(Command::new("cp").args(["-a", "/etc"]).arg(&copy)).success();
        let add = |name: &str, line: &str| {
            let text = fs::read_to_string(copy.join(name)).unwrap_or_default();
            let others: String = text
                .lines()
                .filter(|line| !line.starts_with("bob:"))
                .map(|line| format!("{line}\n"))
                .collect();
            fs::write(copy.join(name), others + line).unwrap();
        };
        add("passwd", "bob:x:4321:4321::/:/bin/false\n");
        add("group", "bob:x:4321:\n");
        fs::write(copy.join("subuid"), subuid).unwrap();
        fs::write(copy.join("subgid"), subgid).unwrap();
        output(Command::new("mount").arg("--bind").arg(&copy).arg("/etc")).success();
        Self(copy)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let unmounted = output(Command::new("umount").arg("/etc"));
        if !std::thread::panicking() {
            unmounted.success();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SUBUID: &str = "amy:100000:65536\nbob:231072:65536\n";
const SUBGID: &str = "bob:362144:65536\n";

/// Effective uid and gid of a process, as the machine sees them.
fn ids(pid: u32) -> (u32, u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("Uid:"), field("Gid:"))
}

#[test]
fn container_root_is_bobs_subordinate() {
    let world = World::debian();
    let _etc = Etc::with(&world, SUBUID, SUBGID);
    let id = world.detached(["--name", "py", "--userns", "remap:bob:bob", "debian", "python3", "-c",
        "import os, time; print(os.getuid(), flush=True); open('/made', 'w').close(); os.chown('/made', 33, 34); os.mkdir('/ready'); time.sleep(1000)"]);
    soute_tests::wait_until("its file is there", || {
        world.soute(["exec", "py", "test", "-e", "/ready"]).code == 0
    });
    assert_eq!(ids(world.pid("py")), (231_072, 362_144));
    world.soute(["logs", "py"]).prints("0");
    let map = world.soute([
        "exec",
        "py",
        "cat",
        "/proc/self/uid_map",
        "/proc/self/gid_map",
    ]);
    let numbers: Vec<&str> = map.text().split_whitespace().collect();
    assert_eq!(numbers, ["0", "231072", "65536", "0", "362144", "65536"]);
    assert_eq!(
        world.inspect("py")["HostConfig"]["UsernsMode"],
        "remap:bob:bob"
    );

    // What it wrote is bob's on the disk; what the image has is root's inside, and was not touched for that.
    let upper =
        find(&world.root().join("containers").join(&id), "made").expect("the file that it made");
    let made = fs::symlink_metadata(upper).unwrap();
    assert_eq!((made.uid(), made.gid()), (231_072 + 33, 362_144 + 34));
    world
        .soute([
            "exec",
            "py",
            "stat",
            "-c",
            "%u:%g",
            "/usr/bin/python3",
            "/made",
        ])
        .prints("0:0\n33:34");
}

#[test]
fn the_image_is_neither_copied_nor_chowned() {
    let world = World::debian();
    let listing = |folder: PathBuf| {
        output(
            Command::new("find")
                .arg(folder)
                .args(["-printf", "%p %i %U:%G %m %s %T@\n"]),
        )
        .stdout
    };
    let before = listing(world.root().join("layers"));
    assert!(
        before.lines().count() > 1000,
        "the layers are elsewhere now"
    );
    let _etc = Etc::with(&world, SUBUID, SUBGID);
    let id = world.detached(["--userns", "remap:bob:bob", "debian", "sleep", "1000"]);
    world
        .soute(["exec", &id, "stat", "-c", "%u:%g", "/etc/passwd"])
        .prints("0:0");
    assert_eq!(listing(world.root().join("layers")), before);
    // Of the image nothing is in the container's own folder.
    assert!(find(&world.root().join("containers").join(&id), "python3").is_none());
}

#[test]
fn as_the_engines_default() {
    let world = World::debian();
    let _etc = Etc::with(&world, SUBUID, SUBGID);
    fs::write(world.config(), "userns = \"remap:bob:bob\"\n").unwrap();
    let by_default = world.detached(["debian", "sleep", "1000"]);
    assert_eq!(ids(world.pid(&by_default)), (231_072, 362_144));
    // Each container may still say otherwise.
    let host = world.detached(["--userns", "host", "debian", "sleep", "1000"]);
    assert_eq!(ids(world.pid(&host)), (0, 0));
    let auto = world.detached(["--userns", "auto", "debian", "sleep", "1000"]);
    let (uid, _) = ids(world.pid(&auto));
    assert!(uid != 0 && uid != 231_072, "{uid}");
}

#[test]
fn by_name_or_number_and_with_several_ranges() {
    let world = World::new();
    let _etc = Etc::with(
        &world,
        "4321:500000:1000\nbob:600000:64536\n",
        "bob:700000:65536\n",
    );
    for userns in [
        "remap:bob",
        "remap:4321",
        "remap:4321:4321",
        "remap:bob:4321",
    ] {
        let map = world.sh(
            &["--userns", userns],
            "cat /proc/self/uid_map /proc/self/gid_map",
        );
        let numbers: Vec<&str> = map.text().split_whitespace().collect();
        assert_eq!(
            numbers,
            [
                "0", "500000", "1000", "1000", "600000", "64536", "0", "700000", "65536"
            ],
            "{userns}"
        );
    }
    // Beyond the first range, and read through the idmapped image.
    world
        .sh(
            &["--userns", "remap:bob", "-u", "user"],
            "id -u; cat /etc/passwd | wc -l",
        )
        .shows("1000");
}

#[test]
fn what_the_files_do_not_say_is_refused() {
    let world = World::new();
    let _etc = Etc::with(&world, "amy:100000:65536\n", "");
    for (userns, named) in [
        ("remap:bob:bob", "/etc/subuid"),
        ("remap:no-such-user", "no-such-user"),
        ("remap:bob:no-such-group", "/etc/sub"),
        ("remap:", "remap"),
    ] {
        let outcome = world.sh(&["--userns", userns], "true");
        outcome.code(125);
        assert!(outcome.stderr.contains(named), "{outcome}");
    }
    assert!(world.soute(["ps", "-aq"]).text().is_empty());
}

/// The path of a file called `name` below `folder`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let found = output(Command::new("find").arg(folder).args(["-name", name]));
    found.text().lines().next().map(PathBuf::from)
}
