//! What a filter does, for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::action::Action;
use super::arch::{Arch, Machine};
use super::compile::{Condition, Decision, Op};
use super::sections::Section;

/// What a filter does with the calls of the machine's own architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The architectures that the filter knows, the machine's own first; calls of others kill the process.
    pub architectures: Vec<String>,
    /// What happens to calls that are not named.
    pub default: String,
    /// What happens to numbers above all named ones.
    pub above: String,
    /// Names by what always happens to them; `default` is left out.
    pub calls: BTreeMap<String, Vec<&'static str>>,
    /// Names with what happens to them under which conditions; otherwise `default`.
    pub by_arguments: BTreeMap<&'static str, Vec<String>>,
    /// [`super::Filter::unknown_names`]
    pub unknown_names: Vec<String>,
}

impl Summary {
    pub(super) fn new(
        machine: Machine,
        arches: &[Arch],
        sections: &[Section<'_>],
        (default, above): (Action, Action),
        unknown_names: Vec<String>,
    ) -> Self {
        let own = machine.native();
        let mut calls: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        let mut by_arguments = BTreeMap::new();
        for number in own.numbers() {
            let Some(name) = own.name(number) else {
                continue;
            };
            match sections[0].decision(number) {
                Decision::Always(action) if action == default => {}
                Decision::Always(action) => calls.entry(action.to_string()).or_default().push(name),
                Decision::ByArguments(rules, _) => {
                    let rules = rules.iter().map(|rule| {
                        let conditions: Vec<String> =
                            rule.conditions.iter().map(ToString::to_string).collect();
                        format!("{} if {}", rule.action, conditions.join(" and "))
                    });
                    by_arguments.insert(name, rules.collect());
                }
            }
        }
        for names in calls.values_mut() {
            names.sort_unstable();
        }
        Self {
            architectures: arches.iter().map(ToString::to_string).collect(),
            default: default.to_string(),
            above: above.to_string(),
            calls,
            by_arguments,
            unknown_names,
        }
    }
}

impl std::fmt::Display for Condition {
    /// As in C, with `arg0` to `arg5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arg = self.arg;
        match self.op {
            Op::Eq(value) => write!(f, "arg{arg} == {value:#x}"),
            Op::Ne(value) => write!(f, "arg{arg} != {value:#x}"),
            Op::Lt(value) => write!(f, "arg{arg} < {value:#x}"),
            Op::Le(value) => write!(f, "arg{arg} <= {value:#x}"),
            Op::Gt(value) => write!(f, "arg{arg} > {value:#x}"),
            Op::Ge(value) => write!(f, "arg{arg} >= {value:#x}"),
            Op::MaskedEq { mask, value } => write!(f, "arg{arg} & {mask:#x} == {value:#x}"),
        }
    }
}
