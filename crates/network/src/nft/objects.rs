//! What a table is made of, as it is to be.

use super::element::{Element, show};
use super::expr::Expr;
use super::types::{self, ChainKind, Family, Hook, Mapped, Type};

pub(super) const NFT_SET_INTERVAL: u32 = 0x4;
const NFT_SET_MAP: u32 = 0x8;
const NFT_SET_CONCAT: u32 = 0x80;
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Whose packets it sees.
    pub family: Family,
    /// Its name.
    pub name: &'static str,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

/// A chain of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where packets come to it from; none: from jumps alone.
    pub base: Option<Base>,
}

impl Chain {
    /// A base chain.
    pub const fn base(name: &'static str, kind: ChainKind, hook: Hook, priority: i32) -> Self {
        Self {
            name,
            base: Some(Base {
                kind,
                hook,
                priority,
            }),
        }
    }
}

/// What makes a chain a base chain. Packets that no rule decides on are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// What it is for.
    pub kind: ChainKind,
    /// Where on the packets' way.
    pub hook: Hook,
    /// Among the chains of that hook: the lowest comes first.
    pub priority: i32,
}

/// A set or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// The fields of its keys.
    pub key: &'static [Type],
    /// What its keys lead to.
    pub to: Mapped,
    /// Whether its elements are intervals of keys.
    pub intervals: bool,
}

impl Set {
    /// Whether its elements are intervals of several fields, each of which the kernel has to know the length of.
    pub(super) fn has_intervals_of_fields(&self) -> bool {
        self.intervals && self.key.len() > 1
    }

    /// `NFT_SET_*`
    pub(super) fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.intervals {
            flags |= NFT_SET_INTERVAL;
            if self.has_intervals_of_fields() {
                flags |= NFT_SET_CONCAT;
            }
        }
        if self.to != Mapped::Nothing {
            flags |= NFT_SET_MAP;
        }
        flags
    }

    /// nft(8)'s type of what it leads to, and its length in bytes.
    pub(super) fn data(&self) -> Option<(u32, u32)> {
        match self.to {
            Mapped::Nothing => None,
            Mapped::Values(fields) => Some((types::number(fields), types::length(fields) as u32)),
            Mapped::Verdicts => Some((NFT_DATA_VERDICT, 0)),
        }
    }

    /// What nft(8) keeps with it, to know in which order of bytes a lonely field is: types 0 and 1
    /// (`NFTNL_UDATA_SET_KEYBYTEORDER`, `…DATABYTEORDER`), 4 bytes each: 1 the machine's, 2 the network's, 0 neither.
    pub(super) fn userdata(&self) -> Vec<u8> {
        let order = |fields: &[Type]| match fields {
            [one] => 1 + u32::from(one.is_big_endian()),
            _ => 0,
        };
        let mut kept = vec![0, 4];
        kept.extend(order(self.key).to_ne_bytes());
        if let Mapped::Values(fields) = self.to {
            kept.extend([1, 4]);
            kept.extend(order(fields).to_ne_bytes());
        }
        kept
    }

    /// An element as nft(8) shows it, for errors.
    pub(super) fn shown(&self, element: &Element) -> String {
        show(self.key, &element.key)
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The chain that it is in.
    pub chain: &'static str,
    /// What it does, in this order.
    pub expressions: Vec<Expr>,
    /// For readers, and to know it again: at most 128 bytes.
    pub comment: String,
}
