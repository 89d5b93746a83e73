//! Programs and libraries of an image, where an engine might look for its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use soute_tests::{Outcome, World, output};

use crate::attack::USER_NAMESPACES;

/// Helpers that engines call, libraries that a resolver loads, files that tell it which.
const FAKES: [&str; 24] = [
    "bin/gzip",
    "bin/gunzip",
    "bin/tar",
    "bin/mount",
    "sbin/modprobe",
    "sbin/ldconfig",
    "usr/bin/gzip",
    "usr/bin/unpigz",
    "usr/bin/xz",
    "usr/bin/unxz",
    "usr/bin/zstd",
    "usr/bin/newuidmap",
    "usr/bin/newgidmap",
    "usr/local/bin/xz",
    "usr/sbin/iptables",
    "lib/libnss_files.so.2",
    "lib64/libnss_files.so.2",
    "usr/lib/libnss_files.so.2",
    "usr/lib/libnss_dns.so.2",
    "usr/lib/x86_64-linux-gnu/libnss_compat.so.2",
    "usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    "etc/nsswitch.conf",
    "etc/ld.so.preload",
    "etc/ld.so.cache",
];

/// The root file system of busybox, with the fakes in it.
fn image(world: &World) -> String {
    let root = world.rootfs("image");
    for fake in FAKES {
        let path = root.join(fake);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Where busybox has a link to itself.
        let _ = fs::remove_file(&path);
        fs::write(&path, "#!/bin/true\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tar = world.path("image.tar");
    let mut pack = Command::new("tar");
    pack.arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
    output(&mut pack).success();
    tar.display().to_string()
}

/// `soute WORDS`, and what it and all its children executed, opened and mapped: strace(1)'s lines.
#[track_caller]
fn traced(world: &World, words: &[&str]) -> (Outcome, Vec<String>) {
    let log = world.path("trace");
    let soute = world.command(words);
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--decode-fds=path", "--string-limit=300"]);
    strace.arg("--trace=execve,execveat,open,openat,openat2,mmap");
    strace.arg("--output").arg(&log);
    strace.arg(soute.get_program()).args(soute.get_args());
    for (name, value) in soute.get_envs() {
        strace.env(name, value.expect("the world only sets variables"));
    }
    let outcome = output(&mut strace);
    outcome.success();
    let lines = fs::read_to_string(&log).unwrap();
    (outcome, lines.lines().map(str::to_owned).collect())
}

/// The paths that were executed, but for soute itself, in a sealed copy in memory, too.
fn executed(lines: &[String]) -> Vec<&str> {
    let soute = std::env::var("SOUTE_BIN").unwrap();
    let calls = lines
        .iter()
        .filter(|line| line.contains(" execve(") || line.contains(" execveat("));
    let anew = |line: &&String| line.contains("</memfd:soute");
    let others = calls.filter(|line| !anew(line));
    let paths = others.map(|line| line.split('"').nth(1).unwrap_or(line));
    paths.filter(|path| *path != soute).collect()
}

/// The calls that opened one of the fakes, to read it, or mapped any file as code: a static program does not, but for its
/// own, by a mount that is attached nowhere and has no more of a path than `/`.
fn loaded(lines: &[String]) -> Vec<&String> {
    let fakes: Vec<_> = FAKES
        .iter()
        .map(|fake| Path::new(fake).file_name().unwrap().to_str().unwrap())
        .collect();
    let opens = |line: &str| {
        let path = line.split('"').nth(1).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        line.contains(" open") && fakes.contains(&name) && !line.contains("O_CREAT")
    };
    let maps = |line: &str| {
        let own = line.contains("MAP_ANONYMOUS") || line.contains("</>, ");
        line.contains(" mmap(") && line.contains("PROT_EXEC") && !own
    };
    let found = lines.iter().filter(|line| opens(line) || maps(line));
    found.collect()
}

/// CVE-2014-9357: a decompressor out of the image, executed by the engine as root. The defence is that layers are
/// inflated in the process itself (the image crate's unpack), which starts no program at all.
#[test]
fn no_helper_is_executed_while_an_image_is_unpacked() {
    let world = World::empty();
    let tar = image(&world);
    let archive = world.path("packed.tar").display().to_string();
    let folder = world.path("packed").display().to_string();
    for (compression, target) in [
        ("gzip", format!("oci-archive:{archive}:packed:v1")),
        ("zstd", format!("oci:{folder}:packed:v2")),
    ] {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet"]);
        skopeo.args(["--dest-compress-format", compression]);
        output(skopeo.arg(format!("tarball:{tar}")).arg(target)).success();
    }
    for (words, name) in [
        (&["import", &tar, "plain"][..], "plain"),
        (&["load", "-i", &archive], "packed:v1"),
        (&["load", "-i", &folder], "packed:v2"),
    ] {
        let (outcome, lines) = traced(&world, words);
        assert_eq!(executed(&lines), [""; 0], "{outcome}");
        assert_eq!(loaded(&lines), [""; 0], "{outcome}");
        // They were made, and by nobody else.
        let made = lines.iter().filter(|line| line.contains("O_CREAT"));
        assert_eq!(made.filter(|line| line.contains("unpigz")).count(), 1);
        // Its layer is the next one's, too, and would not be unpacked again.
        world.soute(["rmi", name]).success();
    }
}

/// CVE-2019-14271: a library out of the container, loaded by the engine's process that has entered it. The defence is
/// that it is one static program, whose users and groups are read as text (the runtime's process/user.rs), and that
/// files are copied by descriptor (the engine's copy.rs).
#[test]
fn nothing_but_the_program_is_executed_or_loaded_in_a_container() {
    let world = World::empty();
    let tar = image(&world);
    world.soute(["import", &tar, "image"]).success();
    for userns in USER_NAMESPACES {
        let flags = ["--rm", "--userns", userns, "--user", "user:user"];
        let more = ["--group-add", "root", "--hostname", "box", "--init"];
        let volume = ["--volume", "etc:/etc", "--volume", "lib:/usr/lib"];
        for flags in [[&flags[..], &more].concat(), [&flags[..], &volume].concat()] {
            let words = [&["run"], &flags[..], &["image", "/bin/id", "-un"]].concat();
            let (outcome, lines) = traced(&world, &words);
            outcome.prints("user");
            assert_eq!(executed(&lines), ["/bin/id"], "{outcome}");
            // What is copied into a volume is read, and no more than that.
            let mut loaded = loaded(&lines);
            if flags.contains(&"--volume") {
                loaded.retain(|line| line.contains("PROT_EXEC"));
            }
            assert_eq!(loaded, [""; 0], "{outcome}");
        }
        let flags = ["--detach", "--name", "box", "--userns", userns];
        world
            .soute([&["run"], &flags[..], &["image", "sleep", "1000"]].concat())
            .success();
        let exec = ["exec", "--user", "user", "box", "/bin/id", "-un"];
        let (outcome, lines) = traced(&world, &exec);
        outcome.prints("user");
        assert_eq!(executed(&lines), ["/bin/id"], "{outcome}");
        assert_eq!(loaded(&lines), [""; 0], "{outcome}");
        world.soute(["rm", "--force", "box"]).success();
    }
}

/// Nor for networks: all is asked of the kernel by soute itself (the network crate).
#[test]
fn no_program_is_executed_for_a_network() {
    let world = World::new();
    let quiet = |words: &[&str], programs: &[&str]| {
        let (outcome, lines) = traced(&world, words);
        assert_eq!(executed(&lines), programs, "{outcome}");
    };
    for name in ["net", "other"] {
        quiet(&["network", "create", "--ipv6", name], &[]);
    }
    let run = [
        "run",
        "--rm",
        "--network",
        "net",
        "-p",
        "8080:80",
        "busybox",
    ];
    quiet(&[&run[..], &["/bin/true"]].concat(), &["/bin/true"]);
    world.detached([
        "--network",
        "net",
        "--name",
        "box",
        "busybox",
        "sleep",
        "1000",
    ]);
    for words in [
        &["network", "connect", "other", "box"][..],
        &["update", "--publish-add", "8081:80", "box"],
        &["network", "reconcile"],
        &["network", "check", "box", "box"],
        &["network", "map"],
        &["network", "disconnect", "other", "box"],
    ] {
        quiet(words, &[]);
    }
}
