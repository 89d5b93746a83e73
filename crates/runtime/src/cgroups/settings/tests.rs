use super::*;
use crate::cgroups::{DeviceWeight, HugepageLimit, InterfacePriority, RdmaLimit, Throttle};

fn hierarchy(v2: bool, controllers: &[&str]) -> Hierarchy {
    Hierarchy {
        v2,
        controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
        mount: "/x".into(),
        root: "/".into(),
        own: "/".into(),
    }
}

fn v1() -> Layout {
    let names = ["cpu", "cpuset", "memory", "pids", "blkio"];
    Layout::from_parts(names.iter().map(|n| hierarchy(false, &[n])).collect())
}

fn v2() -> Layout {
    Layout::from_parts(vec![hierarchy(
        true,
        &["cpu", "cpuset", "memory", "pids", "io"],
    )])
}

/// `file=text` of the first choice of each setting.
fn texts(resources: &Resources, layout: &Layout) -> Vec<String> {
    plan(resources, layout)
        .unwrap()
        .iter()
        .map(|s| format!("{}={}", s.writes[0].0, s.writes[0].1))
        .collect()
}

fn full() -> Resources {
    let throttle = |rate| {
        vec![Throttle {
            major: 8,
            minor: 1,
            rate,
        }]
    };
    Resources {
        memory: Some(200),
        memory_swap: Some(500),
        memory_reservation: Some(100),
        cpu_shares: Some(1024),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        cpuset_cpus: Some("0-1".into()),
        cpuset_mems: Some("0".into()),
        pids_limit: Some(64),
        blkio_weight: Some(1000),
        device_read_bps: throttle(1),
        device_write_bps: throttle(2),
        device_read_iops: throttle(3),
        device_write_iops: throttle(0),
        ..Resources::default()
    }
}

#[test]
fn every_limit_on_v1() {
    assert_eq!(
        texts(&full(), &v1()),
        [
            "memory.limit_in_bytes=200",
            "memory.memsw.limit_in_bytes=500",
            "memory.soft_limit_in_bytes=100",
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "pids.max=64",
            "blkio.weight=1000",
            "blkio.throttle.read_bps_device=8:1 1",
            "blkio.throttle.write_bps_device=8:1 2",
            "blkio.throttle.read_iops_device=8:1 3",
            "blkio.throttle.write_iops_device=8:1 0",
        ]
    );
}

#[test]
fn every_limit_on_v2() {
    assert_eq!(
        texts(&full(), &v2()),
        [
            "memory.max=200",
            "memory.swap.max=300",
            "memory.low=100",
            "cpu.weight=100",
            "cpu.max=50000 100000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "pids.max=64",
            "io.bfq.weight=1000",
            "io.max=8:1 rbps=1",
            "io.max=8:1 wbps=2",
            "io.max=8:1 riops=3",
            "io.max=8:1 wiops=max",
        ]
    );
}

#[test]
fn a_default_for_swap_is_left_out_where_swap_is_not_accounted() {
    let resources = |nobody_asked| Resources {
        memory: Some(200),
        memory_swap: Some(400),
        memory_swap_where_accounted: nobody_asked,
        ..Resources::default()
    };
    for layout in [v1(), v2()] {
        for nobody_asked in [true, false] {
            let resources = resources(nobody_asked);
            let all = plan(&resources, &layout).unwrap();
            let moot: Vec<&str> = all
                .iter()
                .filter(|setting| setting.moot_if_absent)
                .map(|setting| setting.limit)
                .collect();
            let expected: &[&str] = if nobody_asked {
                &["--memory-swap"]
            } else {
                &[]
            };
            assert_eq!(moot, expected);
        }
    }
}

#[test]
fn unlimited_and_partial() {
    let none = Resources {
        memory: Some(200),
        memory_swap: Some(-1),
        cpu_quota: Some(-1),
        pids_limit: Some(-1),
        ..Resources::default()
    };
    assert_eq!(
        texts(&none, &v2()),
        [
            "memory.max=200",
            "memory.swap.max=max",
            "cpu.max=max",
            "pids.max=max"
        ]
    );
    assert_eq!(
        texts(&none, &v1()),
        [
            "memory.limit_in_bytes=200",
            "memory.memsw.limit_in_bytes=-1",
            "cpu.cfs_quota_us=-1",
            "pids.max=max"
        ]
    );
    let period = Resources {
        cpu_period: Some(20_000),
        ..Resources::default()
    };
    assert_eq!(texts(&period, &v2()), ["cpu.max=max 20000"]);
    assert!(texts(&Resources::default(), &v1()).is_empty());
}

#[test]
fn what_has_no_counterpart_is_refused() {
    let swappiness = Resources {
        memory_swappiness: Some(10),
        ..Resources::default()
    };
    assert!(matches!(
        plan(&swappiness, &v2()),
        Err(CgroupError::OnlyV1 {
            limit: "--memory-swappiness",
            ..
        })
    ));
    assert_eq!(texts(&swappiness, &v1()), ["memory.swappiness=10"]);
    let oom = Resources {
        oom_kill_disable: true,
        ..Resources::default()
    };
    assert!(matches!(plan(&oom, &v2()), Err(CgroupError::OnlyV1 { .. })));
    let swap = Resources {
        memory_swap: Some(100),
        ..Resources::default()
    };
    assert!(plan(&swap, &v2()).is_err());
    let swap = Resources {
        memory: Some(200),
        ..swap
    };
    assert!(plan(&swap, &v2()).is_err());
}

#[test]
fn a_limit_without_controller_names_it() {
    let bare = Layout::from_parts(vec![hierarchy(true, &["hugetlb"])]);
    let error = plan(&full(), &bare).unwrap_err();
    assert!(
        matches!(
            error,
            CgroupError::MissingController {
                limit: "--memory",
                controller: ref name,
                ..
            } if name == "memory"
        ),
        "{error}"
    );
    let io = Resources {
        blkio_weight: Some(10),
        ..Resources::default()
    };
    assert!(plan(&io, &bare).unwrap_err().to_string().contains("\"io\""));
    let unlimited = Resources {
        pids_limit: Some(0),
        ..Resources::default()
    };
    assert!(plan(&unlimited, &bare).unwrap().is_empty());
}

#[test]
fn weights() {
    assert_eq!(
        [0, 1, 2, 1024, 262_144, u64::MAX].map(cpu_weight),
        [1, 1, 1, 100, 10_000, 10_000]
    );
    let mut last = 0;
    for shares in 2..=262_144 {
        let weight = cpu_weight(shares);
        assert!(
            weight >= last && (1..=10_000).contains(&weight),
            "{shares} → {weight}"
        );
        last = weight;
    }
    assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
}

/// What only a bundle can ask for.
fn rare() -> Resources {
    Resources {
        memory: Some(-1),
        memory_reservation: Some(-1),
        memory_hierarchy: Some(true),
        cpu_quota: Some(50_000),
        cpu_burst: Some(20_000),
        cpu_idle: Some(1),
        blkio_weight_device: vec![DeviceWeight {
            major: 8,
            minor: 0,
            weight: Some(1000),
            leaf_weight: None,
        }],
        hugepage_limits: vec![HugepageLimit {
            page_size: "2MB".into(),
            limit: 4 << 20,
        }],
        rdma: [(
            "mlx5_0".to_owned(),
            RdmaLimit {
                handles: Some(2),
                objects: Some(5),
            },
        )]
        .into(),
        ..Resources::default()
    }
}

#[test]
fn every_rare_limit_on_v1() {
    let names = [
        "cpu", "memory", "blkio", "hugetlb", "rdma", "net_cls", "net_prio",
    ];
    let v1 = Layout::from_parts(names.iter().map(|n| hierarchy(false, &[n])).collect());
    let resources = Resources {
        cpu_rt_runtime: Some(9_000),
        cpu_rt_period: Some(10_000),
        blkio_leaf_weight: Some(20),
        net_class_id: Some(7),
        net_priorities: vec![InterfacePriority {
            name: "eth0".into(),
            priority: 3,
        }],
        ..rare()
    };
    assert_eq!(
        texts(&resources, &v1),
        [
            "memory.limit_in_bytes=-1",
            "memory.memsw.limit_in_bytes=-1",
            "memory.soft_limit_in_bytes=-1",
            "memory.use_hierarchy=1",
            "cpu.cfs_quota_us=50000",
            "cpu.cfs_burst_us=20000",
            "cpu.idle=1",
            "cpu.rt_period_us=10000",
            "cpu.rt_runtime_us=9000",
            "blkio.leaf_weight=20",
            "blkio.weight_device=8:0 1000",
            "hugetlb.2MB.limit_in_bytes=4194304",
            "hugetlb.2MB.rsvd.limit_in_bytes=4194304",
            "net_cls.classid=7",
            "net_prio.ifpriomap=eth0 3",
            "rdma.max=mlx5_0 hca_handle=2 hca_object=5",
        ]
    );
}

#[test]
fn every_rare_limit_on_v2() {
    let v2 = Layout::from_parts(vec![hierarchy(
        true,
        &["cpu", "memory", "io", "hugetlb", "rdma"],
    )]);
    let unified = [
        ("cgroup.max.depth", "9"),
        ("io.max", "8:0 rbps=1\n\n8:16 wiops=2\n"),
    ];
    let resources = Resources {
        unified: unified.map(|(k, v)| (k.into(), v.into())).into(),
        ..rare()
    };
    assert_eq!(
        texts(&resources, &v2),
        [
            "memory.max=max",
            "memory.swap.max=max",
            "memory.low=max",
            "cpu.max=50000",
            "cpu.max.burst=20000",
            "cpu.idle=1",
            "io.bfq.weight=8:0 1000",
            "hugetlb.2MB.max=4194304",
            "hugetlb.2MB.rsvd.max=4194304",
            "rdma.max=mlx5_0 hca_handle=2 hca_object=5",
            "cgroup.max.depth=9",
            "io.max=8:0 rbps=1",
            "io.max=8:16 wiops=2",
        ]
    );
    let all = plan(&resources, &v2).unwrap();
    let weight = all.iter().find(|s| s.limit == "blockIO.weightDevice");
    assert_eq!(
        weight.unwrap().writes[1],
        ("io.weight".into(), "8:0 10000".into())
    );
    // What v2 has no word for.
    for refused in [
        Resources {
            cpu_rt_runtime: Some(1),
            ..Resources::default()
        },
        Resources {
            memory_hierarchy: Some(false),
            ..Resources::default()
        },
        Resources {
            blkio_leaf_weight: Some(20),
            ..Resources::default()
        },
    ] {
        let error = plan(&refused, &v2).unwrap_err();
        assert!(matches!(error, CgroupError::OnlyV1 { .. }), "{error}");
    }
    let class = Resources {
        net_class_id: Some(1),
        ..Resources::default()
    };
    let error = plan(&class, &v2).unwrap_err();
    assert!(
        matches!(error, CgroupError::MissingController { .. }),
        "{error}"
    );
}

#[test]
fn unified_is_of_v2_and_names_files() {
    let one = |file: &str| Resources {
        unified: [(file.to_owned(), "1".to_owned())].into(),
        ..Resources::default()
    };
    let hybrid = Layout::from_parts(vec![
        hierarchy(false, &["memory"]),
        hierarchy(true, &["hugetlb"]),
    ]);
    for (layout, file, why) in [
        (v2(), "../memory.max", "without \"/\""),
        (v2(), "", "CONTROLLER.PARAMETER"),
        (v2(), "memory", "CONTROLLER.PARAMETER"),
        (v2(), ".max", "CONTROLLER.PARAMETER"),
        (v2(), "..", "CONTROLLER.PARAMETER"),
        (v2(), "misc.max", "no controller \"misc\""),
        (v1(), "memory.max", "needs cgroup v2"),
        (hybrid.clone(), "memory.max", "not one of cgroup v2 here"),
    ] {
        let error = plan(&one(file), &layout).unwrap_err();
        assert!(matches!(error, CgroupError::Unified { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(
        texts(&one("hugetlb.2MB.max"), &hybrid),
        ["hugetlb.2MB.max=1"]
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let names = ["hugetlb", "net_prio", "rdma"];
    let layout = Layout::from_parts(names.iter().map(|n| hierarchy(false, &[n])).collect());
    for page_size in ["", "MB", "2", "2mb", "2MB/../x", "-2MB", "2MBMB", "2 MB"] {
        let resources = Resources {
            hugepage_limits: vec![HugepageLimit {
                page_size: page_size.into(),
                limit: 0,
            }],
            ..Resources::default()
        };
        assert!(plan(&resources, &layout).is_err(), "{page_size:?}");
    }
    for name in ["", "eth0 5\nlo", "a/b"] {
        let resources = Resources {
            net_priorities: vec![InterfacePriority {
                name: name.into(),
                priority: 0,
            }],
            ..Resources::default()
        };
        assert!(plan(&resources, &layout).is_err(), "{name:?}");
    }
    let nothing = Resources {
        rdma: [("mlx5_0".to_owned(), RdmaLimit::default())].into(),
        ..Resources::default()
    };
    assert!(plan(&nothing, &layout).is_err());
}
