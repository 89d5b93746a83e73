//! Families, hooks, and the types of what sets hold.

use std::fmt;

/// `NFPROTO_*`: whose packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u8);

impl Family {
    /// All of them: to ask for what there is.
    pub const UNSPEC: Self = Self(0);
    /// IPv4 and IPv6.
    pub const INET: Self = Self(1);
    /// IPv4.
    pub const IPV4: Self = Self(2);
    /// IPv6.
    pub const IPV6: Self = Self(10);
}

/// As nft(8) calls it.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "inet",
            2 => "ip",
            3 => "arp",
            5 => "netdev",
            7 => "bridge",
            10 => "ip6",
            other => return write!(f, "family {other}"),
        };
        f.write_str(name)
    }
}

/// `NF_INET_*`: where on a packet's way a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Come in by an interface.
    Prerouting = 0,
    /// To this machine.
    Input = 1,
    /// Through this machine.
    Forward = 2,
    /// From this machine.
    Output = 3,
    /// About to go out by an interface.
    Postrouting = 4,
}

impl Hook {
    /// As nft(8) calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    /// From the kernel's number. `None`: one of another family's.
    pub fn numbered(number: u32) -> Option<Self> {
        [
            Self::Prerouting,
            Self::Input,
            Self::Forward,
            Self::Output,
            Self::Postrouting,
        ]
        .into_iter()
        .find(|hook| *hook as u32 == number)
    }
}

/// What a base chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Lets packets pass or not.
    Filter,
    /// Sees the first packet of a connection, and translates the connection's addresses.
    Nat,
}

impl ChainKind {
    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

/// The type of a field of a set's keys or values. The kernel knows their lengths only; by their numbers nft(8) knows how
/// to show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `nf_proto`: a family.
    NfProto,
    /// `ipv4_addr`
    Ipv4Addr,
    /// `ipv6_addr`
    Ipv6Addr,
    /// `inet_proto`: a protocol above IP.
    InetProto,
    /// `inet_service`: a port.
    InetService,
    /// `ifname`: an interface's name, filled up with NULs.
    Ifname,
}

impl Type {
    /// nft(8)'s number for it (`enum datatypes` of its include/datatype.h).
    pub(super) fn number(self) -> u32 {
        match self {
            Self::NfProto => 2,
            Self::Ipv4Addr => 7,
            Self::Ipv6Addr => 8,
            Self::InetProto => 12,
            Self::InetService => 13,
            Self::Ifname => 41,
        }
    }

    /// Its length in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::NfProto | Self::InetProto => 1,
            Self::InetService => 2,
            Self::Ipv4Addr => 4,
            Self::Ipv6Addr | Self::Ifname => 16,
        }
    }

    /// Whether nft(8) takes the bytes in the network's order, not the machine's.
    pub(super) fn is_big_endian(self) -> bool {
        matches!(self, Self::Ipv4Addr | Self::Ipv6Addr | Self::InetService)
    }
}

/// nft(8)'s number for several fields one after the other: six bits each.
pub(super) fn number(fields: &[Type]) -> u32 {
    fields
        .iter()
        .fold(0, |all, field| all << 6 | field.number())
}

/// The length of several fields, which are then each filled up to the 4 bytes of a register.
pub(super) fn length(fields: &[Type]) -> usize {
    match fields {
        [one] => one.length(),
        several => several
            .iter()
            .map(|field| field.length().next_multiple_of(4))
            .sum(),
    }
}

/// What a set's elements lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    /// Nothing: it is a set.
    Nothing,
    /// A value of these fields: it is a map.
    Values(&'static [Type]),
    /// What becomes of the packet: it is a verdict map.
    Verdicts,
}
