//! Rules by system call number, compiled to a filter.
//!
//! One binary tree of comparisons per architecture over ranges of numbers
//! with equal decisions. The kernel runs a new filter once for each number to
//! learn which are always allowed (kernel/seccomp.c, `seccomp_cache_prepare`)
//! and does not run it for those again: what counts is the length of the way
//! to an answer, alike for all numbers.

use soute_sys::seccomp::SockFilter;

use super::action::Action;
use super::program::{Compare, Half, Label, Program};
use super::sections::Section;

/// A comparison of an argument with constants, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq(u64),
    Ne(u64),
    Lt(u64),
    Le(u64),
    Gt(u64),
    Ge(u64),
    /// `argument & mask == value`
    MaskedEq {
        mask: u64,
        value: u64,
    },
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub arg: u8,
    /// What it is compared with.
    pub op: Op,
}

/// An answer that is given where all conditions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule<'a> {
    pub conditions: &'a [Condition],
    pub action: Action,
}

/// What is decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision<'a> {
    Always(Action),
    /// The first rule that matches, or else the action.
    ByArguments(&'a [Rule<'a>], Action),
}

/// The filter for these sections, the most usual first; `None` if it is too long for the kernel.
///
/// A call by another ABI kills the process: nothing would be known of it.
pub(crate) fn compile(sections: &[Section<'_>]) -> Option<Vec<SockFilter>> {
    let mut program = Program::new();
    let bodies: Vec<(u32, Label)> = sections
        .iter()
        .rev()
        .map(|section| {
            let tree = Tree {
                section,
                program: &mut program,
            }
            .emit(0, section.ranges.len());
            (section.audit, program.load_number(tree))
        })
        .collect();
    let mut next = program.answer(Action::KillProcess);
    for (audit, body) in bodies {
        next = program.branch(Compare::Equal, audit, body, next);
    }
    program.load_arch(next);
    program.finish()
}

struct Tree<'s, 'a, 'p> {
    section: &'s Section<'a>,
    program: &'p mut Program,
}

impl Tree<'_, '_, '_> {
    /// Decides among the ranges from `low` to before `high`.
    fn emit(&mut self, low: usize, high: usize) -> Label {
        let ranges = &self.section.ranges;
        if high - low == 1 {
            return self.leaf(low);
        }
        // A single number that differs from both its neighbours' decision.
        if high - low == 3
            && ranges[low].1 == ranges[low + 2].1
            && ranges[low + 2].0 == ranges[low + 1].0 + 1
        {
            let number = ranges[low + 1].0;
            let around = self.leaf(low);
            let single = self.leaf(low + 1);
            return self.program.branch(Compare::Equal, number, single, around);
        }
        let middle = self.middle(low, high);
        let first = ranges[middle].0;
        let above = self.emit(middle, high);
        let below = self.emit(low, middle);
        self.program
            .branch(Compare::GreaterOrEqual, first, above, below)
    }

    /// The range whose start halves the numbers that the kernel tries, or the ranges where it tries none.
    fn middle(&self, low: usize, high: usize) -> usize {
        let ranges = &self.section.ranges;
        let tried = |range: usize| {
            let end = ranges.get(range).map_or(u32::MAX, |r| r.0);
            end.min(self.section.tried)
        };
        let (first, end) = (tried(low), tried(high));
        if first == end {
            return low + (high - low) / 2;
        }
        let half = first + (end - first) / 2;
        let after = low + ranges[low..high].partition_point(|range| range.0 < half);
        let after = after.clamp(low + 1, high - 1);
        let before = (after - 1).max(low + 1);
        if half.abs_diff(tried(before)) <= half.abs_diff(tried(after)) {
            before
        } else {
            after
        }
    }

    fn leaf(&mut self, range: usize) -> Label {
        match self.section.ranges[range].1 {
            Decision::Always(action) => self.program.answer(action),
            Decision::ByArguments(rules, otherwise) => {
                let mut next = self.program.answer(otherwise);
                for rule in rules.iter().rev() {
                    let mut matched = self.program.answer(rule.action);
                    for condition in rule.conditions.iter().rev() {
                        matched = self.condition(condition, matched, next);
                    }
                    next = matched;
                }
                next
            }
        }
    }

    /// Goes to `yes` where the condition holds, else to `no`.
    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) -> Label {
        let arg = condition.arg;
        match condition.op {
            Op::Eq(value) => self.masked_eq(arg, u64::MAX, value, yes, no),
            Op::Ne(value) => self.masked_eq(arg, u64::MAX, value, no, yes),
            Op::MaskedEq { mask, value } => self.masked_eq(arg, mask, value, yes, no),
            Op::Gt(value) => self.ordered(arg, Compare::Greater, value, yes, no),
            Op::Le(value) => self.ordered(arg, Compare::Greater, value, no, yes),
            Op::Ge(value) => self.ordered(arg, Compare::GreaterOrEqual, value, yes, no),
            Op::Lt(value) => self.ordered(arg, Compare::GreaterOrEqual, value, no, yes),
        }
    }

    fn masked_eq(&mut self, arg: u8, mask: u64, value: u64, yes: Label, no: Label) -> Label {
        let low = self.half_eq(arg, Half::Low, mask as u32, value as u32, yes, no);
        if !self.section.is_64_bit {
            return low;
        }
        self.half_eq(
            arg,
            Half::High,
            (mask >> 32) as u32,
            (value >> 32) as u32,
            low,
            no,
        )
    }

    fn half_eq(
        &mut self,
        arg: u8,
        half: Half,
        mask: u32,
        value: u32,
        yes: Label,
        no: Label,
    ) -> Label {
        if mask == 0 {
            // Nothing is left of the argument.
            return if value == 0 { yes } else { no };
        }
        let mut at = self.program.branch(Compare::Equal, value, yes, no);
        if mask != u32::MAX {
            at = self.program.and(mask, at);
        }
        self.program.load_arg(arg, half, at)
    }

    fn ordered(&mut self, arg: u8, compare: Compare, value: u64, yes: Label, no: Label) -> Label {
        let (high, low) = ((value >> 32) as u32, value as u32);
        let at = self.program.branch(compare, low, yes, no);
        let at = self.program.load_arg(arg, Half::Low, at);
        if !self.section.is_64_bit {
            return at;
        }
        // The low half decides where the high one is equal.
        let at = self.program.branch(Compare::Equal, high, at, no);
        let at = self.program.branch(Compare::Greater, high, yes, at);
        self.program.load_arg(arg, Half::High, at)
    }
}
