//! Limits that a bundle can ask for and Docker's command line cannot.

use soute_runtime::cgroups::{
    CgroupError, HugepageLimit, InterfacePriority, RdmaLimit, Resources, SpecResources,
};

use crate::scene::{Scene, Shell, until};

const MIB: i64 = 1 << 20;

#[test]
fn a_burst_and_idle() {
    let scene = Scene::new("burst");
    let resources = Resources {
        cpu_quota: Some(50_000),
        cpu_burst: Some(20_000),
        cpu_idle: Some(1),
        ..Resources::default()
    };
    if scene.refused_without("cpu", &resources) {
        return;
    }
    let cgroup = scene.create("c", &resources).unwrap();
    let burst = if scene.v2_carries("cpu") {
        "cpu.max.burst"
    } else {
        "cpu.cfs_burst_us"
    };
    assert_eq!(scene.text(&cgroup, "cpu", burst), "20000");
    assert_eq!(scene.text(&cgroup, "cpu", "cpu.idle"), "1");
    // More carried over than there is.
    let error = scene.create(
        "d",
        &Resources {
            cpu_burst: Some(60_000),
            ..resources
        },
    );
    assert!(matches!(error, Err(CgroupError::Resources(_))));
}

#[test]
fn memory_without_a_limit_again() {
    let scene = Scene::new("unlimited");
    let some = Resources {
        memory: Some(32 * MIB),
        memory_swap: Some(64 * MIB),
        ..Resources::default()
    };
    if scene.refused_without("memory", &some) {
        return;
    }
    let cgroup = scene.create("c", &some).unwrap();
    // Both go, though only one is named.
    let none = Resources {
        memory: Some(-1),
        ..Resources::default()
    };
    cgroup.update(&none).unwrap();
    let memory = cgroup.stats().unwrap().memory.unwrap();
    assert_eq!((memory.limit, memory.swap_limit), (None, None));
    cgroup.update(&some).unwrap();

    let mut shell = Shell::within("sleep 100; :", &cgroup);
    shell.go();
    until("memory in use", || {
        cgroup.stats().unwrap().memory.unwrap().usage > 4096
    });
    let little = Resources {
        memory: Some(4096),
        memory_swap: Some(4096),
        memory_check_before_update: true,
        ..Resources::default()
    };
    let error = cgroup.update(&little).unwrap_err();
    assert!(matches!(error, CgroupError::BelowUsage { .. }), "{error}");
    assert_eq!(
        cgroup.stats().unwrap().memory.unwrap().limit,
        Some(32 << 20)
    );
}

#[test]
fn huge_pages_by_size_and_by_file() {
    let scene = Scene::new("huge");
    let of_size = |page_size: &str| Resources {
        hugepage_limits: vec![HugepageLimit {
            page_size: page_size.into(),
            limit: 4 << 20,
        }],
        ..Resources::default()
    };
    if scene.refused_without("hugetlb", &of_size("2MB")) {
        return;
    }
    let cgroup = scene.create("c", &of_size("2MB")).unwrap();
    let word = if scene.v2_carries("hugetlb") {
        "max"
    } else {
        "limit_in_bytes"
    };
    for kind in ["", ".rsvd"] {
        let file = format!("hugetlb.2MB{kind}.{word}");
        assert_eq!(scene.text(&cgroup, "hugetlb", &file), "4194304");
    }
    let error = scene.create("d", &of_size("3MB")).unwrap_err();
    assert!(matches!(error, CgroupError::MissingFile { .. }), "{error}");

    let unified = |file: &str, text: &str| Resources {
        unified: [(file.to_owned(), text.to_owned())].into(),
        ..Resources::default()
    };
    let by_file = scene.create("e", &unified("hugetlb.2MB.max", "2097152"));
    if scene.v2_carries("hugetlb") {
        let by_file = by_file.unwrap();
        let text = scene.text(&by_file, "hugetlb", "hugetlb.2MB.max");
        assert_eq!(text, "2097152");
        // The controller is there, the file is not.
        let error = scene
            .create("f", &unified("hugetlb.nonsense", "1"))
            .unwrap_err();
        assert!(matches!(error, CgroupError::MissingFile { .. }), "{error}");
        let error = scene
            .create("f", &unified("hugetlb.2MB.max", "x"))
            .unwrap_err();
        assert!(matches!(error, CgroupError::Limit { .. }), "{error}");
        let depth = scene.create("g", &unified("cgroup.max.depth", "3"));
        let depth = depth.unwrap();
        assert_eq!(scene.text(&depth, "hugetlb", "cgroup.max.depth"), "3");
    } else {
        assert!(matches!(by_file, Err(CgroupError::Unified { .. })));
    }
    if scene.layout.carrier("memory").is_some_and(|h| !h.v2) {
        let error = scene.create("f", &unified("memory.high", "1")).unwrap_err();
        assert!(matches!(error, CgroupError::Unified { .. }), "{error}");
    }
}

#[test]
fn what_the_machine_has_no_controller_for_is_named() {
    let scene = Scene::new("rare");
    let class = Resources {
        net_class_id: Some(0x10_0001),
        ..Resources::default()
    };
    if !scene.refused_without("net_cls", &class) {
        let cgroup = scene.create("class", &class).unwrap();
        assert_eq!(scene.text(&cgroup, "net_cls", "net_cls.classid"), "1048577");
    }
    let priority = Resources {
        net_priorities: vec![InterfacePriority {
            name: "lo".into(),
            priority: 5,
        }],
        ..Resources::default()
    };
    if !scene.refused_without("net_prio", &priority) {
        let cgroup = scene.create("priority", &priority).unwrap();
        let map = scene.text(&cgroup, "net_prio", "net_prio.ifpriomap");
        assert!(map.lines().any(|line| line == "lo 5"), "{map}");
    }
    let rdma = Resources {
        rdma: [(
            "no-such-device".to_owned(),
            RdmaLimit {
                handles: Some(1),
                objects: None,
            },
        )]
        .into(),
        ..Resources::default()
    };
    if !scene.refused_without("rdma", &rdma) {
        let error = scene.create("rdma", &rdma).unwrap_err();
        assert!(matches!(error, CgroupError::Limit { .. }), "{error}");
    }
    scene.assert_empty();
}

#[test]
fn a_bundles_devices() {
    let scene = Scene::new("spec-devices");
    let json = r#"{"devices": [{"allow": false, "access": "rwm"}]}"#;
    let spec = SpecResources::new(&serde_json::from_str(json).unwrap()).unwrap();
    let cgroup = scene
        .create_with("c", &spec.resources, &spec.device_rules)
        .unwrap();
    // The rules after the bundle's give each container its own, and no more.
    let script = ": </dev/null && ! (: </dev/kmsg) 2>/dev/null && : >/dev/full";
    let (status, _, err) = Shell::within(script, &cgroup).finish();
    assert!(status.success(), "{err}");
}
