//! A profile, in its circumstances, becomes decisions by number.
//!
//! Where the specification is silent this does as runc with libseccomp does,
//! so that a profile decides alike under both:
//! - a rule with the default action is none (it would say nothing);
//! - a rule without conditions goes before those with, the first before later ones;
//! - numbers above all that the profile names for an architecture are ENOSYS,
//!   unless the default lets them through, so that programs fall back from calls that are
//!   younger than the profile.
//!
//! Of several rules with conditions the first that matches counts; libseccomp does not say which.

use std::collections::BTreeSet;
use std::ops::Range;

use super::SeccompError;
use super::action::{Action, ENOSYS, EPERM, MAX_ERRNO};
use super::arch::{Arch, Machine};
use super::compile::{Condition, Decision, Op, Rule};
use super::multiplex;
use super::names::Named;
use super::profile::{
    ActionName, ArchName, Arg, Circumstances, MachineName, Operator, Profile, Syscalls,
};
use super::sections::{Section, Sections};
use super::version::KernelVersion;
use crate::capabilities::{Cap, CapSet};

/// What a profile is resolved for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    pub machine: Machine,
    pub caps: CapSet,
    pub kernel: KernelVersion,
}

impl Here {
    pub(crate) fn new(caps: CapSet, kernel: KernelVersion) -> Result<Self, SeccompError> {
        Ok(Self {
            machine: Machine::this().ok_or(SeccompError::Machine)?,
            caps,
            kernel,
        })
    }
}

/// Rules that count, before they have numbers.
#[derive(Debug)]
pub(crate) struct Resolved<'p> {
    pub default: Action,
    pub above: Action,
    /// The machine's own first.
    pub arches: Vec<Arch>,
    calls: Vec<Call<'p>>,
}

#[derive(Debug)]
struct Call<'p> {
    name: &'p str,
    /// `None`: no architecture of the machine has it.
    named: Option<&'static Named>,
    action: Action,
    /// Each is a rule; none: no conditions.
    alternatives: Vec<Vec<Condition>>,
}

/// Rules by number for each architecture; what [`Section`]s borrow from.
#[derive(Debug)]
pub(crate) struct Numbered<'r> {
    default: Action,
    above: Action,
    arches: Vec<ByNumber<'r>>,
}

/// Rules of an architecture.
#[derive(Debug)]
struct ByNumber<'r> {
    arch: Arch,
    /// Each number that is named, ascending, and which of the rules are its.
    numbers: Vec<(u32, Range<usize>)>,
    rules: Vec<Rule<'r>>,
}

impl<'p> Resolved<'p> {
    pub(crate) fn new(profile: &'p Profile, here: Here) -> Result<Self, SeccompError> {
        let default = action(profile.default_action, profile.default_errno_ret)
            .map_err(SeccompError::Default)?;
        if default == Action::Notify {
            return Err(SeccompError::Default(
                "SCMP_ACT_NOTIFY cannot be the default: nobody would listen yet".to_owned(),
            ));
        }
        let mut calls = Vec::new();
        for (index, rule) in profile.syscalls.iter().enumerate() {
            add(rule, here, &mut calls).map_err(|why| SeccompError::Rule { index, why })?;
        }
        Ok(Self {
            default,
            above: above(default),
            arches: arches(profile, here.machine)?,
            calls,
        })
    }

    /// Whether a rule asks the listener.
    pub(crate) fn notifies(&self) -> bool {
        self.calls.iter().any(|call| call.action == Action::Notify)
    }

    /// Names that are no call of any of the architectures, in order of the alphabet.
    pub(crate) fn unknown_names(&self) -> Vec<String> {
        let known = |call: &&Call<'_>| {
            self.arches.iter().any(|&arch| {
                call.number(arch).is_some()
                    || (arch == Arch::X86 && multiplex::way(call.name).is_some())
            })
        };
        let unknown = self.calls.iter().filter(|call| !known(call));
        let unknown: BTreeSet<&str> = unknown.map(|call| call.name).collect();
        unknown.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn numbered(&self) -> Numbered<'_> {
        let by_number = |&arch: &Arch| {
            let mut named = Vec::with_capacity(self.calls.len());
            for call in &self.calls {
                self.number(call, arch, &mut named);
            }
            ByNumber::new(arch, named)
        };
        Numbered {
            default: self.default,
            above: self.above,
            arches: self.arches.iter().map(by_number).collect(),
        }
    }

    /// Adds the numbers of a call and what is decided about each; `None`: it is named, and that is all.
    fn number<'r>(
        &'r self,
        call: &'r Call<'p>,
        arch: Arch,
        named: &mut Vec<(u32, Option<Rule<'r>>)>,
    ) {
        let action = call.action;
        let says_nothing = action == self.default;
        if let Some(number) = call.number(arch) {
            let rule = |conditions| (number, Some(Rule { conditions, action }));
            if says_nothing {
                named.push((number, None));
            } else if call.alternatives.is_empty() {
                named.push(rule(&[]));
            } else {
                named.extend(call.alternatives.iter().map(|all| rule(all)));
            }
        }
        if arch != Arch::X86 || says_nothing {
            return;
        }
        let lets_through = matches!(action, Action::Allow | Action::Log);
        if let Some(way) = multiplex::way(call.name)
            && (call.alternatives.is_empty() || !lets_through)
            && let Some(number) = arch.number(way.through)
        {
            let conditions = &way.condition;
            named.push((number, Some(Rule { conditions, action })));
        }
    }
}

impl Call<'_> {
    fn number(&self, arch: Arch) -> Option<u32> {
        self.named?.number(arch)
    }
}

impl<'r> ByNumber<'r> {
    fn new(arch: Arch, mut named: Vec<(u32, Option<Rule<'r>>)>) -> Self {
        // What the profile names first stays first.
        named.sort_by_key(|(number, _)| *number);
        let mut rules = Vec::with_capacity(named.len());
        let mut numbers = Vec::with_capacity(named.len());
        for same in named.chunk_by(|a, b| a.0 == b.0) {
            let first = rules.len();
            rules.extend(same.iter().filter_map(|(_, rule)| *rule));
            numbers.push((same[0].0, first..rules.len()));
        }
        Self {
            arch,
            numbers,
            rules,
        }
    }
}

impl<'r> Numbered<'r> {
    pub(crate) fn sections<'n>(&'n self) -> Vec<Section<'n>>
    where
        'r: 'n,
    {
        let mut sections = Sections::new(self.default, self.above);
        for ByNumber {
            arch,
            numbers,
            rules,
        } in &self.arches
        {
            let decide = |rules: &'n [Rule<'r>]| {
                let always = rules.iter().find(|rule| rule.conditions.is_empty());
                match always {
                    Some(rule) => Decision::Always(rule.action),
                    None if rules.is_empty() => Decision::Always(self.default),
                    None => Decision::ByArguments(rules, self.default),
                }
            };
            sections.add(
                *arch,
                numbers
                    .iter()
                    .map(|(number, its)| (*number, decide(&rules[its.clone()]))),
            );
        }
        sections.finish()
    }
}

/// What happens to numbers above all named ones, as in runc.
fn above(default: Action) -> Action {
    match default {
        // A tracer is to know about all calls.
        Action::Allow | Action::Log | Action::Trace(_) => default,
        _ => Action::Errno(ENOSYS),
    }
}

fn arches(profile: &Profile, machine: Machine) -> Result<Vec<Arch>, SeccompError> {
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err(SeccompError::Architectures);
    }
    let own = machine.native();
    let mapped = profile
        .arch_map
        .iter()
        .find(|map| arch(map.architecture) == Some(own))
        .map_or(&[][..], |map| &map.sub_architectures);
    let named: Vec<Arch> = profile
        .architectures
        .iter()
        .chain(mapped)
        .filter_map(|&name| arch(name))
        .collect();
    Ok(machine
        .arches()
        .iter()
        .copied()
        .filter(|arch| *arch == own || named.contains(arch))
        .collect())
}

fn arch(name: ArchName) -> Option<Arch> {
    match name {
        ArchName::X86_64 => Some(Arch::X86_64),
        ArchName::X86 => Some(Arch::X86),
        ArchName::X32 => Some(Arch::X32),
        ArchName::Aarch64 => Some(Arch::Aarch64),
        ArchName::Arm => Some(Arch::Arm),
        ArchName::Other => None,
    }
}

fn action(name: ActionName, errno: Option<u32>) -> Result<Action, String> {
    let number = |max: u16| match errno {
        None => Ok(EPERM),
        Some(n) if n <= u32::from(max) => Ok(n as u16),
        Some(n) => Err(format!("errnoRet {n} is above {max}")),
    };
    let action = match name {
        ActionName::Errno => return number(MAX_ERRNO).map(Action::Errno),
        ActionName::Trace => return number(u16::MAX).map(Action::Trace),
        ActionName::Kill | ActionName::KillThread => Action::KillThread,
        ActionName::KillProcess => Action::KillProcess,
        ActionName::Trap => Action::Trap,
        ActionName::Allow => Action::Allow,
        ActionName::Log => Action::Log,
        ActionName::Notify => Action::Notify,
    };
    match errno {
        None => Ok(action),
        Some(n) => Err(format!(
            "errnoRet {n} goes only with SCMP_ACT_ERRNO and SCMP_ACT_TRACE"
        )),
    }
}

/// Adds the calls of a rule, if it counts here. What is wrong in it is wrong whether or not it counts.
fn add<'p>(rule: &'p Syscalls, here: Here, calls: &mut Vec<Call<'p>>) -> Result<(), String> {
    let names: Vec<&str> = match (&rule.name, rule.names.as_slice()) {
        (Some(_), [_, ..]) => return Err("both \"name\" and \"names\" are given".to_owned()),
        (Some(name), []) => vec![name],
        (None, names) => names.iter().map(String::as_str).collect(),
    };
    if names.is_empty() || names.contains(&"") {
        return Err("no system call is named".to_owned());
    }
    let action = action(rule.action, rule.errno_ret)?;
    if action == Action::Notify
        && let Some(name) = names
            .iter()
            .find(|name| ["write", "sendmsg"].contains(name))
    {
        return Err(format!(
            "SCMP_ACT_NOTIFY for {name} would stop the container before its listener is handed over"
        ));
    }
    let alternatives = alternatives(&rule.args)?;
    let included = match &rule.includes {
        Some(includes) => holds(includes, here)?.iter().all(|&h| h),
        None => true,
    };
    let excluded = match &rule.excludes {
        Some(excludes) => holds(excludes, here)?.iter().any(|&h| h),
        None => false,
    };
    if included && !excluded {
        calls.extend(names.into_iter().map(|name| Call {
            name,
            named: here.machine.call(name),
            action,
            alternatives: alternatives.clone(),
        }));
    }
    Ok(())
}

/// Whether each part of the circumstances holds: each capability, the machine, the kernel.
fn holds(wanted: &Circumstances, here: Here) -> Result<Vec<bool>, String> {
    let mut holds = Vec::new();
    for name in &wanted.caps {
        let cap: Cap = name.parse().map_err(|e| format!("{e}"))?;
        holds.push(here.caps.contains(cap));
    }
    if !wanted.arches.is_empty() {
        let this = match here.machine {
            Machine::X86_64 => MachineName::Amd64,
            Machine::Aarch64 => MachineName::Arm64,
        };
        holds.push(wanted.arches.contains(&this));
    }
    if let Some(least) = wanted.min_kernel {
        holds.push(here.kernel >= least);
    }
    Ok(holds)
}

fn alternatives(args: &[Arg]) -> Result<Vec<Vec<Condition>>, String> {
    let conditions: Vec<Condition> = args.iter().map(condition).collect::<Result<_, _>>()?;
    let twice =
        (0..conditions.len()).any(|i| conditions[..i].iter().any(|c| c.arg == conditions[i].arg));
    Ok(if conditions.is_empty() {
        Vec::new()
    } else if twice {
        // Surprising, and what such a profile means under Docker.
        conditions.into_iter().map(|c| vec![c]).collect()
    } else {
        vec![conditions]
    })
}

fn condition(arg: &Arg) -> Result<Condition, String> {
    if arg.index > 5 {
        return Err(format!(
            "argument {}: system calls have six, from 0",
            arg.index
        ));
    }
    let value = arg.value;
    let op = match arg.op {
        Operator::Eq => Op::Eq(value),
        Operator::Ne => Op::Ne(value),
        Operator::Lt => Op::Lt(value),
        Operator::Le => Op::Le(value),
        Operator::Gt => Op::Gt(value),
        Operator::Ge => Op::Ge(value),
        Operator::MaskedEq => Op::MaskedEq {
            mask: value,
            // As libseccomp: bits outside the mask are not compared.
            value: arg.value_two & value,
        },
    };
    Ok(Condition {
        arg: arg.index as u8,
        op,
    })
}
