//! What a rule of anybody's does with a packet of which a few things are known: run as the kernel runs it, as far as that
//! goes.
//!
//! Registers hold bytes that are known and bytes that are not. A rule whose verdict hangs on one that is not decides nothing;
//! one that has something that is not known here decides perhaps.

use std::collections::HashMap;
use std::net::IpAddr;

use soute_sys::netlink::{Attribute, Attributes};

use super::decode::{bytes, find, number, word};
use super::element::{Data, Element};
use super::expr::{NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, Verdict};

/// Registers in bytes: 16 words.
const REGISTERS: usize = 64;
/// `NF_CT_STATE_BIT(IP_CT_NEW)`, and xt_conntrack's bit for it, which is the same.
const NEW: u32 = 8;
/// `RTN_LOCAL`
const LOCAL: u32 = 2;

/// The first packet of a connection from outside to a port of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arriving {
    /// Of IPv4 or of IPv6.
    pub ipv4: bool,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// Its destination.
    pub port: u16,
    /// The address of this machine's that it is for. `None`: any.
    pub address: Option<IpAddr>,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether that is so of all such packets, as far as it was read: a limit lets some pass, and others not.
    pub always: bool,
}

/// A rule's expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Load(What, usize),
    /// `to = from & mask ^ xor`
    Mask {
        from: usize,
        to: usize,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// `NFT_CMP_*`
    Compare(usize, u32, Vec<u8>),
    Range {
        at: usize,
        is_not: bool,
        first: Vec<u8>,
        last: Vec<u8>,
    },
    Lookup {
        at: usize,
        set: String,
        is_not: bool,
        /// Where a value goes that it leads to; the first is the verdict's.
        to: Option<Option<usize>>,
    },
    /// A match of iptables(8)'s that a rule of nft's has no words for.
    Match(String, Vec<u8>),
    Verdict(Verdict),
    /// Not known here.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Family,
    Protocol,
    State,
    DestinationType,
    Network { offset: usize, length: usize },
    Transport { offset: usize, length: usize },
    Constant(Vec<u8>),
    Anything(usize),
}

/// What is in a set or map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether its elements are where intervals begin and end.
    pub intervals: bool,
    /// The length of its keys in bytes.
    pub key: usize,
    /// In any order.
    pub elements: Vec<Element>,
}

/// The sets of a table, by their names. One that is not among them is not known.
pub type Sets = HashMap<String, Contents>;

impl Program {
    /// From the entries of `NFTA_RULE_EXPRESSIONS`.
    pub(crate) fn read(expressions: Attributes<'_>) -> Self {
        let step = |expression: Attribute<'_>| {
            let name = find(&expression, NFTA_EXPR_NAME)?.text().ok()?;
            let empty = Attribute {
                kind: 0,
                value: &[],
            };
            let data = find(&expression, NFTA_EXPR_DATA).unwrap_or(empty);
            read(&name, &data)
        };
        let steps = expressions.map(|expression| match expression {
            Ok(expression) => step(expression).unwrap_or(Some(Step::Unknown)),
            Err(_) => Some(Step::Unknown),
        });
        Self(steps.flatten().collect())
    }

    /// What it does with every packet, if it asks nothing of them.
    pub fn of_all(&self) -> Option<&Verdict> {
        match self.0.as_slice() {
            [Step::Verdict(verdict)] => Some(verdict),
            _ => None,
        }
    }

    /// One that asks nothing.
    #[cfg(test)]
    pub(crate) fn always(verdict: Verdict) -> Self {
        Self(vec![Step::Verdict(verdict)])
    }

    /// The sets that it looks something up in.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Lookup { set, .. } => Some(set.as_str()),
            _ => None,
        })
    }

    /// What becomes of the packet by this rule. `None`: the next rule decides, or it cannot be told.
    pub fn run(&self, packet: Arriving, sets: &Sets) -> Option<Ruling> {
        let mut registers = Registers([None; REGISTERS]);
        let mut always = true;
        let ruling = |verdict: &Verdict, always| Ruling {
            verdict: verdict.clone(),
            always,
        };
        for step in &self.0 {
            match step {
                Step::Load(what, to) => registers.put(*to, &what.of(packet)),
                Step::Mask {
                    from,
                    to,
                    mask,
                    xor,
                } => {
                    let masked = registers.get(*from, mask.len())?.iter().zip(mask);
                    let masked: Vec<_> = masked
                        .zip(xor)
                        .map(|((byte, mask), xor)| match (byte, mask) {
                            (_, 0) => Some(*xor),
                            (byte, mask) => byte.map(|byte| byte & mask ^ xor),
                        })
                        .collect();
                    registers.put(*to, &masked);
                }
                Step::Compare(at, operator, value) => {
                    let ordering = registers.known(*at, value.len())?.cmp(value);
                    let holds = match operator {
                        0 => ordering.is_eq(),
                        1 => ordering.is_ne(),
                        2 => ordering.is_lt(),
                        3 => ordering.is_le(),
                        4 => ordering.is_gt(),
                        5 => ordering.is_ge(),
                        _ => return None,
                    };
                    holds.then_some(())?;
                }
                Step::Range {
                    at,
                    is_not,
                    first,
                    last,
                } => {
                    let value = registers.known(*at, first.len())?;
                    ((*first <= value && value <= *last) != *is_not).then_some(())?;
                }
                Step::Lookup {
                    at,
                    set,
                    is_not,
                    to,
                } => {
                    let set = sets.get(set)?;
                    let found = set.find(&registers.known(*at, set.key)?)?;
                    match (to, found) {
                        (None, found) => (found.is_some() != *is_not).then_some(())?,
                        (Some(None), Some(found)) => match &found.data {
                            Some(Data::Verdict(verdict)) => return Some(ruling(verdict, always)),
                            _ => return None,
                        },
                        (Some(Some(to)), Some(_)) => registers.put(*to, &[None; 16]),
                        (Some(_), None) => return None,
                    }
                }
                Step::Match(name, info) => matches(name, info, packet)?.then_some(())?,
                Step::Verdict(verdict) => return Some(ruling(verdict, always)),
                // It may have loaded something, too.
                Step::Unknown => {
                    always = false;
                    registers = Registers([None; REGISTERS]);
                }
            }
        }
        None
    }
}

/// One expression. `None`: it is not known; `Some(None)`: it is of no consequence here.
fn read(name: &str, data: &Attribute<'_>) -> Option<Option<Step>> {
    let at = |kind| Some(word(number(data, kind)?)? as usize * 4);
    Some(Some(match name {
        "counter" | "log" | "notrack" | "last" => return Some(None),
        // NFT_OBJECT_COUNTER
        "objref" if number(data, 1) == Some(1) => return Some(None),
        // They set something.
        "meta" if find(data, 3).is_some() => return Some(None),
        "ct" if find(data, 4).is_some() => return Some(None),
        "meta" => match number(data, 2)? {
            15 => Step::Load(What::Family, at(1)?),
            16 => Step::Load(What::Protocol, at(1)?),
            _ => Step::Load(What::Anything(16), at(1)?),
        },
        "ct" => match number(data, 2)? {
            0 => Step::Load(What::State, at(1)?),
            _ => Step::Load(What::Anything(16), at(1)?),
        },
        // NFT_FIB_RESULT_ADDRTYPE of NFTA_FIB_F_DADDR
        "fib" => match (number(data, 2)?, number(data, 3)?) {
            (3, 2) => Step::Load(What::DestinationType, at(1)?),
            _ => Step::Load(What::Anything(16), at(1)?),
        },
        "payload" => {
            let (offset, length) = (number(data, 3)? as usize, number(data, 4)? as usize);
            let what = match number(data, 2)? {
                1 => What::Network { offset, length },
                2 => What::Transport { offset, length },
                _ => What::Anything(length),
            };
            Step::Load(what, at(1)?)
        }
        "immediate" => {
            let held = find(data, 2)?;
            match find(&held, NFTA_DATA_VERDICT) {
                Some(verdict) => Step::Verdict(Verdict::read(&verdict).ok()?),
                None => {
                    let value = find(&held, NFTA_DATA_VALUE)?.value.to_vec();
                    Step::Load(What::Constant(value), at(1)?)
                }
            }
        }
        // NFT_BITWISE_MASK_XOR
        "bitwise" if number(data, 6).unwrap_or(0) == 0 => Step::Mask {
            from: at(1)?,
            to: at(2)?,
            mask: bytes(data, 4)?,
            xor: bytes(data, 5)?,
        },
        "cmp" => Step::Compare(at(1)?, number(data, 2)?, bytes(data, 3)?),
        "range" => Step::Range {
            at: at(1)?,
            is_not: match number(data, 2)? {
                0 => false,
                1 => true,
                _ => return None,
            },
            first: bytes(data, 3)?,
            last: bytes(data, 4)?,
        },
        "lookup" => Step::Lookup {
            at: at(2)?,
            set: find(data, 1)?.text().ok()?,
            is_not: number(data, 5).unwrap_or(0) & 1 != 0,
            to: match number(data, 3) {
                None => None,
                Some(0) => Some(None),
                Some(_) => Some(Some(at(3)?)),
            },
        },
        "match" => Step::Match(find(data, 1)?.text().ok()?, {
            let info = find(data, 3)?.value.to_vec();
            // Layouts differ from one revision to another.
            let revision = number(data, 2).unwrap_or(0);
            match (find(data, 1)?.text().ok()?.as_str(), revision) {
                ("tcp" | "udp" | "comment", 0)
                | ("multiport" | "addrtype", 1)
                | ("conntrack", 3) => info,
                _ => return None,
            }
        }),
        "reject" => Step::Verdict(Verdict::Drop),
        // As iptables has it; its DROP and ACCEPT are nft's own.
        "target" if find(data, 1)?.text().ok()? == "REJECT" => Step::Verdict(Verdict::Drop),
        _ => return None,
    }))
}

struct Registers([Option<u8>; REGISTERS]);

impl Registers {
    fn put(&mut self, at: usize, bytes: &[Option<u8>]) {
        let room = self.0.get_mut(at..).unwrap_or_default();
        room.iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
    }

    fn get(&self, at: usize, length: usize) -> Option<&[Option<u8>]> {
        self.0.get(at..at.checked_add(length)?)
    }

    fn known(&self, at: usize, length: usize) -> Option<Vec<u8>> {
        self.get(at, length)?.iter().copied().collect()
    }
}

impl What {
    /// Filled up to a register, as the kernel does it.
    fn of(&self, packet: Arriving) -> Vec<Option<u8>> {
        let known = |bytes: &[u8]| -> Vec<Option<u8>> {
            let length = bytes.len().next_multiple_of(4);
            let bytes = bytes.iter().copied().chain(std::iter::repeat(0));
            bytes.take(length).map(Some).collect()
        };
        // Of a header's bytes, those are known: where they are, and what.
        let header = |at: usize, length: usize, there: &[(usize, &[u8])]| -> Vec<Option<u8>> {
            let byte = |offset: usize| {
                let mut there = there.iter();
                there.find_map(|(at, bytes)| bytes.get(offset.checked_sub(*at)?).copied())
            };
            let mut bytes: Vec<_> = (0..length.min(REGISTERS))
                .map(|offset| byte(at.saturating_add(offset)))
                .collect();
            bytes.resize(bytes.len().next_multiple_of(4), Some(0));
            bytes
        };
        match self {
            Self::Family => known(&[if packet.ipv4 { 2 } else { 10 }]),
            Self::Protocol => known(&[packet.protocol]),
            Self::State => known(&NEW.to_ne_bytes()),
            Self::DestinationType => known(&LOCAL.to_ne_bytes()),
            Self::Network { offset, length } => {
                let (protocol, destination) = if packet.ipv4 { (9, 16) } else { (6, 24) };
                let address = match packet.address {
                    Some(IpAddr::V4(address)) => address.octets().to_vec(),
                    Some(IpAddr::V6(address)) => address.octets().to_vec(),
                    None => Vec::new(),
                };
                let there: [(usize, &[u8]); 2] =
                    [(protocol, &[packet.protocol]), (destination, &address)];
                header(*offset, *length, &there)
            }
            Self::Transport { offset, length } => {
                header(*offset, *length, &[(2, &packet.port.to_be_bytes())])
            }
            Self::Constant(bytes) => known(bytes),
            Self::Anything(length) => vec![None; (*length).min(REGISTERS)],
        }
    }
}

impl Contents {
    /// The element that the key is or is within. The outer `None`: that cannot be told.
    fn find(&self, key: &[u8]) -> Option<Option<&Element>> {
        if self
            .elements
            .iter()
            .any(|element| element.key_end.is_some())
        {
            return None;
        }
        let all = self.elements.iter().filter(|one| !one.key.is_empty());
        let found = match self.intervals {
            false => all.into_iter().find(|one| one.key == key),
            // Where one ends the next may begin.
            true => all
                .filter(|one| one.key.as_slice() <= key)
                .max_by_key(|one| (&one.key, !one.is_end))
                .filter(|one| !one.is_end),
        };
        // One without a key is for all others.
        Some(found.or_else(|| self.elements.iter().find(|one| one.key.is_empty())))
    }
}

/// Whether a match of xtables' holds (linux/netfilter/xt_*.h), all numbers in the machine's order.
fn matches(name: &str, info: &[u8], packet: Arriving) -> Option<bool> {
    let byte = |at: usize| info.get(at).copied();
    let short = |at: usize| {
        let bytes = info.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_ne_bytes(*bytes))
    };
    let within = |first: u16, last: u16| (first..=last).contains(&packet.port);
    Some(match name {
        "comment" => true,
        // xt_tcp, xt_udp: the source's ports, the destination's; then of TCP an option and flags; what is inverted.
        "tcp" | "udp" => {
            let (number, rest) = if name == "tcp" { (6, 4) } else { (17, 1) };
            let others = info.get(8..8 + rest)?;
            let plain = (short(0)?, short(2)?) == (0, u16::MAX) && flags_are_none(name, others);
            plain.then_some(())?;
            packet.protocol == number && within(short(4)?, short(6)?)
        }
        // xt_multiport_v1: which side, how many, 15 ports, which of them begin a range, whether inverted.
        "multiport" => {
            let (side, count, inverted) = (byte(0)?, usize::from(byte(1)?), byte(47)?);
            (side == 1 && count <= 15).then_some(())?;
            let mut found = false;
            let mut at = 0;
            while at < count {
                let first = short(2 + 2 * at)?;
                let is_range = byte(32 + at)? != 0;
                at += usize::from(is_range);
                found |= within(first, short(2 + 2 * at)?);
                at += 1;
            }
            found != (inverted != 0)
        }
        // xt_addrtype_info_v1: bits of kinds of sources, of destinations, flags.
        "addrtype" => {
            (short(0)? == 0 && info.get(4..8)? == [0; 4]).then_some(())?;
            u32::from(short(2)?) & 1 << LOCAL != 0
        }
        // xt_conntrack_mtinfo3: after addresses, times and ports, what is looked at, what is inverted, bits of states.
        "conntrack" => {
            let (looked_at, inverted, states) = (short(146)?, short(148)?, short(150)?);
            (looked_at == 1 && inverted & !1 == 0).then_some(())?;
            (u32::from(states) & NEW != 0) != (inverted & 1 != 0)
        }
        _ => return None,
    })
}

/// TCP's option is any, and no flag is looked at. Of both, nothing is inverted.
fn flags_are_none(name: &str, rest: &[u8]) -> bool {
    match (name, rest) {
        // With --syn: SYN of FIN, SYN, RST and ACK, as the first packet has it.
        ("tcp", [0, mask, flags, 0]) => (*mask, *flags) == (0, 0) || (*mask, *flags) == (0x17, 2),
        (_, rest) => rest.iter().all(|byte| *byte == 0),
    }
}
