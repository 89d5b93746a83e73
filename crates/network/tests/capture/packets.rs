//! Packets of few addresses and ports, so that expressions of the same few meet them.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// linux/if_arp.h
pub const ETHER: u16 = 1;
pub const LOOPBACK: u16 = 772;
pub const NONE: u16 = 0xfffe;
const INFINIBAND: u16 = 32;

pub const STATIONS: [[u8; 6]; 3] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [0xff; 6]];
pub const V4: [[u8; 4]; 4] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 1, 0, 1], [192, 0, 2, 7]];
pub const V6: [&str; 4] = ["fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::7"];
pub const PORTS: [u16; 5] = [22, 53, 80, 443, 65535];

/// A packet as a filter sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub bytes: Vec<u8>,
    /// What the kernel says that the link carries.
    pub protocol: u16,
    pub hardware: u16,
    pub outgoing: bool,
    /// The tag that the kernel has taken out.
    pub vlan: Option<u16>,
}

impl Seen {
    /// Where the network protocol's header begins; none: the filter does not know.
    pub fn network(&self) -> Option<usize> {
        match self.hardware {
            ETHER | LOOPBACK => Some(14),
            NONE => Some(0),
            _ => None,
        }
    }
}

/// Ports, and something behind them.
fn transport() -> impl Strategy<Value = Vec<u8>> {
    (select(&PORTS), select(&PORTS), vec(any::<u8>(), 16..60))
        .prop_map(|(from, to, rest)| [&from.to_be_bytes()[..], &to.to_be_bytes(), &rest].concat())
}

fn carried() -> impl Strategy<Value = u8> {
    select(vec![1u8, 6, 17, 132, 47, 58])
}

fn v4() -> impl Strategy<Value = Vec<u8>> {
    let fragment =
        prop_oneof![3 => Just(0u16), 1 => Just(0x4000), 1 => Just(0x2000), 1 => 1u16..0x1fff];
    (
        5u8..9,
        fragment,
        carried(),
        select(&V4),
        select(&V4),
        transport(),
    )
        .prop_map(|(words, fragment, carried, from, to, behind)| {
            let mut header = vec![0x40 | words, 0, 0, 0, 0, 7];
            header.extend(fragment.to_be_bytes());
            header.extend([64, carried, 0, 0]);
            header.extend(from);
            header.extend(to);
            header.resize(usize::from(words) * 4, 1);
            [header, behind].concat()
        })
}

fn v6() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<bool>(),
        carried(),
        select(&V6),
        select(&V6),
        transport(),
    )
        .prop_map(|(fragment, carried, from, to, behind)| {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, if fragment { 44 } else { carried }, 64];
            for address in [from, to] {
                header.extend(address.parse::<Ipv6Addr>().unwrap().octets());
            }
            if fragment {
                header.extend([carried, 0, 0, 0, 0, 0, 0, 9]);
            }
            [header, behind].concat()
        })
}

fn arp() -> impl Strategy<Value = Vec<u8>> {
    (select(&V4), select(&V4)).prop_map(|(from, to)| {
        let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
        packet.extend(Ipv4Addr::from(from).octets());
        packet.extend([0; 6]);
        packet.extend(to);
        packet
    })
}

/// What is behind a link's header, and its EtherType.
fn network() -> impl Strategy<Value = (u16, Vec<u8>)> {
    prop_oneof![
        4 => v4().prop_map(|bytes| (0x0800, bytes)),
        4 => v6().prop_map(|bytes| (0x86dd, bytes)),
        1 => arp().prop_map(|bytes| (0x0806, bytes)),
        1 => arp().prop_map(|bytes| (0x8035, bytes)),
        1 => vec(any::<u8>(), 46..60).prop_map(|bytes| (0x88cc, bytes)),
        1 => (select(vec![0x8100u16, 0x88a8]), select(vec![5u8, 6]), v4()).prop_map(|(kind, tag, bytes)| {
            (kind, [&[0x20, tag, 8, 0], &bytes[..]].concat())
        }),
    ]
}

pub fn packet() -> impl Strategy<Value = Seen> {
    let hardware =
        prop_oneof![6 => Just(ETHER), 1 => Just(LOOPBACK), 2 => Just(NONE), 1 => Just(INFINIBAND)];
    let vlan = proptest::option::weighted(0.3, select(vec![5u16, 0x2005, 6]));
    (
        hardware,
        network(),
        select(&STATIONS),
        select(&STATIONS),
        any::<bool>(),
        vlan,
    )
        .prop_map(|(hardware, (protocol, behind), to, from, outgoing, vlan)| {
            let link = match hardware {
                NONE => Vec::new(),
                _ => [&to[..], &from, &protocol.to_be_bytes()].concat(),
            };
            Seen {
                bytes: [link, behind].concat(),
                protocol,
                hardware,
                outgoing,
                vlan,
            }
        })
}

/// Some of them too short.
pub fn cut(packets: impl Strategy<Value = Seen>) -> impl Strategy<Value = Seen> {
    (packets, proptest::option::weighted(0.3, 0usize..80)).prop_map(|(mut packet, length)| {
        packet.bytes.truncate(length.unwrap_or(usize::MAX));
        packet
    })
}

/// A datagram to a port.
pub fn udp(hardware: u16, port: u16) -> Seen {
    let mut bytes = match hardware {
        NONE => Vec::new(),
        _ => vec![0; 14],
    };
    bytes.extend([
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0xff, 0xff,
    ]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 4]);
    Seen {
        bytes,
        protocol: 0x0800,
        hardware,
        outgoing: false,
        vlan: None,
    }
}
