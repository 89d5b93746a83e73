//! Making, joining, freezing, killing, removing.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use soute_runtime::cgroups::{Cgroup, CgroupError, Resources, remove_if_empty};

use crate::scene::{Scene, Shell, until};

#[test]
fn from_creation_to_removal() {
    let scene = Scene::new("life");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    assert_eq!(cgroup.paths().count(), scene.layout.hierarchies().len());
    assert!(cgroup.pids().unwrap().is_empty());

    let mut shell = Shell::within("sleep 100; :", &cgroup);
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
    let mut shell = Shell::within("sleep 100; :", &inner);
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
