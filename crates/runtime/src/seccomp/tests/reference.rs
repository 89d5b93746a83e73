//! A second opinion: a profile read rule by rule for one call, without numbers sorted, ranges or programs.

use super::interpreter::Data;
use crate::seccomp::Action;
use crate::seccomp::arch::{ARM_OWN_END, ARM_OWN_FIRST, Arch, Machine, X32_BIT};
use crate::seccomp::compile::Op;
use crate::seccomp::multiplex;
use crate::seccomp::profile::{
    ActionName, ArchName, Arg, Circumstances, MachineName, Operator, Profile, Syscalls,
};
use crate::seccomp::resolve::Here;

pub struct Reference<'p> {
    default: Action,
    /// Names with the rules that count, in order.
    rules: Vec<(&'p str, &'p Syscalls)>,
    /// Architectures with all numbers that are named.
    arches: Vec<(Arch, Vec<u32>)>,
}

impl<'p> Reference<'p> {
    pub fn new(profile: &'p Profile, here: Here) -> Self {
        let default = action(profile.default_action, profile.default_errno_ret);
        let rules: Vec<(&str, &Syscalls)> = profile
            .syscalls
            .iter()
            .filter(|rule| counts(rule, here))
            .flat_map(|rule| {
                let names = rule.names.iter().chain(&rule.name);
                names.map(move |name| (name.as_str(), rule))
            })
            .collect();
        let arches = [
            (Arch::X86_64, ArchName::X86_64),
            (Arch::X86, ArchName::X86),
            (Arch::X32, ArchName::X32),
            (Arch::Aarch64, ArchName::Aarch64),
            (Arch::Arm, ArchName::Arm),
        ]
        .into_iter()
        .filter(|(arch, name)| {
            let own = here.machine.native();
            let mapped = profile.arch_map.iter().any(|map| {
                map.architecture == own_name(here.machine) && map.sub_architectures.contains(name)
            });
            let possible = here.machine.arches().contains(arch);
            possible && (*arch == own || mapped || profile.architectures.contains(name))
        })
        .map(|(arch, _)| {
            let direct = rules.iter().filter_map(|(name, _)| arch.number(name));
            let through = rules.iter().filter_map(|(name, rule)| {
                arch.number(through(arch, name, rule, default)?.through)
            });
            (arch, direct.chain(through).collect())
        })
        .collect();
        Self {
            default,
            rules,
            arches,
        }
    }

    pub fn decide(&self, data: &Data) -> Action {
        let x86_64 = data.audit == Arch::X86_64.audit();
        let is_x32 = x86_64 && data.number >= X32_BIT;
        let Some((arch, named)) = self
            .arches
            .iter()
            .find(|(arch, _)| arch.audit() == data.audit && is_x32 == (*arch == Arch::X32))
        else {
            let known = self.arches.iter().any(|(arch, _)| *arch == Arch::X86_64);
            let skipped_by_tracer = data.number == u32::MAX && x86_64 && known;
            return if skipped_by_tracer {
                self.default
            } else {
                Action::KillProcess
            };
        };
        let is_arm = *arch == Arch::Arm;
        let above = if is_arm && data.number >= ARM_OWN_FIRST {
            data.number >= ARM_OWN_END && !named.is_empty()
        } else {
            let ordinary = named.iter().filter(|n| !is_arm || **n < ARM_OWN_FIRST);
            ordinary.max().is_some_and(|last| data.number > *last)
        };
        if above {
            return match self.default {
                Action::Allow | Action::Log | Action::Trace(_) => self.default,
                _ => Action::Errno(38),
            };
        }
        let Some(name) = arch.name(data.number) else {
            return self.default;
        };
        let says = |rule: &Syscalls| action(rule.action, rule.errno_ret);
        let unconditional = self
            .rules
            .iter()
            .find(|(n, rule)| *n == name && rule.args.is_empty() && says(rule) != self.default);
        let first = unconditional.or_else(|| {
            self.rules.iter().find(|(n, rule)| {
                let direct = *n == name && args_match(&rule.args, *arch, data);
                let indirect = matches!(name, "socketcall" | "ipc")
                    && through(*arch, n, rule, self.default)
                        .is_some_and(|way| way.through == name && way_matches(way, data));
                says(rule) != self.default && (direct || indirect)
            })
        });
        first.map_or(self.default, |(_, rule)| says(rule))
    }
}

fn through(
    arch: Arch,
    name: &str,
    rule: &Syscalls,
    default: Action,
) -> Option<&'static multiplex::Way> {
    let refuses = !matches!(rule.action, ActionName::Allow | ActionName::Log);
    let goes = arch == Arch::X86
        && action(rule.action, rule.errno_ret) != default
        && (rule.args.is_empty() || refuses);
    multiplex::way(name).filter(|_| goes)
}

fn way_matches(way: &multiplex::Way, data: &Data) -> bool {
    match way.condition[0].op {
        Op::Eq(call) => data.args[0] as u32 == call as u32,
        Op::MaskedEq { mask, value } => data.args[0] & mask == value,
        other => panic!("{other:?}"),
    }
}

fn own_name(machine: Machine) -> ArchName {
    match machine {
        Machine::X86_64 => ArchName::X86_64,
        Machine::Aarch64 => ArchName::Aarch64,
    }
}

fn args_match(args: &[Arg], arch: Arch, data: &Data) -> bool {
    let twice = args
        .iter()
        .any(|a| args.iter().filter(|b| a.index == b.index).count() > 1);
    let holds = |arg: &Arg| {
        let cut = |n: u64| {
            if matches!(arch, Arch::X86 | Arch::Arm) {
                n & 0xffff_ffff
            } else {
                n
            }
        };
        let (is, value, two) = (
            cut(data.args[arg.index as usize]),
            cut(arg.value),
            cut(arg.value_two),
        );
        match arg.op {
            Operator::Ne => is != value,
            Operator::Lt => is < value,
            Operator::Le => is <= value,
            Operator::Eq => is == value,
            Operator::Ge => is >= value,
            Operator::Gt => is > value,
            Operator::MaskedEq => is & value == two & value,
        }
    };
    if twice {
        args.iter().any(holds)
    } else {
        args.iter().all(holds)
    }
}

pub fn counts(rule: &Syscalls, here: Here) -> bool {
    let machine = match here.machine {
        Machine::X86_64 => MachineName::Amd64,
        Machine::Aarch64 => MachineName::Arm64,
    };
    let has = |cap: &String| here.caps.contains(cap.parse().unwrap());
    let included = |c: &Circumstances| {
        c.caps.iter().all(has)
            && (c.arches.is_empty() || c.arches.contains(&machine))
            && c.min_kernel.is_none_or(|least| here.kernel >= least)
    };
    let excluded = |c: &Circumstances| {
        c.caps.iter().any(has)
            || c.arches.contains(&machine)
            || c.min_kernel.is_some_and(|least| here.kernel >= least)
    };
    rule.includes.as_ref().is_none_or(included) && !rule.excludes.as_ref().is_some_and(excluded)
}

pub fn action(name: ActionName, errno: Option<u32>) -> Action {
    let errno = errno.unwrap_or(1) as u16;
    match name {
        ActionName::Kill | ActionName::KillThread => Action::KillThread,
        ActionName::KillProcess => Action::KillProcess,
        ActionName::Trap => Action::Trap,
        ActionName::Errno => Action::Errno(errno),
        ActionName::Trace => Action::Trace(errno),
        ActionName::Allow => Action::Allow,
        ActionName::Log => Action::Log,
        ActionName::Notify => Action::Notify,
    }
}
