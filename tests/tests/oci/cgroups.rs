//! `linux.cgroupsPath` and `linux.resources`: read back from the files of the machine.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use soute_tests::{Layout, layout};

use crate::bench::Bench;
use crate::bundle::Bundle;
use crate::case::cases;

cases![
    every_controller_has_a_cgroup,
    an_absolute_path,
    a_relative_path,
    a_deep_path_is_made_and_removed,
    a_path_that_escapes_stays_below,
    a_path_that_others_use_too,
    memory_is_limited,
    memory_and_swap_are_limited,
    memory_is_reserved,
    swappiness_is_set,
    the_oom_killer_is_switched_off,
    memory_without_a_limit,
    a_container_over_its_memory_is_killed,
    half_a_mebibyte_is_enough_to_start,
    processes_are_limited,
    a_fork_over_the_limit_fails,
    processes_without_a_limit,
    processor_shares_are_set,
    processor_time_is_limited,
    processor_bursts_are_set,
    idle_processors_are_set,
    processors_are_chosen,
    throttling_of_a_disk,
    huge_pages_are_limited,
    values_of_the_unified_layout,
    devices_are_listed,
    every_device_is_allowed,
    devices_in_the_order_of_the_rules,
    limits_hold_for_exec,
    cgroups_are_gone_after_run,
    a_container_without_resources,
    the_cgroup_is_there_when_create_returns,
];

/// A controller's file, as either layout calls it; `None` where it has none.
fn file(bench: &Bench, id: &str, controller: &str, v1: &str, v2: &str) -> PathBuf {
    let name = match layout() {
        Layout::V1 => v1,
        Layout::V2 => v2,
    };
    bench.cgroup(id, controller).join(name)
}

/// Asserts what a file of a running container's cgroup holds.
#[track_caller]
pub fn holds(bench: &Bench, id: &str, controller: &str, v1: (&str, &str), v2: (&str, &str)) {
    let path = file(bench, id, controller, v1.0, v2.0);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let wanted = match layout() {
        Layout::V1 => v1.1,
        Layout::V2 => v2.1,
    };
    assert_eq!(text.trim(), wanted, "{}", path.display());
}

/// A started container with these resources.
#[track_caller]
fn with(bench: &mut Bench, pointer: &str, value: Value) -> String {
    let mut bundle = bench.sleeper();
    bundle.set(&format!("/linux/resources/{pointer}"), value);
    bench.start(&bundle)
}

fn every_controller_has_a_cgroup(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.start(&bundle);
    let table = fs::read_to_string(format!("/proc/{}/cgroup", bench.pid(&id))).unwrap();
    for line in table.lines() {
        // Beside version 1, version 2 has no limits; nobody asks for a cgroup there.
        if line.starts_with("0::") && layout() == Layout::V1 {
            continue;
        }
        assert!(line.contains(&id), "{line}");
    }
}

fn an_absolute_path(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let path = format!("/{}-own/leaf", bench.tag());
    bundle.set("/linux/cgroupsPath", json!(path));
    let id = bench.start(&bundle);
    let cgroup = bench.cgroup(&id, "pids").display().to_string();
    assert!(cgroup.ends_with(&path), "{cgroup}");
    bench.call(&["delete", "--force", &id]).success();
    remove_empty(bench);
}

fn a_relative_path(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let path = format!("{}-own", bench.tag());
    bundle.set("/linux/cgroupsPath", json!(path));
    let id = bench.start(&bundle);
    let cgroup = bench.cgroup(&id, "pids").display().to_string();
    assert!(cgroup.ends_with(&format!("/{path}")), "{cgroup}");
}

fn a_deep_path_is_made_and_removed(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let path = format!("/{}-a/b/c", bench.tag());
    bundle.set("/linux/cgroupsPath", json!(path));
    let id = bench.start(&bundle);
    let cgroup = bench.cgroup(&id, "pids");
    bench.call(&["delete", "--force", &id]).success();
    assert!(!cgroup.exists());
    // The way there may be others' by now; whoever made the bundle removes it.
    remove_empty(bench);
}

/// The parents of cgroups that a case has asked for, deepest first: what is in them has the same beginning, and is longer.
fn remove_empty(bench: &Bench) {
    let mut cgroups = soute_tests::remains::cgroups_below(&[bench.tag()]);
    cgroups.sort_by_key(|cgroup| std::cmp::Reverse(cgroup.as_os_str().len()));
    for cgroup in cgroups {
        let _ = fs::remove_dir(cgroup);
    }
}

/// Cleaned as a path from the root is, or refused; never beside the hierarchy.
fn a_path_that_escapes_stays_below(bench: &mut Bench) {
    for path in ["/../../../../", "../../../../", "/x/../../../"] {
        let mut bundle = bench.sleeper();
        let name = format!("{}-escape", bench.tag());
        bundle.set("/linux/cgroupsPath", json!(format!("{path}{name}")));
        let id = bench.id();
        let outcome = bench.try_create(&bundle, &[], &id);
        if outcome.code == 0 {
            let cgroup = bench.cgroup(&id, "pids");
            assert!(cgroup.starts_with("/sys/fs/cgroup"), "{}", cgroup.display());
            assert!(cgroup.ends_with(&name), "{}", cgroup.display());
            bench.call(&["delete", "--force", &id]).success();
        }
    }
}

fn a_path_that_others_use_too(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let tag = bench.tag();
    bundle.set("/linux/cgroupsPath", json!(format!("/{tag}-pod/one")));
    let one = bench.start(&bundle);
    bundle.set("/linux/cgroupsPath", json!(format!("/{tag}-pod/two")));
    let two = bench.start(&bundle);
    bench.call(&["delete", "--force", &one]).success();
    assert_eq!(bench.state(&two)["status"], "running");
    assert!(bench.cgroup(&two, "pids").exists());
    bench.call(&["delete", "--force", &two]).success();
    remove_empty(bench);
}

pub const MIB: u64 = 1 << 20;

fn memory_is_limited(bench: &mut Bench) {
    let id = with(bench, "memory", json!({"limit": 64 * MIB}));
    let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
    holds(bench, &id, "memory", (v1, "67108864"), (v2, "67108864"));
}

fn memory_and_swap_are_limited(bench: &mut Bench) {
    let id = with(
        bench,
        "memory",
        json!({"limit": 64 * MIB, "swap": 96 * MIB}),
    );
    let v1 = ("memory.memsw.limit_in_bytes", "100663296");
    holds(bench, &id, "memory", v1, ("memory.swap.max", "33554432"));
    let id = with(bench, "memory", json!({"limit": 64 * MIB, "swap": -1}));
    let v1 = ("memory.memsw.limit_in_bytes", "9223372036854771712");
    holds(bench, &id, "memory", v1, ("memory.swap.max", "max"));
}

fn memory_is_reserved(bench: &mut Bench) {
    let id = with(bench, "memory", json!({"reservation": 32 * MIB}));
    let (v1, v2) = ("memory.soft_limit_in_bytes", "memory.low");
    holds(bench, &id, "memory", (v1, "33554432"), (v2, "33554432"));
}

fn swappiness_is_set(bench: &mut Bench) {
    if layout() == Layout::V2 {
        return; // Version 1's alone.
    }
    let id = with(bench, "memory", json!({"swappiness": 17}));
    let v1 = ("memory.swappiness", "17");
    holds(bench, &id, "memory", v1, v1);
}

fn the_oom_killer_is_switched_off(bench: &mut Bench) {
    if layout() == Layout::V2 {
        return; // Version 1's alone.
    }
    let id = with(
        bench,
        "memory",
        json!({"limit": 64 * MIB, "disableOOMKiller": true}),
    );
    let text = fs::read_to_string(bench.cgroup(&id, "memory").join("memory.oom_control"));
    assert!(text.unwrap().contains("oom_kill_disable 1"));
}

fn memory_without_a_limit(bench: &mut Bench) {
    let id = with(bench, "memory", json!({"limit": -1}));
    let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
    holds(
        bench,
        &id,
        "memory",
        (v1, "9223372036854771712"),
        (v2, "max"),
    );
}

fn a_container_over_its_memory_is_killed(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let memory = json!({"limit": 16 * MIB, "swap": 16 * MIB});
    bundle.set("/linux/resources/memory", memory);
    bundle.sh("dd if=/dev/zero of=/dev/shm/big bs=1M count=60 && echo survived");
    let outcome = bench.run(&bundle);
    assert_ne!(outcome.code, 0, "{outcome}");
    outcome.shows_not("survived");
}

/// The limit counts what the runtime's own process takes until it is the program.
fn half_a_mebibyte_is_enough_to_start(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/resources", json!({"memory": {"limit": 512 << 10}}));
    bundle.args(&["true"]);
    bench.run(&bundle).success();
}

fn processes_are_limited(bench: &mut Bench) {
    let id = with(bench, "pids", json!({"limit": 17}));
    holds(bench, &id, "pids", ("pids.max", "17"), ("pids.max", "17"));
}

fn a_fork_over_the_limit_fails(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.set("/linux/resources/pids", json!({"limit": 3}));
    bundle.sh("sleep 9 & sleep 9 & sleep 9 & sleep 9 & wait");
    let outcome = bench.run(&bundle);
    outcome.fails(2, &["fork"]);
}

fn processes_without_a_limit(bench: &mut Bench) {
    let id = with(bench, "pids", json!({"limit": -1}));
    holds(bench, &id, "pids", ("pids.max", "max"), ("pids.max", "max"));
}

fn processor_shares_are_set(bench: &mut Bench) {
    let id = with(bench, "cpu", json!({"shares": 512}));
    let path = file(bench, &id, "cpu", "cpu.shares", "cpu.weight");
    let text = fs::read_to_string(path).unwrap();
    match layout() {
        Layout::V1 => assert_eq!(text.trim(), "512"),
        // Two ways to convert are in use.
        Layout::V2 => assert!(["20", "59"].contains(&text.trim()), "{text}"),
    }
}

fn processor_time_is_limited(bench: &mut Bench) {
    let id = with(bench, "cpu", json!({"quota": 30_000, "period": 60_000}));
    let v2 = ("cpu.max", "30000 60000");
    holds(bench, &id, "cpu", ("cpu.cfs_quota_us", "30000"), v2);
    holds(bench, &id, "cpu", ("cpu.cfs_period_us", "60000"), v2);
}

fn processor_bursts_are_set(bench: &mut Bench) {
    let cpu = json!({"quota": 30_000, "period": 60_000, "burst": 10_000});
    let id = with(bench, "cpu", cpu);
    let (v1, v2) = ("cpu.cfs_burst_us", "cpu.max.burst");
    holds(bench, &id, "cpu", (v1, "10000"), (v2, "10000"));
}

fn idle_processors_are_set(bench: &mut Bench) {
    let id = with(bench, "cpu", json!({"idle": 1}));
    holds(bench, &id, "cpu", ("cpu.idle", "1"), ("cpu.idle", "1"));
}

fn processors_are_chosen(bench: &mut Bench) {
    let id = with(bench, "cpu", json!({"cpus": "0", "mems": "0"}));
    holds(
        bench,
        &id,
        "cpuset",
        ("cpuset.cpus", "0"),
        ("cpuset.cpus", "0"),
    );
    holds(
        bench,
        &id,
        "cpuset",
        ("cpuset.mems", "0"),
        ("cpuset.mems", "0"),
    );
    bench.exec(&id, &["nproc"]).success().prints("1");
}

/// The numbers of a disk.
#[track_caller]
fn disk() -> (u64, u64) {
    let disks = fs::read_dir("/sys/block").unwrap().flatten();
    let disk = disks.map(|disk| disk.path()).find(|disk| {
        let name = disk.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("vd") || name.starts_with("sd") || name.starts_with("nvme")
    });
    let text = fs::read_to_string(disk.expect("a disk").join("dev")).unwrap();
    let (major, minor) = text.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

fn throttling_of_a_disk(bench: &mut Bench) {
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let block = json!({
        "throttleReadBpsDevice": rate(1_000_000), "throttleWriteBpsDevice": rate(2_000_000),
        "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400),
    });
    let id = with(bench, "blockIO", block);
    let cgroup = bench.cgroup(&id, "blkio");
    match layout() {
        Layout::V1 => {
            for (name, rate) in [
                ("read_bps", 1_000_000),
                ("write_bps", 2_000_000),
                ("read_iops", 300),
                ("write_iops", 400),
            ] {
                let file = cgroup.join(format!("blkio.throttle.{name}_device"));
                let text = fs::read_to_string(file).unwrap();
                assert_eq!(text.trim(), format!("{major}:{minor} {rate}"), "{name}");
            }
        }
        Layout::V2 => {
            let text = fs::read_to_string(cgroup.join("io.max")).unwrap();
            let wanted = format!("{major}:{minor} rbps=1000000 wbps=2000000 riops=300 wiops=400");
            assert_eq!(text.trim(), wanted);
        }
    }
}

fn huge_pages_are_limited(bench: &mut Bench) {
    let limits = json!([{"pageSize": "2MB", "limit": 4 * MIB}]);
    let mut bundle = bench.sleeper();
    bundle.set("/linux/resources/hugepageLimits", limits);
    if layout() == Layout::V1 && !PathBuf::from("/sys/fs/cgroup/hugetlb").exists() {
        // No such hierarchy: told, not skipped.
        bench.refuses(&bundle);
        return;
    }
    let id = bench.start(&bundle);
    let (v1, v2) = ("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
    holds(bench, &id, "hugetlb", (v1, "4194304"), (v2, "4194304"));
}

fn values_of_the_unified_layout(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let unified = json!({"pids.max": "55", "memory.high": "123456789"});
    bundle.set("/linux/resources/unified", unified);
    if layout() == Layout::V1 {
        bench.refuses(&bundle);
        return;
    }
    let id = bench.start(&bundle);
    holds(bench, &id, "pids", ("pids.max", "55"), ("pids.max", "55"));
}

/// What the kernel lists, in version 1.
#[track_caller]
fn devices(bench: &mut Bench, bundle: &mut Bundle) -> Option<Vec<String>> {
    if layout() == Layout::V2 {
        return None; // A program in the kernel, that nobody can read.
    }
    let id = bench.start(bundle);
    let list = fs::read_to_string(bench.cgroup(&id, "devices").join("devices.list")).unwrap();
    Some(list.lines().map(str::to_owned).collect())
}

fn devices_are_listed(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    bundle.push(
        "/linux/resources/devices",
        json!({"allow": true, "type": "b", "major": 7, "minor": 3, "access": "r"}),
    );
    let Some(list) = devices(bench, &mut bundle) else {
        return;
    };
    // Nodes may be made of every device, which the kernel tells with each of its rules or not.
    for rule in ["b 7:3 r", "c 1:3 rw", "c 5:2 rw", "c 136:* rw"] {
        assert!(
            list.iter().any(|line| line.starts_with(rule)),
            "no {rule}: {list:?}"
        );
    }
    assert!(!list.iter().any(|line| line == "a *:* rwm"), "{list:?}");
}

fn every_device_is_allowed(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let all = json!([{"allow": true, "access": "rwm"}]);
    bundle.set("/linux/resources/devices", all);
    let Some(list) = devices(bench, &mut bundle) else {
        return;
    };
    assert_eq!(list, ["a *:* rwm"]);
}

fn devices_in_the_order_of_the_rules(bench: &mut Bench) {
    let mut bundle = bench.sleeper();
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"},
    ]);
    bundle.set("/linux/resources/devices", rules);
    let Some(list) = devices(bench, &mut bundle) else {
        return;
    };
    let fuse: Vec<&String> = list.iter().filter(|line| line.contains("10:229")).collect();
    assert_eq!(fuse, ["c 10:229 rm"], "{list:?}");
}

fn limits_hold_for_exec(bench: &mut Bench) {
    let id = with(bench, "pids", json!({"limit": 3}));
    let script = "for n in 1 2 3; do sleep 1 > /dev/null 2>&1 & done; wait";
    let outcome = bench.exec(&id, &["sh", "-c", script]);
    assert_ne!(outcome.code, 0, "{outcome}");
}

fn cgroups_are_gone_after_run(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    let path = format!("/{}-own", bench.tag());
    bundle.set("/linux/cgroupsPath", json!(path));
    bench.run(&bundle).success();
    let left = soute_tests::remains::cgroups(&[bench.tag()]);
    assert!(left.is_empty(), "{left:?}");
}

fn a_container_without_resources(bench: &mut Bench) {
    let mut bundle = bench.bundle();
    bundle.remove("/linux/resources").args(&["echo", "works"]);
    bench.run(&bundle).success().prints("works");
}

/// containerd looks for it then.
fn the_cgroup_is_there_when_create_returns(bench: &mut Bench) {
    let bundle = bench.sleeper();
    let id = bench.create(&bundle);
    let procs = bench.cgroup(&id, "memory").join("cgroup.procs");
    let pids = fs::read_to_string(procs).unwrap();
    assert_eq!(pids.trim(), bench.pid(&id).to_string());
    assert!(bench.cgroup(&id, "memory").ends_with(&id));
}
