//! libseccomp's programs as an oracle: what runc makes of a profile is made of it here.
//!
//! Left out is what soute does otherwise on purpose: numbers above all named ones (runc puts ENOSYS before
//! libseccomp's program), conditions on calls through socketcall(2) and ipc(2), and the high
//! halves of x32's arguments, which libseccomp does not look at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::prelude::*;
use tempfile::TempDir;

use super::interpreter::{Data, check, run};
use super::reference::{action, counts};
use super::*;
use crate::seccomp::arch::ARM_OWN_END;
use crate::seccomp::multiplex;
use crate::seccomp::profile::{ActionName, ArchName, Arg, Operator, Syscalls};

/// The program of `libseccomp.c`; needs a C compiler and libseccomp's headers (Debian: `libseccomp-dev`).
fn oracle() -> &'static PathBuf {
    static ORACLE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ORACLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oracle");
        let mut cc = Command::new("cc")
            .args(["-x", "c", "-Wall", "-", "-lseccomp", "-o"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the C compiler");
        let source = include_bytes!("libseccomp.c");
        cc.stdin.take().unwrap().write_all(source).unwrap();
        let status = cc.wait().unwrap();
        assert!(status.success(), "is libseccomp-dev installed?");
        (folder, path)
    });
    path
}

/// `SCMP_ARCH_*`: the `AUDIT_ARCH_*`, but for x32, which has none of its own.
fn token(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => Arch::X32.audit() & !0x8000_0000,
        other => other.audit(),
    }
}

/// `enum scmp_compare`
fn operator(op: Operator) -> u32 {
    match op {
        Operator::Ne => 1,
        Operator::Lt => 2,
        Operator::Le => 3,
        Operator::Eq => 4,
        Operator::Ge => 5,
        Operator::Gt => 6,
        Operator::MaskedEq => 7,
    }
}

/// libseccomp's program, and the calls whose number it does not know, being older than soute's tables.
fn theirs(
    profile: &Profile,
    here: Here,
    arches: &[Arch],
) -> (Vec<SockFilter>, BTreeSet<(Arch, u32)>) {
    let default = action(profile.default_action, profile.default_errno_ret);
    let mut input = format!("default {}\n", default.code());
    for &arch in arches {
        writeln!(input, "arch {}", token(arch)).unwrap();
    }
    for rule in profile.syscalls.iter().filter(|rule| counts(rule, here)) {
        let action = action(rule.action, rule.errno_ret);
        // libseccomp takes no rule with the default action, and runc gives it none.
        for name in rule.names.iter().filter(|_| action != default) {
            write!(input, "rule {} {name} {}", action.code(), rule.args.len()).unwrap();
            for arg in &rule.args {
                let op = operator(arg.op);
                write!(input, " {} {op} {} {}", arg.index, arg.value, arg.value_two).unwrap();
            }
            input.push('\n');
        }
    }
    let mut child = Command::new(oracle())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{input}");
    let program: Vec<SockFilter> = output
        .stdout
        .chunks_exact(8)
        .map(|b| SockFilter {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    check(&program);
    let mut unknown = BTreeSet::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let of = |arch: &&Arch| words[0] == token(**arch).to_string();
        let arch = *arches.iter().find(of).unwrap();
        let theirs = words[2].parse::<i32>().unwrap();
        match (arch.number(words[1]), u32::try_from(theirs)) {
            (Some(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{arch} {}", words[1]),
            (Some(ours), Err(_)) => drop(unknown.insert((arch, ours))),
            (None, Ok(_)) => panic!("{arch} lacks {}", words[1]),
            (None, Err(_)) => {}
        }
    }
    (program, unknown)
}

/// Compares on all numbers up to the last named one, with arguments around the constants.
fn agree(profile: &Profile, here: Here, arches: &[Arch]) {
    let ours = program(profile, here).unwrap();
    let (theirs, unknown) = theirs(profile, here, arches);
    let names = || profile.syscalls.iter().flat_map(|rule| &rule.names);
    let args = || profile.syscalls.iter().flat_map(|rule| &rule.args);
    let mut constants: Vec<u64> = args().flat_map(|arg| [arg.value, arg.value_two]).collect();
    constants.sort_unstable();
    constants.dedup();
    let wide = constants.iter().any(|&c| c > u64::from(u32::MAX));
    let values = values_around(&constants);
    let looked_at: BTreeSet<&str> = profile
        .syscalls
        .iter()
        .filter(|rule| !rule.args.is_empty())
        .flat_map(|rule| rule.names.iter().map(String::as_str))
        .collect();
    let mut compared = 0;
    for &arch in arches {
        let named = names().filter_map(|name| arch.number(name));
        let last = named
            .filter(|n| arch != Arch::Arm || *n < ARM_OWN_FIRST)
            .max();
        let numbers = (arch.base()..=last.unwrap_or(0)).chain(match arch {
            Arch::Arm => ARM_OWN_FIRST..ARM_OWN_END,
            _ => 0..0,
        });
        for number in numbers {
            let name = arch.name(number);
            if unknown.contains(&(arch, number)) {
                continue;
            }
            let full = name.is_some_and(|name| looked_at.contains(name));
            if arch == Arch::X32 && wide && full {
                continue;
            }
            for &value in if full { &values[..] } else { &[0, 1, 2, 3] } {
                let cut = if arch.is_64_bit() && arch != Arch::X32 {
                    u64::MAX
                } else {
                    0xffff_ffff
                };
                for spread in 0..7 {
                    let args = std::array::from_fn(|i| {
                        if i == spread || spread == 6 {
                            value & cut
                        } else {
                            0
                        }
                    });
                    let data = data(arch.audit(), number, args);
                    same(&ours, &theirs, &data, arch, name);
                    compared += 1;
                    if !full && spread == 0 {
                        break;
                    }
                }
            }
        }
    }
    assert!(compared > 0 || names().next().is_none());
}

fn same(ours: &[SockFilter], theirs: &[SockFilter], data: &Data, arch: Arch, name: Option<&str>) {
    let (ours, theirs) = (run(ours, data).0, run(theirs, data).0);
    assert_eq!(
        ours, theirs,
        "{ours:#x} instead of {theirs:#x}: {arch} {name:?} {data:x?}"
    );
}

#[test]
fn the_default_profile() {
    let profile = default_profile::as_profile();
    for machine in MACHINES {
        for caps in [CapSet::EMPTY, CapSet::DEFAULT, CapSet::ALL] {
            agree(&profile, here(machine, caps), machine.arches());
        }
    }
}

/// Numbers that an architecture lacks, or an architecture that the profile lacks.
#[test]
fn other_architectures() {
    let profile = parse(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","mount"],"action":"SCMP_ACT_ALLOW"}]}"#,
    )
    .unwrap();
    let here = here(Machine::X86_64, CapSet::DEFAULT);
    let ours = program(&profile, here).unwrap();
    let (theirs, _) = theirs(&profile, here, &[Arch::X86_64]);
    for audit in [Arch::X86.audit(), Arch::Arm.audit(), 0] {
        for number in [0, 3, 4, 165, X32_BIT] {
            same(
                &ours,
                &theirs,
                &data(audit, number, [0; 6]),
                Arch::X86_64,
                None,
            );
        }
    }
    let audit = Arch::X86_64.audit();
    for number in [
        0,
        1,
        165,
        X32_BIT,
        X32_BIT + 1,
        X32_BIT + 165,
        0x8000_0000,
        u32::MAX - 1,
        u32::MAX,
    ] {
        // All of x32, which the profile lacks, and the number of a call that a tracer skips.
        same(
            &ours,
            &theirs,
            &data(audit, number, [0; 6]),
            Arch::X86_64,
            None,
        );
    }
}

/// Calls of sockets and System V IPC, by their own numbers and through socketcall(2) and ipc(2).
#[test]
fn multiplexed_calls() {
    let profile = parse(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["socket","recv","accept","sendmmsg","semop","shmctl","msgrcv"],"action":"SCMP_ACT_ALLOW"},
        {"names":["connect","semtimedop"],"action":"SCMP_ACT_ERRNO","errnoRet":5},
        {"names":["statx"],"action":"SCMP_ACT_TRAP"}]}"#,
    )
    .unwrap();
    let here = here(Machine::X86_64, CapSet::DEFAULT);
    let ours = program(&profile, here).unwrap();
    let (theirs, _) = theirs(&profile, here, &[Arch::X86_64, Arch::X86]);
    let arch = Arch::X86;
    for name in ["socketcall", "ipc"] {
        for call in 0..30 {
            let args = [call, 0, 0, 0, 0, 0];
            let data = data(arch.audit(), arch.number(name).unwrap(), args);
            same(&ours, &theirs, &data, arch, Some(name));
        }
    }
    agree(&profile, here, &[Arch::X86_64, Arch::X86]);
}

/// Conditions on different arguments: two on one are a different thing to libseccomp than to runc.
fn args() -> impl Strategy<Value = Vec<Arg>> {
    let indexes = prop::sample::subsequence((0..6u32).collect::<Vec<_>>(), 0..4);
    (indexes, prop::collection::vec(profiles::arg(), 4)).prop_map(|(indexes, drawn)| {
        let with_index = |(index, arg)| Arg { index, ..arg };
        indexes.into_iter().zip(drawn).map(with_index).collect()
    })
}

prop_compose! {
    /// Each call once: libseccomp does not say which of several actions counts, and 2.5.4 merges conditions of
    /// several rules wrongly.
    fn profile()(
        rules in prop::collection::btree_map(0..12usize, args(), 1..12),
        allow: bool,
    ) -> Profile {
// Calls of all architectures: libseccomp 2.5.4 forgets to load the number if the first is none of this one's.
        let names = ["read", "ioctl", "readv", "clone", "openat", "futex", "statx", "rt_sigaction", "prctl", "write", "exit", "bpf"];
        let actions = [ActionName::Errno, ActionName::Log, ActionName::Trap, ActionName::KillThread];
        Profile {
            default_action: if allow { ActionName::Allow } else { ActionName::KillProcess },
            default_errno_ret: None,
            architectures: vec![ArchName::X86, ArchName::X32, ArchName::Arm],
            arch_map: vec![],
            flags: None,
            listener_path: None,
            listener_metadata: None,
            syscalls: rules.into_iter().map(|(call, args)| Syscalls {
                names: vec![names[call].to_owned()],
                name: None,
                action: actions[call % actions.len()],
                errno_ret: (call % actions.len() == 0).then_some(1 + call as u32),
                args,
                comment: None,
                includes: None,
                excludes: None,
            }).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_profile(profile in profile(), aarch64: bool) {
        let names = || profile.syscalls.iter().flat_map(|rule| &rule.names);
        assert!(names().all(|name| multiplex::way(name).is_none()));
        let machine = MACHINES[usize::from(aarch64)];
        agree(&profile, here(machine, CapSet::DEFAULT), machine.arches());
    }
}
