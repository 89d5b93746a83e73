//! nf_tables by netlink (linux/netfilter/nf_tables.h): what is to be changed as one atomic batch, what there is read back,
//! and news of changes by others.
//!
//! The kernel's messages, not nft(8)'s language; but what is put here, `nft list ruleset` shows as its own.

mod batch;
mod decode;
mod dump;
mod element;
mod expr;
mod listen;
mod objects;
mod program;
mod trace;
mod types;

use soute_sys::CallError;
use soute_sys::netlink::{Protocol, Socket};
use std::os::fd::BorrowedFd;

pub use batch::Batch;
pub use dump::{RuleText, SeenBase, SeenChain, SeenRule, SeenSet, SeenTable};
pub use element::{Data, Element, Key, show};
pub use expr::{Compare, Ct, Expr, Fib, Header, Meta, Nat, Reg, Verdict};
pub use listen::Listener;
pub use objects::{Base, Chain, Rule, Set, Table};
pub use program::{Arriving, Contents, Program, Ruling, Sets};
pub use trace::{Event, Header as TracedHeader, Met, Packet, Said, Tracer};
pub use types::{ChainKind, Family, Hook, Mapped, Type};

/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES: u16 = 10;

/// `NFT_MSG_*`
mod message {
    pub const NEWTABLE: u16 = 0;
    pub const GETTABLE: u16 = 1;
    pub const DELTABLE: u16 = 2;
    pub const NEWCHAIN: u16 = 3;
    pub const GETCHAIN: u16 = 4;
    pub const NEWRULE: u16 = 6;
    pub const GETRULE: u16 = 7;
    pub const NEWSET: u16 = 9;
    pub const GETSET: u16 = 10;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
    pub const NEWGEN: u16 = 15;
    pub const GETGEN: u16 = 16;
    pub const TRACE: u16 = 17;
}

/// What is asked of nf_tables in one network namespace.
#[derive(Debug)]
pub struct Nftables(Socket);

impl Nftables {
    /// Of the caller's network namespace.
    ///
    /// # Errors
    /// EPROTONOSUPPORT: the kernel has no netfilter.
    pub fn open() -> Result<Self, CallError> {
        Socket::open(Protocol::Netfilter).map(Self)
    }

    /// Of another. The caller has one thread ([`Socket::open_in`]).
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, CallError> {
        Socket::open_in(Protocol::Netfilter, namespace).map(Self)
    }
}

/// For fuzz/: reads a message as each of what is asked for, and runs the rule that it may be with the elements in it.
#[cfg(fuzzing)]
pub fn fuzz(message: &soute_sys::netlink::Message<'_>) {
    _ = dump::read_table(message);
    _ = dump::read_chain(message);
    _ = dump::read_rule(message);
    _ = dump::read_set(message);
    _ = dump::read_text(message);
    _ = Event::read(message);
    let elements = dump::read_elements(message).unwrap_or_default();
    let Ok((_, program)) = dump::read_program(message) else {
        return;
    };
    for (intervals, ipv4) in [(false, true), (true, false)] {
        let contents = Contents {
            intervals,
            key: 4,
            elements: elements.clone(),
        };
        let packet = Arriving {
            ipv4,
            protocol: 6,
            port: 80,
            address: None,
        };
        _ = program.run(packet, &Sets::from([("s".to_owned(), contents)]));
    }
}

/// A message's type as netlink counts it.
fn kind(message: u16) -> u16 {
    NFTABLES << 8 | message
}

/// struct nfgenmsg: the family, a version, a number of the subsystem's (16 bits in the network's order).
fn header(family: Family, resource: u16) -> [u8; 4] {
    let [a, b] = resource.to_be_bytes();
    [family.0, 0, a, b]
}
