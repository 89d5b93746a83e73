//! `process`: what the program is given.

use serde_json::json;

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    arguments_are_passed_as_they_are,
    programs_are_found_on_the_containers_path,
    the_environment_is_the_configured_one,
    home_is_roots,
    the_working_directory_is_set,
    a_missing_working_directory_is_made,
    a_relative_working_directory_is_refused,
    a_working_directory_that_is_a_file,
    user_and_group_are_set,
    additional_groups_are_set,
    no_groups_of_the_callers_remain,
    the_umask_is_set,
    the_umask_is_022_by_default,
    rlimits_are_set,
    every_rlimit_has_its_number,
    an_unknown_rlimit_is_refused,
    a_soft_limit_over_the_hard_one_is_refused,
    an_rlimit_twice_is_refused,
    capabilities_are_those_of_the_sets,
    no_capabilities,
    ambient_capabilities_reach_another_user,
    ambient_capabilities_that_cannot_be_are_not,
    another_user_has_no_effective_capabilities,
    inheritable_capabilities_are_as_configured,
    no_new_privileges,
    privileges_by_programs_if_not_told_otherwise,
    oom_score_adj_is_set,
    oom_score_adj_is_the_callers_by_default,
    descriptors_are_preserved,
    no_other_descriptor_is_open,
    a_preserved_descriptor_that_is_not_open,
    listen_fds_are_passed,
    personality_is_set,
    scheduler_is_set,
    a_deadline_scheduler_is_set,
    io_priority_is_set,
    the_first_process_leads_a_session,
    signals_are_as_by_default,
    cpu_affinity_is_set_for_exec,
];

/// What `/proc/self/status` shows for `field` in the container.
#[track_caller]
fn status(bench: &mut Bench, bundle: &mut Bundle, field: &str) -> String {
    bundle.args(&["cat", "/proc/self/status"]);
    let outcome = bench.run(bundle);
    let text = outcome.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}: {outcome}"))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn arguments_are_passed_as_they_are(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["printf", "<%s>", "", "a b", "$HOME", "\"", "ü\n"]);
    bench
        .run(&bundle)
        .success()
        .prints("<><a b><$HOME><\"><ü\n>");
}

fn programs_are_found_on_the_containers_path(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let folder = bundle.rootfs().join("own");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink("/bin/busybox", folder.join("nproc")).unwrap();
    bundle.set("/process/env", json!(["PATH=/nowhere:/own", bench.mark()]));
    bundle.args(&["nproc"]);
    bench.run(&bundle).success();
    bundle.args(&["cat", "/dev/null"]);
    assert_ne!(bench.run(&bundle).code, 0);
}

fn the_environment_is_the_configured_one(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mark = bench.mark();
    let env = json!([
        "PATH=/bin",
        "A=1",
        "B=two words",
        "C=",
        "D=x=y",
        "HOME=/h",
        mark
    ]);
    bundle.set("/process/env", env).args(&["env"]);
    let outcome = bench.run(&bundle);
    let mut lines: Vec<&str> = outcome.text().lines().collect();
    lines.sort_unstable();
    let wanted = [
        "A=1",
        "B=two words",
        "C=",
        "D=x=y",
        "HOME=/h",
        "PATH=/bin",
        &mark,
    ];
    assert_eq!(lines, wanted);
}

/// Not asked by the specification, and what every caller relies on.
fn home_is_roots(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("echo $HOME");
    bench.run(&bundle).success().prints("/root");
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bench.run(&bundle).success().prints("/home");
}

fn the_working_directory_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/cwd", json!("/usr")).args(&["pwd"]);
    bench.run(&bundle).success().prints("/usr");
}

fn a_missing_working_directory_is_made(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/root/readonly", json!(false));
    bundle
        .set("/process/cwd", json!("/made/deep"))
        .args(&["pwd"]);
    bench.run(&bundle).success().prints("/made/deep");
    assert!(bundle.rootfs().join("made/deep").is_dir());
}

fn a_relative_working_directory_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/cwd", json!("usr"));
    bench.refuses(&bundle);
}

fn a_working_directory_that_is_a_file(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/cwd", json!("/etc/passwd"));
    bench.refuses(&bundle);
}

fn user_and_group_are_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user", json!({"uid": 1234, "gid": 4321}));
    bundle.sh("id -u; id -g; grep -E '^(Uid|Gid)' /proc/self/status");
    let outcome = bench.run(&bundle);
    outcome.shows("1234\n4321\n");
    outcome.shows("Uid:\t1234\t1234\t1234\t1234");
    outcome.shows("Gid:\t4321\t4321\t4321\t4321");
}

fn additional_groups_are_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user/additionalGids", json!([10, 77, 4_000_000]));
    assert_eq!(status(bench, &mut bundle, "Groups"), "10 77 4000000");
}

fn no_groups_of_the_callers_remain(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle
        .args(&["grep", "Groups", "/proc/self/status"])
        .write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    let call = bench.command(&["run", "--bundle", folder, &id]);
    let mut with_groups = std::process::Command::new("setpriv");
    with_groups.args(["--groups", "4,5", "--"]);
    with_groups.arg(call.get_program()).args(call.get_args());
    soute_tests::output(&mut with_groups)
        .success()
        .prints("Groups:");
}

fn the_umask_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user/umask", json!(0o077));
    assert_eq!(status(bench, &mut bundle, "Umask"), "0077");
}

fn the_umask_is_022_by_default(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    assert_eq!(status(bench, &mut bundle, "Umask"), "0022");
}

fn rlimits_are_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let rlimits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 18_446_744_073_709_551_615_u64},
    ]);
    bundle.set("/process/rlimits", rlimits);
    bundle.args(&["cat", "/proc/self/limits"]);
    let outcome = bench.run(&bundle);
    let limits = outcome
        .text()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(limits.contains("Max open files 100 200 files"), "{outcome}");
    assert!(
        limits.contains("Max core file size 0 unlimited"),
        "{outcome}"
    );
}

fn every_rlimit_has_its_number(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let kinds = [
        ("AS", "Max address space"),
        ("CORE", "Max core file size"),
        ("CPU", "Max cpu time"),
        ("DATA", "Max data size"),
        ("FSIZE", "Max file size"),
        ("LOCKS", "Max file locks"),
        ("MEMLOCK", "Max locked memory"),
        ("MSGQUEUE", "Max msgqueue size"),
        ("NICE", "Max nice priority"),
        ("NOFILE", "Max open files"),
        ("NPROC", "Max processes"),
        ("RSS", "Max resident set"),
        ("RTPRIO", "Max realtime priority"),
        ("RTTIME", "Max realtime timeout"),
        ("SIGPENDING", "Max pending signals"),
        ("STACK", "Max stack size"),
    ];
    // Distinct where the machine lets them be, and nowhere more than it gives: raising takes a capability.
    let machines = std::fs::read_to_string("/proc/self/limits").unwrap();
    let limit = |index: usize, name: &str| -> u64 {
        let wanted = match name {
            "Max open files" => 999,
            _ => 900_000_000 + u64::try_from(index).unwrap(),
        };
        let line = machines.lines().find_map(|line| line.strip_prefix(name));
        let hard = line.and_then(|line| line.split_whitespace().nth(1));
        let hard = hard.and_then(|hard| hard.parse().ok());
        hard.map_or(wanted, |hard: u64| hard.min(wanted))
    };
    let rlimits: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(index, (kind, name))| {
            let limit = limit(index, name);
            json!({"type": format!("RLIMIT_{kind}"), "soft": limit, "hard": limit})
        })
        .collect();
    bundle.set("/process/rlimits", json!(rlimits));
    bundle.args(&["cat", "/proc/self/limits"]);
    let outcome = bench.run(&bundle);
    let text = outcome.text();
    for (index, (kind, name)) in kinds.iter().enumerate() {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {outcome}"));
        let soft = line.split_whitespace().next();
        assert_eq!(soft, Some(&*limit(index, name).to_string()), "{kind}");
    }
}

fn an_unknown_rlimit_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.push(
        "/process/rlimits",
        json!({"type": "RLIMIT_BOGUS", "soft": 1, "hard": 1}),
    );
    bench.refuses(&bundle);
}

fn a_soft_limit_over_the_hard_one_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 200}]),
    );
    bench.refuses(&bundle);
}

/// "an error MUST be generated" (config.md).
fn an_rlimit_twice_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let rlimit = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200});
    bundle.set("/process/rlimits", json!([rlimit, rlimit]));
    bench.refuses(&bundle);
}

/// CAP_KILL is 5, CAP_NET_BIND_SERVICE 10, CAP_AUDIT_WRITE 29.
const THREE: &str = "0000000020000420";
const NONE: &str = "0000000000000000";

fn capabilities_are_those_of_the_sets(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/capabilities/effective", json!(["CAP_KILL"]));
    // Root's program gains what is permitted, whatever was effective.
    for (set, mask) in [("CapBnd", THREE), ("CapPrm", THREE), ("CapAmb", NONE)] {
        assert_eq!(status(bench, &mut bundle, set), mask, "{set}");
    }
}

fn no_capabilities(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/process/capabilities");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(bench, &mut bundle, set), NONE, "{set}");
    }
}

fn ambient_capabilities_reach_another_user(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    for set in ["inheritable", "ambient"] {
        bundle.set(&format!("/process/capabilities/{set}"), json!(["CAP_KILL"]));
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(bench, &mut bundle, set), "0000000000000020", "{set}");
    }
    assert_eq!(status(bench, &mut bundle, "CapBnd"), THREE);
}

/// As `runc spec` of runc 1.1 writes them, and runc warns of them. (crun fails.)
fn ambient_capabilities_that_cannot_be_are_not(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/capabilities/ambient", json!(["CAP_KILL"]));
    assert_eq!(status(bench, &mut bundle, "CapAmb"), NONE);
}

fn another_user_has_no_effective_capabilities(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(bench, &mut bundle, set), NONE, "{set}");
    }
    assert_eq!(status(bench, &mut bundle, "CapBnd"), THREE);
}

fn inheritable_capabilities_are_as_configured(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    assert_eq!(status(bench, &mut bundle, "CapInh"), NONE);
    bundle.set("/process/capabilities/inheritable", json!(["CAP_KILL"]));
    assert_eq!(status(bench, &mut bundle, "CapInh"), "0000000000000020");
}

fn no_new_privileges(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    assert_eq!(status(bench, &mut bundle, "NoNewPrivs"), "1");
}

fn privileges_by_programs_if_not_told_otherwise(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/process/noNewPrivileges");
    assert_eq!(status(bench, &mut bundle, "NoNewPrivs"), "0");
}

fn oom_score_adj_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["cat", "/proc/self/oom_score_adj"]);
    for score in [500, 0, 1000] {
        bundle.set("/process/oomScoreAdj", json!(score));
        bench.run(&bundle).success().prints(&score.to_string());
    }
}

fn oom_score_adj_is_the_callers_by_default(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["cat", "/proc/self/oom_score_adj"]).write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap();
    let call = bench.command(&["run", "--bundle", folder, &id]);
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "echo 300 > /proc/self/oom_score_adj; exec \"$@\"",
        "sh",
    ]);
    shell.arg(call.get_program()).args(call.get_args());
    soute_tests::output(&mut shell).success().prints("300");
}

/// The runtime, called by a shell that opens something first.
#[track_caller]
fn run_after(
    bench: &mut Bench,
    bundle: &Bundle,
    opens: &str,
    flags: &[&str],
) -> soute_tests::Outcome {
    bundle.write();
    let id = bench.id();
    let folder = bundle.folder().to_str().unwrap().to_owned();
    let words = [&["run", "--bundle", &folder], flags, &[&id]].concat();
    let call = bench.command(&words);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("{opens}; exec \"$@\""), "sh"]);
    shell.arg(call.get_program()).args(call.get_args());
    soute_tests::output(&mut shell)
}

fn descriptors_are_preserved(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let file = bench.text("kept");
    std::fs::write(&file, "kept\n").unwrap();
    bundle.sh("cat <&3; cat <&4");
    let opens = format!("exec 3<{file} 4<{file}");
    let outcome = run_after(bench, &bundle, &opens, &["--preserve-fds", "2"]);
    outcome.success().prints("kept\nkept");
}

fn no_other_descriptor_is_open(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let file = bench.text("kept");
    std::fs::write(&file, "kept\n").unwrap();
    // The shell's own listing has one for itself.
    bundle.sh("cd /proc/self/fd; echo *");
    let opens = format!("exec 3<{file} 4<{file} 9<{file}");
    for (flags, open) in [
        (&[][..], "0 1 2 3"),
        (&["--preserve-fds", "1"], "0 1 2 3 4"),
    ] {
        let outcome = run_after(bench, &bundle, &opens, flags);
        assert_eq!(outcome.text(), open, "{outcome}");
    }
}

fn a_preserved_descriptor_that_is_not_open(bench: &mut Bench) {
    let bundle = bench.bundle();
    let outcome = run_after(bench, &bundle, "true", &["--preserve-fds", "50"]);
    assert_ne!(outcome.code, 0, "{outcome}");
}

/// sd_listen_fds(3): the caller's sockets, and whose they are.
fn listen_fds_are_passed(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let file = bench.text("kept");
    std::fs::write(&file, "kept\n").unwrap();
    bundle.sh("cat <&3; echo $LISTEN_FDS $LISTEN_PID");
    let opens = format!("exec 3<{file}; export LISTEN_FDS=1 LISTEN_PID=$$");
    let outcome = run_after(bench, &bundle, &opens, &[]);
    outcome.success().prints("kept\n1 1");
}

fn personality_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["uname", "-m"]);
    if std::env::consts::ARCH == "x86_64" {
        bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
        bench.run(&bundle).success().prints("i686");
    }
    bundle.set("/linux/personality", json!({"domain": "LINUX"}));
    bench.run(&bundle).success().prints(std::env::consts::ARCH);
    bundle.set("/linux/personality", json!({"domain": "BOGUS"}));
    assert_ne!(bench.run(&bundle).code, 0);
}

/// The 41st field of /proc/PID/stat is the policy, the 40th the real-time priority, the 19th niceness.
const STAT: &str = "set -- $(cat /proc/self/stat); shift 18; echo nice $1; shift 21; echo $1 $2";

fn scheduler_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh(STAT);
    bundle.set(
        "/process/scheduler",
        json!({"policy": "SCHED_BATCH", "nice": 7}),
    );
    bench.run(&bundle).success().prints("nice 7\n0 3");
    bundle.set("/process/scheduler", json!({"policy": "SCHED_IDLE"}));
    bench.run(&bundle).success().shows("\n0 5");
    bundle.set("/process/scheduler", json!({"policy": "SCHED_BOGUS"}));
    assert_ne!(bench.run(&bundle).code, 0);
}

fn a_deadline_scheduler_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh(STAT);
    let scheduler = json!({
        "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        "runtime": 1_000_000, "deadline": 10_000_000, "period": 10_000_000,
    });
    bundle.set("/process/scheduler", scheduler);
    bundle.args(&["cat", "/proc/self/stat"]);
    let outcome = bench.run(&bundle);
    let policy = outcome.text().split(' ').nth(40);
    assert_eq!(policy, Some("6"), "{outcome}");
}

fn io_priority_is_set(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.args(&["ionice"]);
    bundle.set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_BE", "priority": 6}),
    );
    bench.run(&bundle).success().prints("best-effort: prio 6");
    bundle.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_IDLE"}));
    bench.run(&bundle).success().shows("idle");
    bundle.set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_BOGUS"}),
    );
    assert_ne!(bench.run(&bundle).code, 0);
}

fn the_first_process_leads_a_session(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("set -- $(cat /proc/1/stat); echo $1 $6");
    bench.run(&bundle).success().prints("1 1");
}

fn signals_are_as_by_default(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    for field in ["SigBlk", "SigIgn"] {
        let mask = status(bench, &mut bundle, field);
        // 32 and 33 are the C library's own.
        let mask = u64::from_str_radix(&mask, 16).unwrap() & 0x7fff_ffff;
        assert_eq!(mask, 0, "{field}");
    }
}

fn cpu_affinity_is_set_for_exec(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set(
        "/process/execCPUAffinity",
        json!({"initial": "0", "final": "1"}),
    );
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["grep", "Cpus_allowed_list", "/proc/self/status"]);
    outcome.success().prints("Cpus_allowed_list:\t1");
}
