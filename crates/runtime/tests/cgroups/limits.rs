//! Limits hold, reach their files, and change live.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use soute_runtime::cgroups::{
    Cgroup, CgroupError, DeviceRule, HugepageLimit, OomEvent, Resources, Throttle,
};

use crate::scene::{Scene, Shell, until};

const MIB: u64 = 1 << 20;

#[test]
fn a_memory_hog_is_killed_and_counted() {
    let scene = Scene::new("oom");
    let resources = Resources {
        memory: Some(16 * MIB as i64),
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
fn updates_are_live_and_whole() {
    let scene = Scene::new("update");
    let memory = |memory: u64, swap: i64| Resources {
        memory: Some((memory * MIB) as i64),
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
    let _shell = Shell::within("sleep 100; :", &cgroup);
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
        weight_is(&scene, "blkio", &["blkio.weight", "blkio.bfq.weight"]);
    } else if scene.v2_carries("io") {
        let cgroup = scene.create("io", &io).unwrap();
        assert_eq!(
            scene.text(&cgroup, "io", "io.max"),
            format!("{device} rbps=1048576 wbps=2097152 riops=30 wiops=40")
        );
        weight_is(&scene, "io", &["io.bfq.weight", "io.weight"]);
    } else {
        assert!(matches!(
            scene.create("io", &io),
            Err(CgroupError::MissingController { .. })
        ));
    }
    if !scene.refused_without("cpuset", &sets) {
        let cgroup = scene.create("sets", &sets).unwrap();
        let (_, status, _) = Shell::within("cat /proc/self/status", &cgroup).finish();
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

/// Weight 300 is found in one of the files, or refused where no scheduler knows weights.
fn weight_is(scene: &Scene, controller: &str, files: &[&str]) {
    let weight = Resources {
        blkio_weight: Some(300),
        ..Resources::default()
    };
    let is_there = |cgroup: &Cgroup, file: &str| {
        cgroup
            .paths()
            .any(|(h, dir)| h.has(controller) && dir.join(file).exists())
    };
    match scene.create("weight", &weight) {
        Ok(cgroup) => {
            let file = files.iter().find(|f| is_there(&cgroup, f)).unwrap();
            let text = scene.text(&cgroup, controller, file);
            // The larger scale of io.weight: 1 + 290 × 9999 / 990.
            let expected = if *file == "io.weight" { "2930" } else { "300" };
            assert_eq!(text.trim_start_matches("default "), expected, "{file}");
        }
        Err(CgroupError::MissingFile {
            limit: "--blkio-weight",
            ..
        }) => {
            let bare = scene.create("bare", &Resources::default()).unwrap();
            assert!(!files.iter().any(|f| is_there(&bare, f)));
        }
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_parent_with_processes_hands_no_memory_down() {
    let scene = Scene::new("internal");
    let memory = Resources {
        memory: Some(64 * MIB as i64),
        ..Resources::default()
    };
    if scene.refused_without("memory", &memory) {
        return;
    }
    let parent = scene.create("p", &Resources::default()).unwrap();
    let _shell = Shell::within(":", &parent);
    let child = |resources: &Resources| {
        let child = Cgroup::create(&scene.layout, &scene.path("p/c"), resources, &[])?;
        let _shell = Shell::within(":", &child);
        assert_eq!(child.pids()?.len(), 1);
        child.remove()
    };
    // No limit, no need for a controller.
    child(&Resources::default()).unwrap();
    if scene.v2_carries("memory") {
        let error = child(&memory).unwrap_err();
        assert!(
            matches!(
                error,
                CgroupError::Enable {
                    limit: "--memory",
                    ref controller,
                    ..
                } if controller == "memory"
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("cgroup.subtree_control"),
            "{error}"
        );
        assert!(Cgroup::open(&scene.layout, &scene.path("p/c")).is_err());
    } else {
        child(&memory).unwrap();
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_made() {
    let scene = Scene::new("nonsense");
    for path in ["/../x", "/soute/../../x", "relative", "/", "/a/./b"] {
        let created = Cgroup::create(&scene.layout, path, &Resources::default(), &[]);
        assert!(matches!(created, Err(CgroupError::Path { .. })), "{path}");
    }
    // Docker's rules are the callers' to ask for: an OCI bundle may have less memory than Docker gives.
    let too_little = Resources {
        memory: Some(MIB as i64),
        ..Resources::default()
    };
    let too_much = Resources {
        cpu_quota: Some(i64::MAX),
        ..Resources::default()
    };
    for resources in [too_little, too_much] {
        let refused = resources.validate(&scene.layout);
        assert!(matches!(refused, Err(CgroupError::Resources(_))));
    }
    let bad = [
        Resources {
            memory: Some(-2),
            ..Resources::default()
        },
        Resources {
            cpuset_cpus: Some("60000".into()),
            ..Resources::default()
        },
        Resources {
            hugepage_limits: vec![HugepageLimit {
                page_size: "../2MB".into(),
                limit: 0,
            }],
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
    let rules = [DeviceRule {
        allow: true,
        kind: 'x',
        major: None,
        minor: None,
        access: "rwm".into(),
    }];
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
            .any(|h| h.mount.join(&scene.parent[1..]).exists())
    );
}

#[test]
fn an_oom_kill_is_told_when_it_happens() {
    let scene = Scene::new("oom-watch");
    let resources = Resources {
        memory: Some(16 * MIB as i64),
        memory_swap: Some(16 * MIB as i64),
        ..Resources::default()
    };
    if scene.refused_without("memory", &resources) {
        return;
    }
    let cgroup = scene.create("c", &resources).unwrap();
    let mut hog = Shell::within("tail /dev/zero; sleep 100", &cgroup);
    let mut watch = cgroup.watch_oom().unwrap();
    let within = |millis| Some(Duration::from_millis(millis));
    assert_eq!(watch.wait(within(20)).unwrap(), OomEvent::Nothing);
    hog.go();
    assert_eq!(watch.wait(within(10_000)).unwrap(), OomEvent::Oom);
    // The end is told once the last process is gone (v2), or the cgroup (v1).
    cgroup.kill().unwrap();
    hog.wait();
    cgroup.remove().unwrap();
    let mut last = watch.wait(within(10_000)).unwrap();
    while last == OomEvent::Oom {
        last = watch.wait(within(10_000)).unwrap();
    }
    assert_eq!(last, OomEvent::Gone);
}

#[test]
fn a_report_has_what_was_used() {
    let scene = Scene::new("report");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    let mut shell = Shell::within(
        "head -c 30000000 /dev/zero | tail -c 1; sleep 100; :",
        &cgroup,
    );
    shell.go();
    until("it works", || {
        cgroup.report().unwrap().cpu.usage.total > 1_000_000
    });
    let report = cgroup.report().unwrap();
    assert!(report.pids.current > 0, "{report:?}");
    if scene.layout.carrier("memory").is_some() {
        let memory = &report.memory;
        assert!(
            memory.usage.limit > 1 << 40 && !memory.raw.is_empty(),
            "{memory:?}"
        );
    }
    if scene.layout.carrier("cpuacct").is_some() {
        let usage = &report.cpu.usage;
        assert!(usage.percpu.len() == usage.percpu_user.len() && !usage.percpu.is_empty());
    }
}
