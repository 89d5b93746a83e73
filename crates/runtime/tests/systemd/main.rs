//! Scopes of systemd. Needs root, and systemd as init to show more than that its absence is told: `cargo xtask vm`.

#[path = "../alone/mod.rs"]
mod alone;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use soute_runtime::cgroups::systemd::Unit;
use soute_runtime::cgroups::{
    Cgroup, CgroupError, Layout, Resources, always_allowed, default_device_rules,
};

const MIB: i64 = 1 << 20;

fn main() {
    let tests: [(&str, fn()); 6] = [
        ("from_start_to_stop", from_start_to_stop),
        ("limits_outlive_a_reload", limits_outlive_a_reload),
        ("devices_outlive_a_reload", devices_outlive_a_reload),
        ("a_scope_ends_with_its_holder", a_scope_ends_with_its_holder),
        ("a_name_is_taken_once", a_name_is_taken_once),
        ("what_fails_leaves_nothing", what_fails_leaves_nothing),
    ];
    let booted = Path::new("/run/systemd/system").is_dir();
    let tests = tests.map(|(name, test)| (name, if booted { test } else { its_absence_is_told }));
    let conclusion = alone::run(tests);
    if booted {
        // systemd makes slices as they are named, and keeps them.
        systemctl(&["stop", "soute-test.slice"]);
    }
    conclusion.exit();
}

fn its_absence_is_told() {
    let unit = unit("absent");
    for error in [
        unit.start(&layout(), &Resources::default(), &[], [])
            .unwrap_err(),
        unit.stop().unwrap_err(),
    ] {
        assert!(matches!(error, CgroupError::NoSystemd { .. }), "{error}");
    }
}

fn layout() -> Layout {
    Layout::discover().unwrap()
}

/// In a slice of its own, below two others.
fn unit(test: &str) -> Unit {
    let path = format!("soute-test-{}.slice:soute:{test}", std::process::id());
    Unit::from_spec(&path, "").unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn property(unit: &Unit, name: &str) -> String {
    let show = systemctl(&[
        "show",
        "--value",
        &format!("--property={name}"),
        unit.name(),
    ]);
    show.trim().to_owned()
}

/// The text of a file of the cgroup in the hierarchy with the controller, or of v2.
fn text(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    let (_, dir) = cgroup
        .paths()
        .find(|(h, _)| h.has(controller))
        .or_else(|| cgroup.paths().find(|(h, _)| h.v2))
        .unwrap();
    fs::read_to_string(dir.join(file))
        .unwrap()
        .trim()
        .to_owned()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process of the container's.
struct Resident(Child);

impl Resident {
    fn of(cgroup: &Cgroup) -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        cgroup.join(Pid::from_child(&child)).unwrap();
        Self(child)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends all that a test has started, and shows that nothing is left.
fn end(unit: &Unit, cgroup: Cgroup) {
    cgroup.kill().unwrap();
    unit.stop().unwrap();
    cgroup.remove().unwrap();
    assert_gone(unit);
    // Once more is no error.
    unit.stop().unwrap();
}

fn assert_gone(unit: &Unit) {
    until("the scope is gone", || {
        matches!(
            Cgroup::open(&layout(), &unit.path()),
            Err(CgroupError::NotFound { .. })
        )
    });
    let load_state = property(unit, "LoadState");
    assert_eq!(load_state, "not-found");
}

fn from_start_to_stop() {
    let unit = unit("life");
    let annotations = [
        ("org.systemd.property.TimeoutStopSec", "uint64 7"),
        ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
        ("org.opencontainers.image.stopSignal", "3"),
    ];
    let none = Resources::default();
    let scope = unit.start(&layout(), &none, &[], annotations).unwrap();
    assert_eq!(property(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(property(&unit, "CollectMode"), "inactive-or-failed");
    assert_eq!(threads(), 1);
    assert_eq!(scope.cgroup.path(), unit.path());
    assert_eq!(property(&unit, "ControlGroup"), unit.path());
    assert_eq!(property(&unit, "Slice"), unit.slice());
    assert_eq!(property(&unit, "Delegate"), "yes");
    // The container's first process takes the holder's place; nothing else is in it.
    let resident = Resident::of(&scope.cgroup);
    scope.holder.end().unwrap();
    let pids = scope.cgroup.pids().unwrap();
    assert_eq!(pids, [Pid::from_child(&resident.0)]);
    assert_eq!(property(&unit, "ActiveState"), "active");
    // Later commands find it by what was kept.
    let found = scope.place.open(&layout()).unwrap();
    assert_eq!(found.path(), unit.path());
    // What the container makes below it stays its own, and is gone with it.
    fs::create_dir(found.paths().next().unwrap().1.join("inner")).unwrap();
    found.freeze().unwrap();
    found.thaw().unwrap();
    end(&unit, found);
}

fn limits_outlive_a_reload() {
    let unit = unit("limits");
    let resources = Resources {
        memory: Some(64 * MIB),
        memory_swap: Some(64 * MIB),
        cpu_shares: Some(512),
        cpu_quota: Some(20_000),
        cpu_period: Some(50_000),
        cpuset_cpus: Some("0".into()),
        pids_limit: Some(40),
        unified: [("memory.high".to_owned(), "50331648".to_owned())].into(),
        ..Resources::default()
    };
    let scope = unit.start(&layout(), &resources, &[], []).unwrap();
    let cgroup = &scope.cgroup;
    let _resident = Resident::of(cgroup);
    let check = |memory: &str, pids: &str| {
        for (controller, file, expected) in [
            ("memory", "memory.max", memory),
            ("memory", "memory.high", "50331648"),
            ("cpu", "cpu.weight", "59"),
            ("cpu", "cpu.max", "20000 50000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("pids", "pids.max", pids),
        ] {
            assert_eq!(text(cgroup, controller, file), expected, "{file}");
        }
    };
    check("67108864", "40");
    systemctl(&["daemon-reload"]);
    check("67108864", "40");
    let change = Resources {
        memory: Some(96 * MIB),
        memory_swap: Some(96 * MIB),
        pids_limit: Some(-1),
        ..Resources::default()
    };
    unit.update(cgroup, &change).unwrap();
    assert_eq!(property(&unit, "MemoryMax"), "100663296");
    check("100663296", "max");
    systemctl(&["daemon-reload"]);
    check("100663296", "max");
    drop(scope.holder);
    let cgroup = scope.place.open(&layout()).unwrap();
    end(&unit, cgroup);
}

fn devices_outlive_a_reload() {
    let unit = unit("devices");
    let rules = always_allowed();
    let scope = unit
        .start(&layout(), &Resources::default(), &rules, [])
        .unwrap();
    let may = |script: &str| {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        scope.cgroup.join(Pid::from_child(&child)).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap().success()
    };
    for _ in 0..2 {
        assert!(may(": </dev/zero && : >/dev/null"));
        assert!(!may(": </dev/kmsg"));
        systemctl(&["daemon-reload"]);
    }
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    assert!(rules.len() > default_device_rules().len());
    drop(scope.holder);
    let cgroup = scope.place.open(&layout()).unwrap();
    end(&unit, cgroup);
}

/// A runtime that dies half-way leaves no scope behind.
fn a_scope_ends_with_its_holder() {
    let unit = unit("holder");
    let scope = unit
        .start(&layout(), &Resources::default(), &[], [])
        .unwrap();
    drop(scope.holder);
    assert_gone(&unit);
}

fn a_name_is_taken_once() {
    let unit = unit("name");
    let none = Resources::default();
    let scope = unit.start(&layout(), &none, &[], []).unwrap();
    let _resident = Resident::of(&scope.cgroup);
    let error = unit.start(&layout(), &none, &[], []).unwrap_err();
    assert!(matches!(error, CgroupError::Systemd { .. }), "{error}");
    // The first one's is untouched.
    assert_eq!(property(&unit, "ActiveState"), "active");
    drop(scope.holder);
    let cgroup = scope.place.open(&layout()).unwrap();
    end(&unit, cgroup);
    // Free again.
    let again = unit.start(&layout(), &none, &[], []).unwrap();
    drop(again.holder);
    assert_gone(&unit);
}

fn what_fails_leaves_nothing() {
    let unit = unit("fails");
    // The kernel refuses it, when the scope is there already.
    let resources = Resources {
        unified: [("cgroup.max.depth".to_owned(), "x".to_owned())].into(),
        ..Resources::default()
    };
    let error = unit.start(&layout(), &resources, &[], []).unwrap_err();
    assert!(matches!(error, CgroupError::Limit { .. }), "{error}");
    assert_gone(&unit);
    // systemd refuses it.
    let resources = Resources {
        cpu_period: Some(1),
        cpu_quota: Some(1),
        ..Resources::default()
    };
    let error = unit.start(&layout(), &resources, &[], []).unwrap_err();
    println!("{error}");
    assert_gone(&unit);
    assert_eq!(threads(), 1);
}
