//! Device rules decide what processes may open: v1's controller, v2's eBPF program.

use soute_runtime::cgroups::{Cgroup, CgroupError, DeviceRule, Resources, default_device_rules};

use crate::scene::{Scene, Shell};

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
