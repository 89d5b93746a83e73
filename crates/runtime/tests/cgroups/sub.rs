//! Cgroups below a container's: made by it, joined by exec, and gone with it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;

use rustix::fs::{Mode, OFlags};
use soute_runtime::cgroups::{Cgroup, CgroupError, Resources, SubPaths};

use crate::scene::{Scene, Shell, until};

#[test]
fn exec_goes_where_it_is_told() {
    let scene = Scene::new("sub");
    let none = Resources::default();
    let cgroup = scene.create("c", &none).unwrap();
    let _inner = scene.create("c/a/b", &none).unwrap();
    let sub = |values: &[&str]| cgroup.sub(&SubPaths::parse(values).unwrap());

    // One path: there in every hierarchy.
    let shell = Shell::within(":", &sub(&["a/b"]).unwrap());
    let table = fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
    let inside = table.lines().filter(|l| l.ends_with("/c/a/b")).count();
    assert_eq!(inside, scene.layout.hierarchies().len(), "{table}");
    drop(shell);

    // By controller, v1's way: the others are the container's own.
    if let Some(v1) = scene.layout.hierarchies().iter().find(|h| !h.v2) {
        let value = format!("{}:a", v1.controllers[0]);
        let shell = Shell::within(":", &sub(&[&value]).unwrap());
        let table = fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
        let ends = |end: &str| table.lines().filter(|l| l.ends_with(end)).count();
        assert_eq!(ends("/c/a"), 1, "{table}");
        assert_eq!(ends("/c"), scene.layout.hierarchies().len() - 1, "{table}");
    }
    let missing = sub(&["a/x"]).unwrap_err();
    assert!(matches!(missing, CgroupError::NotFound { .. }), "{missing}");
    let nowhere = sub(&["nonsense:a"]).unwrap_err();
    assert!(matches!(nowhere, CgroupError::Path { .. }), "{nowhere}");
}

#[test]
fn a_container_cannot_make_cgroups_too_deep_to_be_removed() {
    let scene = Scene::new("deep");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    for (_, dir) in cgroup.paths() {
        let name = "x".repeat(200);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut here = rustix::fs::open(dir, flags, Mode::empty()).unwrap();
        // Longer than the longest path there is.
        for _ in 0..30 {
            rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, &name, flags, Mode::empty()).unwrap();
        }
    }
    assert!(cgroup.pids().unwrap().is_empty());
    cgroup.remove().unwrap();
    scene.assert_empty();
}

#[test]
fn freezing_itself_saves_no_process() {
    let scene = Scene::new("self-frozen");
    let none = Resources::default();
    let cgroup = scene.create("c", &none).unwrap();
    let inner = scene.create("c/inner", &none).unwrap();
    let mut shell = Shell::within("sleep 100; :", &inner);
    shell.go();
    until("two processes", || cgroup.pids().unwrap().len() == 2);
    inner.freeze().unwrap();
    // The container's own cgroup has not been asked to freeze.
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.kill().unwrap();
    assert_eq!(shell.wait().signal(), Some(9));
    cgroup.remove().unwrap();
    scene.assert_empty();
}

#[test]
fn frozen_by_the_one_above_is_not_paused() {
    let scene = Scene::new("frozen-above");
    let none = Resources::default();
    let above = scene.create("p", &none).unwrap();
    let cgroup = scene.create("p/c", &none).unwrap();
    above.freeze().unwrap();
    assert!(above.is_frozen().unwrap() && !cgroup.is_frozen().unwrap());
    above.thaw().unwrap();
}

#[test]
fn given_to_its_user() {
    let scene = Scene::new("delegate");
    let cgroup = scene.create("c", &Resources::default()).unwrap();
    cgroup.delegate(12345).unwrap();
    for (hierarchy, dir) in cgroup.paths() {
        let owner = |file: &str| fs::metadata(dir.join(file)).unwrap().uid();
        let expected = if hierarchy.v2 { 12345 } else { 0 };
        assert_eq!((owner(""), owner("cgroup.procs")), (expected, expected));
        if hierarchy.v2 {
            assert_eq!(owner("cgroup.subtree_control"), 12345);
            assert_eq!((owner("cgroup.freeze"), owner("cgroup.max.depth")), (0, 0));
        }
    }
    let _ = Cgroup::open(&scene.layout, &scene.path("c")).unwrap();
}
