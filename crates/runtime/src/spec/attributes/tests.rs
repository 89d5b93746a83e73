use super::*;
use crate::process::attributes::{IoClass, MemoryFlag, MemoryMode, Personality, Policy, SchedFlag};
use crate::process::time::Clock;

const ALL: &str = r#"{
    "ociVersion": "1.3.0",
    "process": {
        "cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0},
        "scheduler": {
            "policy": "SCHED_DEADLINE", "nice": 0, "runtime": 1, "deadline": 2, "period": 3,
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"]
        },
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        "execCPUAffinity": {"initial": "7", "final": "0-3,7"},
        "apparmorProfile": "a", "selinuxLabel": "s"
    },
    "linux": {
        "mountLabel": "m",
        "personality": {"domain": "LINUX32", "flags": []},
        "memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "2-3", "flags": ["MPOL_F_STATIC_NODES"]},
        "timeOffsets": {"monotonic": {"secs": -5}, "boottime": {"nanosecs": 7}},
        "netDevices": {"eth0": {"name": "eth1"}, "eth2": {}}
    }
}"#;

#[test]
fn all_fields_are_read() {
    let extras = of_config(ALL.as_bytes()).unwrap();
    let attributes = &extras.attributes;
    let scheduler = attributes.scheduler.as_ref().unwrap();
    assert_eq!(scheduler.policy, Policy::Deadline);
    assert_eq!(
        (scheduler.runtime, scheduler.deadline, scheduler.period),
        (1, 2, 3)
    );
    assert_eq!(
        scheduler.flags,
        [SchedFlag::ResetOnFork, SchedFlag::DlOverrun]
    );
    let io = attributes.io_priority.unwrap();
    assert_eq!((io.class, io.level), (IoClass::Idle, 4));
    let list = |numbers: &Option<Numbers>| numbers.as_ref().unwrap().to_string();
    assert_eq!(list(&attributes.affinity.initial), "7");
    assert_eq!(list(&attributes.affinity.last), "0-3,7");
    assert_eq!(attributes.personality, Some(Personality::Linux32));
    let memory = attributes.memory_policy.as_ref().unwrap();
    assert_eq!(
        (memory.mode, list(&memory.nodes)),
        (MemoryMode::Interleave, "2-3".into())
    );
    assert_eq!(memory.flags, [MemoryFlag::StaticNodes]);
    let labels = [
        &attributes.apparmor_profile,
        &attributes.selinux_label,
        &attributes.mount_label,
    ];
    assert_eq!(labels, ["a", "s", "m"]);
    let offset = |clock, secs, nanosecs| Offset {
        clock,
        secs,
        nanosecs,
    };
    let offsets = [
        offset(Clock::Boottime, 0, 7),
        offset(Clock::Monotonic, -5, 0),
    ];
    assert_eq!(extras.time_offsets, offsets);
    let names: Vec<_> = extras
        .net_devices
        .iter()
        .map(|d| (d.name.as_str(), d.new_name.as_deref()))
        .collect();
    assert_eq!(names, [("eth0", Some("eth1")), ("eth2", None)]);
}

#[test]
fn without_them_there_is_nothing() {
    for text in [
        "{}",
        r#"{"process": {}, "linux": {}}"#,
        r#"{"process": null}"#,
    ] {
        assert_eq!(of_config(text.as_bytes()).unwrap(), Extras::default());
    }
    let empty = r#"{"apparmorProfile": "", "execCPUAffinity": {"initial": ""}}"#;
    assert_eq!(of_process(empty.as_bytes()).unwrap(), Attributes::default());
}

#[test]
fn what_is_unknown_is_refused_where_it_stands() {
    for (text, at) in [
        (
            r#"{"process": {"scheduler": {"policy": "SCHED_FAST"}}}"#,
            "process.scheduler",
        ),
        (r#"{"process": {"scheduler": {}}}"#, "not a configuration"),
        (
            r#"{"process": {"ioPriority": {"priority": 1}}}"#,
            "not a configuration",
        ),
        (
            r#"{"process": {"ioPriority": {"class": "X", "priority": 1}}}"#,
            "process.ioPriority",
        ),
        (
            r#"{"process": {"execCPUAffinity": {"final": "a"}}}"#,
            "process.execCPUAffinity",
        ),
        (
            r#"{"linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}}"#,
            "linux.personality.flags",
        ),
        (
            r#"{"linux": {"personality": {"domain": "BSD"}}}"#,
            "linux.personality",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "x"}}}"#,
            "linux.memoryPolicy.nodes",
        ),
        (
            r#"{"linux": {"memoryPolicy": {"mode": "BIND"}}}"#,
            "linux.memoryPolicy",
        ),
        (
            r#"{"linux": {"timeOffsets": {"realtime": {}}}}"#,
            "linux.timeOffsets",
        ),
        (
            r#"{"linux": {"timeOffsets": {"monotonic": {"nanosecs": -1}}}}"#,
            "not a configuration",
        ),
        (
            r#"{"linux": {"netDevices": {"a/b": {}}}}"#,
            "linux.netDevices",
        ),
    ] {
        let error = of_config(text.as_bytes()).unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
    }
}

#[test]
fn a_scheduler_with_flags_does_not_make_a_configuration_unreadable() {
    type Spec = oci_spec::runtime::Spec;
    assert!(
        serde_json::from_str::<Spec>(ALL).is_err(),
        "`readable` is no longer needed"
    );
    let spec: Spec = serde_json::from_slice(&readable(ALL.as_bytes())).unwrap();
    assert_eq!(
        spec.process().as_ref().unwrap().args().as_ref().unwrap(),
        &["sh"]
    );
    assert!(matches!(readable(b"{}"), Cow::Borrowed(b"{}")));
    assert!(matches!(readable(b"SCHED_FLAG_"), Cow::Borrowed(_)));
    let process = readable(br#"{"scheduler": {"flags": ["SCHED_FLAG_RECLAIM"]}, "cwd": "/"}"#);
    assert_eq!(&*process, br#"{"cwd":"/"}"#);
}
