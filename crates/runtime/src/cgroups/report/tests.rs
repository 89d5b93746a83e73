use std::fs;

use serde_json::json;

use super::*;
use crate::cgroups::{Hierarchy, Layout};

/// A folder with these files, as a cgroup of a hierarchy with these controllers.
fn folder(v2: bool, controllers: &[&str], texts: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("c");
    fs::create_dir(&dir).unwrap();
    for (name, text) in texts {
        fs::write(dir.join(name), text).unwrap();
    }
    let layout = Layout::from_parts(vec![Hierarchy {
        v2,
        controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
        mount: root.path().to_owned(),
        root: "/".into(),
        own: "/".into(),
    }]);
    let cgroup = Cgroup::open(&layout, "/c").unwrap();
    (root, cgroup)
}

#[test]
fn the_document_of_v2() {
    let (_root, cgroup) = folder(
        true,
        &["cpu", "memory", "pids", "io"],
        &[
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
            ),
            (
                "cpu.pressure",
                "some avg10=1.50 avg60=0.20 avg300=0.00 total=99\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
            ("memory.stat", "anon 100\nfile 200\n"),
            ("memory.current", "400\n"),
            ("memory.max", "1000\n"),
            ("memory.peak", "500\n"),
            ("memory.swap.current", "3\n"),
            ("memory.swap.max", "9\n"),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
            (
                "io.stat",
                "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
            ),
        ],
    );
    let report = cgroup.report().unwrap();
    let event = Event {
        kind: "stats",
        id: "c",
        data: Some(&report),
    };
    let none = json!({"limit": 0, "failcnt": 0});
    let io = |read, write| json!([{"major": 8, "op": "Read", "value": read}, {"major": 8, "op": "Write", "value": write}]);
    let mut data = json!({
        "cpu": {
            "usage": {"total": 30_000, "kernel": 20_000, "user": 10_000},
            "throttling": {"periods": 5, "throttledPeriods": 2, "throttledTime": 7_000},
            "psi": {
                "some": {"avg10": 1.5, "avg60": 0.2, "avg300": 0.0, "total": 99},
                "full": {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0},
            },
        },
        "cpuset": {
            "cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
            "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0,
            "sched_load_balance": 0, "sched_relax_domain_level": 0,
        },
        "memory": {
            "cache": 200,
            "usage": {"limit": 1000, "usage": 400, "max": 500, "failcnt": 0},
            "swap": {"limit": 1009, "usage": 403, "failcnt": 0},
            "kernel": none, "kernelTCP": none,
            "raw": {"anon": 100, "file": 200},
        },
        "pids": {"current": 4},
        "blkio": {"ioServiceBytesRecursive": io(10, 20), "ioServicedRecursive": io(1, 2)},
        "hugetlb": {}, "intel_rdt": {}, "network_interfaces": null,
    });
    let expected = json!({"type": "stats", "id": "c", "data": data.take()});
    assert_eq!(serde_json::to_value(&event).unwrap(), expected);
    let oom = Event {
        kind: "oom",
        id: "c",
        data: None,
    };
    let expected = json!({"type": "oom", "id": "c"});
    assert_eq!(serde_json::to_value(&oom).unwrap(), expected);
}

#[test]
fn the_tables_of_v1() {
    let (_root, cgroup) = folder(
        false,
        &["blkio", "memory", "cpuset", "cpuacct"],
        &[
            ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
            (
                "blkio.throttle.io_serviced_recursive",
                "8:0 Read 1\n8:0 Total 1\nTotal 1\n",
            ),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 512\n8:0 Total 512\nTotal 512\n",
            ),
            ("memory.stat", "cache 7\nhierarchical_memory_limit 9\n"),
            ("memory.usage_in_bytes", "5\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.failcnt", "2\n"),
            ("memory.kmem.usage_in_bytes", "3\n"),
            ("cpuset.cpus", "0-1,3\n"),
            ("cpuset.sched_relax_domain_level", "-1\n"),
            ("cpuacct.usage", "60\n"),
            ("cpuacct.usage_user", "20\n"),
            ("cpuacct.usage_sys", "40\n"),
            ("cpuacct.usage_percpu", "25 35 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 5 20\n1 15 20\n"),
            ("cgroup.procs", ""),
        ],
    );
    let report = cgroup.report().unwrap();
    let entry = |op: &str, value| BlkioEntry {
        major: 8,
        minor: 0,
        op: op.to_owned(),
        value,
    };
    assert_eq!(
        report.blkio.io_service_bytes_recursive,
        [entry("Read", 512), entry("Total", 512)]
    );
    assert_eq!(report.blkio.io_serviced_recursive.len(), 2);
    let memory = report.memory;
    assert_eq!(
        (memory.cache, memory.usage.limit, memory.usage.failcnt),
        (7, 9_223_372_036_854_771_712, 2)
    );
    assert_eq!((memory.kernel.usage, memory.raw.len()), (3, 2));
    assert_eq!(report.cpuset.cpus, [0, 1, 3]);
    assert_eq!(report.cpuset.sched_relax_domain_level, -1);
    let usage = report.cpu.usage;
    assert_eq!(usage.percpu, [25, 35]);
    assert_eq!(
        (usage.percpu_user, usage.percpu_kernel),
        (vec![5, 15], vec![20, 20])
    );
}
