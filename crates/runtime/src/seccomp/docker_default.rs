//! The default profile: what Docker allows a container.
//!
//! The facts are those of the Moby project's default profile (moby/profiles,
//! seccomp, June 2026): calls that any container may make, those that come
//! with a capability, and three that depend on their arguments. What is not
//! named fails with EPERM, or with ENOSYS if its number is above all named
//! ones, so that programs fall back from calls that are younger than the profile.
//! Names that are no call of x86 or ARM are left out.
//!
//! The tables below are made by the compiler: at run time a number indexes an
//! array, and no name is looked up.

mod allowed;

use std::cmp::Ordering;

use super::action::{Action, ENOSYS, EPERM};
use super::arch::{ARM_OWN, ARM_OWN_FIRST, Arch, Machine};
use super::compile::{Condition, Decision, Op, Rule};
use super::names::compare;
use super::sections::{Section, Sections};
use super::version::KernelVersion;
use crate::capabilities::{Cap, CapSet};
pub(super) use allowed::ALLOWED;

/// What happens to a call that is not named.
pub(super) const DEFAULT: Action = Action::Errno(EPERM);
/// What happens to a call with a number above all named ones.
pub(super) const ABOVE: Action = Action::Errno(ENOSYS);

/// When a call is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// On these architectures.
    Arches(&'static [Arch]),
    /// With one of these capabilities.
    Capability(CapSet),
    /// From this kernel on, or with one of these capabilities.
    KernelOrCapability(KernelVersion, CapSet),
    /// Where a rule matches.
    Arguments(&'static [Rule<'static>]),
    /// With one of these capabilities, or where a rule matches.
    CapabilityOrArguments(CapSet, &'static [Rule<'static>]),
    /// With one of these capabilities; otherwise it fails with ENOSYS.
    CapabilityOrUnknown(CapSet),
}

/// Calls with a condition.
#[derive(Debug)]
pub(super) struct Group {
    pub when: When,
    pub names: &'static [&'static str],
}

const fn group(when: When, names: &'static [&'static str]) -> Group {
    Group { when, names }
}

const fn with(cap: Cap) -> When {
    When::Capability(CapSet::of(&[cap]))
}

const fn allow(conditions: &'static [Condition]) -> Rule<'static> {
    Rule {
        conditions,
        action: Action::Allow,
    }
}

/// Families are arguments of socket(2). AF_ALG is the kernel's cryptography (CVE-2026-31431: any user could write
/// to the page cache), AF_VSOCK reaches the machine that hosts this virtual machine. The others are named one by one
/// (AF_KCM to AF_MCTP): the kernel takes an int and looks at the lower half of the register alone, so that
/// 0x1_0000_0026, which is greater than any family, is AF_ALG, too. Through socketcall(2) of x86 both can still be had,
/// because a filter cannot look at what its argument points at.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
const SOCKET: &[Rule<'static>] = &[
    allow(&[first(Op::Lt(AF_ALG))]),
    allow(&[first(Op::Eq(AF_ALG + 1))]),
    allow(&[first(Op::Eq(AF_VSOCK + 1))]),
    allow(&[first(Op::Eq(AF_VSOCK + 2))]),
    allow(&[first(Op::Eq(AF_VSOCK + 3))]),
    allow(&[first(Op::Eq(AF_VSOCK + 4))]),
    allow(&[first(Op::Eq(AF_VSOCK + 5))]),
];

/// PER_LINUX, PER_LINUX32, both with UNAME26, and the question what is set.
const PERSONALITY: &[Rule<'static>] = &[
    allow(&[first(Op::Eq(0))]),
    allow(&[first(Op::Eq(8))]),
    allow(&[first(Op::Eq(0x2_0000))]),
    allow(&[first(Op::Eq(0x2_0008))]),
    allow(&[first(Op::Eq(0xffff_ffff))]),
];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a new user namespace gives all capabilities over
/// the namespaces below it, and with them most of the kernel's code for root.
const NAMESPACES: u64 = 0x7e02_0000;
const CLONE: &[Rule<'static>] = &[allow(&[first(Op::MaskedEq {
    mask: NAMESPACES,
    value: 0,
})])];

const fn first(op: Op) -> Condition {
    Condition { arg: 0, op }
}

const ADMIN: Cap = Cap::SYS_ADMIN;

/// Calls with conditions; a name is in one group, and not in [`ALLOWED`].
pub(super) static GROUPS: &[Group] = &[
    group(When::Arguments(SOCKET), &["socket"]),
    group(When::Arguments(PERSONALITY), &["personality"]),
    group(
        When::CapabilityOrArguments(CapSet::of(&[ADMIN]), CLONE),
        &["clone"],
    ),
    // Its flags are behind a pointer, where a filter cannot look. The C library falls back to clone(2).
    group(When::CapabilityOrUnknown(CapSet::of(&[ADMIN])), &["clone3"]),
    // Before 4.8 a tracer could change the number of a call after the filter had passed it.
    group(
        When::KernelOrCapability(KernelVersion::new(4, 8), CapSet::of(&[Cap::SYS_PTRACE])),
        &["process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    group(
        When::Arches(&[Arch::X86_64, Arch::X86, Arch::X32]),
        &["arch_prctl", "modify_ldt"],
    ),
    group(
        When::Arches(&[Arch::Aarch64, Arch::Arm]),
        &[
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "breakpoint",
            "cacheflush",
            "set_tls",
        ],
    ),
    group(with(Cap::DAC_READ_SEARCH), &["open_by_handle_at"]),
    group(
        with(ADMIN),
        &[
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    group(When::Capability(CapSet::of(&[ADMIN, Cap::BPF])), &["bpf"]),
    group(
        When::Capability(CapSet::of(&[ADMIN, Cap::PERFMON])),
        &["perf_event_open"],
    ),
    group(
        When::Capability(CapSet::of(&[ADMIN, Cap::SYSLOG])),
        &["syslog"],
    ),
    group(with(Cap::SYS_BOOT), &["reboot"]),
    group(with(Cap::SYS_CHROOT), &["chroot"]),
    group(
        with(Cap::SYS_MODULE),
        &["delete_module", "finit_module", "init_module"],
    ),
    group(with(Cap::SYS_PACCT), &["acct"]),
    group(
        with(Cap::SYS_PTRACE),
        &["kcmp", "pidfd_getfd", "process_madvise"],
    ),
    group(with(Cap::SYS_RAWIO), &["ioperm", "iopl"]),
    group(
        with(Cap::SYS_TIME),
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
    ),
    group(with(Cap::SYS_TTY_CONFIG), &["vhangup"]),
    group(
        with(Cap::SYS_NICE),
        &[
            "get_mempolicy",
            "mbind",
            "set_mempolicy",
            "set_mempolicy_home_node",
        ],
    ),
];

/// Class of a number that is not named.
const UNNAMED: u8 = 0;
/// Class of a call that is always allowed; from the next one on: its group.
const ALWAYS: u8 = 1;
const CLASSES: usize = GROUPS_LEN + 2;
const GROUPS_LEN: usize = GROUPS.len();

/// The class of each number, less the architecture's base.
#[allow(long_running_const_eval)] // it ends: two loops over tables
const fn classes<const N: usize>(arch: Arch) -> [u8; N] {
    assert!(N == arch.table_len() as usize);
    let mut classes = [UNNAMED; N];
    let mut number = 0;
    while number < N {
        if let Some(name) = arch.name(arch.base() + number as u32) {
            classes[number] = class(name);
        }
        number += 1;
    }
    classes
}

const fn class(name: &str) -> u8 {
    let (mut low, mut high) = (0, ALLOWED.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match compare(name, ALLOWED[middle]) {
            Ordering::Equal => return ALWAYS,
            Ordering::Greater => low = middle + 1,
            Ordering::Less => high = middle,
        }
    }
    let mut group = 0;
    while group < GROUPS.len() {
        let names = GROUPS[group].names;
        let mut i = 0;
        while i < names.len() {
            if matches!(compare(name, names[i]), Ordering::Equal) {
                return ALWAYS + 1 + group as u8;
            }
            i += 1;
        }
        group += 1;
    }
    UNNAMED
}

const fn len(arch: Arch) -> usize {
    arch.table_len() as usize
}

static X86_64: [u8; len(Arch::X86_64)] = classes(Arch::X86_64);
static X86: [u8; len(Arch::X86)] = classes(Arch::X86);
static X32: [u8; len(Arch::X32)] = classes(Arch::X32);
static AARCH64: [u8; len(Arch::Aarch64)] = classes(Arch::Aarch64);
static ARM: [u8; len(Arch::Arm)] = classes(Arch::Arm);
static ARM_PRIVATE: [u8; ARM_OWN.len()] = arm_private();

const fn arm_private() -> [u8; ARM_OWN.len()] {
    let mut classes = [UNNAMED; ARM_OWN.len()];
    let mut i = 0;
    while i < classes.len() {
        classes[i] = class(ARM_OWN[i]);
        i += 1;
    }
    classes
}

const fn table(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::X86_64 => &X86_64,
        Arch::X86 => &X86,
        Arch::X32 => &X32,
        Arch::Aarch64 => &AARCH64,
        Arch::Arm => &ARM,
    }
}

/// The profile for a container that has at most `caps`, on this kernel.
pub(super) fn sections(
    machine: Machine,
    caps: CapSet,
    kernel: KernelVersion,
) -> Vec<Section<'static>> {
    let mut sections = Sections::new(DEFAULT, ABOVE);
    for &arch in machine.arches() {
        let mut decisions = [Decision::Always(DEFAULT); CLASSES];
        decisions[ALWAYS as usize] = Decision::Always(Action::Allow);
        for (decision, group) in decisions[ALWAYS as usize + 1..].iter_mut().zip(GROUPS) {
            *decision = decide(group.when, arch, caps, kernel);
        }
        let ordinary = (arch.base()..).zip(table(arch));
        let own = (ARM_OWN_FIRST..).zip(if arch == Arch::Arm {
            &ARM_PRIVATE[..]
        } else {
            &[]
        });
        sections.add(
            arch,
            ordinary
                .chain(own)
                .filter(|(_, class)| **class != UNNAMED)
                .map(|(number, class)| (number, decisions[*class as usize])),
        );
    }
    sections.finish()
}

/// What becomes of the calls of a group.
fn decide(when: When, arch: Arch, caps: CapSet, kernel: KernelVersion) -> Decision<'static> {
    let allowed_if = |allowed| Decision::Always(if allowed { Action::Allow } else { DEFAULT });
    match when {
        When::Arches(arches) => allowed_if(arches.contains(&arch)),
        When::Capability(any) => allowed_if(caps.intersects(any)),
        When::KernelOrCapability(least, any) => allowed_if(kernel >= least || caps.intersects(any)),
        When::Arguments(rules) => Decision::ByArguments(rules, DEFAULT),
        When::CapabilityOrArguments(any, rules) => {
            if caps.intersects(any) {
                Decision::Always(Action::Allow)
            } else {
                Decision::ByArguments(rules, DEFAULT)
            }
        }
        When::CapabilityOrUnknown(any) => Decision::Always(if caps.intersects(any) {
            Action::Allow
        } else {
            Action::Errno(ENOSYS)
        }),
    }
}
