//! What of the table is the same on every machine: sets and maps without their elements, chains, rules.

use crate::nft::{Batch, Chain, ChainKind, Hook, Mapped, Set, Type};

use super::TABLE;
use super::rules::rules;

const fn set(name: &'static str, key: &'static [Type]) -> Set {
    Set {
        name,
        key,
        to: Mapped::Nothing,
        intervals: false,
    }
}

const fn intervals(name: &'static str, key: &'static [Type]) -> Set {
    Set {
        intervals: true,
        ..set(name, key)
    }
}

const fn map(name: &'static str, key: &'static [Type], to: &'static [Type]) -> Set {
    Set {
        to: Mapped::Values(to),
        ..set(name, key)
    }
}

use Type::{Ifname, InetProto, InetService, Ipv4Addr, Ipv6Addr, NfProto};

/// Our bridges.
pub(super) static BRIDGES: Set = set("bridges", &[Ifname]);
/// Those of them that are internal.
pub(super) static INTERNAL: Set = set("internal", &[Ifname]);
/// Each bridge and itself.
pub(super) static WITHIN: Set = set("within", &[Ifname, Ifname]);
/// Families whose forwarding soute turned on.
pub(super) static CLOSED: Set = set("closed", &[NfProto]);
/// Subnets and their bridges.
pub(super) static SUBNETS4: Set = intervals("subnets4", &[Ipv4Addr, Ifname]);
pub(super) static SUBNETS6: Set = intervals("subnets6", &[Ipv6Addr, Ifname]);
/// Families whose addresses are translated on the way outside, and the bridges that they come by.
pub(super) static MASQUERADED: Set = set("masqueraded", &[NfProto, Ifname]);
/// Ports of one address.
pub(super) static PORTS4: Set = map(
    "ports4",
    &[Ipv4Addr, InetProto, InetService],
    &[Ipv4Addr, InetService],
);
pub(super) static PORTS6: Set = map(
    "ports6",
    &[Ipv6Addr, InetProto, InetService],
    &[Ipv6Addr, InetService],
);
/// Ports of all addresses.
pub(super) static ANY4: Set = map("any4", &[InetProto, InetService], &[Ipv4Addr, InetService]);
pub(super) static ANY6: Set = map("any6", &[InetProto, InetService], &[Ipv6Addr, InetService]);
/// Those of them that are for this machine and its containers only.
pub(super) static LOCAL_PORTS4: Set = set("local_ports4", &[Ipv4Addr, InetProto, InetService]);
pub(super) static LOCAL_PORTS6: Set = set("local_ports6", &[Ipv6Addr, InetProto, InetService]);
pub(super) static LOCAL_ANY4: Set = set("local_any4", &[InetProto, InetService]);
pub(super) static LOCAL_ANY6: Set = set("local_any6", &[InetProto, InetService]);

/// All sets and maps.
pub(super) static SETS: [&Set; 15] = [
    &BRIDGES,
    &INTERNAL,
    &WITHIN,
    &CLOSED,
    &SUBNETS4,
    &SUBNETS6,
    &MASQUERADED,
    &PORTS4,
    &ANY4,
    &PORTS6,
    &ANY6,
    &LOCAL_PORTS4,
    &LOCAL_PORTS6,
    &LOCAL_ANY4,
    &LOCAL_ANY6,
];

/// All chains. Their priorities have names in linux/netfilter_ipv4.h: raw, nat's two, filter.
pub(super) const CHAINS: [Chain; 6] = [
    Chain {
        name: "publish",
        base: None,
    },
    Chain::base("guard", ChainKind::Filter, Hook::Prerouting, -300),
    Chain::base("prerouting", ChainKind::Nat, Hook::Prerouting, -100),
    Chain::base("output", ChainKind::Nat, Hook::Output, -100),
    Chain::base("forward", ChainKind::Filter, Hook::Forward, 0),
    Chain::base("postrouting", ChainKind::Nat, Hook::Postrouting, 100),
];

/// Sets, chains and rules, without the table.
fn inside() -> Batch {
    let mut batch = Batch::new(TABLE);
    for set in SETS {
        batch.add_set(set);
    }
    for chain in &CHAINS {
        batch.add_chain(chain);
    }
    for rule in &rules() {
        batch.add_rule(rule);
    }
    batch
}

/// What the table says of itself. The number tells this skeleton from those of other versions.
pub(super) fn comment() -> String {
    // FNV-1a: it has to tell apart what honest hands made, no more.
    let bytes = inside().bytes().unwrap_or_default();
    let number = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("soute's: it puts back what is changed here ({number:016x})")
}

/// Makes the table anew.
pub(super) fn batch() -> Batch {
    let mut batch = Batch::new(TABLE);
    // What is to be deleted has to be there.
    batch.add_table("");
    batch.delete_table();
    batch.add_table(&comment());
    batch.append(inside());
    batch
}
