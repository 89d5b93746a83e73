//! Decisions for all numbers that a call can have.

use super::action::Action;
use super::arch::{ARM_OWN_END, ARM_OWN_FIRST, Arch, X32_BIT};
use super::compile::Decision;

/// Decisions for all numbers of one `AUDIT_ARCH_`.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub audit: u32,
    pub is_64_bit: bool,
    /// Numbers below it are those that the kernel tries a new filter with.
    pub tried: u32,
    /// First number and decision, ascending from 0; each goes to the next one's first number.
    pub ranges: Vec<(u32, Decision<'a>)>,
}

impl<'a> Section<'a> {
    /// Decides about the numbers from `first` to the next call's; `first` ascends from 0.
    fn from(&mut self, first: u32, decision: Decision<'a>) {
        debug_assert!(self.ranges.last().map_or(first == 0, |last| last.0 < first));
        if self.ranges.last().is_none_or(|last| last.1 != decision) {
            self.ranges.push((first, decision));
        }
    }

    /// The decision about a number.
    pub(crate) fn decision(&self, number: u32) -> Decision<'a> {
        let after = self.ranges.partition_point(|range| range.0 <= number);
        self.ranges[after - 1].1
    }
}

/// Sections under construction, one architecture after the other.
#[derive(Debug)]
pub(crate) struct Sections<'a> {
    default: Action,
    above: Action,
    has_x32: bool,
    sections: Vec<Section<'a>>,
}

impl<'a> Sections<'a> {
    /// `default`: about a number between those decided on. `above`: about one above all of them.
    pub(crate) fn new(default: Action, above: Action) -> Self {
        Self {
            default,
            above,
            has_x32: false,
            sections: Vec::with_capacity(2),
        }
    }

    /// Decides about the calls of an architecture, whose numbers ascend. x86_64 comes before x32.
    pub(crate) fn add(&mut self, arch: Arch, calls: impl Iterator<Item = (u32, Decision<'a>)>) {
        if arch == Arch::X32 {
            self.has_x32 = true;
        } else {
            self.sections.push(Section {
                audit: arch.audit(),
                is_64_bit: arch.is_64_bit(),
                tried: arch.table_len(),
                ranges: Vec::with_capacity(256),
            });
        }
        let Some(section) = self
            .sections
            .iter_mut()
            .find(|section| section.audit == arch.audit())
        else {
            unreachable!("x32 without x86_64");
        };
        let mut next = arch.base();
        let mut last = self.default;
        // ARM's private calls are far above the ordinary ones, with numbers between that no call will have.
        let own = |number: u32| arch == Arch::Arm && number >= ARM_OWN_FIRST;
        for (number, decision) in calls {
            if own(number) && !own(next) {
                section.from(next, Decision::Always(last));
                next = ARM_OWN_FIRST;
            }
            if number > next {
                section.from(next, Decision::Always(self.default));
            }
            section.from(number, decision);
            next = number + 1;
            last = self.above;
        }
        if arch == Arch::Arm && next < ARM_OWN_END {
            if !own(next) {
                section.from(next, Decision::Always(last));
                next = ARM_OWN_FIRST;
            }
            section.from(next, Decision::Always(self.default));
            next = ARM_OWN_END;
        }
        section.from(next, Decision::Always(last));
    }

    /// All of them. Calls of x32 are those of an unknown architecture if it was not added.
    pub(crate) fn finish(mut self) -> Vec<Section<'a>> {
        for section in &mut self.sections {
            if section.audit == Arch::X32.audit() && !self.has_x32 {
                section.from(X32_BIT, Decision::Always(Action::KillProcess));
                // A tracer's way to skip a call, which the filter sees again (seccomp(2)).
                section.from(u32::MAX, Decision::Always(self.default));
            }
        }
        self.sections
    }
}
