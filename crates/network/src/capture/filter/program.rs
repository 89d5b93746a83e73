//! The kernel's programs, written from their end.
//!
//! Jumps go forward alone, so that where a jump leads is known when it is written.

use std::collections::BTreeMap;

use soute_sys::packet::SockFilter;

/// linux/bpf_common.h, linux/filter.h: classes, sizes, modes, operations.
const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_H_IND: u16 = 0x48;
const LD_W_LEN: u16 = 0x80;
const LDX_B_MSH: u16 = 0xb1;
const AND_K: u16 = 0x54;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;
const JSET_K: u16 = 0x45;
pub(super) const RET_K: u16 = 0x06;

/// Conditions on fields.
pub(super) enum Node {
    Always(bool),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A field, its bits that count, a comparison, and with what.
    Check(Field, u32, Is, u32),
    /// A field, and the values that it may have.
    OneOf(Field, Vec<u32>),
}

/// What is loaded.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// The packet's length.
    Length,
    /// 32, 16 or 8 bits at this place.
    Word(u32),
    Half(u32),
    Byte(u32),
    /// 16 bits, so far behind the IPv4 header that begins at the second place and has any length.
    Behind(u32, u32),
}

#[derive(Clone, Copy)]
pub(super) enum Is {
    Equal,
    Above,
    AtLeast,
    /// Some of these bits are set.
    AnyOf,
}

pub(super) fn check(field: Field, is: Is, value: u32) -> Node {
    Node::Check(field, u32::MAX, is, value)
}

/// Where a jump leads: instructions that come behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label(usize);

#[derive(Default)]
pub(super) struct Program {
    /// The last instruction first.
    reversed: Vec<SockFilter>,
    /// The nearest instruction that does nothing but jump on, by where it leads.
    relays: BTreeMap<usize, Label>,
}

impl Program {
    pub(super) fn put(&mut self, code: u16, k: u32) -> Label {
        self.insert(SockFilter {
            code,
            jt: 0,
            jf: 0,
            k,
        })
    }

    fn insert(&mut self, instruction: SockFilter) -> Label {
        self.reversed.push(instruction);
        Label(self.reversed.len() - 1)
    }

    /// How many instructions the next one skips to get to `to`.
    fn distance(&self, to: Label) -> usize {
        self.reversed.len() - 1 - to.0
    }

    /// A place near enough for a conditional jump that leads to `to`.
    fn near(&mut self, to: Label) -> Label {
        // Another such place may come between.
        const FURTHEST: usize = 254;
        if self.distance(to) <= FURTHEST {
            return to;
        }
        if let Some(relay) = self.relays.get(&to.0)
            && self.distance(*relay) <= FURTHEST
        {
            return *relay;
        }
        let relay = self.put(JA, self.distance(to) as u32);
        self.relays.insert(to.0, relay);
        relay
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let yes = self.near(yes);
        let no = self.near(no);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.insert(SockFilter { code, jt, jf, k })
    }

    pub(super) fn node(&mut self, node: &Node, yes: Label, no: Label) -> Label {
        match node {
            Node::Always(true) => yes,
            Node::Always(false) => no,
            Node::Not(node) => self.node(node, no, yes),
            Node::All(nodes) => nodes
                .iter()
                .rev()
                .fold(yes, |next, node| self.node(node, next, no)),
            Node::Any(nodes) => nodes
                .iter()
                .rev()
                .fold(no, |next, node| self.node(node, yes, next)),
            Node::Check(field, mask, is, value) => {
                let code = match is {
                    Is::Equal => JEQ_K,
                    Is::Above => JGT_K,
                    Is::AtLeast => JGE_K,
                    Is::AnyOf => JSET_K,
                };
                self.branch(code, *value, yes, no);
                if *mask != u32::MAX {
                    self.put(AND_K, *mask);
                }
                self.load(*field)
            }
            // Who comes to the second comparison comes from the first: what was loaded is there still.
            Node::OneOf(field, values) => {
                let each = values.iter().rev();
                each.fold(no, |next, value| self.branch(JEQ_K, *value, yes, next));
                self.load(*field)
            }
        }
    }

    fn load(&mut self, field: Field) -> Label {
        match field {
            Field::Length => self.put(LD_W_LEN, 0),
            Field::Word(at) => self.put(LD_W_ABS, at),
            Field::Half(at) => self.put(LD_H_ABS, at),
            Field::Byte(at) => self.put(LD_B_ABS, at),
            Field::Behind(offset, header) => {
                self.put(LD_H_IND, header + offset);
                self.put(LDX_B_MSH, header)
            }
        }
    }
}

impl Program {
    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// The instructions, the first one first.
    pub(super) fn finish(mut self) -> Vec<SockFilter> {
        self.reversed.reverse();
        self.reversed
    }
}
