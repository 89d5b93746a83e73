//! Cgroups that are there already, and places that a bundle names.

use std::fs;

use soute_runtime::cgroups::{Cgroup, CgroupError, DeviceRule, Origin, Place, Resources};

use crate::scene::{Scene, Shell};

const MIB: i64 = 1 << 20;

fn adopt(
    scene: &Scene,
    name: &str,
    resources: &Resources,
    rules: &[DeviceRule],
) -> Result<(Cgroup, Origin), CgroupError> {
    Cgroup::create_or_adopt(&scene.layout, &scene.path(name), resources, rules)
}

fn memory(bytes: i64) -> Resources {
    Resources {
        memory: Some(bytes),
        memory_swap: Some(bytes),
        ..Resources::default()
    }
}

#[test]
fn whose_it_was_is_told() {
    let scene = Scene::new("adopt");
    let none = Resources::default();
    let (new, origin) = adopt(&scene, "new", &none, &[]).unwrap();
    assert_eq!(origin, Origin::Made);
    let (_, origin) = adopt(&scene, "new", &none, &[]).unwrap();
    assert_eq!(origin, Origin::Adopted);
    assert_eq!(new.paths().count(), scene.layout.hierarchies().len());

    // A caller that knows one hierarchy alone, and cpusets that are empty still.
    for hierarchy in scene.layout.hierarchies() {
        let dir = hierarchy.mount.join(&scene.path("part")[1..]);
        fs::create_dir(&dir).unwrap();
        let (part, origin) = adopt(&scene, "part", &none, &[]).unwrap();
        assert_eq!(origin, Origin::Adopted);
        let shell = Shell::within(":", &part);
        drop(shell);
        part.remove().unwrap();
    }
    scene.assert_has_only(&["new"]);
}

#[test]
fn the_limits_of_before_stand_in_no_ones_way() {
    let scene = Scene::new("adopt-limits");
    if scene.refused_without("memory", &memory(32 * MIB)) {
        return;
    }
    for bytes in [32 * MIB, 64 * MIB, 16 * MIB] {
        let (cgroup, _) = adopt(&scene, "c", &memory(bytes), &[]).unwrap();
        let memory = cgroup.stats().unwrap().memory.unwrap();
        assert_eq!(
            (memory.limit, memory.swap_limit),
            (Some(bytes.unsigned_abs()), Some(0))
        );
    }
    // What was there stays when a limit is refused; what was made goes.
    let refused = Resources {
        // The kernel says no, after all else.
        unified: [("cgroup.max.depth".to_owned(), "x".to_owned())].into(),
        ..memory(MIB)
    };
    adopt(&scene, "c", &refused, &[]).unwrap_err();
    adopt(&scene, "d", &refused, &[]).unwrap_err();
    scene.assert_has_only(&["c"]);
}

#[test]
fn one_with_processes_is_not_taken_over() {
    let scene = Scene::new("inhabited");
    let none = Resources::default();
    let inner = scene.create("c/inner", &none).unwrap();
    let mut shell = Shell::within(":", &inner);
    for name in ["c", "c/inner"] {
        let error = adopt(&scene, name, &memory(32 * MIB), &[]).unwrap_err();
        match error {
            CgroupError::Inhabited { count, .. } => assert_eq!(count, 1),
            // The first thing that a machine without the controller says.
            CgroupError::MissingController { .. } => {}
            error => panic!("{error}"),
        }
    }
    assert_eq!(inner.pids().unwrap(), [shell.pid()]);
    shell.go();
    shell.wait();
    adopt(&scene, "c/inner", &none, &[]).unwrap();
}

#[test]
fn one_that_is_frozen_is_not_taken_over() {
    let scene = Scene::new("frozen");
    let none = Resources::default();
    let cgroup = scene.create("c", &none).unwrap();
    cgroup.freeze().unwrap();
    let error = adopt(&scene, "c", &none, &[]).unwrap_err();
    assert!(matches!(error, CgroupError::Frozen { .. }), "{error}");
    cgroup.thaw().unwrap();
    adopt(&scene, "c", &none, &[]).unwrap();
}

#[test]
fn one_that_hands_controllers_down_takes_no_process() {
    let scene = Scene::new("handing");
    let Some(v2) = scene.layout.v2() else { return };
    let none = Resources::default();
    let _cgroup = scene.create("c", &none).unwrap();
    let dir = v2.mount.join(&scene.path("c")[1..]);
    let offered = fs::read_to_string(dir.join("cgroup.controllers")).unwrap();
    let Some(first) = offered.split_whitespace().next() else {
        return;
    };
    let control = dir.join("cgroup.subtree_control");
    fs::write(&control, format!("+{first}")).unwrap();
    let error = adopt(&scene, "c", &none, &[]).unwrap_err();
    assert!(matches!(error, CgroupError::NoEntry { .. }), "{error}");
    fs::write(&control, format!("-{first}")).unwrap();
    adopt(&scene, "c", &none, &[]).unwrap();
}

#[test]
fn the_device_rules_of_before_are_replaced() {
    let scene = Scene::new("adopt-devices");
    let rule = |minor| {
        [DeviceRule {
            allow: true,
            kind: 'c',
            major: Some(1),
            minor: Some(minor),
            access: "rwm".into(),
        }]
    };
    let none = Resources::default();
    // /dev/null, then /dev/zero: both sets of rules at once would allow neither.
    for (minor, expected) in [(3, "n-"), (5, "-z"), (3, "n-")] {
        let (cgroup, _) = adopt(&scene, "c", &none, &rule(minor)).unwrap();
        let script = "t() { if (eval \"$2\") 2>&-; then printf $1; else printf -- -; fi; }\n\
            t n ': </dev/null'; t z ': </dev/zero'";
        let (_, out, err) = Shell::within(script, &cgroup).finish();
        assert_eq!(out, expected, "{err}");
    }
}

#[test]
fn a_relative_place_is_below_ones_own() {
    let scene = Scene::new("place");
    let none = Resources::default();
    let id = format!("soute-test-{}-relative", std::process::id());
    let place = Place::from_spec(&scene.layout, "", &id).unwrap();
    let layout = place.layout(&scene.layout);
    let (cgroup, origin) = Cgroup::create_or_adopt(&layout, place.path(), &none, &[]).unwrap();
    assert_eq!(origin, Origin::Made);
    let shell = Shell::within(":", &cgroup);
    let table = fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    for hierarchy in scene.layout.hierarchies() {
        let line = |table: &str| {
            let key = format!(
                ":{}:",
                if hierarchy.v2 {
                    String::new()
                } else {
                    hierarchy.controllers.join(",")
                }
            );
            let line = table.lines().find(|l| l.contains(&key)).unwrap();
            line.split_once(&key).unwrap().1.to_owned()
        };
        let own = line(&own);
        let base = if hierarchy.v2 {
            own.rsplit_once('/').unwrap().0.to_owned()
        } else {
            own
        };
        assert_eq!(line(&table), format!("{}/{id}", base.trim_end_matches('/')));
    }
    drop(shell);
    // A later command, wherever it is itself, finds it by what was kept.
    let found = place.open(&scene.layout).unwrap();
    assert_eq!(
        found.paths().map(|(_, dir)| dir).collect::<Vec<_>>(),
        cgroup.paths().map(|(_, dir)| dir).collect::<Vec<_>>()
    );
    found.remove().unwrap();
}
