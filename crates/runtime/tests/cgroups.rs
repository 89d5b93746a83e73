//! Cgroups on the machine as it is: v1, v2 or both. Needs root; prints the layout that it found.
//!
//! Where a controller is missing, the test shows that the limit is refused by
//! its name instead. Each test has a parent cgroup of its own, and leaves none behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use soute_runtime::cgroups::{
    Cgroup, CgroupError, DeviceRule, Layout, Resources, Throttle, default_device_rules,
    remove_if_empty,
};

const MIB: u64 = 1 << 20;

/// A parent cgroup for one test; goes away with all below it, however the test ends.
struct Scene {
    layout: Layout,
    parent: String,
}

impl Scene {
    fn new(test: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root"
        );
        let layout = Layout::discover().unwrap();
        println!("layout: {}", layout.kind());
        assert!(
            !layout.hierarchies().is_empty(),
            "these tests need a cgroup file system"
        );
        let parent = format!("/soute-test-{}-{test}", std::process::id());
        Self { layout, parent }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.parent)
    }

    fn create(&self, name: &str, resources: &Resources) -> Result<Cgroup, CgroupError> {
        Cgroup::create(&self.layout, &self.path(name), resources, &[])
    }

    /// The text of a file of the cgroup, in the hierarchy with the controller.
    fn text(&self, cgroup: &Cgroup, controller: &str, file: &str) -> String {
        let (_, dir) = cgroup
            .paths()
            .find(|(h, _)| h.has(controller))
            .unwrap_or_else(|| panic!("no {controller}"));
        fs::read_to_string(dir.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn v2_carries(&self, controller: &str) -> bool {
        self.layout.carrier(controller).is_some_and(|h| h.v2)
    }

    /// Where the controller is missing, shows that `resources` is refused with its name, and says so.
    fn refused_without(&self, controller: &str, resources: &Resources) -> bool {
        if self.layout.carrier(controller).is_some() {
            return false;
        }
        let error = self.create("refused", resources).unwrap_err();
        assert!(
            matches!(&error, CgroupError::MissingController { controller: c, .. } if *c == controller),
            "{error}"
        );
        self.assert_empty();
        true
    }

    /// Nothing is left below the parent (which may not exist either).
    fn assert_empty(&self) {
        for h in self.layout.hierarchies() {
            let dir = h.mount.join(&self.parent[1..]);
            let Ok(entries) = fs::read_dir(&dir) else {
                continue;
            };
            for entry in entries {
                let entry = entry.unwrap();
                assert!(
                    !entry.file_type().unwrap().is_dir(),
                    "left behind: {:?}",
                    entry.path()
                );
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Ok(all) = Cgroup::open(&self.layout, &self.parent) {
            let removed = all.remove();
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
    }
}

/// A shell that waits for [`Shell::go`] before it runs its script; killed when dropped.
struct Shell(Child);

impl Shell {
    fn new(script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read go || exit 9\n{script}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn within(script: &str, cgroup: &Cgroup) -> Self {
        let shell = Self::new(script);
        cgroup.join(shell.pid()).unwrap();
        shell
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the shell does not end"
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Runs the script to its end: status, standard output, standard error.
    fn finish(mut self) -> (ExitStatus, String, String) {
        self.go();
        let status = self.wait();
        let (mut out, mut err) = (String::new(), String::new());
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (status, out, err)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{what}: not within 10 s"
        );
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn from_creation_to_removal() {
    let scene = Scene::new("life");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    assert_eq!(cgroup.paths().count(), scene.layout.hierarchies().len());
    assert!(cgroup.pids().unwrap().is_empty());

    let mut shell = Shell::within("sleep 100", &cgroup);
    shell.go();
    // The shell and its sleep.
    until("two processes", || cgroup.pids().unwrap().len() == 2);
    assert!(cgroup.pids().unwrap().contains(&shell.pid()));
    // It is in the cgroup of every hierarchy, the named ones and v2 among them.
    let own = fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
    for h in scene.layout.hierarchies() {
        let line = if h.v2 {
            "0::".to_owned()
        } else {
            format!(":{}:", h.controllers.join(","))
        };
        let found = own.lines().find(|l| l.contains(&line)).unwrap();
        assert!(found.ends_with(&scene.path("c")), "{found}");
    }

    let stats = cgroup.stats().unwrap();
    if scene.layout.carrier("pids").is_some() {
        let pids = stats.pids.unwrap();
        assert_eq!((pids.current, pids.limit), (2, None));
    }
    if scene.layout.carrier("memory").is_some() {
        let memory = stats.memory.unwrap();
        assert!(
            memory.usage > 0 && memory.rss <= memory.usage && memory.limit.is_none(),
            "{memory:?}"
        );
    }
    let cpu = stats.cpu.expect("v2 or cpuacct");
    assert!(cpu.total_ns > 0, "{cpu:?}");

    // Later commands find it by its path.
    let found = Cgroup::open(&scene.layout, &scene.path("c")).unwrap();
    assert_eq!(found.pids().unwrap(), cgroup.pids().unwrap());
    cgroup.kill().unwrap();
    assert!(found.pids().unwrap().is_empty());
    assert_eq!(shell.wait().signal(), Some(9));
    cgroup.remove().unwrap();
    scene.assert_empty();
    // Gone: found no more, and removing it once more is no error.
    assert!(matches!(
        Cgroup::open(&scene.layout, &scene.path("c")),
        Err(CgroupError::NotFound { .. })
    ));
    found.remove().unwrap();
}

#[test]
fn a_thread_moves_itself() {
    let scene = Scene::new("self");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    assert_eq!(cgroup.v2_fd().is_some(), scene.layout.v2().is_some());
    let v1 = scene.layout.hierarchies().iter().filter(|h| !h.v2).count();
    std::thread::scope(|s| {
        s.spawn(|| {
            cgroup.join_self_v1().unwrap();
            let own = fs::read_to_string("/proc/thread-self/cgroup").unwrap();
            let inside = own
                .lines()
                .filter(|l| l.ends_with(&scene.path("c")))
                .count();
            assert_eq!(inside, v1, "{own}");
        });
    });
    cgroup.remove().unwrap();
    // Found again, it needs its files opened first.
    let _ = scene.create("d", &Resources::default()).unwrap();
    let mut found = Cgroup::open(&scene.layout, &scene.path("d")).unwrap();
    assert!(found.v2_fd().is_none());
    assert_eq!(found.join_self_v1().is_err(), v1 > 0);
    found.prepare_join().unwrap();
    assert_eq!(found.v2_fd().is_some(), scene.layout.v2().is_some());
}

#[test]
fn a_memory_hog_is_killed_and_counted() {
    let scene = Scene::new("oom");
    let resources = Resources {
        memory: Some(16 * MIB),
        memory_swap: Some(16 * MIB as i64),
        ..Resources::default()
    };
    if scene.refused_without("memory", &resources) {
        return;
    }
    let cgroup = scene.create("c", &resources).unwrap();
    assert_eq!(cgroup.oom_kills().unwrap(), Some(0));
    let stats = cgroup.stats().unwrap().memory.unwrap();
    assert_eq!((stats.limit, stats.swap_limit), (Some(16 * MIB), Some(0)));
    // tail keeps what has no line end yet.
    let mut hog = Shell::within("exec tail /dev/zero", &cgroup);
    hog.go();
    assert_eq!(hog.wait().signal(), Some(9));
    assert_eq!(cgroup.oom_kills().unwrap(), Some(1));
    let stats = cgroup.stats().unwrap().memory.unwrap();
    assert!(
        stats
            .max_usage
            .is_none_or(|m| m > 14 * MIB && m <= 16 * MIB),
        "{stats:?}"
    );
}

#[test]
fn forks_stop_at_the_limit() {
    let scene = Scene::new("pids");
    let resources = Resources {
        pids_limit: Some(4),
        ..Resources::default()
    };
    if scene.refused_without("pids", &resources) {
        return;
    }
    let cgroup = scene.create("c", &resources).unwrap();
    let mut shell = Shell::within(
        "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait",
        &cgroup,
    );
    shell.go();
    // The shell gives up at the first fork that fails.
    until("the limit", || cgroup.pids().unwrap().len() >= 3);
    shell.wait();
    assert_eq!(cgroup.pids().unwrap().len(), 3);
    assert_eq!(cgroup.stats().unwrap().pids.unwrap().limit, Some(4));
    cgroup.kill().unwrap();
}

#[test]
fn a_spinner_gets_its_share() {
    let scene = Scene::new("cpu");
    let resources = Resources {
        cpu_quota: Some(20_000),
        cpu_period: Some(100_000),
        cpu_shares: Some(512),
        ..Resources::default()
    };
    if scene.refused_without("cpu", &resources) {
        return;
    }
    let cgroup = scene.create("c", &resources).unwrap();
    if scene.v2_carries("cpu") {
        assert_eq!(scene.text(&cgroup, "cpu", "cpu.max"), "20000 100000");
        assert_eq!(scene.text(&cgroup, "cpu", "cpu.weight"), "59");
    } else {
        assert_eq!(scene.text(&cgroup, "cpu", "cpu.shares"), "512");
    }
    let mut shell = Shell::within("while :; do :; done", &cgroup);
    shell.go();
    let used = || cgroup.stats().unwrap().cpu.unwrap();
    until("throttled", || {
        used().throttling.unwrap().throttled_periods > 0
    });
    let (start, before) = (Instant::now(), used().total_ns);
    sleep(Duration::from_secs(1));
    let share = (used().total_ns - before) as f64 / start.elapsed().as_nanos() as f64;
    assert!(share < 0.3, "a quota of 0.2 CPUs, used {share}");
    assert!(used().throttling.unwrap().throttled_ns > 0);
}

#[test]
fn frozen_means_no_cpu_time() {
    let scene = Scene::new("freeze");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    if scene.layout.carrier("freezer").is_none() && scene.layout.v2().is_none() {
        assert!(matches!(
            cgroup.freeze(),
            Err(CgroupError::MissingController { .. })
        ));
        return;
    }
    let mut shell = Shell::within("while :; do :; done", &cgroup);
    shell.go();
    let used = || cgroup.stats().unwrap().cpu.unwrap().total_ns;
    let running = used();
    until("it runs", || used() > running + 1_000_000);
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let frozen = used();
    sleep(Duration::from_millis(100));
    assert_eq!(used(), frozen);
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    until("it runs again", || used() > frozen + 1_000_000);
    // A paused container can be killed without being thawed first.
    cgroup.freeze().unwrap();
    cgroup.kill().unwrap();
    assert_eq!(shell.wait().signal(), Some(9));
    cgroup.remove().unwrap();
}

#[test]
fn a_fork_bomb_does_not_outrun_kill() {
    let scene = Scene::new("bomb");
    let resources = Resources {
        pids_limit: scene.layout.carrier("pids").map(|_| 100),
        ..Resources::default()
    };
    let cgroup = scene.create("c", &resources).unwrap();
    // Each child forks anew and its parent exits: no list of PIDs stays true.
    let script =
        "f() { sleep 0.001; (f &) ; exit; }\nfor i in 1 2 3 4 5 6 7 8; do (f &) ; done; wait";
    let mut shell = Shell::within(script, &cgroup);
    shell.go();
    until("it breeds", || cgroup.pids().unwrap().len() >= 8);
    let start = Instant::now();
    cgroup.kill().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(cgroup.pids().unwrap().is_empty());
    sleep(Duration::from_millis(50));
    assert!(cgroup.pids().unwrap().is_empty());
    cgroup.remove().unwrap();
    scene.assert_empty();
}

#[test]
fn removal_takes_what_the_container_made() {
    let scene = Scene::new("nested");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    // Made by the container, with a process inside.
    let inner = Cgroup::create(
        &scene.layout,
        &scene.path("c/a/b"),
        &Resources::default(),
        &[],
    )
    .unwrap();
    let _empty = Cgroup::create(
        &scene.layout,
        &scene.path("c/a/d"),
        &Resources::default(),
        &[],
    )
    .unwrap();
    let mut shell = Shell::within("sleep 100", &inner);
    shell.go();
    until("two processes", || cgroup.pids().unwrap().len() == 2);
    cgroup.remove().unwrap();
    assert_eq!(shell.wait().signal(), Some(9));
    scene.assert_empty();
}

#[test]
fn a_name_is_taken_once() {
    let scene = Scene::new("name");
    let first = scene.create("c", &Resources::default()).unwrap();
    assert!(matches!(
        scene.create("c", &Resources::default()),
        Err(CgroupError::Exists { .. })
    ));
    // The failed creator has not removed the first one's.
    assert_eq!(
        Cgroup::open(&scene.layout, &scene.path("c"))
            .unwrap()
            .paths()
            .count(),
        first.paths().count()
    );
    first.remove().unwrap();

    // Left over in the last hierarchy only: refused, and the others are as before.
    let last = scene.layout.hierarchies().last().unwrap();
    let left = last.mount.join(&scene.path("c")[1..]);
    fs::create_dir(&left).unwrap();
    assert!(matches!(
        scene.create("c", &Resources::default()),
        Err(CgroupError::Exists { .. })
    ));
    let found = Cgroup::open(&scene.layout, &scene.path("c")).unwrap();
    assert_eq!(
        found.paths().map(|(_, dir)| dir).collect::<Vec<_>>(),
        [left]
    );
    found.remove().unwrap();
    scene.create("c", &Resources::default()).unwrap();
}

#[test]
fn creators_at_once() {
    let scene = Scene::new("many");
    // Eight at a parent that comes and goes: none may stumble over another's making or removing of it.
    std::thread::scope(|s| {
        for thread in 0..8 {
            let scene = &scene;
            s.spawn(move || {
                for _ in 0..20 {
                    let path = format!("{}/p/q/{thread}", scene.parent);
                    let cgroup =
                        Cgroup::create(&scene.layout, &path, &Resources::default(), &[]).unwrap();
                    cgroup.remove().unwrap();
                    for parent in ["p/q", "p"] {
                        remove_if_empty(&scene.layout, &scene.path(parent)).unwrap();
                    }
                }
            });
        }
    });
    scene.assert_empty();
    // Eight at one name: one has it, and has all of it.
    let won = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| match scene.create("one", &Resources::default()) {
                Ok(_) => won.fetch_add(1, Ordering::Relaxed),
                Err(CgroupError::Exists { .. }) => 0,
                Err(e) => panic!("{e}"),
            });
        }
    });
    assert_eq!(won.into_inner(), 1);
    let all = Cgroup::open(&scene.layout, &scene.path("one")).unwrap();
    assert_eq!(all.paths().count(), scene.layout.hierarchies().len());
}

fn rule(
    allow: bool,
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: &str,
) -> DeviceRule {
    DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.to_owned(),
    }
}

/// What a shell under `rules` may open (it says on standard error why not): one letter per test, `-` where it was refused.
fn may(scene: &Scene, name: &str, rules: &[DeviceRule]) -> String {
    let cgroup = Cgroup::create(
        &scene.layout,
        &scene.path(name),
        &Resources::default(),
        rules,
    )
    .unwrap();
    let script = "t() { if (eval \"$2\"); then printf $1; else printf -- -; fi; }\n\
        t n ': </dev/null'; t N ': >/dev/null'; t k ': </dev/kmsg'; t z ': </dev/zero'; t Z ': >/dev/zero'; t B ': <>/dev/zero'";
    let (_, out, err) = Shell::within(script, &cgroup).finish();
    cgroup.remove().unwrap();
    println!("{name}: {out} {err}");
    out
}

#[test]
fn devices_that_no_rule_allows_are_denied() {
    let scene = Scene::new("devices");
    if scene.layout.carrier("devices").is_none() && scene.layout.v2().is_none() {
        let created = Cgroup::create(
            &scene.layout,
            &scene.path("c"),
            &Resources::default(),
            &default_device_rules(),
        );
        assert!(matches!(
            created,
            Err(CgroupError::MissingController { .. })
        ));
        return;
    }
    assert_eq!(may(&scene, "inherit", &[]), "nNkzZB");
    assert_eq!(may(&scene, "default", &default_device_rules()), "nN-zZB");
    assert_eq!(
        may(&scene, "all", &[rule(true, 'a', None, None, "rwm")]),
        "nNkzZB"
    );
    assert_eq!(
        may(&scene, "none", &[rule(false, 'a', None, None, "rwm")]),
        "------"
    );
    // Reading and writing are two rights, and two rules together give both.
    let read = rule(true, 'c', Some(1), Some(5), "r");
    let write = rule(true, 'c', Some(1), Some(5), "w");
    assert_eq!(may(&scene, "read", std::slice::from_ref(&read)), "---z--");
    assert_eq!(may(&scene, "both", &[read, write]), "---zZB");
    // The last match decides.
    let allow = rule(true, 'c', Some(1), Some(5), "rwm");
    let deny = rule(false, 'c', Some(1), Some(5), "w");
    assert_eq!(
        may(&scene, "last", &[allow.clone(), deny.clone()]),
        "---z--"
    );
    assert_eq!(may(&scene, "first", &[deny.clone(), allow]), "---zZB");
    let all_but = [rule(true, 'a', None, None, "rwm"), deny];
    assert_eq!(may(&scene, "all-but", &all_but), "nNkz--");
    // A hole in a wider rule: the program of v2 can, the list of v1 cannot.
    let hole = [
        rule(true, 'c', Some(1), None, "rwm"),
        rule(false, 'c', Some(1), Some(11), "r"),
    ];
    if scene.layout.carrier("devices").is_some() {
        let refused = Cgroup::create(
            &scene.layout,
            &scene.path("hole"),
            &Resources::default(),
            &hole,
        );
        assert!(matches!(refused, Err(CgroupError::Device { .. })));
    } else {
        assert_eq!(may(&scene, "hole", &hole), "nN-zZB");
    }
    scene.assert_empty();
}

#[test]
fn updates_are_live_and_whole() {
    let scene = Scene::new("update");
    let memory = |memory: u64, swap: i64| Resources {
        memory: Some(memory * MIB),
        memory_swap: Some(if swap < 0 { swap } else { swap * MIB as i64 }),
        ..Resources::default()
    };
    if scene.refused_without("memory", &memory(32, 64)) {
        return;
    }
    let cgroup = scene.create("c", &memory(32, 64)).unwrap();
    let limits = || {
        let m = cgroup.stats().unwrap().memory.unwrap();
        (m.limit.map(|l| l / MIB), m.swap_limit.map(|l| l / MIB))
    };
    let _shell = Shell::within("sleep 100", &cgroup);
    assert_eq!(limits(), (Some(32), Some(32)));
    // Up beyond the old sum, down below the old limit, and swap alone.
    for (m, s) in [(128, 256), (16, 24), (64, 64), (20, -1)] {
        cgroup.update(&memory(m, s)).unwrap();
        let swap = u64::try_from(s).ok().map(|s| s - m);
        assert_eq!(limits(), (Some(m), swap), "{m} {s}");
    }
    let swap_alone = Resources {
        memory_swap: Some(30 * MIB as i64),
        ..Resources::default()
    };
    cgroup.update(&swap_alone).unwrap();
    assert_eq!(limits(), (Some(20), Some(10)));

    // The kernel refuses the second one: the first is taken back.
    let half = Resources {
        device_read_bps: vec![Throttle {
            major: 4000,
            minor: 1,
            rate: 1000,
        }],
        ..memory(48, 96)
    };
    let controller = if scene.v2_carries("memory") {
        "io"
    } else {
        "blkio"
    };
    if scene.layout.carrier(controller).is_some() {
        let error = cgroup.update(&half).unwrap_err();
        assert!(
            matches!(
                error,
                CgroupError::Limit {
                    limit: "--device-read-bps",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(limits(), (Some(20), Some(10)));
        // A creation that fails so late leaves nothing.
        let error = scene.create("half", &half).unwrap_err();
        assert!(matches!(error, CgroupError::Limit { .. }), "{error}");
        assert!(Cgroup::open(&scene.layout, &scene.path("half")).is_err());
    }
}

#[test]
fn every_limit_reaches_its_file() {
    let scene = Scene::new("files");
    let disk = fs::read_dir("/sys/block")
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| fs::read_to_string(p.join("size")).is_ok_and(|s| s.trim() != "0"))
        .expect("a block device");
    let number = fs::read_to_string(disk.join("dev")).unwrap();
    let (major, minor) = number.trim().split_once(':').unwrap();
    let throttle = |rate| {
        vec![Throttle {
            major: major.parse().unwrap(),
            minor: minor.parse().unwrap(),
            rate,
        }]
    };
    let io = Resources {
        device_read_bps: throttle(1 << 20),
        device_write_bps: throttle(2 << 20),
        device_read_iops: throttle(30),
        device_write_iops: throttle(40),
        ..Resources::default()
    };
    let sets = Resources {
        cpuset_cpus: Some("0".into()),
        cpuset_mems: Some("0".into()),
        ..Resources::default()
    };
    let device = number.trim();
    if scene.layout.carrier("blkio").is_some() {
        let cgroup = scene.create("io", &io).unwrap();
        let text = |file: &str| scene.text(&cgroup, "blkio", file);
        assert_eq!(
            text("blkio.throttle.read_bps_device"),
            format!("{device} 1048576")
        );
        assert_eq!(
            text("blkio.throttle.write_bps_device"),
            format!("{device} 2097152")
        );
        assert_eq!(
            text("blkio.throttle.read_iops_device"),
            format!("{device} 30")
        );
        assert_eq!(
            text("blkio.throttle.write_iops_device"),
            format!("{device} 40")
        );
        let weight = Resources {
            blkio_weight: Some(300),
            ..Resources::default()
        };
        match scene.create("weight", &weight) {
            Ok(_) => {}
            // No scheduler that knows weights: refused with the reason.
            Err(CgroupError::MissingFile {
                limit: "--blkio-weight",
                ..
            }) => {}
            Err(e) => panic!("{e}"),
        }
    } else if scene.v2_carries("io") {
        let cgroup = scene.create("io", &io).unwrap();
        assert_eq!(
            scene.text(&cgroup, "io", "io.max"),
            format!("{device} rbps=1048576 wbps=2097152 riops=30 wiops=40")
        );
    } else {
        assert!(matches!(
            scene.create("io", &io),
            Err(CgroupError::MissingController { .. })
        ));
    }
    if !scene.refused_without("cpuset", &sets) {
        let cgroup = scene.create("sets", &sets).unwrap();
        let mut shell = Shell::within("cat /proc/self/status", &cgroup);
        shell.go();
        shell.wait();
        let mut status = String::new();
        shell
            .0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut status)
            .unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
    // v1 only, and refused by name where the controller is v2's.
    let swappiness = Resources {
        memory_swappiness: Some(10),
        ..Resources::default()
    };
    if !scene.refused_without("memory", &swappiness) {
        match scene.create("swappiness", &swappiness) {
            Ok(cgroup) => assert_eq!(scene.text(&cgroup, "memory", "memory.swappiness"), "10"),
            Err(CgroupError::OnlyV1 { .. }) => assert!(scene.v2_carries("memory")),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_made() {
    let scene = Scene::new("nonsense");
    for path in ["/../x", "/soute/../../x", "relative", "/", "/a/./b"] {
        let created = Cgroup::create(&scene.layout, path, &Resources::default(), &[]);
        assert!(matches!(created, Err(CgroupError::Path { .. })), "{path}");
    }
    let bad = [
        Resources {
            memory: Some(MIB),
            ..Resources::default()
        },
        Resources {
            cpuset_cpus: Some("60000".into()),
            ..Resources::default()
        },
        Resources {
            cpu_quota: Some(i64::MAX),
            ..Resources::default()
        },
    ];
    for resources in bad {
        let created = scene.create("c", &resources);
        assert!(
            matches!(created, Err(CgroupError::Resources(_))),
            "{resources:?}"
        );
    }
    let rules = [rule(true, 'x', None, None, "rwm")];
    let created = Cgroup::create(
        &scene.layout,
        &scene.path("c"),
        &Resources::default(),
        &rules,
    );
    assert!(matches!(created, Err(CgroupError::Device { .. })));
    assert!(
        !scene
            .layout
            .hierarchies()
            .iter()
            .any(|h| Path::new(&h.mount).join(&scene.parent[1..]).exists())
    );
}
