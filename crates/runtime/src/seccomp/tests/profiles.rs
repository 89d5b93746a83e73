//! Any profile: what is refused, and what is decided about every call.

use std::fmt::Write;

use proptest::prelude::*;

use super::interpreter::run;
use super::reference::Reference;
use super::*;
use crate::capabilities::Cap;
use crate::seccomp::profile::{
    ActionName, ArchMap, ArchName, Arg, Circumstances, MachineName, Operator, Syscalls,
};
use crate::seccomp::{Action, Filter, Listener, Summary};

/// Compares a profile's filter with the second opinion on every number, with arguments around its constants.
pub fn agrees(profile: &Profile, here: Here) {
    let filter = program(profile, here).unwrap();
    let reference = Reference::new(profile, here);
    let args = profile.syscalls.iter().flat_map(|rule| &rule.args);
    let mut constants: Vec<u64> = args.flat_map(|arg| [arg.value, arg.value_two]).collect();
    constants.sort_unstable();
    constants.dedup();
    let values = values_around(&constants);
    for (audit, number) in all_numbers(here.machine) {
        let name =
            arch_of(here.machine, &data(audit, number, [0; 6])).and_then(|arch| arch.name(number));
        let looked_at = |name: &str| {
            name == "socketcall"
                || name == "ipc"
                || profile.syscalls.iter().any(|rule| {
                    !rule.args.is_empty() && rule.names.iter().chain(&rule.name).any(|n| n == name)
                })
        };
        let tries: Vec<[u64; 6]> = if name.is_some_and(looked_at) {
            // One argument at a time, and all alike.
            let single = |value: u64| {
                (0..6).map(move |i| std::array::from_fn(|a| if a == i { value } else { 0 }))
            };
            values
                .iter()
                .flat_map(|&value| single(value).chain([[value; 6]]))
                .collect()
        } else {
            vec![[0; 6], [u64::MAX; 6]]
        };
        for args in tries {
            let data = data(audit, number, args);
            let expected = reference.decide(&data);
            assert_eq!(
                run(&filter, &data).0,
                expected.code(),
                "{name:?} {data:x?}, expected {expected}"
            );
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    // With numbers of their own in x32, at the ends of tables, without a number in some, through socketcall and ipc.
    prop::sample::select(vec![
        "read",
        "write",
        "open",
        "ioctl",
        "readv",
        "clone",
        "socket",
        "connect",
        "recv",
        "semop",
        "shmctl",
        "socketcall",
        "ipc",
        "set_tls",
        "cacheflush",
        "newfstatat",
        "fstatat64",
        "break",
        "futex_time64",
        "mseal",
        "file_setattr",
        "pwritev2",
        "restart_syscall",
        "no_such_call",
    ])
    .prop_map(str::to_owned)
}

fn actions() -> impl Strategy<Value = (ActionName, Option<u32>)> {
    prop_oneof![
        4 => Just((ActionName::Allow, None)),
        3 => (Just(ActionName::Errno), prop::option::of(0..40u32)),
        1 => (Just(ActionName::Trace), prop::option::of(0..3u32)),
        1 => prop::sample::select(vec![
            ActionName::Kill,
            ActionName::KillThread,
            ActionName::KillProcess,
            ActionName::Trap,
            ActionName::Log,
        ]).prop_map(|name| (name, None)),
    ]
}

fn constants() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4u64,
        Just(u64::from(u32::MAX)),
        Just(u64::MAX),
        Just(1 << 32),
        Just((1 << 32) + 1),
        any::<u64>(),
        (0..64u32).prop_map(|bit| 1 << bit),
    ]
}

pub fn operators() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Ne,
        Operator::Lt,
        Operator::Le,
        Operator::Eq,
        Operator::Ge,
        Operator::Gt,
        Operator::MaskedEq,
    ])
}

prop_compose! {
    pub fn arg()(index in 0..6u32, value in constants(), value_two in constants(), op in operators()) -> Arg {
        Arg { index, value, value_two, op }
    }
}

prop_compose! {
    fn circumstances()(
        caps in prop::collection::vec(prop::sample::select(vec!["CAP_CHOWN", "CAP_SYS_ADMIN"]), 0..3),
        arches in prop::collection::vec(
            prop::sample::select(vec![MachineName::Amd64, MachineName::Arm64, MachineName::Other]), 0..2),
        min_kernel in prop::option::of((0..12u32).prop_map(|minor| KernelVersion::new(6, minor))),
    ) -> Circumstances {
        Circumstances { caps: caps.into_iter().map(str::to_owned).collect(), arches, min_kernel }
    }
}

prop_compose! {
    fn rule()(
        names in prop::collection::vec(names(), 1..4),
        (action, errno_ret) in actions(),
        args in prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(arg(), 1..4)],
        includes in prop::option::weighted(0.2, circumstances()),
        excludes in prop::option::weighted(0.2, circumstances()),
    ) -> Syscalls {
        Syscalls { names, name: None, action, errno_ret, args, comment: None, includes, excludes }
    }
}

prop_compose! {
    fn profile()(
        (default_action, default_errno_ret) in actions(),
        arches in prop::collection::vec(prop::sample::select(vec![
            ArchName::X86_64, ArchName::X86, ArchName::X32, ArchName::Aarch64, ArchName::Arm, ArchName::Other,
        ]), 0..4),
        mapped: bool,
        syscalls in prop::collection::vec(rule(), 0..8),
    ) -> Profile {
        let map = |architecture| ArchMap { architecture, sub_architectures: arches.clone() };
        Profile {
            default_action,
            default_errno_ret,
            arch_map: if mapped { vec![map(ArchName::Other), map(ArchName::X86_64), map(ArchName::Aarch64)] } else { vec![] },
            architectures: if mapped { vec![] } else { arches },
            flags: None,
            listener_path: None,
            listener_metadata: None,
            syscalls,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_profile_decides_as_it_reads(profile in profile(), aarch64: bool, admin: bool) {
        let machine = MACHINES[usize::from(aarch64)];
        let caps = if admin { CapSet::ALL } else { CapSet::DEFAULT };
        agrees(&profile, here(machine, caps));
    }
}

/// Trees whose far branches are out of a conditional jump's reach, with checks of arguments in the leaves.
#[test]
fn long_programs() {
    let mut json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":["#.to_owned();
    for (i, number) in (0..450).step_by(3).enumerate() {
        let Some(name) = Arch::X86_64.name(number) else {
            continue;
        };
        let comma = if i == 0 { "" } else { "," };
        write!(
            json,
            r#"{comma}{{"names":["{name}"],"action":"SCMP_ACT_ALLOW","args":[
                {{"index":1,"value":{number},"op":"SCMP_CMP_GT"}},
                {{"index":0,"value":{},"valueTwo":{number},"op":"SCMP_CMP_MASKED_EQ"}}]}}"#,
            0xff_0000_ffff_u64
        )
        .unwrap();
    }
    json += "]}";
    let profile = parse(&json).unwrap();
    let here = here(Machine::X86_64, CapSet::DEFAULT);
    let filter = program(&profile, here).unwrap();
    assert!(filter.len() > 2000, "{}", filter.len());
    let reference = Reference::new(&profile, here);
    for (audit, number) in all_numbers(here.machine) {
        for first in [
            0,
            1,
            u64::from(number),
            u64::from(number) | 1 << 16,
            u64::from(number) | 1 << 32,
        ] {
            for second in [
                0,
                u64::from(number),
                u64::from(number) + 1,
                u64::MAX,
                1 << 32,
            ] {
                let data = data(audit, number, [first, second, 0, 0, 0, 0]);
                let expected = reference.decide(&data).code();
                assert_eq!(run(&filter, &data).0, expected, "{data:x?}");
            }
        }
    }
}

#[test]
fn a_profile_too_long_for_the_kernel() {
    let args: Vec<String> = (0..3000)
        .map(|n| format!(r#"{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":{n},"op":"SCMP_CMP_EQ"}}]}}"#))
        .collect();
    let json = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#,
        args.join(",")
    );
    let here = here(Machine::X86_64, CapSet::DEFAULT);
    assert_eq!(
        program(&parse(&json).unwrap(), here),
        Err(SeccompError::TooLong)
    );
}

fn refused(json: &str) -> String {
    match parse(json) {
        Err(e) => e.to_string(),
        Ok(profile) => Filter::compile(&profile, CapSet::DEFAULT, KERNEL)
            .unwrap_err()
            .to_string(),
    }
}

fn refused_rule(rule: &str) -> String {
    refused(&format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW"}},{rule}]}}"#
    ))
}

#[test]
fn what_is_refused() {
    for (json, why) in [
        ("{}", "missing field `defaultAction`"),
        (
            r#"{"defaultAction":"SCMP_ACT_NO"}"#,
            "unknown variant `SCMP_ACT_NO`",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EPERM"}"#,
            "unknown field `defaultErrno`",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#,
            "defaultAction: errnoRet 4096 is above 4095",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_KILL","defaultErrnoRet":1}"#,
            "errnoRet 1 goes only with",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#,
            "cannot be the default",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_Z80"]}"#,
            "unknown variant `SCMP_ARCH_Z80`",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#,
            "both \"architectures\" and \"archMap\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}"#,
            "unknown variant",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
            "needs an SCMP_ACT_NOTIFY",
        ),
    ] {
        let said = refused(json);
        assert!(said.contains(why), "{json}: {said}");
    }
    for (rule, why) in [
        (
            r#"{"names":[],"action":"SCMP_ACT_ALLOW"}"#,
            "syscalls[1]: no system call is named",
        ),
        (
            r#"{"names":[""],"action":"SCMP_ACT_ALLOW"}"#,
            "no system call is named",
        ),
        (
            r#"{"names":["read"],"name":"read","action":"SCMP_ACT_ALLOW"}"#,
            "both \"name\" and \"names\"",
        ),
        (r#"{"names":["read"]}"#, "missing field `action`"),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":1}"#,
            "goes only with SCMP_ACT_ERRNO",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":65536}"#,
            "above 65535",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}"#,
            "argument 6: system calls have six",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_XX"}]}"#,
            "unknown variant `SCMP_CMP_XX`",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":-1,"op":"SCMP_CMP_EQ"}]}"#,
            "invalid value: integer `-1`",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_FLY"]}}"#,
            "unknown capability \"CAP_FLY\"",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","excludes":{"arches":["z80"]}}"#,
            "unknown variant `z80`",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4"}}"#,
            "\"4\" is not a kernel version",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","unless":{}}"#,
            "unknown field `unless`",
        ),
        (
            r#"{"names":["read"],"action":"SCMP_ACT_NOTIFY"}"#,
            "needs a \"listenerPath\"",
        ),
        (
            r#"{"names":["sendmsg"],"action":"SCMP_ACT_NOTIFY"}"#,
            "SCMP_ACT_NOTIFY for sendmsg",
        ),
        // What is wrong is wrong on other machines, too.
        (
            r#"{"names":["write"],"action":"SCMP_ACT_NOTIFY","includes":{"arches":["s390"]}}"#,
            "SCMP_ACT_NOTIFY for write",
        ),
    ] {
        let said = refused_rule(rule);
        assert!(said.contains(why), "{rule}: {said}");
    }
}

#[test]
fn lists_may_be_null_and_flags_default_as_in_runc() {
    let compile =
        |json: &str| Filter::compile(&parse(json).unwrap(), CapSet::DEFAULT, KERNEL).unwrap();
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":null,
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}],
        "syscalls":[{"name":"read","names":null,"action":"SCMP_ACT_ALLOW","args":null,"comment":"","includes":{},"excludes":{}}]}"#;
    let filter = compile(json);
    assert_eq!(filter.flags, 4);
    assert_eq!(
        compile(r#"{"defaultAction":"SCMP_ACT_ERRNO","flags":[]}"#).flags,
        0
    );
    let all = r#"{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"/run/agent","listenerMetadata":"m",
        "flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                 "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    let filter = compile(all);
    assert_eq!(filter.flags, 2 | 4 | 8 | 32);
    let listener = Listener {
        path: "/run/agent".into(),
        metadata: "m".into(),
    };
    assert_eq!(filter.listener(), Some(&listener));
}

#[test]
fn unknown_names_are_told() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
        "syscalls":[{"names":["zz_future","read","recv","socketcall","_llseek","set_tls","aa_future"],"action":"SCMP_ACT_ALLOW"},
                    {"names":["s390_runtime_instr"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["s390"]}}]}"#;
    let profile = parse(json).unwrap();
    let resolved = Resolved::new(&profile, here(Machine::X86_64, CapSet::DEFAULT)).unwrap();
    assert_eq!(
        resolved.unknown_names(),
        ["aa_future", "set_tls", "zz_future"]
    );
}

#[test]
fn summaries() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["write","read","zz"],"action":"SCMP_ACT_ALLOW"},
        {"names":["openat"],"action":"SCMP_ACT_KILL_PROCESS","args":[
            {"index":1,"value":7,"op":"SCMP_CMP_EQ"},{"index":2,"value":240,"valueTwo":16,"op":"SCMP_CMP_MASKED_EQ"}]},
        {"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}"#;
    let summary = Summary::of(&parse(json).unwrap(), CapSet::DEFAULT, KERNEL).unwrap();
    assert_eq!(
        (summary.default.as_str(), summary.above.as_str()),
        ("EPERM", "ENOSYS")
    );
    assert_eq!(summary.calls["allow"], ["read", "write"]);
    assert_eq!(summary.calls["errno 13"], ["mount"]);
    assert_eq!(
        summary.by_arguments["openat"],
        ["kill process if arg1 == 0x7 and arg2 & 0xf0 == 0x10"]
    );
    assert_eq!(summary.unknown_names, ["zz"]);
    assert_eq!(summary.architectures.len(), 1);

    let summary = Summary::docker_default(CapSet::of(&[Cap::SYS_ADMIN]), KERNEL).unwrap();
    assert!(summary.calls["allow"].contains(&"mount"));
    assert!(!summary.calls["allow"].contains(&"reboot"));
    assert_eq!(summary.by_arguments["socket"].len(), 7);
    let summary = Summary::docker_default(CapSet::DEFAULT, KERNEL).unwrap();
    assert_eq!(
        summary.calls["ENOSYS"],
        // The last three are younger than the profile.
        ["clone3", "file_getattr", "file_setattr", "open_tree_attr"]
    );
    assert_eq!(
        summary.by_arguments["clone"],
        ["allow if arg0 & 0x7e020000 == 0x0"]
    );
}

/// As under libseccomp.
#[test]
fn a_rule_without_conditions_goes_first() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":7,"op":"SCMP_CMP_EQ"}]},
        {"names":["read"],"action":"SCMP_ACT_ALLOW"},
        {"names":["read"],"action":"SCMP_ACT_KILL"}]}"#;
    let here = here(Machine::X86_64, CapSet::DEFAULT);
    let filter = program(&parse(json).unwrap(), here).unwrap();
    let data = data(Arch::X86_64.audit(), 0, [7, 0, 0, 0, 0, 0]);
    assert_eq!(run(&filter, &data).0, Action::Allow.code());
}
