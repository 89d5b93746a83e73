//! The default profile against its own tables read by name, and against what it is for.

use std::collections::BTreeSet;

use super::interpreter::{check, run};
use super::*;
use crate::capabilities::Cap;
use crate::seccomp::Action;
use crate::seccomp::compile::{Op, Rule};
use crate::seccomp::docker_default::{ALLOWED, GROUPS, When, sections};
use crate::seccomp::profile::{
    ActionName, ArchMap, ArchName, Arg, Circumstances, MachineName, Operator, Syscalls,
};

pub fn filter(here: Here) -> Vec<SockFilter> {
    let program = compile::compile(&sections(here.machine, here.caps, here.kernel)).unwrap();
    check(&program);
    program
}

fn rule(names: &[&str], action: ActionName) -> Syscalls {
    Syscalls {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        name: None,
        action,
        errno_ret: None,
        args: Vec::new(),
        comment: None,
        includes: None,
        excludes: None,
    }
}

fn caps(caps: CapSet) -> Option<Circumstances> {
    Some(Circumstances {
        caps: caps.iter().map(|cap| cap.name().to_owned()).collect(),
        ..Circumstances::default()
    })
}

/// One rule for each capability, since those of one rule must all be there.
fn with_any(names: &[&str], any: CapSet) -> Vec<Syscalls> {
    any.iter()
        .map(|cap| Syscalls {
            includes: caps(CapSet::of(&[cap])),
            ..rule(names, ActionName::Allow)
        })
        .collect()
}

fn with_arguments(names: &[&str], rules: &[Rule<'_>], unless: CapSet) -> Vec<Syscalls> {
    let arg = |op| match op {
        Op::Eq(value) => (Operator::Eq, value, 0),
        Op::Lt(value) => (Operator::Lt, value, 0),
        Op::Gt(value) => (Operator::Gt, value, 0),
        Op::MaskedEq { mask, value } => (Operator::MaskedEq, mask, value),
        other => panic!("{other:?}"),
    };
    rules
        .iter()
        .map(|r| Syscalls {
            args: r
                .conditions
                .iter()
                .map(|c| {
                    let (op, value, value_two) = arg(c.op);
                    Arg {
                        index: c.arg.into(),
                        value,
                        value_two,
                        op,
                    }
                })
                .collect(),
            excludes: caps(unless),
            ..rule(names, ActionName::Allow)
        })
        .collect()
}

/// The default profile as a user would write it.
pub fn as_profile() -> Profile {
    let mut syscalls = vec![rule(ALLOWED, ActionName::Allow)];
    for group in GROUPS {
        let names = group.names;
        syscalls.extend(match group.when {
            When::Arches(arches) => vec![Syscalls {
                includes: Some(Circumstances {
                    arches: vec![if arches.contains(&Arch::X86_64) {
                        MachineName::Amd64
                    } else {
                        MachineName::Arm64
                    }],
                    ..Circumstances::default()
                }),
                ..rule(names, ActionName::Allow)
            }],
            When::Capability(any) => with_any(names, any),
            When::KernelOrCapability(least, any) => {
                let mut rules = with_any(names, any);
                rules.push(Syscalls {
                    includes: Some(Circumstances {
                        min_kernel: Some(least),
                        ..Circumstances::default()
                    }),
                    ..rule(names, ActionName::Allow)
                });
                rules
            }
            When::Arguments(rules) => with_arguments(names, rules, CapSet::EMPTY),
            When::CapabilityOrArguments(any, rules) => {
                let mut all = with_any(names, any);
                all.extend(with_arguments(names, rules, any));
                all
            }
            When::CapabilityOrUnknown(any) => {
                let mut rules = with_any(names, any);
                rules.push(Syscalls {
                    errno_ret: Some(38),
                    excludes: caps(any),
                    ..rule(names, ActionName::Errno)
                });
                rules
            }
        });
    }
    let map = |architecture, sub_architectures: &[ArchName]| ArchMap {
        architecture,
        sub_architectures: sub_architectures.to_vec(),
    };
    Profile {
        default_action: ActionName::Errno,
        default_errno_ret: Some(1),
        architectures: Vec::new(),
        arch_map: vec![
            map(ArchName::X86_64, &[ArchName::X86, ArchName::X32]),
            map(ArchName::Aarch64, &[ArchName::Arm]),
        ],
        flags: None,
        listener_path: None,
        listener_metadata: None,
        syscalls,
    }
}

#[test]
fn tables_are_in_order() {
    assert!(ALLOWED.is_sorted());
    let mut seen = BTreeSet::new();
    for name in GROUPS.iter().flat_map(|g| g.names).chain(ALLOWED) {
        assert!(seen.insert(name), "{name} twice");
        let mut arches = MACHINES.iter().flat_map(|m| m.arches());
        // A misspelt name would be a call that silently stays refused.
        let known = arches.any(|arch| arch.number(name).is_some());
        assert!(known, "{name} is no call");
    }
}

/// The way by classes and the way by names make the same program, whichever groups are on.
#[test]
fn both_ways_agree() {
    let profile = as_profile();
    let single = CapSet::ALL.iter().map(|cap| CapSet::of(&[cap]));
    for caps in single.chain([CapSet::EMPTY, CapSet::DEFAULT, CapSet::ALL]) {
        for machine in MACHINES {
            for kernel in [KernelVersion::new(4, 7), KernelVersion::new(4, 8)] {
                let here = Here {
                    machine,
                    caps,
                    kernel,
                };
                assert_eq!(filter(here), program(&profile, here).unwrap(), "{caps}");
            }
        }
    }
}

/// Every number and interesting argument, as the second opinion says.
#[test]
fn every_number() {
    let profile = as_profile();
    let single = [Cap::SYS_ADMIN, Cap::SYS_PTRACE, Cap::BPF].map(|cap| CapSet::of(&[cap]));
    for caps in single
        .into_iter()
        .chain([CapSet::EMPTY, CapSet::DEFAULT, CapSet::ALL])
    {
        for machine in MACHINES {
            profiles::agrees(&profile, here(machine, caps));
        }
    }
}

fn decides(caps: CapSet, arch: Arch, name: &str, first: u64) -> Action {
    let machine = MACHINES
        .into_iter()
        .find(|m| m.arches().contains(&arch))
        .unwrap();
    let number = arch.number(name).unwrap();
    let code = run(
        &filter(here(machine, caps)),
        &data(arch.audit(), number, [first, 0, 0, 0, 0, 0]),
    )
    .0;
    [Action::Allow, Action::Errno(1), Action::Errno(38)]
        .into_iter()
        .find(|action| action.code() == code)
        .unwrap()
}

/// What Docker's documentation says of it, written down once more by hand.
#[test]
fn what_a_container_may_and_may_not() {
    const ALLOW: Action = Action::Allow;
    const EPERM: Action = Action::Errno(1);
    const ENOSYS: Action = Action::Errno(38);
    let default = CapSet::DEFAULT;
    let admin = CapSet::of(&[Cap::SYS_ADMIN]);
    for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm] {
        for name in [
            "read",
            "execve",
            "mknodat",
            "ptrace",
            "chroot",
            "statmount",
            "seccomp",
        ] {
            assert_eq!(decides(default, arch, name, 0), ALLOW, "{arch} {name}");
        }
        for name in [
            "mount",
            "umount2",
            "unshare",
            "setns",
            "bpf",
            "keyctl",
            "add_key",
            "kexec_load",
            "userfaultfd",
            "io_uring_setup",
            "perf_event_open",
            "init_module",
            "swapon",
            "reboot",
            "pivot_root",
            "open_by_handle_at",
            "kcmp",
            "mbind",
            "acct",
            "vhangup",
            "syslog",
        ] {
            assert_eq!(decides(default, arch, name, 0), EPERM, "{arch} {name}");
        }
        for name in ["mount", "unshare", "bpf", "setns", "syslog", "clone3"] {
            assert_eq!(decides(admin, arch, name, 0), ALLOW, "{arch} {name}");
        }
        for name in ["keyctl", "io_uring_setup", "userfaultfd", "kexec_load"] {
            assert_eq!(decides(CapSet::ALL, arch, name, 0), EPERM, "{arch} {name}");
        }
        assert_eq!(decides(default, arch, "clone3", 0), ENOSYS);
        for flags in [0x11, 0x3d_0f00] {
            assert_eq!(decides(default, arch, "clone", flags), ALLOW);
        }
        for namespace in [
            0x2_0000,
            0x200_0000,
            0x400_0000,
            0x800_0000,
            0x1000_0000,
            0x2000_0000,
            0x4000_0000,
        ] {
            assert_eq!(
                decides(default, arch, "clone", namespace | 0x11),
                EPERM,
                "{namespace:#x}"
            );
            assert_eq!(decides(admin, arch, "clone", namespace | 0x11), ALLOW);
        }
        for (family, action) in [
            (1, ALLOW),
            (2, ALLOW),
            (16, ALLOW),
            (38, EPERM),
            (39, ALLOW),
            (40, EPERM),
            (44, ALLOW),
            // The kernel takes an int.
            (0x1_0000_0026, EPERM),
            (0x1_0000_0028, EPERM),
            (0xffff_ffff_0000_0026, EPERM),
        ] {
            assert_eq!(
                decides(CapSet::ALL, arch, "socket", family),
                action,
                "{family}"
            );
        }
        for (persona, action) in [
            (0, ALLOW),
            (8, ALLOW),
            (0x2_0000, ALLOW),
            (0x2_0008, ALLOW),
            (0xffff_ffff, ALLOW),
            (0x4_0000, EPERM),
        ] {
            assert_eq!(
                decides(CapSet::ALL, arch, "personality", persona),
                action,
                "{persona:#x}"
            );
        }
    }
    assert_eq!(decides(default, Arch::X86_64, "arch_prctl", 0), ALLOW);
    assert_eq!(decides(default, Arch::Arm, "set_tls", 0), ALLOW);
    assert_eq!(decides(default, Arch::X86, "socketcall", 1), ALLOW);
}

/// The kernel runs it once for each of its numbers when it is loaded.
#[test]
fn the_way_to_an_answer_is_short() {
    for machine in MACHINES {
        let program = filter(here(machine, CapSet::DEFAULT));
        assert!(program.len() < 400, "{}", program.len());
        for arch in machine.arches().iter().filter(|arch| **arch != Arch::X32) {
            let steps: usize = (0..arch.table_len())
                .map(|number| run(&program, &data(arch.audit(), number, [0; 6])).1)
                .sum();
            let average = steps as f64 / f64::from(arch.table_len());
            assert!(average < 12.0, "{arch}: {average}");
        }
    }
}
