//! Scene 12: some of a container's namespaces, entered with the machine's own tools, whatever the image has.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use soute_tests::{Outcome, Running, World, output, wait_until};

use crate::{KINDS, bare, inode};

/// `soute enter FLAGS... TARGET COMMAND...`
#[track_caller]
fn enter(world: &World, words: &[&str]) -> Outcome {
    world.soute([&["enter"][..], words].concat())
}

#[test]
fn programs_of_the_machine_work_where_there_is_nothing() {
    let world = World::new();
    let id = bare(&world);
    let pid = world.pid(&id);
    let mounts = || fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let before = mounts();
    let seen = enter(&world, &["bare", "--", "ps", "-eo", "pid,args"]);
    let lines: Vec<Vec<&str>> = seen
        .success()
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[1], ["1", "/sleep", "1000"], "{seen}");
    assert!(
        lines.len() == 3 && lines[2][1..] == ["ps", "-eo", "pid,args"],
        "{seen}"
    );
    // A shell of the machine's, root of the container, and what it starts.
    let look = "set -e; [ -n \"$BASH_VERSION\" ]; id -u; cat /data/mine; hostname; ls /proc/self/fd; \
                read inside outside count < /proc/self/uid_map; echo $count; mkdir /data/made; ! touch /new 2>/dev/null; ! touch /usr/new 2>/dev/null";
    let seen = enter(&world, &["bare", "bash", "-c", look]);
    let host = &id[..12];
    seen.prints(&format!("0\nof the image\n{host}\n0\n1\n2\n3\n65536"));
    // It was the container's file system: all that was written there, and nothing else.
    world
        .soute(["diff", "bare"])
        .prints("C /data\nA /data/made");
    assert_eq!(mounts(), before);
    world.assert_mounts_unchanged();
    // While it lasts, too.
    let mut session = world.start(["enter", "bare", "bash", "-c", "echo in; read line"]);
    session.expect("in");
    assert_eq!(mounts(), before);
    assert!(!Path::new(&format!("/proc/{pid}/root/usr")).exists());
    session.write("\n");
    session.outcome().success();
    enter(&world, &["--tools", "own", "bare", "ps"]).fails(127, &["ps"]);
}

/// A program of the image's with the name of one of the machine's, and what would be loaded into that.
#[test]
fn a_hostile_image_has_nothing_run_by_the_machines_programs() {
    let world = World::new();
    let root = world.rootfs("image");
    for folder in ["usr/local/bin", "usr/local/sbin", "etc", ".soute"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\n");
    fs::create_dir(root.join(odd)).unwrap();
    for name in ["usr/local/bin/id", "usr/local/sbin/id"] {
        fs::write(root.join(name), "#!/bin/sh\necho theirs\n").unwrap();
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(root.join("etc/ld.so.preload"), "/hostile.so\n").unwrap();
    fs::write(root.join("etc/ld.so.cache"), "none").unwrap();
    let path = root.to_str().unwrap();
    for userns in ["auto", "host"] {
        let words = ["--userns", userns, "--rootfs", path, "sleep", "1000"];
        let id = world.detached(words);
        let own = enter(&world, &[&id, "id"]);
        own.prints("theirs");
        let flags = ["--tools", "machine"];
        let path = ["--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"];
        let seen = enter(&world, &[&flags[..], &path, &[&id, "id", "-u"]].concat());
        seen.prints("0");
        assert_eq!(seen.stderr, "", "{userns}");
        let look = "ls -a / | cat -v; ! touch /etc/new 2>/dev/null";
        let seen = enter(&world, &[&flags[..], &[&id, "bash", "-c", look]].concat());
        seen.success().shows(".soute\n").shows("odd");
        assert_eq!(seen.stderr, "", "{userns}");
        world.soute(["diff", &id]).prints("");
        world.soute(["rm", "-f", &id]).success();
    }
}

/// What a container has mounted below the folders that the machine's are merged into.
#[test]
fn volumes_stay_in_sight() {
    let world = World::debian();
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "of the volume\n").unwrap();
    let bind = format!("{}:/usr/share/held", data.display());
    let words = [
        "--userns", "host", "--volume", &bind, "debian", "sleep", "1000",
    ];
    let id = world.detached(words);
    let look = ["cat", "/usr/share/held/file", "/etc/hostname"];
    let seen = enter(&world, &[&["--tools", "machine", &id][..], &look].concat());
    seen.prints(&format!("of the volume\n{}", &id[..12]));
}

/// Each kind alone, as the kernel shows it.
#[test]
fn only_what_was_named_is_entered() {
    let world = World::debian();
    let id = world.detached(["debian", "sleep", "1000"]);
    let pid = world.pid(&id);
    let link = |process: &str, kind: &str| {
        let path = format!("/proc/{process}/ns/{kind}");
        fs::read_link(path).unwrap().to_string_lossy().into_owned()
    };
    let here = |kind: &str| link("thread-self", kind);
    for kind in KINDS {
        if *kind == "mnt" {
            // A /proc that this process is not in tells it nothing of itself.
            let root = fs::metadata(format!("/proc/{pid}/root")).unwrap();
            let seen = enter(&world, &["--ns", kind, &id, "stat", "-c", "%d:%i", "/"]);
            seen.prints(&format!("{}:{}", root.dev(), root.ino()));
            continue;
        }
        let words = links();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let seen = enter(
            &world,
            &[&["--ns", kind, &id, "--", "readlink"][..], &words].concat(),
        );
        for (line, other) in seen.success().stdout.lines().zip(KINDS) {
            match *other {
                // With a /proc of its own, where the machine's shows the machine's processes.
                "mnt" if *kind == "pid" => assert_ne!(line, here(other)),
                _ if other == kind => assert_eq!(line, link(&pid.to_string(), other)),
                _ => assert_eq!(line, here(other), "{seen}"),
            }
        }
    }
    // All of them, as nsenter has it.
    let words = links();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &pid.to_string(), "--all", "readlink"]);
    let oracle = output(nsenter.args(&words));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    enter(&world, &[&[&id, "readlink"][..], &words].concat()).prints(oracle.success().text());
    // The processes of a PID namespace, by the machine's ps with the machine's files.
    let seen = enter(&world, &["--ns", "pid", &id, "ps", "-eo", "args"]);
    seen.prints("COMMAND\nsleep 1000\nps -eo args");
    world.assert_mounts_unchanged();
}

/// Where only the machine's own programs are, the program is the process that `soute` was, and has no more of it than elsewhere.
#[test]
fn a_step_leaves_no_process_beside_the_program() {
    let world = World::debian();
    let id = world.detached(["debian", "sleep", "1000"]);
    for (flags, is_it) in [
        (&["--ns", "net"][..], true),
        (&["--ns", "uts,ipc,net,cgroup,time", "--wd", "/etc"], true),
        (&["--ns", "net", "--user", "nobody"], false),
        (&["--ns", "net,pid"], false),
        (&["--ns", "net,mnt"], false),
        (&["--ns", "net,user"], false),
        (&["--ns", "net", "--join-cgroup"], false),
    ] {
        let words = [&["enter"], flags, &[&id, "sh", "-c", "read line; echo $$"]].concat();
        let mut own = world.start(words);
        let pid = own.pid().to_string();
        own.write("\n");
        assert_eq!(own.outcome().text() == pid, is_it, "{flags:?}");
    }
    let flags = ["--ns", "net,uts"];
    let in_a_step = |words: &[&str]| {
        let soute = world.command([&["enter"][..], &flags, &[&id], words].concat());
        let mut caller = Command::new("sh");
        let leave = r#"exec 7</etc/passwd; trap '' INT USR1; exec "$0" "$@""#;
        caller.args(["-c", leave]).arg(soute.get_program());
        output(caller.args(soute.get_args()))
    };
    in_a_step(&["hostname"]).prints(&id[..12]);
    in_a_step(&["ls", "/proc/self/fd"]).prints("0\n1\n2\n3");
    let signals = "^(SigIgn|SigBlk):\t0*$";
    in_a_step(&["grep", "-cE", signals, "/proc/self/status"]).prints("2");
    in_a_step(&["sh", "-c", "exit 7"]).code(7);
    in_a_step(&["no-such-program"]).fails(127, &["no-such-program"]);
    in_a_step(&["/etc/passwd"]).fails(126, &["/etc/passwd"]);
    in_a_step(&[""]).fails(127, &["the program's name is empty"]);
    enter(&world, &["--ns", "net", "--wd", "/nowhere", &id, "pwd"]).fails(125, &["/nowhere"]);
}

/// By its process, the inode of one of its namespaces, and that one's file.
#[test]
fn any_way_leads_there() {
    let world = World::debian();
    let id = world.detached(["debian", "sleep", "1000"]);
    let pid = world.pid(&id);
    let uts = inode(pid, "uts");
    for target in [
        id.clone(),
        format!("ctr:{id}"),
        pid.to_string(),
        uts.to_string(),
        format!("uts:[{uts}]"),
        format!("/proc/{pid}/ns/uts"),
    ] {
        enter(&world, &["--ns", "uts", &target, "hostname"]).prints(&id[..12]);
    }
    let shown = world
        .soute(["ns", "show", "--json", &uts.to_string()])
        .json();
    assert_eq!((&shown["ns"], &shown["type"]), (&uts.into(), &"uts".into()));
    assert_eq!(shown["processes"][0]["pid"], pid);
    let net = inode(pid, "net").to_string();
    enter(&world, &["--ns", "uts", &net, "true"])
        .fails(125, &["--ns", "net namespace and nothing else"]);
    for (target, why) in [
        ("nobody", "no running container"),
        ("99999999", "neither a process nor"),
        ("4294967000", "there is no namespace 4294967000"),
        ("/etc/passwd", "not a namespace"),
    ] {
        enter(&world, &[target, "true"]).fails(125, &[why]);
    }
}

#[test]
fn the_user_the_folder_and_the_end_are_as_asked_for() {
    let world = World::debian();
    let flags = ["--name", "work", "--env", "A=of the container"];
    let id = world.detached(
        [
            &flags[..],
            &["--pids-limit", "50", "debian", "sleep", "1000"],
        ]
        .concat(),
    );
    enter(&world, &["--user", "nobody", "work", "id", "-un"]).prints("nobody");
    enter(
        &world,
        &["--user", "7:8", "work", "sh", "-c", "id -u; id -g; id -G"],
    )
    .prints("7\n8\n8");
    enter(&world, &["--user", "nobody-such", "work", "true"]).fails(125, &["nobody-such"]);
    enter(&world, &["--workdir", "/etc", "work", "pwd"]).prints("/etc");
    enter(&world, &["--wd", "/nowhere", "work", "pwd"]).fails(125, &["/nowhere"]);
    let say = "echo $A-$B";
    let flags = ["--target-env", "--env", "B=ours"];
    enter(&world, &[&flags[..], &["work", "sh", "-c", say]].concat())
        .prints("of the container-ours");
    enter(&world, &["work", "sh", "-c", "exit 7"]).code(7);
    enter(&world, &["work", "sh", "-c", "kill -9 $$"]).code(137);
    enter(&world, &["work", "no-such-program"]).fails(127, &["no-such-program"]);
    enter(&world, &["work", "/etc/passwd"]).code(126);
    enter(&world, &["--ns", "dream", "work", "true"]).fails(125, &["dream"]);
    // With the container's limits, or with none.
    let cgroup = world.cgroup(&id, "pids").join("cgroup.procs");
    let members = || fs::read_to_string(&cgroup).unwrap().lines().count();
    for (flags, count) in [(&[][..], 1), (&["--join-cgroup"], 2)] {
        let words = [
            &["enter"],
            flags,
            &["work", "sh", "-c", "echo in; read line"],
        ]
        .concat();
        let mut session = world.start(words);
        session.expect("in");
        assert_eq!(members(), count);
        session.write("\n");
        session.outcome().success();
    }
    let mut terminal = world.terminal(["enter", "work", "sh"]);
    terminal.expect("#");
    terminal.send("tty; stty size\r");
    terminal.expect("/dev/pts/0");
    terminal.expect("24 80");
    terminal.send("exit 5\r");
    assert_eq!(terminal.finish().0, 5);
}

/// A process in no namespace of its own, but with another root folder.
#[test]
fn a_changed_root_is_gone_to() {
    let world = World::new();
    let root = world.rootfs("whole");
    let mut chroot = Command::new("chroot");
    let mut own = Running::start(
        chroot
            .arg(&root)
            .args(["/bin/sh", "-c", "echo in; sleep 1000"]),
    );
    own.expect("in");
    let pid = own.pid().to_string();
    let seen = enter(&world, &["--chroot", &pid, "stat", "-c", "%d:%i", "/"]);
    let expected = fs::metadata(&root).unwrap();
    seen.prints(&format!("{}:{}", expected.dev(), expected.ino()));
    let path = format!("/proc/{pid}/ns/net");
    enter(&world, &["--chroot", &path, "true"]).fails(125, &["--chroot"]);
    let both = ["--chroot", "--tools", "machine", &pid, "true"];
    enter(&world, &both).fails(125, &["one of them"]);
    own.signal(rustix::process::Signal::KILL);
}

/// A process of nobody's is nobody's to enter.
#[test]
fn without_root_ones_own_is_entered() {
    let world = World::new();
    let as_nobody = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args(words);
        command
    };
    let mut own = Running::start(&mut as_nobody(&[
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--uts",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "hostname mine; echo in; sleep 1000",
    ]));
    own.expect("in");
    let child = wait_for_child(own.pid());
    let soute = world.command([
        "enter",
        "--ns",
        "user,uts",
        &child.to_string(),
        "sh",
        "-c",
        "id -u; hostname",
    ]);
    let with = |command: &Command| {
        let program = command.get_program().to_str().unwrap().to_owned();
        let words = command
            .get_args()
            .map(|word| word.to_str().unwrap().to_owned());
        let words: Vec<String> = std::iter::once(program).chain(words).collect();
        output(&mut as_nobody(
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
        ))
    };
    with(&soute).prints("0\nmine");
    // With all of its namespaces, its files among them: nothing of the machine's is needed there.
    let all = world.command(["enter", &child.to_string(), "hostname"]);
    with(&all).prints("mine");
    let beside = world.command(["debug", &child.to_string(), "hostname"]);
    with(&beside).fails(125, &["CAP_SYS_ADMIN", "soute enter"]);
    let others = world.command(["enter", &std::process::id().to_string(), "true"]);
    with(&others).fails(125, &["hidden from this user"]);
    own.signal(rustix::process::Signal::KILL);
}

/// What a process is to say of itself.
fn links() -> Vec<String> {
    KINDS
        .iter()
        .map(|kind| format!("/proc/self/ns/{kind}"))
        .collect()
}

pub(super) fn wait_for_child(pid: u32) -> u32 {
    let mut child = None;
    wait_until("it has a child", || {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        child = text
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        child.is_some()
    });
    child.expect("waited for")
}
