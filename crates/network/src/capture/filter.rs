//! Which packets are wanted: the common part of pcap-filter(7).
//!
//! Read from words ([`Filter::parse`]) and compiled to a program of the kernel's ([`Filter::compile`]): classic BPF
//! (linux/filter.h), which runs before a packet is copied. As with libpcap, `and` and `or` bind alike, from left to
//! right, and a packet that is too short for what is looked at is not wanted.

mod compile;
mod parse;
mod program;
mod qualifiers;

use std::fmt;

use crate::{Protocol, Subnet};

pub use compile::compile;

/// What packets are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Expr);

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expr {
    Both(Box<Expr>, Box<Expr>),
    Either(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Is(Test),
}

/// Which end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
    Any,
    Both,
}

/// What a packet says that it holds, directly behind the link's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Ipv4,
    Ipv6,
    Arp,
    Rarp,
}

/// What IP carries (IANA's registry of protocol numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    Icmp,
    Icmp6,
    Ports(Protocol),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// Of this network protocol.
    Network(Network),
    /// Carried by IP: of ICMP by IPv4 alone, of ICMPv6 by IPv6 alone.
    Carried(Carried),
    /// An address of this subnet; of this network protocol alone, if there is one.
    Address(Option<Network>, End, Subnet),
    /// A port from the first to the last; of this protocol alone, if there is one.
    Port(Option<Protocol>, End, u16, u16),
    /// An Ethernet address.
    Ether(End, [u8; 6]),
    /// At least so many bytes.
    Greater(u32),
    /// At most so many bytes.
    Less(u32),
    /// With a tag of a VLAN; of this one alone, if there is one.
    Vlan(Option<u16>),
}

/// Why a text is no filter, and at which word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidFilter {
    before: String,
    word: String,
    after: String,
    why: String,
}

impl fmt::Display for InvalidFilter {
    /// The whole text, the word in it between arrows, and what is wrong with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            word,
            after,
            why,
        } = self;
        // Of a long text what is near.
        let first = before.char_indices().rev().nth(MOST_AROUND);
        let (dots, before) = match first {
            Some((at, _)) => ("...", before.get(at..).unwrap_or_default()),
            None => ("", before.as_str()),
        };
        write!(f, "invalid filter: {dots}{before}>>>{word}<<<")?;
        match after.char_indices().nth(MOST_AROUND) {
            Some((at, _)) => write!(f, "{}...: {why}", after.get(..at).unwrap_or_default()),
            None => write!(f, "{after}: {why}"),
        }
    }
}

/// Characters that an error shows before and after a word.
const MOST_AROUND: usize = 100;

/// A filter that makes a longer program than the kernel takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the filter is too long: it takes {0} instructions, and the kernel at most {max}",
    max = soute_sys::packet::MAX_INSTRUCTIONS
)]
pub struct TooLong(usize);
