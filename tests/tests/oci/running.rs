//! `run`, `kill`, `list` and `ps`: what callers do most.

use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use soute_tests::{Running, wait_until};

use crate::bench::Bench;
use crate::case::cases;

cases![
    run_passes_output_and_status,
    run_passes_input,
    run_tells_a_signal_as_shells_do,
    run_leaves_nothing,
    run_keeps_a_container_if_told,
    run_passes_signals_on,
    run_detached_leaves_a_running_container,
    run_detached_writes_a_pid_file,
    a_program_that_is_not_there,
    a_program_that_may_not_be_run,
    a_folder_is_no_program,
    a_script_without_its_interpreter,
    kill_by_number_and_name,
    kill_sends_term_by_default,
    kill_with_nothing,
    kill_an_unknown_signal,
    kill_a_stopped_container,
    kill_a_created_container,
    kill_all_reaches_every_process,
    kill_without_a_pid_namespace_takes_all,
    processes_end_with_the_first,
    list_as_json,
    list_quietly,
    list_as_a_table,
    ps_as_json,
    ps_as_a_table,
    spec_writes_a_configuration,
    spec_overwrites_nothing,
    spec_runs,
    features_tells_of_the_runtime,
    version_is_told,
    help_is_told,
];

fn run_passes_output_and_status(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo out; echo err >&2; exit 42");
    let outcome = bench.run(&bundle);
    outcome.code(42).prints("out");
    assert_eq!(outcome.stderr.trim(), "err");
}

fn run_passes_input(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["cat"]).write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    let mut command = bench.command(&["run", "--bundle", folder, &id]);
    let mut cat = Running::start(command.stdin(Stdio::piped()));
    cat.write("through\n");
    cat.expect("through");
    cat.outcome().success();
}

fn run_tells_a_signal_as_shells_do(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("pid");
    bundle.sh("kill -9 $$");
    bench.run(&bundle).code(137);
}

fn run_leaves_nothing(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("exit 3").write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    bench.call(&["run", "--bundle", folder, &id]).code(3);
    bench.is_gone(&id);
}

fn run_keeps_a_container_if_told(bench: &mut Bench) {
    let bundle = bench.bundle();
    bundle.write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    bench
        .call(&["run", "--keep", "--bundle", folder, &id])
        .success();
    assert_eq!(bench.state(&id)["status"], "stopped");
    bench.call(&["delete", &id]).success();
}

fn run_passes_signals_on(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("trap 'echo heard; exit 7' TERM; echo ready; while :; do sleep 0.02; done");
    bundle.write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    let mut command = bench.command(&["run", "--bundle", folder, &id]);
    let mut run = Running::start(&mut command);
    run.expect("ready");
    run.signal(Signal::TERM);
    run.outcome().code(7).shows("heard");
}

fn run_detached_leaves_a_running_container(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo works; sleep 1000");
    let id = bench.id();
    bench.try_detached(&bundle, &[], &id).success();
    bench.hears(&id, "works");
    assert_eq!(bench.state(&id)["status"], "running");
}

fn run_detached_writes_a_pid_file(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.id(), bench.text("pid"));
    bench
        .try_detached(&bundle, &["--pid-file", &file], &id)
        .success();
    let pid = std::fs::read_to_string(&file).unwrap();
    assert_eq!(pid, bench.pid(&id).to_string());
}

/// Not shells' 127: that is the caller's to say, who reads the message.
fn a_program_that_is_not_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["no-such-program"]);
    let id = bench.id();
    let outcome = bench.try_create(&bundle, &[], &id);
    // What dockerd and Podman look for.
    outcome.fails(1, &["executable file", "not found in $PATH"]);
    bench.is_gone(&id);
    bundle.args(&["/no/such/program"]);
    let outcome = bench.try_create(&bundle, &[], &id);
    let message = outcome.fails(1, &[]).stderr.to_lowercase();
    assert!(message.contains("no such file or directory"), "{outcome}");
    bench.is_gone(&id);
    bench.has_logged_an_error();
}

fn a_program_that_may_not_be_run(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    std::fs::write(bundle.rootfs().join("program"), "#!/bin/sh\n").unwrap();
    bundle.args(&["/program"]);
    let outcome = bench.refuses(&bundle);
    let message = outcome.code(1).stderr.to_lowercase();
    assert!(message.contains("permission denied"), "{outcome}");
}

fn a_folder_is_no_program(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["/etc"]);
    bench.refuses(&bundle).code(1);
}

fn a_script_without_its_interpreter(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let script = bundle.rootfs().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let chmod = ["755", script.to_str().unwrap()];
    soute_tests::output(std::process::Command::new("chmod").args(chmod)).success();
    bundle.args(&["/script"]);
    let outcome = bench.run(&bundle);
    assert_ne!(outcome.code, 0, "{outcome}");
    let message = outcome.stderr.to_lowercase();
    assert!(message.contains("no such file"), "{outcome}");
}

fn kill_by_number_and_name(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh(
        "trap 'echo usr1' USR1; trap 'echo hup' HUP; trap 'echo rtmin' 35; echo ready; while :; do sleep 0.02; done",
    );
    let id = bench.start(&bundle);
    bench.hears(&id, "ready");
    for (count, (signal, word)) in [
        ("10", "usr1"),
        ("USR1", "usr1"),
        ("SIGUSR1", "usr1"),
        ("sigusr1", "usr1"),
        ("HUP", "hup"),
        ("1", "hup"),
        ("35", "rtmin"),
    ]
    .iter()
    .enumerate()
    {
        bench.call(&["kill", &id, signal]).success();
        wait_until(&format!("{signal} is heard"), || {
            bench.said(&id).lines().count() == count + 2
        });
        assert_eq!(bench.said(&id).lines().last(), Some(*word), "{signal}");
    }
}

fn kill_sends_term_by_default(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("trap 'echo term; exit' TERM; echo ready; while :; do sleep 0.02; done");
    let id = bench.start(&bundle);
    bench.hears(&id, "ready");
    bench.call(&["kill", &id]).success();
    bench.becomes(&id, "stopped");
    bench.hears(&id, "term");
}

/// Signal 0 asks whether it is there.
fn kill_with_nothing(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["kill", &id, "0"]).success();
    assert_eq!(bench.state(&id)["status"], "running");
}

fn kill_an_unknown_signal(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    for signal in ["BOGUS", "SIGBOGUS", "99", "-9x"] {
        let outcome = bench.call(&["kill", "--", &id, signal]);
        assert_ne!(outcome.code, 0, "{outcome}");
    }
    assert_eq!(bench.state(&id)["status"], "running");
}

fn kill_a_stopped_container(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    let outcome = bench.call(&["kill", &id, "9"]);
    outcome.code(1);
    // One of the three that containerd looks for.
    let message = outcome.stderr.to_lowercase();
    assert!(
        message.contains("container not running") || message.contains("no such process"),
        "{outcome}"
    );
    bench.call(&["kill", "--all", &id, "9"]).success();
}

fn kill_a_created_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    bench.call(&["kill", &id, "KILL"]).success();
    bench.becomes(&id, "stopped");
    bench.call(&["delete", &id]).success();
}

/// How many processes a cgroup has.
fn processes(cgroup: &Path) -> usize {
    let numbers = std::fs::read_to_string(cgroup.join("cgroup.procs"));
    numbers.unwrap_or_default().lines().count()
}

fn kill_all_reaches_every_process(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("pid");
    bundle.sh("sleep 1001 & sleep 1002 & echo ready; wait");
    let id = bench.start(&bundle);
    bench.hears(&id, "ready");
    let cgroup = bench.cgroup(&id, "pids");
    wait_until("all run", || processes(&cgroup) == 3);
    bench.call(&["kill", "--all", &id, "KILL"]).success();
    wait_until("all have ended", || processes(&cgroup) == 0);
}

/// With a PID namespace the kernel sees to it.
fn kill_without_a_pid_namespace_takes_all(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.without_namespace("pid");
    bundle.sh("sleep 1001 & echo ready; wait");
    let id = bench.start(&bundle);
    bench.hears(&id, "ready");
    let cgroup = bench.cgroup(&id, "pids");
    wait_until("all run", || processes(&cgroup) == 2);
    bench.call(&["delete", "--force", &id]).success();
    wait_until("all have ended", || processes(&cgroup) == 0);
    bench.is_gone(&id);
}

fn processes_end_with_the_first(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("sleep 1001 >/dev/null 2>&1 & echo started");
    bench.run(&bundle).success().prints("started");
}

fn list_as_json(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (one, two) = (bench.create(&bundle), bench.start(&bundle));
    let list = bench.call(&["list", "--format", "json"]).json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    for (id, status) in [(&one, "created"), (&two, "running")] {
        let entry = list.iter().find(|entry| entry["id"] == id.as_str());
        let entry = entry.expect("the container");
        assert_eq!(entry["status"], status);
        assert_eq!(entry["pid"], bench.pid(id));
        assert_eq!(entry["bundle"], bundle.folder().display().to_string());
        assert!(entry["created"].is_string());
    }
}

fn list_quietly(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["list", "-q"]).prints(&id);
}

fn list_as_a_table(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let table = bench.call(&["list"]);
    let text = table.text();
    let words = |line: usize| -> Vec<&str> {
        let line = text.lines().nth(line).unwrap_or_default();
        line.split_whitespace().collect()
    };
    let (head, row) = (words(0), words(1));
    assert!(head.contains(&"PID") && head.contains(&"STATUS"), "{table}");
    assert!(
        row.contains(&id.as_str()) && row.contains(&"running"),
        "{table}"
    );
}

fn ps_as_json(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("sleep 1001 & echo ready; wait");
    let id = bench.start(&bundle);
    bench.hears(&id, "ready");
    let pids = bench.call(&["ps", "--format", "json", &id]).json();
    let pids = pids.as_array().expect("a list");
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(pids.contains(&json!(bench.pid(&id))));
}

fn ps_as_a_table(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let pid = bench.pid(&id).to_string();
    bench.call(&["ps", &id]).shows("PID").shows(&pid);
}

fn spec_writes_a_configuration(bench: &mut Bench) {
    let folder = bench.path("spec");
    std::fs::create_dir(&folder).unwrap();
    let mut command = bench.command(&["spec"]);
    soute_tests::output(command.current_dir(&folder)).success();
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    assert!(config["linux"]["namespaces"].as_array().unwrap().len() >= 5);
    let masked = config["linux"]["maskedPaths"].as_array().unwrap();
    for path in ["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"] {
        assert!(masked.contains(&json!(path)), "{path} in {masked:?}");
    }
}

fn spec_overwrites_nothing(bench: &mut Bench) {
    let folder = bench.path("spec");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.json"), "mine").unwrap();
    let mut command = bench.command(&["spec"]);
    let outcome = soute_tests::output(command.current_dir(&folder));
    assert_ne!(outcome.code, 0, "{outcome}");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    assert_eq!(text, "mine");
}

fn spec_runs(bench: &mut Bench) {
    let bundle = bench.bundle();
    let mut command = bench.command(&["spec"]);
    soute_tests::output(command.current_dir(bundle.folder())).success();
    let file = bundle.folder().join("config.json");
    let text = std::fs::read_to_string(file).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "works"]);
    bundle.write_text(&config.to_string());
    bench.run_as_it_is(&bundle, &[]).success().prints("works");
}

fn features_tells_of_the_runtime(bench: &mut Bench) {
    let features = bench.call(&["features"]).json();
    for field in ["ociVersionMin", "ociVersionMax"] {
        assert!(features[field].as_str().unwrap().starts_with("1."));
    }
    let has = |pointer: &str, word: &str| {
        let list = features.pointer(pointer).and_then(Value::as_array);
        let list = list.unwrap_or_else(|| panic!("no {pointer} in {features}"));
        assert!(list.contains(&json!(word)), "no {word} in {pointer}");
    };
    for hook in ["prestart", "createRuntime", "createContainer"] {
        has("/hooks", hook);
    }
    for hook in ["startContainer", "poststart", "poststop"] {
        has("/hooks", hook);
    }
    // dockerd and CRI ask for it before they make a bind read-only all the way.
    for option in ["ro", "rro", "rbind", "rprivate", "tmpcopyup"] {
        has("/mountOptions", option);
    }
    for namespace in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        has("/linux/namespaces", namespace);
    }
    has("/linux/capabilities", "CAP_CHECKPOINT_RESTORE");
    has("/linux/seccomp/actions", "SCMP_ACT_NOTIFY");
    has("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ");
    // containerd asks for it before it hands over an idmapped mount.
    let idmap = features.pointer("/linux/mountExtensions/idmap/enabled");
    assert_eq!(idmap, Some(&json!(true)));
    for version in ["v1", "v2"] {
        assert_eq!(features["linux"]["cgroup"][version], true);
    }
}

fn version_is_told(bench: &mut Bench) {
    let outcome = bench.call(&["--version"]);
    // What dockerd parses.
    outcome.shows("version ").shows("spec: 1.");
}

fn help_is_told(bench: &mut Bench) {
    bench.call(&["--help"]).success();
    // Podman asks this way whether it can.
    bench.call(&["checkpoint", "--help"]).success();
}
