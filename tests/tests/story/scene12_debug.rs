//! Scene 12: a shell with tools beside the files of a container that has none.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use soute_tests::{Outcome, Running, World, output, wait_until};

use crate::bare;

/// `soute debug WORDS...`
#[track_caller]
fn debug(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["debug"][..], words].concat())
}

/// What is mounted in a container.
pub(super) fn mounts(world: &World, id: &str) -> String {
    fs::read_to_string(format!("/proc/{}/mountinfo", world.pid(id))).unwrap()
}

/// The machine's bash, ps and files: its programs, and nothing else of it.
#[test]
fn the_machines_tools_beside_a_container_without_any() {
    let world = World::new();
    let id = bare(&world);
    let before = mounts(&world, &id);
    let look = "set -e; [ -n \"$BASH_VERSION\" ]; pwd; hostname; id -un; cat container/data/mine; cat /etc/hostname; \
                ps -eo args; ls /proc/self/fd; stat -c %U /container /tmp; ! [ -e /home ]; ! [ -e /etc/shadow ]; \
                echo 1 > /etc/hosts; echo 2 > /root/own; echo 3 >> /etc/passwd; ! touch /usr/new 2>/dev/null";
    let seen = debug(&world, &["bare", "--", "bash", "-c", look]);
    let host = &id[..12];
    seen.success().shows(&format!(
        "/\n{host}\nroot\nof the image\n{host}\nCOMMAND\n/sleep 1000\n"
    ));
    seen.shows("\n0\n1\n2\n3\nroot\nroot\n");
    assert_eq!(seen.stderr, "");
    // Nothing was written to the container, and nothing stayed.
    world.soute(["diff", "bare"]).prints("");
    assert_eq!(mounts(&world, &id), before);
    debug(&world, &["bare", "cat", "/etc/hosts"]).shows(host);
    debug(&world, &["bare", "ls", "/root"]).prints("");
    // But for what is written to it.
    debug(&world, &["bare", "touch", "/container/data/made"]).success();
    world
        .soute(["diff", "bare"])
        .prints("C /data\nA /data/made");
    // What goes on does not show in the container either.
    let mut session = world.start(["debug", "bare", "bash", "-c", "echo in; read line"]);
    session.expect("in");
    assert_eq!(mounts(&world, &id), before);
    session.write("\n");
    session.outcome().success();
    world.assert_mounts_unchanged();
}

/// With the container's ids, and another's programs and libraries.
#[test]
fn an_images_tools() {
    let world = World::debian();
    let id = bare(&world);
    let words = ["--userns", "host", "bare", "/sleep", "1000"];
    let host = world.detached(words);
    for id in [&id, &host] {
        let before = mounts(&world, id);
        let look = "import os; print(os.getcwd(), os.getuid(), os.stat('/usr').st_uid, os.stat('container/data/mine').st_uid, \
                    open('container/data/mine').read().strip(), open('/proc/1/comm').read().strip()); \
                    open('/usr/new', 'w'); os.chown('/usr/new', 7, 7); print(os.stat('/usr/new').st_gid)";
        let seen = debug(&world, &["--tools", "debian", id, "python3", "-c", look]);
        seen.prints("/ 0 0 0 of the image sleep\n7");
        debug(&world, &["--tools", "debian", id, "ls", "/usr/new"]).fails(2, &["/usr/new"]);
        assert_eq!(mounts(&world, id), before);
        world.soute(["diff", id]).prints("");
    }
    // The image's environment, the flags of a program in it, and none of the machine's files.
    let look = "echo $HOME $NAME; pwd; id -un; ls /container";
    let flags = [
        "--tools",
        "debian",
        "--env",
        "NAME=value",
        "--workdir",
        "/tmp",
    ];
    let flags = [&flags[..], &["--user", "nobody"]].concat();
    let seen = debug(&world, &[&flags[..], &[&id, "sh", "-c", look]].concat());
    seen.success()
        .shows("/nonexistent value\n/tmp\nnobody\ndata\ndev\n");
    // The image is what it was.
    world
        .soute(["run", "--rm", "debian", "ls", "/usr/new"])
        .fails(2, &["/usr/new"]);
    world.assert_mounts_unchanged();
}

/// As on every kernel: an overlay is made in another way before Linux 6.15.
#[test]
fn small_tools_are_laid_beside_it() {
    let world = World::new();
    let id = bare(&world);
    let before = mounts(&world, &id);
    let look =
        "pwd; cat container/data/mine; touch /bin/new && ls /bin/new; stat -c %u /bin/busybox";
    let seen = debug(&world, &["--tools", "busybox", &id, "sh", "-c", look]);
    seen.prints("/\nof the image\n/bin/new\n0");
    assert_eq!(mounts(&world, &id), before);
    debug(&world, &["--tools", "busybox", &id, "ls", "/bin/new"]).fails(1, &["/bin/new"]);
    world.soute(["diff", &id]).prints("");
    world.assert_mounts_unchanged();
}

#[test]
fn a_shell_in_a_terminal() {
    let world = World::debian();
    bare(&world);
    let mut terminal = world.terminal(["debug", "--tools", "debian", "bare"]);
    terminal.expect("the files of bare are below /container, programs are debian's");
    terminal.send("echo $((6 * 7)) $PWD; tty; exit 3\r");
    terminal.expect("42 /\r\n");
    terminal.expect("/dev/pts/");
    assert_eq!(terminal.finish().0, 3);
}

/// Files of the container that soute itself reads, as a process in there may have laid them.
#[test]
fn a_hostile_container_gives_no_names() {
    let world = World::new();
    let secret = world.path("secret");
    fs::write(&secret, "secret:x:0:0:::\n").unwrap();
    let root = world.rootfs("image");
    symlink("/data", root.join("container")).unwrap();
    let words = ["--userns", "host", "--rootfs", root.to_str().unwrap()];
    let lay = format!(
        "rm -f /etc/passwd /etc/group; mkfifo /etc/passwd; ln -s /proc/1/root{} /etc/group; echo laid; exec sleep 1000",
        secret.display()
    );
    let id = world.detached([&words[..], &["sh", "-c", &lay]].concat());
    wait_until("it is laid", || {
        world.soute(["logs", &id]).stdout == "laid\n"
    });
    let seen = debug(&world, &[&id, "cat", "/etc/passwd", "/etc/group"]);
    seen.prints("root:x:0:0::/root:/bin/sh\nroot:x:0:");
    // Nor a home, in which a shell would find its first commands.
    let passwd = format!("/proc/{}/root/etc/passwd", world.pid(&id));
    fs::remove_file(&passwd).unwrap();
    fs::write(&passwd, "me:x:0:0:me:/container/h:/container/sh\n").unwrap();
    let look = "echo $HOME; cat /etc/passwd; id -un";
    debug(&world, &[&id, "sh", "-c", look]).prints("/root\nme:x:0:0::/root:/bin/sh\nme");
    debug(&world, &[&id, "readlink", "/container/container"]).prints("/data");
    // Nor does an image choose where things are put.
    symlink("/data", root.join("sys")).ok();
    let tar = world.path("tools.tar");
    fs::remove_dir(root.join("proc")).unwrap();
    symlink("/container", root.join("proc")).unwrap();
    let mut pack = Command::new("tar");
    output(pack.arg("cf").arg(&tar).arg("-C").arg(&root).arg(".")).success();
    world
        .soute(["import", tar.to_str().unwrap(), "tools"])
        .success();
    debug(&world, &["--tools", "tools", &id, "true"]).fails(125, &["a link in place of /proc"]);
    fs::remove_file(root.join("proc")).unwrap();
    fs::rename(root.join("etc"), root.join("etc.1")).unwrap();
    symlink("/container/data", root.join("etc")).unwrap();
    let mut pack = Command::new("tar");
    output(pack.arg("cf").arg(&tar).arg("-C").arg(&root).arg(".")).success();
    world
        .soute(["import", tar.to_str().unwrap(), "linked"])
        .success();
    debug(&world, &["--tools", "linked", &id, "true"]).fails(125, &["a link in place of /etc"]);
}

/// Programs look for code where they are.
#[test]
fn nothing_of_the_containers_is_executed() {
    let world = World::debian();
    let id = bare(&world);
    let module = format!("/proc/{}/root/json.py", world.pid(&id));
    fs::write(module, "print('theirs')\n").unwrap();
    for tools in ["host", "debian"] {
        let words = ["--tools", tools, &id, "python3", "-c", "import json"];
        debug(&world, &words).prints("");
    }
}

/// A container may put into its /dev whatever stalls or misleads a program.
#[test]
fn devices_are_its_own() {
    let world = World::debian();
    let lay = "rm /dev/null /dev/full /dev/zero; mkfifo /dev/null; ln -s /written /dev/full; echo laid; exec sleep 1000";
    let id = world.detached(["debian", "sh", "-c", lay]);
    wait_until("it is laid", || {
        world.soute(["logs", &id]).stdout == "laid\n"
    });
    let before = mounts(&world, &id);
    let look = "set -e; cd /dev; echo * pts/* shm/*; stat -c '%n %t:%T %a' null zero full random urandom tty pts/ptmx; \
                echo 1 > null; ! echo 2 2>/dev/null > full; cat /dev/null; stat -c '%a %U' /dev shm; echo 3 > shm/new; \
                stat -c %t:%T /container/dev/urandom; ls -d /container/dev/null";
    let expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero pts/ptmx shm/*\n\
                    null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\npts/ptmx 5:2 666\n\
                    755 root\n1777 root\n1:9\n/container/dev/null";
    for tools in ["host", "debian"] {
        let words = ["--tools", tools, &id, "sh", "-c", look];
        debug(&world, &words).prints(expected);
        assert_eq!(mounts(&world, &id), before);
        // A terminal is no less its own.
        let mut terminal = world.terminal(["debug", "--tools", tools, &id, "sh"]);
        terminal.send("stat -c '%U %a' $(tty); ls /container/dev/pts; exit\r");
        terminal.expect("root 620\r\nptmx\r\n");
        assert_eq!(terminal.finish().0, 0);
    }
    // They are the machine's, and stay as they are, whoever is root of what.
    let host = world.detached(["--userns", "host", "debian", "sleep", "1000"]);
    let look = "echo 1 > /dev/null; head -c 3 /dev/zero | wc -c; exec chmod 666 /dev/null";
    let seen = debug(&world, &[&host, "sh", "-c", look]);
    seen.fails(1, &["Read-only file system"]).shows("3\n");
    let root = format!("/proc/{}/root", world.pid(&id));
    assert!(!std::path::Path::new(&root).join("written").exists());
    let kept = ["shm/new", "zero"].map(|name| format!("{root}/dev/{name}"));
    assert!(kept.iter().all(|path| !std::path::Path::new(path).exists()));
}

/// Whoever runs in there, as another user too, reads the names.
#[test]
fn the_callers_umask_changes_nothing() {
    let world = World::debian();
    let id = bare(&world);
    for (tools, more) in [
        ("host", " /etc/nsswitch.conf /etc/ssl /var/tmp"),
        ("debian", ""),
    ] {
        let look = format!(
            "set -e; stat -c '%a %n' /etc /etc/passwd /etc/group /etc/hosts /tmp /dev/null /dev/pts{more}; id -u"
        );
        let words = [
            "debug", "--tools", tools, "--user", "65534", &id, "sh", "-c", &look,
        ];
        let plain = world.soute(words);
        let soute = world.command(words);
        let mut tight = Command::new("sh");
        tight.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
        tight.arg(soute.get_program()).args(soute.get_args());
        tight.envs(
            soute
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        output(&mut tight).prints(plain.success().stdout.trim_end());
        plain.shows("755 /etc\n644 /etc/passwd\n644 /etc/group\n644 /etc/hosts\n1777 /tmp\n");
    }
}

/// Processes of the container's may read it.
#[test]
fn the_callers_environment_stays_outside() {
    let world = World::debian();
    let id = bare(&world);
    let run = |words: &[&str]| {
        let mut soute = world.command([&["debug"][..], words, &[&id, "env"]].concat());
        let known = [("TERM", "dumb"), ("LANG", "C"), ("LC_TIME", "C.UTF-8")];
        soute.envs(known).env("TOKEN", "secret").env("HOME", "/h");
        soute.env("LD_LIBRARY_PATH", "/x").env("USER", "me");
        soute.env_remove("LC_ALL").env_remove("LC_CTYPE");
        let seen = output(&mut soute);
        let mut lines: Vec<String> = seen.success().stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = ["HOME=/root", "LANG=C", "LC_TIME=C.UTF-8", path, "TERM=dumb"];
    assert_eq!(run(&[]), expected);
    let asked = run(&["--env", "TOKEN", "--env", "A=b"]);
    assert!(asked.contains(&"TOKEN=secret".to_owned()) && asked.contains(&"A=b".to_owned()));
    let of_the_image = run(&["--tools", "debian"]);
    assert!(
        of_the_image.contains(&"TERM=dumb".to_owned()),
        "{of_the_image:?}"
    );
    assert!(
        of_the_image
            .iter()
            .all(|entry| !entry.contains("secret") && entry != "HOME=/h")
    );
}

/// What the machine's programs read of /etc.
#[test]
fn the_machines_settings_come_along() {
    let world = World::new();
    let id = bare(&world);
    for path in [
        "/etc/localtime",
        "/etc/manpath.config",
        "/etc/protocols",
        "/etc/services",
    ] {
        let seen = debug(&world, &[&id, "cat", path]);
        match fs::read(path) {
            Ok(text) => assert_eq!(seen.success().stdout, String::from_utf8_lossy(&text)),
            Err(_) => drop(seen.fails(1, &[path])),
        }
    }
}

#[test]
fn what_is_no_container_is_refused() {
    let world = World::new();
    world
        .soute(["create", "--name", "made", "busybox", "true"])
        .success();
    debug(&world, &["made"]).fails(125, &["no running container \"made\""]);
    debug(&world, &["nothing"]).fails(125, &["no running container \"nothing\""]);
    debug(&world, &["/proc/self/ns/net"]).fails(125, &["is a namespace"]);
    let mut alone = Running::start(Command::new("unshare").args([
        "--net",
        "sh",
        "-c",
        "echo in; exec sleep 1000",
    ]));
    alone.expect("in");
    let pid = alone.pid().to_string();
    debug(&world, &[&pid, "true"]).fails(125, &["no mount namespace of its own"]);
    let id = world.detached(["busybox", "sleep", "1000"]);
    debug(&world, &["--tools", "../odd", &id, "true"]).fails(125, &["../odd"]);
    debug(&world, &["--tools", "busybox", &id, "no-such-program"]).fails(127, &["no-such-program"]);
}
