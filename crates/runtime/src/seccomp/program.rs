//! Assembling a filter.
//!
//! Jumps of classic BPF go forward only, so the program is written from its
//! end: whatever is jumped to is there already, and every distance is known.

use soute_sys::seccomp::{
    AND, JUMP, JUMP_EQ, JUMP_GE, JUMP_GT, LOAD, MAX_INSTRUCTIONS, RETURN, SockFilter,
};

use super::action::Action;

/// How far a conditional jump goes.
const REACH: usize = 255;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// An instruction, counted from the program's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A comparison of the accumulator with a constant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

/// A half of a 64-bit argument.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    High,
    Low,
}

/// A program under construction, last instruction first.
#[derive(Debug)]
pub(super) struct Program {
    reversed: Vec<SockFilter>,
    /// The nearest return of each value.
    returns: Vec<(u32, Label)>,
}

impl Program {
    pub(super) fn new() -> Self {
        Self {
            reversed: Vec::with_capacity(512),
            returns: Vec::with_capacity(8),
        }
    }

    /// The finished program; `None` if the kernel would not take its length.
    pub(super) fn finish(mut self) -> Option<Vec<SockFilter>> {
        self.reversed.reverse();
        (self.reversed.len() <= MAX_INSTRUCTIONS).then_some(self.reversed)
    }

    /// A return of this answer, shared where there is one.
    pub(super) fn answer(&mut self, action: Action) -> Label {
        let code = action.code();
        match self.returns.iter().find(|r| r.0 == code) {
            Some(&(_, label)) => label,
            None => self.new_return(code),
        }
    }

    fn new_return(&mut self, code: u32) -> Label {
        let label = self.push(RETURN, code, 0, 0);
        match self.returns.iter_mut().find(|r| r.0 == code) {
            Some(nearest) => nearest.1 = label,
            None => self.returns.push((code, label)),
        }
        label
    }

    /// `A = seccomp_data.nr`, followed by `next`.
    pub(super) fn load_number(&mut self, next: Label) -> Label {
        self.load(NUMBER, next)
    }

    /// `A = seccomp_data.arch`, followed by `next`.
    pub(super) fn load_arch(&mut self, next: Label) -> Label {
        self.load(ARCH, next)
    }

    /// `A =` half of an argument, followed by `next`.
    pub(super) fn load_arg(&mut self, index: u8, half: Half, next: Label) -> Label {
        let big_endian = cfg!(target_endian = "big");
        let high_at = if big_endian { 0 } else { 4 };
        let offset = match half {
            Half::High => high_at,
            Half::Low => 4 - high_at,
        };
        self.load(ARGS + 8 * u32::from(index) + offset, next)
    }

    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.continue_at(next);
        self.push(LOAD, offset, 0, 0)
    }

    /// `A &= mask`, followed by `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.continue_at(next);
        self.push(AND, mask, 0, 0)
    }

    /// Goes to `then` or `otherwise`.
    pub(super) fn branch(
        &mut self,
        compare: Compare,
        operand: u32,
        then: Label,
        otherwise: Label,
    ) -> Label {
        // Bringing the second near may put one instruction between here and the first.
        let then = self.near(then, 1);
        let otherwise = self.near(otherwise, 0);
        let code = match compare {
            Compare::Equal => JUMP_EQ,
            Compare::Greater => JUMP_GT,
            Compare::GreaterOrEqual => JUMP_GE,
        };
        let (jt, jf) = (self.distance(then), self.distance(otherwise));
        self.push(code, operand, jt as u8, jf as u8)
    }

    /// `target`, or something that does the same and can be jumped to from here with `reserve` more instructions between.
    fn near(&mut self, target: Label, reserve: usize) -> Label {
        if self.distance(target) + reserve <= REACH {
            return target;
        }
        let there = self.reversed[target.0];
        if there.code == RETURN {
            return self.new_return(there.k);
        }
        self.jump(target)
    }

    /// Makes sure that the next instruction to be written is followed by `next`.
    fn continue_at(&mut self, next: Label) {
        if self.distance(next) > 0 {
            self.jump(next);
        }
    }

    fn jump(&mut self, target: Label) -> Label {
        let distance = self.distance(target);
        self.push(JUMP, distance as u32, 0, 0)
    }

    /// From the next instruction to be written to `target`, as the kernel counts: 0 is the following one.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0 - 1
    }

    fn push(&mut self, code: u16, k: u32, jt: u8, jf: u8) -> Label {
        self.reversed.push(SockFilter { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }
}
