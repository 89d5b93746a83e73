//! Expressions: what a rule is made of. Each loads something into registers, compares registers, looks them up, or does
//! something with the packet; the first comparison that does not hold ends the rule.

use soute_sys::netlink::{Attribute, Malformed, Writer};

use super::types::Family;

pub(super) const NFTA_LIST_ELEM: u16 = 1;
pub(super) const NFTA_EXPR_NAME: u16 = 1;
pub(super) const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
pub(super) const NFTA_VERDICT_CODE: u16 = 1;
pub(super) const NFTA_VERDICT_CHAIN: u16 = 2;

/// A register: 4 bytes (`NFT_REG32_*`). Longer values fill those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(u8);

impl Reg {
    /// The first of sixteen. What is longer than 4 bytes may begin at 0, 4, 8 and 12 only if it is to be shown by nft(8);
    /// to the kernel all are alike.
    pub const fn word(number: u8) -> Self {
        Self(number)
    }

    fn number(self) -> u32 {
        // NFT_REG32_00 is 8.
        8 + u32::from(self.0)
    }
}

/// What becomes of a packet, or which chain it goes on with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is not passed on.
    Drop,
    /// It leaves this base chain, and meets the next.
    Accept,
    /// Back to behind the jump that led here; in a base chain, to its policy.
    Return,
    /// To a chain of the same table, and back.
    Jump(String),
    /// To a chain of the same table, not back.
    Goto(String),
}

impl Verdict {
    pub(super) fn put(&self, to: &mut Writer) {
        // NF_DROP, NF_ACCEPT, NFT_RETURN, NFT_JUMP, NFT_GOTO
        let (code, chain): (i32, _) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Return => (-5, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
        };
        to.bytes(NFTA_VERDICT_CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            to.text(NFTA_VERDICT_CHAIN, chain);
        }
    }

    pub(super) fn read(attribute: &Attribute<'_>) -> Result<Self, Malformed> {
        let bad = Malformed::new("a verdict");
        let code = attribute.nested().find(NFTA_VERDICT_CODE)?.ok_or(bad)?;
        let chain = || {
            let chain = attribute.nested().find(NFTA_VERDICT_CHAIN)?.ok_or(bad)?;
            chain.text()
        };
        match code.exactly().map(i32::from_be_bytes)? {
            0 => Ok(Self::Drop),
            1 => Ok(Self::Accept),
            -5 => Ok(Self::Return),
            -3 => chain().map(Self::Jump),
            -4 => chain().map(Self::Goto),
            _ => Err(bad),
        }
    }
}

/// Where a packet's headers begin (`NFT_PAYLOAD_*_HEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4's or IPv6's.
    Network = 1,
    /// TCP's, UDP's or SCTP's.
    Transport = 2,
}

/// What is known of a packet besides its bytes (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The name of the interface that it came by: 16 bytes.
    Iifname = 6,
    /// The name of the interface that it leaves by: 16 bytes.
    Oifname = 7,
    /// Its family: 1 byte.
    Nfproto = 15,
    /// Its protocol above IP: 1 byte.
    L4proto = 16,
    /// The kind of the interface that it came by (`bridge`, `veth`): 16 bytes.
    Iifkind = 26,
    /// The kind of the interface that it leaves by: 16 bytes.
    Oifkind = 27,
}

/// What is known of a packet's connection (`NFT_CT_*`): 4 bytes in the machine's order, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ct {
    /// One bit of `NF_CT_STATE_BIT`: 1 invalid, 2 established, 4 related, 8 new.
    State = 0,
    /// Bits of `IPS_*`: 0x10 its source is translated, 0x20 its destination is.
    Status = 2,
    /// The source port of its first packet, before any translation: 2 bytes in the network's order.
    OriginalSourcePort = 11,
    /// The destination port of its first packet.
    OriginalDestinationPort = 12,
}

/// What the routing table says (`NFT_FIB_RESULT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fib {
    /// The type of the destination, `RTN_*` in 4 bytes: 2 is an address of this machine.
    DestinationType,
    /// The type of the source.
    SourceType,
}

/// `NFT_CMP_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The same.
    Equal = 0,
    /// Different.
    Unequal = 1,
}

/// Which address is translated (`NFT_NAT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The source.
    Source = 0,
    /// The destination.
    Destination = 1,
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Loads `length` bytes at `offset` of a header.
    Payload {
        /// The header.
        base: Header,
        /// From its beginning, in bytes.
        offset: u32,
        /// In bytes.
        length: u32,
        /// Where to.
        to: Reg,
    },
    /// Loads what is known of the packet.
    Meta(Meta, Reg),
    /// Loads what is known of its connection.
    Ct(Ct, Reg),
    /// Loads what the routing table says of it.
    Fib(Fib, Reg),
    /// Loads a constant.
    Immediate(Reg, Vec<u8>),
    /// Changes bits: `(from & mask) ^ xor`, both of the same length.
    Bitwise {
        /// Both from and to.
        reg: Reg,
        /// Bits that are kept.
        mask: Vec<u8>,
        /// Bits that are turned over.
        xor: Vec<u8>,
    },
    /// Goes on if the comparison holds.
    Cmp(Reg, Compare, Vec<u8>),
    /// Goes on if the key is in the set.
    InSet(Reg, &'static str),
    /// Goes on if the key is not in the set.
    NotInSet(Reg, &'static str),
    /// Goes on if the key is in the map, and loads what it leads to.
    Map {
        /// The key.
        from: Reg,
        /// The map's name.
        map: &'static str,
        /// Where to.
        to: Reg,
    },
    /// Does what the verdict map says, if the key is in it.
    VerdictMap(Reg, &'static str),
    /// Ends the rule.
    Verdict(Verdict),
    /// Translates the connection's address, and ends the rule.
    Nat {
        /// Which one.
        kind: Nat,
        /// Whose addresses: IPv4 or IPv6.
        family: Family,
        /// The new address.
        address: Reg,
        /// The new port.
        port: Option<Reg>,
        /// `NF_NAT_RANGE_*` beyond those that the registers tell of: 0x4 a random port, 0x8 the same for each client.
        flags: u32,
    },
    /// Translates the source to an address of the interface that the packet leaves by.
    Masquerade,
    /// Counts packets and bytes.
    Counter,
    /// Goes on for so many packets a second, and not for more.
    AtMost(u32),
    /// Has all further rules that the packet meets told to who listens ([`super::Tracer`]). The register is free then.
    Trace(Reg),
}

impl Expr {
    /// As an entry of `NFTA_RULE_EXPRESSIONS`.
    pub(crate) fn put(&self, list: &mut Writer) {
        list.nest(NFTA_LIST_ELEM, |expr| {
            expr.text(NFTA_EXPR_NAME, self.name());
            expr.nest(NFTA_EXPR_DATA, |data| self.data(data));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta(..) | Self::Trace(..) => "meta",
            Self::Ct(..) => "ct",
            Self::Fib(..) => "fib",
            Self::Immediate(..) | Self::Verdict(..) => "immediate",
            Self::AtMost(..) => "limit",
            Self::Bitwise { .. } => "bitwise",
            Self::Cmp(..) => "cmp",
            Self::InSet(..) | Self::NotInSet(..) | Self::Map { .. } | Self::VerdictMap(..) => {
                "lookup"
            }
            Self::Nat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Counter => "counter",
        }
    }

    /// The attributes of each kind, by their numbers in linux/netfilter/nf_tables.h (`NFTA_PAYLOAD_DREG` is 1 and so on).
    fn data(&self, to: &mut Writer) {
        match self {
            Self::Payload {
                base,
                offset,
                length,
                to: reg,
            } => {
                to.be32(1, reg.number())
                    .be32(2, *base as u32)
                    .be32(3, *offset)
                    .be32(4, *length);
            }
            Self::Meta(key, reg) => {
                to.be32(1, reg.number()).be32(2, *key as u32);
            }
            Self::Ct(key, reg) => {
                to.be32(1, reg.number()).be32(2, *key as u32);
                // NFTA_CT_DIRECTION, IP_CT_DIR_ORIGINAL
                if matches!(key, Ct::OriginalSourcePort | Ct::OriginalDestinationPort) {
                    to.u8(3, 0);
                }
            }
            // NFT_FIB_RESULT_ADDRTYPE is 3; NFTA_FIB_F_SADDR 1, NFTA_FIB_F_DADDR 2.
            Self::Fib(what, reg) => {
                let flags = if *what == Fib::SourceType { 1 } else { 2 };
                to.be32(1, reg.number()).be32(2, 3).be32(3, flags);
            }
            Self::Immediate(reg, bytes) => {
                to.be32(1, reg.number());
                value(to, 2, bytes);
            }
            Self::Bitwise { reg, mask, xor } => {
                to.be32(1, reg.number())
                    .be32(2, reg.number())
                    .be32(3, mask.len() as u32);
                value(to, 4, mask);
                value(to, 5, xor);
            }
            Self::Cmp(reg, compare, bytes) => {
                to.be32(1, reg.number()).be32(2, *compare as u32);
                value(to, 3, bytes);
            }
            Self::InSet(reg, set) => {
                to.text(1, set).be32(2, reg.number());
            }
            // NFT_LOOKUP_F_INV
            Self::NotInSet(reg, set) => {
                to.text(1, set).be32(2, reg.number()).be32(5, 1);
            }
            Self::Map {
                from,
                map,
                to: result,
            } => {
                to.text(1, map)
                    .be32(2, from.number())
                    .be32(3, result.number());
            }
            // NFT_REG_VERDICT is 0.
            Self::VerdictMap(reg, map) => {
                to.text(1, map).be32(2, reg.number()).be32(3, 0);
            }
            Self::Verdict(verdict) => {
                to.be32(1, 0).nest(2, |data| {
                    data.nest(NFTA_DATA_VERDICT, |data| verdict.put(data));
                });
            }
            Self::Nat {
                kind,
                family,
                address,
                port,
                flags,
            } => {
                to.be32(1, *kind as u32)
                    .be32(2, family.0.into())
                    .be32(3, address.number());
                if let Some(port) = port {
                    to.be32(5, port.number());
                }
                if *flags != 0 {
                    to.be32(7, *flags);
                }
            }
            // Packets a second, of which as many at once: NFT_LIMIT_PKTS.
            Self::AtMost(rate) => {
                to.bytes(1, &u64::from(*rate).to_be_bytes())
                    .bytes(2, &1u64.to_be_bytes())
                    .be32(3, *rate)
                    .be32(4, 0);
            }
            // NFT_META_NFTRACE, from a register.
            Self::Trace(reg) => {
                to.be32(2, 12).be32(3, reg.number());
            }
            Self::Masquerade | Self::Counter => {}
        }
    }
}

fn value(to: &mut Writer, kind: u16, bytes: &[u8]) {
    to.nest(kind, |data| {
        data.bytes(NFTA_DATA_VALUE, bytes);
    });
}
