//! `exec`: a further process in a container.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use soute_tests::{output_in_files, wait_until};

use crate::bench::Bench;
use crate::case::cases;

cases![
    exec_runs_in_all_namespaces,
    exec_passes_status_and_output,
    exec_tells_a_signal_as_shells_do,
    exec_sees_the_containers_environment,
    exec_takes_variables,
    exec_takes_a_working_directory,
    exec_takes_a_user,
    exec_takes_further_groups,
    exec_adds_a_capability,
    exec_refuses_an_unknown_capability,
    exec_takes_no_new_privileges,
    exec_has_the_containers_capabilities,
    exec_by_a_process_file,
    exec_by_a_process_file_has_its_own_capabilities,
    exec_by_a_process_file_has_its_own_limits,
    exec_by_a_process_file_has_its_own_oom_score,
    exec_by_a_process_file_that_is_wrong,
    exec_detached_writes_a_pid_file,
    exec_is_in_the_containers_cgroups,
    exec_into_a_part_of_the_cgroup,
    exec_into_a_cgroup_elsewhere_is_refused,
    exec_of_a_missing_program,
    exec_in_a_created_container,
    exec_in_a_stopped_container,
    exec_in_a_paused_container,
    exec_words_are_the_programs,
    exec_without_a_program,
    exec_with_descriptors,
    exec_ends_with_the_container,
    exec_in_a_user_namespace,
    exec_many_times,
];

fn exec_runs_in_all_namespaces(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.namespace("cgroup", None);
    let id = bench.start(&bundle);
    let pid = bench.pid(&id);
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let ours = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let theirs = bench.exec(&id, &["readlink", &format!("/proc/self/ns/{kind}")]);
        theirs.success().prints(&ours.display().to_string());
    }
}

fn exec_passes_status_and_output(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["sh", "-c", "echo out; echo err >&2; exit 42"]);
    outcome.code(42).prints("out");
    assert_eq!(outcome.stderr.trim(), "err");
}

fn exec_tells_a_signal_as_shells_do(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.exec(&id, &["sh", "-c", "kill -9 $$"]).code(137);
}

fn exec_sees_the_containers_environment(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.push("/process/env", json!("A=container"));
    bundle.set("/process/cwd", json!("/usr"));
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["sh", "-c", "echo $A $PWD"]);
    outcome.success().prints("container /usr");
}

fn exec_takes_variables(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.push("/process/env", json!("A=container"));
    let id = bench.start(&bundle);
    let flags = ["--env", "A=exec", "--env", "B=x y"];
    let words = [&["exec"], &flags[..], &[&id, "sh", "-c", "echo $A $B"]].concat();
    bench.call(&words).success().prints("exec x y");
}

fn exec_takes_a_working_directory(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench
        .call(&["exec", "--cwd", "/etc", &id, "pwd"])
        .prints("/etc");
    let missing = bench.call(&["exec", "--cwd", "/no/such", &id, "pwd"]);
    assert_ne!(missing.code, 0, "{missing}");
}

fn exec_takes_a_user(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let script = "id -u; id -g";
    for (user, ids) in [("1000:50", "1000\n50"), ("1000", "1000\n0")] {
        let outcome = bench.call(&["exec", "--user", user, &id, "sh", "-c", script]);
        outcome.success().prints(ids);
    }
    for user in ["-1", "99999999999", "1000:x"] {
        let outcome = bench.call(&["exec", "--user", user, &id, "true"]);
        assert_ne!(outcome.code, 0, "{outcome}");
    }
}

fn exec_takes_further_groups(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let flags = ["-g", "77", "-g", "88"];
    let words = [&["exec"], &flags[..], &[&id, "id", "-G"]].concat();
    bench.call(&words).success().prints("0 77 88");
}

fn exec_adds_a_capability(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    // CAP_SYS_NICE is 23.
    let grep = ["grep", "CapEff", "/proc/self/status"];
    let words = [&["exec", "--cap", "CAP_SYS_NICE", &id], &grep[..]].concat();
    bench.call(&words).success().shows("0000000020800420");
}

fn exec_refuses_an_unknown_capability(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let bogus = bench.call(&["exec", "--cap", "CAP_BOGUS", &id, "true"]);
    assert_ne!(bogus.code, 0, "{bogus}");
}

fn exec_takes_no_new_privileges(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/process/noNewPrivileges", json!(false));
    let id = bench.start(&bundle);
    let grep = ["grep", "NoNewPrivs", "/proc/self/status"];
    bench.exec(&id, &grep).shows("0");
    let words = [&["exec", "--no-new-privs", &id], &grep[..]].concat();
    bench.call(&words).success().shows("1");
}

/// CVE-2022-29162 and its kin: nothing inheritable, nothing ambient.
fn exec_has_the_containers_capabilities(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["grep", "^Cap", "/proc/self/status"]);
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000020000420",
        "CapEff:\t0000000020000420",
        "CapBnd:\t0000000020000420",
        "CapAmb:\t0000000000000000",
    ] {
        outcome.shows(line);
    }
}

/// `process.json`, as containerd hands it over.
#[track_caller]
fn process_file(bench: &Bench, args: &[&str], change: impl FnOnce(&mut Value)) -> String {
    let mut process = json!({
        "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
        "env": ["PATH=/bin", bench.mark()],
    });
    change(&mut process);
    let path: PathBuf = bench.path("process.json");
    fs::write(&path, process.to_string()).unwrap();
    path.display().to_string()
}

fn exec_by_a_process_file(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let script = "id -u; id -g; pwd; echo $A; umask";
    let file = process_file(bench, &["sh", "-c", script], |process| {
        process["user"] = json!({"uid": 5, "gid": 6, "umask": 0o027});
        process["cwd"] = json!("/usr");
        process["env"] = json!(["PATH=/bin", "A=own"]);
    });
    let outcome = bench.call(&["exec", "--process", &file, &id]);
    outcome.success().prints("5\n6\n/usr\nown\n0027");
}

fn exec_by_a_process_file_has_its_own_capabilities(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let args = ["grep", "CapEff", "/proc/self/status"];
    let file = process_file(bench, &args, |process| {
        let own = json!(["CAP_SYS_NICE"]);
        process["capabilities"] = json!({"bounding": own, "effective": own, "permitted": own});
    });
    let outcome = bench.call(&["exec", "-p", &file, &id]);
    outcome.success().shows("0000000000800000");
}

fn exec_by_a_process_file_has_its_own_limits(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let file = process_file(bench, &["sh", "-c", "ulimit -n"], |process| {
        process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}]);
    });
    let outcome = bench.call(&["exec", "-p", &file, &id]);
    outcome.success().prints("77");
}

fn exec_by_a_process_file_has_its_own_oom_score(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let file = process_file(bench, &["cat", "/proc/self/oom_score_adj"], |process| {
        process["oomScoreAdj"] = json!(321);
    });
    let outcome = bench.call(&["exec", "-p", &file, &id]);
    outcome.success().prints("321");
}

fn exec_by_a_process_file_that_is_wrong(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let missing = bench.call(&["exec", "-p", &bench.text("nowhere"), &id]);
    assert_ne!(missing.code, 0, "{missing}");
    let file = bench.text("bad.json");
    for text in [
        "",
        "{",
        "[]",
        "{\"args\": []}",
        "{\"args\": [\"true\"], \"cwd\": \"usr\"}",
    ] {
        fs::write(&file, text).unwrap();
        let outcome = bench.call(&["exec", "-p", &file, &id]);
        assert_ne!(outcome.code, 0, "{text:?}: {outcome}");
    }
    bench.has_logged_an_error();
}

fn exec_detached_writes_a_pid_file(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.start(&bundle), bench.text("pid"));
    let words = ["exec", "-d", "--pid-file", &file, &id, "sleep", "1001"];
    output_in_files(&mut bench.command(&words), &bench.path(""), "exec").success();
    let pid: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    // crun returns a moment before the program has taken its place.
    let words = || fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    wait_until("it is sleep", || words() == b"sleep\x001001\0");
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert_eq!(namespace(pid), namespace(bench.pid(&id)));
}

fn exec_is_in_the_containers_cgroups(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.start(&bundle), bench.text("pid"));
    let words = ["exec", "-d", "--pid-file", &file, &id, "sleep", "1001"];
    output_in_files(&mut bench.command(&words), &bench.path(""), "exec").success();
    let cgroups = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let first = cgroups(&bench.pid(&id).to_string());
    assert_eq!(cgroups(&fs::read_to_string(&file).unwrap()), first);
}

fn exec_into_a_part_of_the_cgroup(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let pids = bench.cgroup(&id, "pids");
    fs::create_dir(pids.join("part")).unwrap();
    let cgroup = match soute_tests::layout() {
        soute_tests::Layout::V1 => "pids:part",
        soute_tests::Layout::V2 => "part",
    };
    let words = ["exec", "--cgroup", cgroup, &id, "cat", "/proc/self/cgroup"];
    let outcome = bench.call(&words);
    outcome.success();
    assert!(
        outcome.stdout.lines().any(|line| line.ends_with("/part")),
        "{outcome}"
    );
    wait_until("the part is empty", || {
        fs::remove_dir(pids.join("part")).is_ok()
    });
}

fn exec_into_a_cgroup_elsewhere_is_refused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let cgroups = match soute_tests::layout() {
        soute_tests::Layout::V1 => ["pids:..", "pids:../..", "pids:no-such"],
        soute_tests::Layout::V2 => ["..", "../..", "no-such"],
    };
    for cgroup in cgroups {
        let outcome = bench.call(&["exec", "--cgroup", cgroup, &id, "true"]);
        assert_ne!(outcome.code, 0, "{outcome}");
    }
}

/// 255, not shells' 127.
fn exec_of_a_missing_program(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["no-such-program"]);
    outcome.fails(255, &["executable file", "not found in $PATH"]);
    bench.has_logged_an_error();
}

fn exec_in_a_created_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    bench
        .exec(&id, &["echo", "works"])
        .success()
        .prints("works");
    assert_eq!(bench.state(&id)["status"], "created");
}

fn exec_in_a_stopped_container(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.exec(&id, &["true"]).code(255);
    bench.has_logged_an_error();
}

fn exec_in_a_paused_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["pause", &id]).success();
    let outcome = bench.exec(&id, &["true"]);
    bench.call(&["resume", &id]).success();
    outcome.code(255);
    bench.exec(&id, &["true"]).success();
}

/// Flags end at the id.
fn exec_words_are_the_programs(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["echo", "--env", "-d", "--"]);
    outcome.success().prints("--env -d --");
}

fn exec_without_a_program(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &[]);
    assert_ne!(outcome.code, 0, "{outcome}");
}

fn exec_with_descriptors(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let file = bench.text("kept");
    fs::write(&file, "kept\n").unwrap();
    let script = format!("exec 3<{file} 5<{file}; exec \"$@\"");
    for (count, open) in [("0", "0 1 2 3"), ("1", "0 1 2 3 4")] {
        let list = "cd /proc/self/fd; echo *";
        let call = bench.command(&["exec", "--preserve-fds", count, &id, "sh", "-c", list]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, "sh"]);
        shell.arg(call.get_program()).args(call.get_args());
        soute_tests::output(&mut shell).success().prints(open);
    }
}

fn exec_ends_with_the_container(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let mut exec = soute_tests::Running::start(
        bench
            .command(&["exec", &id, "sh", "-c", "echo ready; exec sleep 1001"])
            .stdin(std::process::Stdio::null()),
    );
    exec.expect("ready");
    bench.call(&["kill", &id, "KILL"]).success();
    exec.outcome().code(137);
}

fn exec_in_a_user_namespace(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.namespace("user", None);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);
    let chown = ["-R", "100000:100000", bundle.rootfs().to_str().unwrap()].map(str::to_owned);
    soute_tests::output(std::process::Command::new("chown").args(chown)).success();
    let id = bench.start(&bundle);
    let script = "id -u; cat /proc/self/uid_map";
    let outcome = bench.exec(&id, &["sh", "-c", script]);
    let words: Vec<&str> = outcome.text().split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536"]);
    let user = bench.call(&["exec", "--user", "1000", &id, "id", "-u"]);
    user.success().prints("1000");
}

fn exec_many_times(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let count = || {
        let procs = bench.cgroup(&id, "pids").join("cgroup.procs");
        fs::read_to_string(procs).unwrap().lines().count()
    };
    for number in 0..20 {
        let word = number.to_string();
        bench.exec(&id, &["echo", &word]).success().prints(&word);
    }
    wait_until("only the first process is left", || count() == 1);
}
