//! Checkpoint and restore by criu itself, which takes a kernel that it knows: tried where `SOUTE_TEST_CRIU` is set, in the
//! virtual machine of `cargo xtask vm`.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use soute_tests::{Running, output_in_files, wait_until};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::cgroups::MIB;

cases![
    a_program_goes_on_where_it_was,
    it_can_be_done_twice,
    the_restored_may_do_no_more,
    a_checkpoint_that_leaves_it_running,
    a_dump_builds_on_an_earlier_one,
    a_failed_dump_leaves_the_container,
    a_restore_in_the_foreground,
    what_it_writes_to_a_file_goes_on_there,
    a_network_namespace_by_path,
    hooks_of_a_restore,
    a_scope_of_systemd,
    the_limits_are_the_bundles,
    a_tree_of_processes,
    criu_is_killed_in_a_restore,
    a_checkpoint_whose_caller_is_killed,
    a_restore_of_nonsense_leaves_nothing,
];

/// Counts, in memory alone, and says each number; ends with 7 when there is a file `stop`.
fn counter(bench: &mut Bench) -> Bundle {
    let data = bench.path("data");
    fs::create_dir_all(&data).expect("a folder");
    let _ = fs::remove_file(data.join("stop"));
    let mut bundle = bench.bundle();
    bundle.mount("bind", &bench.text("data"), "/data", &["bind"]);
    bundle.sh(
        "i=0; while [ ! -e /data/stop ]; do i=$((i+1)); echo \"n $i.\"; echo $i > /data/last; sleep 0.1; done; exit 7",
    );
    bundle
}

fn last(bench: &Bench) -> u32 {
    let text = fs::read_to_string(bench.path("data/last")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[track_caller]
fn counts_from(bench: &Bench, first: u32) {
    wait_until("it counts", || last(bench) > first + 3);
}

#[track_caller]
fn checkpoint(bench: &Bench, id: &str, flags: &[&str]) {
    let images = bench.text("images");
    let words = ["checkpoint", "--image-path", &images];
    bench.call(&[&words, flags, &[id]].concat()).success();
}

/// A new container that says nothing to anybody.
#[track_caller]
fn start(bench: &mut Bench, bundle: &Bundle) -> String {
    bundle.write();
    let (id, folder) = (bench.id(), bundle.folder().display().to_string());
    quietly(bench.command(&["run", "--detach", "--bundle", &folder, &id]));
    assert_eq!(bench.state(&id)["status"], "running");
    id
}

/// Calls the runtime; what it says is in the log.
fn quietly(mut command: Command) -> i32 {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = quiet.stderr(Stdio::null()).status();
    status.expect("it runs").code().expect("it ends by itself")
}

/// `restore --detach` of such a one.
#[track_caller]
fn restore(bench: &Bench, bundle: &Bundle, id: &str) {
    assert_eq!(try_restore(bench, bundle, id), 0, "{}", bench.log());
}

fn try_restore(bench: &Bench, bundle: &Bundle, id: &str) -> i32 {
    bundle.write();
    quietly(restoring(bench, bundle, &["--detach"], id))
}

/// `restore FLAGS` of the images.
fn restoring(bench: &Bench, bundle: &Bundle, flags: &[&str], id: &str) -> Command {
    let mut command = bench.command(&["restore", "--image-path", &bench.text("images")]);
    command.arg("--bundle").arg(bundle.folder());
    command.args(flags).arg(id).stdin(Stdio::null());
    command
}

/// Checkpointed, deleted, and there again.
#[track_caller]
fn again(bench: &Bench, bundle: &Bundle, id: &str) {
    let mounts = soute_tests::mounts();
    checkpoint(bench, id, &[]);
    assert_eq!(bench.state(id)["status"], "stopped");
    bench.call(&["delete", id]).success();
    bench.is_gone(id);
    restore(bench, bundle, id);
    assert_eq!(bench.state(id)["status"], "running");
    assert_eq!(soute_tests::mounts(), mounts);
}

fn a_program_goes_on_where_it_was(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    again(bench, &bundle, &id);
    let then = last(bench);
    assert!(then > 5, "it began anew: {then}");
    counts_from(bench, then);

    bench
        .exec(&id, &["cat", "/proc/1/comm"])
        .success()
        .prints("sh\n");
    bench.exec(&id, &["hostname"]).success().prints("box\n");
    let listed = bench.call(&["ps", "--format", "json", &id]).json();
    assert!(
        listed.as_array().is_some_and(|list| !list.is_empty()),
        "{listed}"
    );
    bench.call(&["events", "--stats", &id]).success();
    bench.call(&["pause", &id]).success();
    bench.call(&["resume", &id]).success();
    fs::write(bench.path("data/stop"), "").expect("a file");
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}

fn it_can_be_done_twice(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    for _ in 0..2 {
        counts_from(bench, last(bench));
        let before = last(bench);
        again(bench, &bundle, &id);
        counts_from(bench, before);
    }
}

/// Its root, masks and read-only paths, devices, capabilities.
fn the_restored_may_do_no_more(bench: &mut Bench) {
    let mut bundle = counter(bench);
    let read_only = bench.text("read-only");
    fs::create_dir(&read_only).expect("a folder");
    bundle.mount(
        "bind",
        &read_only,
        "/ro",
        &["bind", "ro", "nosuid", "nodev"],
    );
    bundle.mount("tmpfs", "tmpfs", "/tmp", &["nosuid", "nodev", "size=64k"]);
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    bundle.set("/linux/seccomp", filter);
    let id = start(bench, &bundle);
    counts_from(bench, 0);
    // Everything but the numbers of mounts and file systems.
    let shown = |pid: u32| -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("the mounts");
        let mut lines: Vec<String> = table
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split(' ').collect();
                let kind = line.split_once(" - ").expect("a kind").1;
                let kind = kind.split(' ').next().unwrap_or_default();
                format!("{} {} {kind} {}", fields[4], fields[5], fields[6])
            })
            .collect();
        lines.sort();
        lines
    };
    let status = |pid: u32| -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the status");
        let wanted = |line: &&str| {
            ["Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        text.lines().filter(wanted).map(str::to_owned).collect()
    };
    let pid = bench.pid(&id);
    let before = (shown(pid), status(pid));
    again(bench, &bundle, &id);
    let pid = bench.pid(&id);
    assert_eq!((shown(pid), status(pid)), before);
    for script in [
        "touch /file",
        "touch /ro/file",
        "echo > /proc/sys/kernel/hostname",
        "[ -s /proc/kcore ] || cat /proc/kcore | grep .",
        "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg",
    ] {
        let tried = bench.exec(&id, &["sh", "-c", script]);
        assert_ne!(tried.code, 0, "{script}: {tried}");
    }
    bench
        .exec(
            &id,
            &["sh", "-c", "echo > /dev/null && touch /data/x /tmp/x"],
        )
        .success();
}

fn a_checkpoint_that_leaves_it_running(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    checkpoint(bench, &id, &["--leave-running"]);
    assert_eq!(bench.state(&id)["status"], "running");
    counts_from(bench, last(bench));
    bench.call(&["delete", "--force", &id]).success();
    // It is as it was then, under whatever name.
    let other = bench.id();
    restore(bench, &bundle, &other);
    counts_from(bench, last(bench));
    bench.exec(&other, &["true"]).success();
}

fn a_dump_builds_on_an_earlier_one(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    let earlier = bench.text("earlier");
    let words = ["checkpoint", "--image-path", &earlier, "--pre-dump", &id];
    bench.call(&words).success();
    assert_eq!(bench.state(&id)["status"], "running");
    counts_from(bench, last(bench));
    checkpoint(bench, &id, &["--parent-path", "../earlier"]);
    let before = last(bench);
    bench.call(&["delete", &id]).success();
    restore(bench, &bundle, &id);
    counts_from(bench, before);
}

/// By pipes: what it says comes through another one now.
fn a_restore_in_the_foreground(bench: &mut Bench) {
    let bundle = counter(bench);
    bundle.write();
    let folder = bundle.folder().display().to_string();
    let id = bench.id();
    let mut run = Running::start(
        bench
            .command(&["run", "--keep", "--bundle", &folder, &id])
            .stdin(Stdio::null()),
    );
    run.expect("n 6.");
    let (images, work) = (bench.text("images"), bench.text("work"));
    let words = [
        "checkpoint",
        "--image-path",
        &images,
        "--work-path",
        &work,
        &id,
    ];
    bench.call(&words).success();
    run.outcome().code(137);
    bench.call(&["delete", &id]).success();
    assert!(bench.path("work/dump.log").exists());
    let flags = ["--work-path", &work];
    let mut restored = Running::start(&mut restoring(bench, &bundle, &flags, &id));
    restored.expect("n 40.");
    assert!(bench.path("work/restore.log").exists());
    assert!(bench.path("work/stats-restore").exists());
    fs::write(bench.path("data/stop"), "").expect("a file");
    restored.outcome().code(7);
    bench.is_gone(&id);
}

/// A file of the machine's, which criu wants to find as long as it was.
fn what_it_writes_to_a_file_goes_on_there(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = bench.start(&bundle);
    bench.hears(&id, "n 6.");
    checkpoint(bench, &id, &[]);
    bench.call(&["delete", &id]).success();
    let file = |kind: &str| {
        let path = bench.path(&format!("{id}.{kind}"));
        let file = fs::OpenOptions::new().append(true).open(path);
        Stdio::from(file.expect("its output"))
    };
    let mut command = restoring(bench, &bundle, &["--detach"], &id);
    let status = command.stdout(file("out")).stderr(file("err")).status();
    let status = status.expect("it runs");
    assert!(status.success(), "{}", bench.log());
    bench.hears(&id, "n 12.");
    let said = bench.said(&id);
    let expected = (1..).map(|number| format!("n {number}."));
    assert!(
        said.lines()
            .zip(expected)
            .all(|(line, number)| line == number),
        "{said}"
    );
}

fn a_network_namespace_by_path(bench: &mut Bench) {
    let other = bench.sleeper();
    let other = bench.start(&other);
    let path = format!("/proc/{}/ns/net", bench.pid(&other));
    let mut bundle = counter(bench);
    bundle.namespace("network", Some(&path));
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    let network = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).expect("a network");
    let before = network(bench.pid(&id));
    again(bench, &bundle, &id);
    assert_eq!(network(bench.pid(&id)), before);
}

fn hooks_of_a_restore(bench: &mut Bench) {
    let mut bundle = counter(bench);
    let told = bench.text("told");
    let script = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo $pid > {told}; readlink /proc/$pid/ns/net >> {told}"
    );
    bundle.set(
        "/hooks/createRuntime",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}]),
    );
    let id = start(bench, &bundle);
    counts_from(bench, 0);
    again(bench, &bundle, &id);
    let pid = bench.pid(&id);
    let network = fs::read_link(format!("/proc/{pid}/ns/net")).expect("a network");
    let text = fs::read_to_string(bench.path("told")).expect("it has run");
    assert_eq!(text, format!("{pid}\n{}\n", network.display()));
}

fn a_scope_of_systemd(bench: &mut Bench) {
    let mut bundle = counter(bench);
    let id = bench.id();
    let path = format!("system.slice:soute:{id}");
    bundle.set("/linux/cgroupsPath", json!(path));
    bundle.write();
    let folder = bundle.folder().display().to_string();
    let images = bench.text("images");
    let call = |words: &[&str]| {
        let words = [&["--systemd-cgroup"], words, &[&id]].concat();
        assert_eq!(quietly(bench.command(&words)), 0, "{}", bench.log());
    };
    call(&["run", "--detach", "--bundle", &folder]);
    counts_from(bench, 3);
    let scope = bench.cgroup(&id, "memory");
    assert!(
        scope.ends_with(format!("system.slice/soute-{id}.scope")),
        "{}",
        scope.display()
    );
    call(&["checkpoint", "--image-path", &images]);
    call(&["delete"]);
    let then = last(bench);
    call(&[
        "restore",
        "--detach",
        "--image-path",
        &images,
        "--bundle",
        &folder,
    ]);
    assert_eq!(bench.cgroup(&id, "memory"), scope);
    counts_from(bench, then);
    call(&["delete", "--force"]);
    bench.is_gone(&id);
}

fn the_limits_are_the_bundles(bench: &mut Bench) {
    let mut bundle = counter(bench);
    bundle.set("/linux/resources/memory", json!({"limit": 64 * MIB}));
    bundle.set("/linux/resources/pids", json!({"limit": 50}));
    let id = start(bench, &bundle);
    counts_from(bench, 0);
    // Others than then: the images say nothing of it.
    bundle.set("/linux/resources/memory", json!({"limit": 80 * MIB}));
    again(bench, &bundle, &id);
    let cgroup = bench.cgroup(&id, "memory");
    let limit = fs::read_to_string(cgroup.join("memory.max")).expect("a limit");
    assert_eq!(limit.trim(), (80 * MIB).to_string());
}

fn a_tree_of_processes(bench: &mut Bench) {
    let mut bundle = counter(bench);
    bundle.set(
        "/process/user",
        json!({"uid": 1000, "gid": 1000, "additionalGroups": [7]}),
    );
    let data = fs::File::open(bench.path("data")).expect("the folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    data.set_permissions(mode).expect("a mode");
    bundle.sh(
        "cat < /dev/zero > /dev/null & (while :; do sleep 0.1; done) & \
         i=0; while :; do i=$((i+1)); echo $i > /data/last; sleep 0.1; done | cat",
    );
    let id = start(bench, &bundle);
    counts_from(bench, 3);
    let names = |bench: &Bench| -> Vec<String> {
        let listed = bench.call(&["ps", "--format", "json", &id]).json();
        let listed: Vec<Value> = listed.as_array().expect("a list").clone();
        let mut names: Vec<String> = listed
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
            .filter(|name| name.trim() != "sleep")
            .collect();
        names.sort();
        names
    };
    let before = names(bench);
    let then = last(bench);
    again(bench, &bundle, &id);
    assert_eq!(names(bench), before);
    counts_from(bench, then);
    bench.exec(&id, &["id", "-u"]).success().prints("1000\n");
}

/// At several points of its work: nothing is left by then, and the images are as good as before.
fn criu_is_killed_in_a_restore(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    checkpoint(bench, &id, &[]);
    bench.call(&["delete", &id]).success();
    let before = fs::read_dir("/tmp").expect("/tmp").count();
    for milliseconds in [100, 400, 800, 1200, 1600] {
        // What criu has made by then may hold our output.
        let mut command = restoring(bench, &bundle, &[], &id);
        let quiet = command.stdout(Stdio::null());
        let mut killed = quiet.stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        killed.kill().expect("a signal");
        killed.wait().expect("its end");
        bench.call(&["delete", "--force", &id]).success();
        let left = bench.settled();
        assert!(
            left.is_empty(),
            "after {milliseconds} ms: {}",
            left.join(", ")
        );
        assert_eq!(fs::read_dir("/tmp").expect("/tmp").count(), before);
    }
    let then = last(bench);
    restore(bench, &bundle, &id);
    counts_from(bench, then);
}

/// criu brings it to an end: the container runs, or is stopped and can be restored. Nothing else is left.
fn a_checkpoint_whose_caller_is_killed(bench: &mut Bench) {
    let bundle = counter(bench);
    let images = bench.text("images");
    for milliseconds in [50, 200, 500, 900] {
        let id = start(bench, &bundle);
        counts_from(bench, last(bench));
        let words = ["checkpoint", "--image-path", &images, &id];
        let mut command = bench.command(&words);
        let mut killed = command.stdout(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        killed.kill().expect("a signal");
        killed.wait().expect("its end");
        wait_until("it is stopped, or goes on", || {
            let then = last(bench);
            std::thread::sleep(std::time::Duration::from_millis(300));
            bench.state(&id)["status"] == "stopped" || last(bench) > then
        });
        bench.call(&["delete", "--force", &id]).success();
        let left = bench.settled();
        assert!(
            left.is_empty(),
            "after {milliseconds} ms: {}",
            left.join(", ")
        );
    }
}

fn a_restore_of_nonsense_leaves_nothing(bench: &mut Bench) {
    let bundle = counter(bench);
    let id = start(bench, &bundle);
    counts_from(bench, 5);
    checkpoint(bench, &id, &[]);
    bench.call(&["delete", &id]).success();
    let cores = fs::read_dir(bench.path("images"))
        .expect("the images")
        .flatten();
    for file in cores.filter(|file| file.file_name().to_string_lossy().starts_with("mm-")) {
        fs::write(file.path(), "nonsense").expect("a file");
    }
    let mounts = soute_tests::mounts();
    assert_eq!(try_restore(bench, &bundle, &id), 1);
    let said = bench.has_logged_an_error();
    assert!(
        said.contains("restore.log") && said.contains("Error (criu/"),
        "{said}"
    );
    bench.is_gone(&id);
    assert_eq!(soute_tests::mounts(), mounts);
    let left = bench.settled();
    assert!(left.is_empty(), "{}", left.join(", "));
}

/// A file of the machine's that is none of the three standard ones, with which criu itself fails.
fn a_failed_dump_leaves_the_container(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("exec 5<&3; while :; do echo tick; sleep 0.05; done");
    bundle.write();
    let script = format!(
        "exec 3</etc/passwd; exec \"$@\" run --detach --preserve-fds 1 --bundle {} x",
        bundle.folder().display()
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, "sh"]);
    let runtime = bench.command(&[]);
    shell.arg(runtime.get_program()).args(runtime.get_args());
    for (name, value) in runtime.get_envs() {
        shell.env(name, value.expect("only set"));
    }
    let id = "x";
    output_in_files(shell.stdin(Stdio::null()), &bench.path(""), id).success();
    bench.hears(id, "tick");
    let images = bench.text("images");
    let mounts = soute_tests::mounts();
    bench
        .call(&["checkpoint", "--image-path", &images, id])
        .code(1);
    let said = bench.has_logged_an_error();
    assert!(said.contains("Error (criu/"), "{said}");
    assert!(said.contains(&format!("{images}/dump.log")), "{said}");
    assert_eq!(soute_tests::mounts(), mounts);
    assert_eq!(bench.state(id)["status"], "running");
    let before = bench.said(id).len();
    wait_until("it goes on", || bench.said(id).len() > before);
    bench.exec(id, &["true"]).success();
    bench.call(&["delete", "--force", id]).success();
}
