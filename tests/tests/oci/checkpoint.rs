//! `checkpoint` and `restore`, as far as criu itself does not count: what it is called with, what becomes of the container
//! when it fails or is killed, and what is refused before it is called. A script stands in its place.
//!
//! `oci::criu` has what takes the program itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use soute_tests::{Outcome, Running, output, output_in_files, wait_until};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::namespaces::mapped;

cases![
    without_criu_it_is_refused,
    the_arguments_of_a_dump,
    the_arguments_of_a_dump_with_all_flags,
    the_arguments_of_a_restore,
    what_cannot_be_taken_is_refused,
    flags_that_cannot_be_had_are_refused,
    only_one_that_runs_is_checkpointed,
    a_failed_dump_leaves_the_container,
    a_dump_that_dies_leaves_nothing_frozen,
    a_failed_restore_leaves_nothing,
    a_restore_that_is_killed_is_deleted,
    a_checkpoint_that_is_killed_is_deleted,
    a_restored_container_is_one_like_others,
    hooks_run_when_the_namespaces_are_there,
    a_failing_hook_ends_the_restore,
    images_without_names_are_refused,
    links_in_the_images_are_not_written_through,
];

/// A script in criu's place, which first writes down its arguments.
#[track_caller]
pub fn criu(bench: &Bench, script: &str) {
    let folder = bench.path("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let arguments = bench.path("arguments").display().to_string();
    let text = format!(
        "#!/bin/sh\n\
         printf '%s\\n' \"$@\" > {arguments}\n\
         value() {{ grep -A1 -x -e \"$1\" {arguments} | tail -n 1; }}\n\
         {script}\n"
    );
    let program = folder.join("criu");
    fs::write(&program, text).expect("a script");
    let file = fs::File::open(&program).expect("the script");
    file.set_permissions(fs::Permissions::from_mode(0o755))
        .expect("a mode");
}

/// The runtime, which finds that script.
fn command(bench: &Bench, words: &[&str]) -> Command {
    let mut command = bench.command(words);
    find_the_script(bench, &mut command);
    command
}

/// Has the runtime find that script.
pub fn find_the_script(bench: &Bench, command: &mut Command) {
    let path = std::env::var("PATH").expect("a PATH");
    command.env("PATH", format!("{}:{path}", bench.text("bin")));
}

/// A script that does what is asked for, as far as can be seen from outside.
pub const ANSWERS: &str = "[ \"$1\" = restore ] || exit 0\n\
                           sleep 1000 &\n\
                           printf %s $! > \"$(value --pidfile)\"\n\
                           export CRTOOLS_INIT_PID=$!\n\
                           CRTOOLS_SCRIPT_ACTION=setup-namespaces \"$(value --action-script)\"";

fn call(bench: &Bench, words: &[&str]) -> Outcome {
    output_in_files(
        command(bench, words).stdin(Stdio::null()),
        &bench.path(""),
        "called",
    )
}

/// What the script was called with; numbers of processes and descriptors are no words of ours.
#[track_caller]
fn arguments(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.path("arguments")).expect("criu was called");
    text.lines().map(without_numbers).collect()
}

/// `/proc/1/fd/2/x` is `FD/x`.
fn without_numbers(word: &str) -> String {
    let digits = |text: &str| {
        text.trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    };
    match word.split_once("/proc/") {
        Some((head, rest)) if digits(rest).starts_with("/fd/") => {
            format!("{head}FD{}", digits(&digits(rest)["/fd/".len()..]))
        }
        _ => word.to_owned(),
    }
}

fn is_uncalled(bench: &Bench) {
    assert!(!bench.path("arguments").exists(), "criu was called");
    assert!(!bench.path("images").exists(), "the images' folder is made");
}

/// Images as far as soute itself reads them.
pub fn images(bench: &Bench) -> String {
    let folder = bench.path("images");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(
        folder.join("descriptors.json"),
        r#"["", "pipe:[12]", "pipe:[12]"]"#,
    )
    .expect("names");
    folder.display().to_string()
}

fn folder(bundle: &Bundle) -> String {
    bundle.write();
    bundle.folder().display().to_string()
}

/// `restore FLAGS` of a new container of that bundle.
fn restore(bench: &mut Bench, bundle: &Bundle, flags: &[&str]) -> (String, Outcome) {
    let id = bench.id();
    let (images, bundle) = (images(bench), folder(bundle));
    let words = ["restore", "--image-path", &images, "--bundle", &bundle];
    let outcome = call(bench, &[&words, flags, &[&id]].concat());
    (id, outcome)
}

fn without_criu_it_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let images = bench.text("images");
    let restored = ["restore", "--bundle", &folder(&bundle), "y"].map(str::to_owned);
    for words in [
        vec!["checkpoint", "--image-path", &images, &id],
        restored.iter().map(String::as_str).collect(),
    ] {
        let mut command = bench.command(&words);
        command.env("PATH", bench.path("bin"));
        output(&mut command).code(1);
        let said = bench.has_logged_an_error();
        assert!(said.contains("install the package criu"), "{said}");
    }
    is_uncalled(bench);
    assert_eq!(bench.state(&id)["status"], "running");
}

fn the_arguments_of_a_dump(bench: &mut Bench) {
    criu(bench, "exit 0");
    fs::create_dir(bench.path("data")).expect("a folder");
    let mut bundle = bench.sleeper();
    // A link of the image's, through which the mount is elsewhere than the bundle says.
    symlink("/var/real", bundle.rootfs().join("link")).expect("a link");
    bundle.mount("bind", &bench.text("data"), "/link/data", &["bind"]);
    let id = bench.start(&bundle);
    let images = bench.text("images");
    call(
        bench,
        &[
            "checkpoint",
            "--leave-running",
            "--image-path",
            &images,
            &id,
        ],
    )
    .success();
    let said = arguments(bench);
    let pid = bench.pid(&id).to_string();
    let expected = [
        "dump",
        "--tree",
        &pid,
        "--images-dir",
        "FD",
        "--work-dir",
        "FD",
        "--log-file",
        "dump.log",
        "-v4",
        "--freeze-cgroup",
    ];
    assert_eq!(said[..expected.len()], expected);
    let freezer = &said[expected.len()];
    let procs = fs::read_to_string(format!("{freezer}/cgroup.procs")).expect("a cgroup");
    assert!(procs.lines().any(|line| line == pid), "{freezer}: {procs}");
    let mut rest: Vec<&str> = said[expected.len() + 1..]
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(rest[..2], ["--cgroup-yard", "/tmp/cgroups"]);
    rest.drain(..2);
    if rest.starts_with(&["--network-lock", "nftables"]) {
        rest.drain(..2);
    }
    let [running, cgroups, external @ ..] = rest.as_slice() else {
        panic!("too few: {rest:?}")
    };
    assert_eq!(
        [*running, *cgroups],
        ["--leave-running", "--manage-cgroups=soft"]
    );
    let pairs = external.chunks(2);
    assert!(
        pairs.clone().all(|pair| pair[0] == "--external"),
        "{rest:?}"
    );
    let external: Vec<&str> = pairs.map(|pair| pair[1]).collect();
    // By where it is, under the name that the bundle has for it.
    let mount = "mnt[/var/real/data]:/link/data";
    assert!(external.contains(&mount), "{external:?}");
    // Standard input is /dev/null, the others are a file each: the machine's, and not the container's.
    let files: Vec<&str> = external
        .into_iter()
        .filter(|file| file.starts_with("file["))
        .collect();
    assert!(!files.is_empty());
    let names: Value =
        serde_json::from_slice(&fs::read(bench.path("images/descriptors.json")).expect("names"))
            .expect("JSON");
    for name in names.as_array().expect("a list") {
        assert!(files.contains(&name.as_str().expect("text")), "{names}");
    }
    assert_eq!(bench.state(&id)["status"], "running");
}

fn the_arguments_of_a_dump_with_all_flags(bench: &mut Bench) {
    criu(bench, "exit 0");
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let (images, work) = (bench.text("images"), bench.text("work"));
    fs::create_dir(bench.path("earlier")).expect("a folder");
    call(
        bench,
        &[
            "checkpoint",
            "--image-path",
            &images,
            "--work-path",
            &work,
            "--parent-path",
            "../earlier",
            "--pre-dump",
            "--leave-running",
            "--tcp-established",
            "--ext-unix-sk",
            "--shell-job",
            "--file-locks",
            "--manage-cgroups-mode",
            "full",
            "--empty-ns",
            "network",
            "--auto-dedup",
            "--link-remap",
            &id,
        ],
    )
    .success();
    let said = arguments(bench);
    assert_eq!(said[0], "pre-dump");
    let said = said.join(" ");
    for words in [
        "--track-mem --prev-images-dir ../earlier",
        "--link-remap --leave-running --manage-cgroups=full --tcp-established --ext-unix-sk --shell-job --file-locks \
         --auto-dedup --empty-ns net",
    ] {
        assert!(said.contains(words), "no {words} in {said}");
    }
    assert!(bench.path("work").is_dir());
    assert!(!bench.path("images/descriptors.json").exists());
}

fn the_arguments_of_a_restore(bench: &mut Bench) {
    criu(bench, "exit 1");
    fs::create_dir(bench.path("data")).expect("a folder");
    let mut bundle = bench.sleeper();
    bundle.mount("bind", &bench.text("data"), "/made/data", &["bind"]);
    let (id, outcome) = restore(bench, &bundle, &["--tcp-established", "--detach"]);
    outcome.code(1);
    let said = arguments(bench);
    let expected = [
        "restore",
        "--images-dir",
        "FD",
        "--work-dir",
        "/tmp/work",
        "--log-file",
        "FD/restore.log",
        "-v4",
        "--root",
        "/tmp/root",
        "--cgroup-yard",
        "/tmp/cgroups",
        "--restore-detached",
        "--restore-sibling",
        "--pidfile",
        "FD/restored",
    ];
    assert_eq!(said[..expected.len()], expected);
    let mut rest = &said[expected.len()..];
    while let [flag, root, more @ ..] = rest
        && flag == "--cgroup-root"
    {
        assert!(root.contains(':') && root.ends_with(&id), "{root}");
        rest = more;
    }
    let [cgroups, tcp, .., external, mount, inherit, pipe] = rest else {
        panic!("too few: {rest:?}")
    };
    let source = format!("mnt[/made/data]:/tmp/machine{}", bench.text("data"));
    assert_eq!(
        [cgroups, tcp, external, mount, inherit],
        [
            "--manage-cgroups=soft",
            "--tcp-established",
            "--external",
            &source,
            "--inherit-fd"
        ]
    );
    // The same pipe was both output and errors.
    assert!(
        pipe.starts_with("fd[") && pipe.ends_with("]:pipe:[12]"),
        "{pipe}"
    );
    // The place for the mount is made, as `create` makes it.
    assert!(bundle.rootfs().join("made/data").is_dir());
    bench.is_gone(&id);
}

fn what_cannot_be_taken_is_refused(bench: &mut Bench) {
    criu(bench, "exit 0");
    let other = bench.sleeper();
    let other = bench.start(&other);
    let ipc = format!("/proc/{}/ns/ipc", bench.pid(&other));
    let mut joined = bench.sleeper();
    joined.namespace("ipc", Some(&ipc));
    let mut shared = bench.sleeper();
    shared.without_namespace("pid");
    let mut user = bench.sleeper();
    mapped(&mut user);
    let mut time = bench.sleeper();
    time.namespace("time", None);
    let mut priority = bench.sleeper();
    let class = json!({"class": "IOPRIO_CLASS_BE", "priority": 7});
    priority.set("/process/ioPriority", class);
    for (bundle, word) in [
        (joined, "IPC"),
        (shared, "PID"),
        (user, "user namespace"),
        (time, "time namespace"),
        (priority, "ioPriority"),
    ] {
        let id = bench.start(&bundle);
        let images = bench.text("images");
        call(bench, &["checkpoint", "--image-path", &images, &id]).code(1);
        let said = bench.has_logged_an_error();
        assert!(said.contains(word), "{word}: {said}");
        is_uncalled(bench);
        assert_eq!(bench.state(&id)["status"], "running");
        // And nothing is restored in such a bundle.
        let (id, outcome) = restore(bench, &bundle, &[]);
        outcome.code(1);
        fs::remove_dir_all(bench.path("images")).expect("the images");
        is_uncalled(bench);
        bench.is_gone(&id);
    }
    let mut terminal = bench.sleeper();
    terminal.set("/process/terminal", json!(true));
    let (_, outcome) = restore(bench, &terminal, &["--shell-job"]);
    outcome.code(1);
    assert!(bench.has_logged_an_error().contains("process.terminal"));
}

fn flags_that_cannot_be_had_are_refused(bench: &mut Bench) {
    criu(bench, "exit 0");
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let images = bench.text("images");
    let flags: [&[&str]; 7] = [
        &["--lazy-pages"],
        &["--page-server", "127.0.0.1:1"],
        &["--status-fd", "1"],
        &["--empty-ns", "pid"],
        &["--manage-cgroups-mode", "none"],
        &["--parent-path", "/earlier"],
        &["--parent-path", "../missing"],
    ];
    for flags in flags {
        let words = ["checkpoint", "--image-path", &images];
        call(bench, &[&words, flags, &[&id]].concat()).code(1);
        let said = bench.has_logged_an_error();
        assert!(said.contains(flags[0]), "{flags:?}: {said}");
        is_uncalled(bench);
        assert_eq!(bench.state(&id)["status"], "running");
    }
    let flags: [&[&str]; 5] = [
        &["--lazy-pages"],
        &["--manage-cgroups-mode", "strict"],
        &["--console-socket", "/x"],
        &["--lsm-profile", "apparmor:x"],
        &["--lsm-mount-context", "x"],
    ];
    for flags in flags {
        let (id, outcome) = restore(bench, &bundle, flags);
        outcome.code(1);
        let said = bench.has_logged_an_error();
        assert!(said.contains(flags[0]), "{flags:?}: {said}");
        assert!(
            !bench.path("arguments").exists(),
            "{flags:?}: criu was called"
        );
        bench.is_gone(&id);
    }
}

fn only_one_that_runs_is_checkpointed(bench: &mut Bench) {
    criu(bench, "exit 0");
    let sleeper = bench.sleeper();
    let created = bench.create(&sleeper);
    let paused = bench.start(&sleeper);
    bench.call(&["pause", &paused]).success();
    let short = bench.bundle();
    let stopped = bench.start(&short);
    bench.becomes(&stopped, "stopped");
    let images = bench.text("images");
    for id in [&created, &paused, &stopped, "absent"] {
        call(bench, &["checkpoint", "--image-path", &images, id]).code(1);
        is_uncalled(bench);
    }
    // And none is restored in the place of another.
    let id = bench.start(&sleeper);
    let (images, bundle) = (self::images(bench), folder(&sleeper));
    let words = ["restore", "--image-path", &images, "--bundle", &bundle, &id];
    call(bench, &words).code(1);
    assert!(bench.has_logged_an_error().contains("exists"));
    assert_eq!(bench.state(&id)["status"], "running");
}

fn a_failed_dump_leaves_the_container(bench: &mut Bench) {
    criu(
        bench,
        "cd \"$(value --work-dir)\"\n\
         echo '(00.1) Error (criu/vdso.c:9): Unexpected bounds' > dump.log\n\
         echo '(00.2) Error (criu/cr-dump.c:9): Dumping FAILED.' >> dump.log\n\
         exit 1",
    );
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let images = bench.text("images");
    call(bench, &["checkpoint", "--image-path", &images, &id]).code(1);
    let said = bench.has_logged_an_error();
    assert!(
        said.contains("(criu/vdso.c:9): Unexpected bounds"),
        "{said}"
    );
    assert!(said.contains(&format!("{images}/dump.log")), "{said}");
    assert_eq!(bench.state(&id)["status"], "running");
    bench.exec(&id, &["true"]).success();
}

fn a_dump_that_dies_leaves_nothing_frozen(bench: &mut Bench) {
    criu(
        bench,
        "cd \"$(value --freeze-cgroup)\"\n\
         if [ -e freezer.state ]; then echo FROZEN > freezer.state; else echo 1 > cgroup.freeze; fi\n\
         kill -9 $$",
    );
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let images = bench.text("images");
    call(bench, &["checkpoint", "--image-path", &images, &id]).code(1);
    let said = bench.has_logged_an_error();
    assert!(said.contains("exit status 137"), "{said}");
    assert_eq!(bench.state(&id)["status"], "running");
    bench.exec(&id, &["true"]).success();
}

/// What a script does that fails in the middle: processes, mounts, files.
const LITTER: &str = "mount -t tmpfs none /mnt; mkdir /tmp/litter /tmp/root/tmp/x 2>/dev/null\n\
                      sleep 1000 & sleep 1000 &";

fn a_failed_restore_leaves_nothing(bench: &mut Bench) {
    criu(bench, &format!("{LITTER}\nexit 1"));
    let bundle = bench.sleeper();
    let before = fs::read_dir("/tmp").expect("/tmp").count();
    let mounts = soute_tests::mounts();
    let (id, outcome) = restore(bench, &bundle, &["--detach"]);
    outcome.code(1);
    bench.is_gone(&id);
    assert_eq!(soute_tests::mounts(), mounts);
    assert_eq!(fs::read_dir("/tmp").expect("/tmp").count(), before);
    let left = bench.settled();
    assert!(left.is_empty(), "{}", left.join(", "));
}

fn a_restore_that_is_killed_is_deleted(bench: &mut Bench) {
    let up = bench.text("up");
    criu(bench, &format!("{LITTER}\ntouch {up}; wait"));
    let bundle = bench.sleeper();
    let (images, folder) = (images(bench), folder(&bundle));
    let id = bench.id();
    let words = ["restore", "--image-path", &images, "--bundle", &folder, &id];
    // What criu has made by then may hold our output.
    let mut command = command(bench, &words);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut killed = quiet.stderr(Stdio::null()).spawn().expect("it runs");
    wait_until("criu runs", || PathBuf::from(&up).exists());
    assert_eq!(bench.state(&id)["status"], "creating");
    killed.kill().expect("a signal");
    killed.wait().expect("its end");
    bench.call(&["delete", "--force", &id]).success();
    let left = bench.settled();
    assert!(left.is_empty(), "{}", left.join(", "));
}

/// criu goes on to its end, since only it can let the container go on.
fn a_checkpoint_that_is_killed_is_deleted(bench: &mut Bench) {
    let (up, go) = (bench.text("up"), bench.text("go"));
    criu(
        bench,
        &format!("touch {up}; while [ ! -e {go} ]; do sleep 0.01; done; exit 1"),
    );
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let images = bench.text("images");
    let words = ["checkpoint", "--image-path", &images, &id];
    let killed = Running::start(command(bench, &words).stdin(Stdio::null()));
    wait_until("criu runs", || PathBuf::from(&up).exists());
    killed.signal(rustix::process::Signal::KILL);
    killed.outcome().code(137);
    assert_eq!(bench.state(&id)["status"], "running");
    bench.call(&["delete", "--force", &id]).success();
    fs::write(&go, "").expect("a file");
    let left = bench.settled();
    assert!(left.is_empty(), "{}", left.join(", "));
}

/// A process in the place of a restored one.
const RESTORED: &str = "sleep 1000 &\nprintf %s $! > \"$(value --pidfile)\"";

fn a_restored_container_is_one_like_others(bench: &mut Bench) {
    criu(bench, &format!("{RESTORED}; exit 0"));
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/pids", json!({"limit": 17}));
    bundle.set("/annotations/a", json!("b"));
    let file = bench.text("pid");
    let (id, outcome) = restore(bench, &bundle, &["--detach", "--pid-file", &file]);
    outcome.success();
    let state = bench.state(&id);
    assert_eq!(state["status"], "running");
    assert_eq!(state["annotations"]["a"], "b");
    assert_eq!(
        fs::read_to_string(&file).expect("a number"),
        bench.pid(&id).to_string()
    );
    let limit = fs::read_to_string(bench.cgroup(&id, "pids").join("pids.max")).expect("a limit");
    assert_eq!(limit.trim(), "17");
    bench.call(&["pause", &id]).success();
    bench.call(&["resume", &id]).success();
    bench.call(&["delete", &id]).code(1);
    bench.call(&["kill", &id, "KILL"]).success();
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
    bench.is_gone(&id);
}

/// What a bundle has for hooks of that kind: the pid that they are told goes to a file.
fn hook(bench: &Bench, name: &str, end: &str) -> Value {
    let file = bench.text(name);
    json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {file}; {end}")]}])
}

const CALLS_HOOKS: &str = "export CRTOOLS_INIT_PID=$(cat \"$(value --pidfile)\")\n\
                           CRTOOLS_SCRIPT_ACTION=pre-restore \"$(value --action-script)\" || exit 1\n\
                           CRTOOLS_SCRIPT_ACTION=setup-namespaces \"$(value --action-script)\" || exit 1";

fn hooks_run_when_the_namespaces_are_there(bench: &mut Bench) {
    criu(bench, &format!("{RESTORED}\n{CALLS_HOOKS}"));
    let mut bundle = bench.sleeper();
    for kind in [
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        bundle.set(&format!("/hooks/{kind}"), hook(bench, kind, "true"));
    }
    let (id, outcome) = restore(bench, &bundle, &["--detach"]);
    outcome.success();
    let told = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(bench.path(name)).expect("it has run")).expect("JSON")
    };
    let state = told("createRuntime");
    assert_eq!(state["pid"], bench.pid(&id));
    assert_eq!(state["status"], "creating");
    // As in runc, the others are for a program that starts.
    for kind in ["createContainer", "startContainer", "poststart"] {
        assert!(!bench.path(kind).exists(), "{kind}");
    }
    let left = fs::read_dir(bench.path("state").join(&id)).expect("its folder");
    assert_eq!(left.count(), 3);
    bench.call(&["delete", "--force", &id]).success();
    assert_eq!(told("poststop")["status"], "stopped");
}

fn a_failing_hook_ends_the_restore(bench: &mut Bench) {
    criu(bench, &format!("{RESTORED}\n{CALLS_HOOKS}"));
    let mut bundle = bench.sleeper();
    bundle.set("/hooks/createRuntime", hook(bench, "told", "exit 3"));
    let (id, outcome) = restore(bench, &bundle, &["--detach"]);
    outcome.code(1);
    let said = bench.has_logged_an_error();
    assert!(said.contains("exit status 3"), "{said}");
    bench.is_gone(&id);
}

fn images_without_names_are_refused(bench: &mut Bench) {
    criu(bench, "exit 0");
    let bundle = bench.sleeper();
    let folder = folder(&bundle);
    let images = bench.path("images");
    fs::create_dir(&images).expect("a folder");
    let refused = |what: &str| {
        let words = [
            "restore",
            "--image-path",
            &bench.text("images"),
            "--bundle",
            &folder,
            "x",
        ];
        call(bench, &words).code(1);
        assert!(!bench.path("arguments").exists(), "{what}: criu was called");
    };
    refused("none");
    for text in ["", "{}", "[1, 2, 3]"] {
        fs::write(images.join("descriptors.json"), text).expect("a file");
        refused(text);
    }
    fs::remove_file(images.join("descriptors.json")).expect("the file");
    symlink("/etc/passwd", images.join("descriptors.json")).expect("a link");
    refused("a link");
}

/// Whoever writes images can have them restored, and no file of the machine's overwritten on the way. The defence is
/// `Folders::clear`: without it criu's log is written through the link.
fn links_in_the_images_are_not_written_through(bench: &mut Bench) {
    criu(
        bench,
        "echo log > \"$(value --log-file)\"\n\
         echo figures > \"$(value --work-dir)/stats-restore\"\n\
         exit 1",
    );
    let bundle = bench.sleeper();
    let images = PathBuf::from(images(bench));
    let file = bench.path("file");
    fs::write(&file, "the machine's").expect("a file");
    for name in ["restore.log", "stats-restore"] {
        symlink(&file, images.join(name)).expect("a link");
    }
    let (_, outcome) = restore(bench, &bundle, &[]);
    outcome.code(1);
    assert_eq!(
        fs::read_to_string(&file).expect("the file"),
        "the machine's"
    );
    for (name, text) in [("restore.log", "log\n"), ("stats-restore", "figures\n")] {
        assert_eq!(fs::read_to_string(images.join(name)).expect("it"), text);
    }
}
