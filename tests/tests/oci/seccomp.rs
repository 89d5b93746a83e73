//! `linux.seccomp`: what a filter does to the container's system calls.

use std::fs;
use std::os::fd::AsRawFd as _;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;
use crate::console::receive;

cases![
    a_call_fails_with_eperm,
    a_call_fails_with_its_number,
    calls_fail_by_default,
    calls_fail_with_the_default_number,
    a_call_kills_the_process,
    a_call_kills_the_thread,
    a_call_traps,
    a_call_is_logged,
    a_call_without_a_tracer,
    arguments_are_compared,
    arguments_are_masked,
    all_arguments_must_match,
    rules_of_one_call_add_up,
    the_filter_is_shown,
    the_filter_is_loaded_without_new_privileges,
    the_filter_holds_for_exec,
    flags_are_taken,
    unknown_flags_are_refused,
    unknown_actions_are_refused,
    unknown_calls_are_passed_over,
    unknown_architectures_are_refused,
    an_errno_where_none_is_returned,
    a_filter_of_a_sub_architecture,
    no_filter_by_default,
    a_listener_is_given_the_calls,
    a_listener_that_is_not_there,
    notify_without_a_listener_is_refused,
    dockers_kind_of_profile,
];

const ALLOW: &str = "SCMP_ACT_ALLOW";

/// A filter that lets everything through but what these rules say.
fn filter(rules: Value) -> Value {
    json!({"defaultAction": ALLOW, "architectures": [native()], "syscalls": rules})
}

fn native() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "SCMP_ARCH_AARCH64",
        _ => "SCMP_ARCH_X86_64",
    }
}

/// busybox's mkdir, by whichever call the architecture has.
fn mkdir(action: &str) -> Value {
    json!({"names": ["mkdir", "mkdirat"], "action": action})
}

/// A container that makes a folder under a filter with one rule for that.
#[track_caller]
fn making_a_folder(bench: &mut Bench, rule: Value) -> soute_tests::Outcome {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    bundle.set("/linux/seccomp", filter(json!([rule])));
    bundle.sh("mkdir /tmp/new; echo status $?");
    bench.run(&bundle)
}

fn a_call_fails_with_eperm(bench: &mut Bench) {
    let outcome = making_a_folder(bench, mkdir("SCMP_ACT_ERRNO"));
    outcome.shows("status 1");
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "{outcome}"
    );
}

fn a_call_fails_with_its_number(bench: &mut Bench) {
    let mut rule = mkdir("SCMP_ACT_ERRNO");
    rule["errnoRet"] = json!(28);
    let outcome = making_a_folder(bench, rule);
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome}"
    );
}

/// Everything that busybox needs to say something; a list would age.
#[track_caller]
fn denying(bench: &mut Bench, default: &Value) -> soute_tests::Outcome {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    let mut filter = default.clone();
    filter["architectures"] = json!([native()]);
    filter["syscalls"] = json!([{"names": EVERYDAY, "action": ALLOW}]);
    bundle.set("/linux/seccomp", filter);
    bundle.sh("mkdir /tmp/new; echo status $?");
    bench.run(&bundle)
}

/// What a shell that makes a folder calls beside that, and what runtimes call under the filter.
const EVERYDAY: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clone",
    "clone3",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "epoll_ctl",
    "epoll_pwait",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fcntl",
    "fork",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "gettid",
    "getuid",
    "ioctl",
    "kill",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setuid",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "tgkill",
    "umask",
    "uname",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
    "setresuid",
    "setresgid",
    "setsid",
    "mount",
    "umount2",
    "symlinkat",
    "timer_create",
    "timer_settime",
    "timer_delete",
    "seccomp",
    "epoll_create1",
    "eventfd2",
    "socket",
    "connect",
];

fn calls_fail_by_default(bench: &mut Bench) {
    let outcome = denying(bench, &json!({"defaultAction": "SCMP_ACT_ERRNO"}));
    outcome.shows("status 1");
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "{outcome}"
    );
}

fn calls_fail_with_the_default_number(bench: &mut Bench) {
    let default = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 28});
    let outcome = denying(bench, &default);
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome}"
    );
}

fn a_call_kills_the_process(bench: &mut Bench) {
    // SIGSYS is 31.
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL"] {
        making_a_folder(bench, mkdir(action)).shows("status 159");
    }
}

fn a_call_kills_the_thread(bench: &mut Bench) {
    making_a_folder(bench, mkdir("SCMP_ACT_KILL_THREAD")).shows("status 159");
}

fn a_call_traps(bench: &mut Bench) {
    making_a_folder(bench, mkdir("SCMP_ACT_TRAP")).shows("status 159");
}

fn a_call_is_logged(bench: &mut Bench) {
    making_a_folder(bench, mkdir("SCMP_ACT_LOG")).shows("status 0");
}

/// With nobody there to ask, the call is not there.
fn a_call_without_a_tracer(bench: &mut Bench) {
    let outcome = making_a_folder(bench, mkdir("SCMP_ACT_TRACE"));
    assert!(
        outcome.stderr.contains("Function not implemented"),
        "{outcome}"
    );
}

/// `kill` by its second argument, which a shell chooses.
#[track_caller]
fn killing(bench: &mut Bench, rules: Value) -> String {
    let mut bundle = bench.bundle();
    bundle.set("/linux/seccomp", filter(rules));
    bundle.sh(
        "trap '' 10 12 15; for n in 0 10 12 15; do kill -$n $$ 2>/dev/null && echo -n \"$n \"; done",
    );
    bench.run(&bundle).stdout.trim().to_owned()
}

fn rule(arguments: Value) -> Value {
    json!({"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": arguments})
}

fn arguments_are_compared(bench: &mut Bench) {
    for (operator, allowed) in [
        ("SCMP_CMP_EQ", "0 10 15"),
        ("SCMP_CMP_NE", "12"),
        ("SCMP_CMP_LT", "12 15"),
        ("SCMP_CMP_LE", "15"),
        ("SCMP_CMP_GT", "0 10 12"),
        ("SCMP_CMP_GE", "0 10"),
    ] {
        let argument = json!([{"index": 1, "value": 12, "op": operator}]);
        assert_eq!(
            killing(bench, json!([rule(argument)])),
            allowed,
            "{operator}"
        );
    }
}

fn arguments_are_masked(bench: &mut Bench) {
    let argument = json!([{"index": 1, "value": 12, "valueTwo": 12, "op": "SCMP_CMP_MASKED_EQ"}]);
    // 12 and 15 have both bits.
    assert_eq!(killing(bench, json!([rule(argument)])), "0 10");
}

fn all_arguments_must_match(bench: &mut Bench) {
    let arguments = json!([
        {"index": 1, "value": 10, "op": "SCMP_CMP_GE"},
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
    ]);
    // The shell is the first process.
    assert_eq!(killing(bench, json!([rule(arguments)])), "0");
    let arguments = json!([
        {"index": 1, "value": 10, "op": "SCMP_CMP_GE"},
        {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
    ]);
    assert_eq!(killing(bench, json!([rule(arguments)])), "0 10 12 15");
}

fn rules_of_one_call_add_up(bench: &mut Bench) {
    let equals = |value: u32| rule(json!([{"index": 1, "value": value, "op": "SCMP_CMP_EQ"}]));
    assert_eq!(killing(bench, json!([equals(10), equals(15)])), "0 12");
    // One argument twice is two rules, as in libseccomp's users since Docker's first profile.
    let twice = rule(json!([
        {"index": 1, "value": 10, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 12, "op": "SCMP_CMP_EQ"},
    ]));
    assert_eq!(killing(bench, json!([twice])), "0 15");
}

/// A field of /proc/self/status under a filter.
#[track_caller]
fn shown(bench: &mut Bench, bundle: &mut Bundle, field: &str) -> String {
    bundle.args(&["grep", &format!("^{field}:"), "/proc/self/status"]);
    let outcome = bench.run(bundle);
    outcome.text().split('\t').next_back().unwrap().to_owned()
}

fn the_filter_is_shown(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/seccomp", filter(json!([mkdir("SCMP_ACT_ERRNO")])));
    assert_eq!(shown(bench, &mut bundle, "Seccomp"), "2");
    assert_eq!(shown(bench, &mut bundle, "Seccomp_filters"), "1");
}

fn the_filter_is_loaded_without_new_privileges(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/process/noNewPrivileges", json!(false));
    bundle.set("/linux/seccomp", filter(json!([mkdir("SCMP_ACT_ERRNO")])));
    assert_eq!(shown(bench, &mut bundle, "Seccomp"), "2");
    assert_eq!(shown(bench, &mut bundle, "NoNewPrivs"), "0");
}

fn the_filter_holds_for_exec(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/linux/seccomp", filter(json!([mkdir("SCMP_ACT_ERRNO")])));
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    let id = bench.start(&bundle);
    let outcome = bench.exec(&id, &["mkdir", "/tmp/new"]);
    outcome.fails(1, &["Operation not permitted"]);
}

fn flags_are_taken(bench: &mut Bench) {
    for flag in ["LOG", "SPEC_ALLOW", "TSYNC"] {
        let mut bundle = bench.bundle();
        let mut filter = filter(json!([mkdir("SCMP_ACT_ERRNO")]));
        filter["flags"] = json!([format!("SECCOMP_FILTER_FLAG_{flag}")]);
        bundle.set("/linux/seccomp", filter);
        assert_eq!(shown(bench, &mut bundle, "Seccomp"), "2", "{flag}");
    }
}

fn unknown_flags_are_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut filter = filter(json!([mkdir("SCMP_ACT_ERRNO")]));
    filter["flags"] = json!(["SECCOMP_FILTER_FLAG_BOGUS"]);
    bundle.set("/linux/seccomp", filter);
    bench.refuses(&bundle);
}

fn unknown_actions_are_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/seccomp", filter(json!([mkdir("SCMP_ACT_BOGUS")])));
    bench.refuses(&bundle);
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_BOGUS"}));
    bench.refuses(&bundle);
    let bogus = rule(json!([{"index": 1, "value": 1, "op": "SCMP_CMP_BOGUS"}]));
    bundle.set("/linux/seccomp", filter(json!([bogus])));
    bench.refuses(&bundle);
}

/// Profiles name calls of newer kernels and of other architectures.
fn unknown_calls_are_passed_over(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let unknown =
        json!({"names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});
    bundle.set("/linux/seccomp", filter(json!([unknown])));
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    bundle.args(&["mkdir", "/tmp/new"]);
    bench.run(&bundle).fails(1, &["Operation not permitted"]);
}

fn unknown_architectures_are_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut filter = filter(json!([]));
    filter["architectures"] = json!(["SCMP_ARCH_BOGUS"]);
    bundle.set("/linux/seccomp", filter);
    bench.refuses(&bundle);
}

/// "If the action does not support errnoRet, the runtime MUST print an error and terminate" (config-linux.md).
fn an_errno_where_none_is_returned(bench: &mut Bench) {
    let mut rule = mkdir(ALLOW);
    rule["errnoRet"] = json!(5);
    let mut bundle = bench.bundle();
    bundle.set("/linux/seccomp", filter(json!([rule])));
    bench.refuses(&bundle);
}

fn a_filter_of_a_sub_architecture(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut filter = filter(json!([mkdir("SCMP_ACT_ERRNO")]));
    filter["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    bundle.set("/linux/seccomp", filter);
    assert_eq!(shown(bench, &mut bundle, "Seccomp"), "2");
}

fn no_filter_by_default(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    assert_eq!(shown(bench, &mut bundle, "Seccomp"), "0");
}

/// The state that comes with the descriptor says whose calls they are.
fn a_listener_is_given_the_calls(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.mount("tmpfs", "tmpfs", "/tmp", &[]);
    let (listener, path) = bench.listen("listener");
    let mut filter = filter(json!([mkdir("SCMP_ACT_NOTIFY")]));
    filter["listenerPath"] = json!(path);
    filter["listenerMetadata"] = json!("about it");
    bundle.set("/linux/seccomp", filter);
    bundle.sh("echo ready; mkdir /tmp/new; echo status $?");
    let id = bench.create(&bundle);
    // runc loads the filter at create, crun at start.
    bench.call(&["start", &id]).success();
    let (descriptor, words) = receive(&listener);
    let link = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap();
    assert_eq!(link.to_string_lossy(), "anon_inode:seccomp notify");
    let state: Value = serde_json::from_slice(&words).expect("a state");
    assert_eq!(state["metadata"], "about it", "{state}");
    assert_eq!(state["state"]["id"], id.as_str(), "{state}");
    assert_eq!(state["fds"], json!(["seccompFd"]), "{state}");
    assert_eq!(state["pid"], bench.pid(&id), "{state}");
    bench.hears(&id, "ready");
    // Nobody answers: the call waits, and is not there once nobody can.
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!bench.said(&id).contains("status"));
    drop(descriptor);
    bench.hears(&id, "status 1");
}

fn a_listener_that_is_not_there(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let mut filter = filter(json!([mkdir("SCMP_ACT_NOTIFY")]));
    filter["listenerPath"] = json!(bench.text("nowhere"));
    bundle.set("/linux/seccomp", filter);
    bench.refuses(&bundle);
}

fn notify_without_a_listener_is_refused(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/seccomp", filter(json!([mkdir("SCMP_ACT_NOTIFY")])));
    bench.refuses(&bundle);
}

/// Hundreds of names, and arguments that open the door a little.
fn dockers_kind_of_profile(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let personality = |value: u64| {
        json!({
            "names": ["personality"], "action": ALLOW,
            "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}],
        })
    };
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": [native()],
        "syscalls": [
            {"names": EVERYDAY, "action": ALLOW},
            personality(0), personality(8), personality(0xffff_ffff),
        ],
    });
    bundle.set("/linux/seccomp", profile);
    // setarch(8) of busybox: 8 is LINUX32.
    bundle.sh("echo works; linux32 echo thirty-two");
    let outcome = bench.run(&bundle);
    outcome.shows("works");
    if std::env::consts::ARCH == "x86_64" {
        outcome.shows("thirty-two");
    }
}
