//! `pause`, `resume`, `update` and `events`: a container while it runs.

use std::fs;

use serde_json::{Value, json};
use soute_tests::wait_until;

use crate::bench::Bench;
use crate::case::cases;
use crate::cgroups::{MIB, holds};

cases![
    pause_stops_and_resume_goes_on,
    pause_of_what_does_not_run,
    resume_of_what_is_not_paused,
    a_paused_container_is_deleted_by_force,
    a_paused_container_is_killed,
    update_by_flags,
    update_by_a_file,
    update_by_standard_input,
    update_keeps_the_rest,
    update_of_one_that_is_created,
    update_with_bad_values_is_refused,
    events_tell_of_use,
    events_tell_of_limits,
    events_of_a_stopped_container,
];

fn pause_stops_and_resume_goes_on(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("while :; do echo tick; sleep 0.01; done");
    let id = bench.start(&bundle);
    bench.hears(&id, "tick");
    bench.call(&["pause", &id]).success();
    assert_eq!(bench.state(&id)["status"], "paused");
    let before = bench.said(&id).len();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(bench.said(&id).len(), before);
    bench.call(&["resume", &id]).success();
    assert_eq!(bench.state(&id)["status"], "running");
    wait_until("it goes on", || bench.said(&id).len() > before);
}

fn pause_of_what_does_not_run(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["pause", &id]).code(1);
    bench.call(&["resume", &id]).code(1);
    bench.has_logged_an_error();
}

fn resume_of_what_is_not_paused(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["resume", &id]).code(1);
    assert_eq!(bench.state(&id)["status"], "running");
}

fn a_paused_container_is_deleted_by_force(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["pause", &id]).success();
    bench.call(&["delete", &id]).code(1);
    bench.call(&["delete", "--force", &id]).success();
    bench.is_gone(&id);
}

fn a_paused_container_is_killed(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    bench.call(&["pause", &id]).success();
    bench.call(&["kill", &id, "KILL"]).success();
    bench.becomes(&id, "stopped");
}

fn update_by_flags(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let flags = [
        "--memory",
        "67108864",
        "--pids-limit",
        "33",
        "--cpu-share",
        "256",
    ];
    let more = [
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "--cpuset-cpus",
        "0",
    ];
    let words = [&["update"], &flags[..], &more[..], &[&id]].concat();
    bench.call(&words).success();
    let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
    holds(bench, &id, "memory", (v1, "67108864"), (v2, "67108864"));
    holds(bench, &id, "pids", ("pids.max", "33"), ("pids.max", "33"));
    let v2 = ("cpu.max", "20000 50000");
    holds(bench, &id, "cpu", ("cpu.cfs_quota_us", "20000"), v2);
    holds(
        bench,
        &id,
        "cpuset",
        ("cpuset.cpus", "0"),
        ("cpuset.cpus", "0"),
    );
}

fn update_by_a_file(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let (id, file) = (bench.start(&bundle), bench.text("resources"));
    let resources = json!({"memory": {"limit": 64 * MIB}, "pids": {"limit": 12}});
    fs::write(&file, resources.to_string()).unwrap();
    bench.call(&["update", "--resources", &file, &id]).success();
    holds(bench, &id, "pids", ("pids.max", "12"), ("pids.max", "12"));
    let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
    holds(bench, &id, "memory", (v1, "67108864"), (v2, "67108864"));
}

fn update_by_standard_input(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let mut command = bench.command(&["update", "--resources=-", &id]);
    command.stdin(std::process::Stdio::piped());
    let mut update = soute_tests::Running::start(&mut command);
    update.write(&json!({"pids": {"limit": 13}}).to_string());
    update.outcome().success();
    holds(bench, &id, "pids", ("pids.max", "13"), ("pids.max", "13"));
}

fn update_keeps_the_rest(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/pids", json!({"limit": 17}));
    bundle.set("/linux/resources/memory", json!({"limit": 64 * MIB}));
    let id = bench.start(&bundle);
    bench.call(&["update", "--memory", "128M", &id]).success();
    let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
    holds(bench, &id, "memory", (v1, "134217728"), (v2, "134217728"));
    holds(bench, &id, "pids", ("pids.max", "17"), ("pids.max", "17"));
    // Neither are devices opened or shut by it.
    bench.exec(&id, &["sh", "-c", ": > /dev/null"]).success();
}

fn update_of_one_that_is_created(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    bench.call(&["update", "--pids-limit", "9", &id]).success();
    holds(bench, &id, "pids", ("pids.max", "9"), ("pids.max", "9"));
}

fn update_with_bad_values_is_refused(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/pids", json!({"limit": 17}));
    let (id, file) = (bench.start(&bundle), bench.text("resources"));
    for flags in [
        ["--memory", "lots"],
        ["--cpu-quota", "x"],
        ["--cpuset-cpus", "999"],
    ] {
        let words = [&["update"], &flags[..], &[&id]].concat();
        let outcome = bench.call(&words);
        assert_ne!(outcome.code, 0, "{outcome}");
    }
    fs::write(&file, "{").unwrap();
    let outcome = bench.call(&["update", "--resources", &file, &id]);
    assert_ne!(outcome.code, 0, "{outcome}");
    assert_eq!(bench.state(&id)["status"], "running");
    holds(bench, &id, "pids", ("pids.max", "17"), ("pids.max", "17"));
}

#[track_caller]
fn stats(bench: &Bench, id: &str) -> Value {
    let stats = bench.call(&["events", "--stats", id]).json();
    assert_eq!(stats["type"], "stats");
    assert_eq!(stats["id"], id);
    stats["data"].clone()
}

fn events_tell_of_use(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.sh("sleep 1000 & wait");
    let id = bench.start(&bundle);
    let number = |pointer: &str| {
        let data = stats(bench, &id);
        let value = data.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no {pointer} in {data}"))
    };
    wait_until("two run", || number("/pids/current") == 2);
    assert!(number("/cpu/usage/total") > 0);
    assert!(number("/memory/usage/usage") > 0);
    assert!(number("/memory/raw/pgfault") > 0);
    for field in [
        "/cpu/usage/kernel",
        "/cpu/usage/user",
        "/memory/usage/failcnt",
    ] {
        number(field);
    }
    let data = stats(bench, &id);
    for field in ["blkio", "hugetlb"] {
        assert!(data[field].is_object(), "{field} in {data}");
    }
}

fn events_tell_of_limits(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/pids", json!({"limit": 17}));
    bundle.set("/linux/resources/memory", json!({"limit": 64 * MIB}));
    let id = bench.start(&bundle);
    let data = stats(bench, &id);
    assert_eq!(data["pids"]["limit"], 17);
    assert_eq!(data["memory"]["usage"]["limit"], 64 * MIB);
}

fn events_of_a_stopped_container(bench: &mut Bench) {
    let bundle = bench.bundle();
    let id = bench.start(&bundle);
    bench.becomes(&id, "stopped");
    bench.call(&["events", "--stats", &id]).code(1);
}
