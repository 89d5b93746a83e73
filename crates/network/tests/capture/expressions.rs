//! Expressions, and how they are written.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::select;

use crate::packets::{PORTS, STATIONS, V4, V6};

#[derive(Debug, Clone)]
pub enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// `ip`, `tcp` and so on.
    Protocol(&'static str),
    /// A network protocol or nothing, ends, an address and the length of its prefix.
    Address(&'static str, &'static str, String, u8),
    /// A protocol or nothing, ends, and the first and the last port.
    Port(&'static str, &'static str, u16, u16),
    Ether(&'static str, [u8; 6]),
    Less(u32),
    Greater(u32),
    /// Not as tcpdump means it, to which what follows it is in the VLAN.
    Vlan(Option<u16>),
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blank = |word: &str| match word {
            "" => String::new(),
            word => format!("{word} "),
        };
        match self {
            Self::And(a, b) => write!(f, "({a} and {b})"),
            Self::Or(a, b) => write!(f, "({a} || {b})"),
            Self::Not(a) => write!(f, "not ({a})"),
            Self::Protocol(word) => f.write_str(word),
            Self::Address(protocol, ends, address, prefix) => {
                write!(f, "{}{}", blank(protocol), blank(ends))?;
                match (address.contains(':'), prefix) {
                    (false, 32) | (true, 128) => write!(f, "host {address}"),
                    _ => write!(f, "net {address}/{prefix}"),
                }
            }
            Self::Port(protocol, ends, first, last) => {
                write!(f, "{}{}", blank(protocol), blank(ends))?;
                match first == last {
                    true => write!(f, "port {first}"),
                    false => write!(f, "portrange {first}-{last}"),
                }
            }
            Self::Ether(ends, [a, b, c, d, e, g]) => write!(
                f,
                "ether {}host {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}",
                blank(ends)
            ),
            Self::Less(length) => write!(f, "less {length}"),
            Self::Greater(length) => write!(f, "greater {length}"),
            Self::Vlan(None) => f.write_str("vlan"),
            Self::Vlan(Some(tag)) => write!(f, "vlan {tag}"),
        }
    }
}

const ENDS: [&str; 5] = ["", "src", "dst", "src or dst", "src and dst"];

fn address() -> impl Strategy<Value = Expression> {
    let v4 = (
        select(vec!["", "ip", "arp", "rarp"]),
        select(&ENDS),
        select(&V4),
        select(vec![8u8, 15, 31, 32]),
    );
    let v6 = (
        select(vec!["", "ip6"]),
        select(&ENDS),
        select(&V6),
        select(vec![8u8, 48, 64, 127, 128]),
    );
    prop_oneof![
        v4.prop_map(|(protocol, ends, address, prefix)| {
            let mask = u32::MAX << (32 - u32::from(prefix));
            let first = std::net::Ipv4Addr::from(u32::from_be_bytes(address) & mask);
            Expression::Address(protocol, ends, first.to_string(), prefix)
        }),
        v6.prop_map(|(protocol, ends, address, prefix)| {
            let address: std::net::Ipv6Addr = address.parse().unwrap();
            let mask = u128::MAX << (128 - u32::from(prefix));
            let first = std::net::Ipv6Addr::from(u128::from(address) & mask);
            Expression::Address(protocol, ends, first.to_string(), prefix)
        }),
    ]
}

fn port() -> impl Strategy<Value = Expression> {
    let ports = (select(&PORTS), select(&PORTS), any::<bool>());
    (select(vec!["", "tcp", "udp", "sctp"]), select(&ENDS), ports).prop_map(
        |(protocol, ends, (one, other, range))| {
            let other = if range { other } else { one };
            Expression::Port(protocol, ends, one.min(other), one.max(other))
        },
    )
}

/// With those that tcpdump has another meaning for.
pub fn any_expression() -> impl Strategy<Value = Expression> {
    let vlan = proptest::option::of(select(vec![5u16, 6, 7])).prop_map(Expression::Vlan);
    joined(prop_oneof![9 => one(), 1 => vlan])
}

pub fn expression() -> impl Strategy<Value = Expression> {
    joined(one())
}

fn one() -> impl Strategy<Value = Expression> {
    let words = vec![
        "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6",
    ];
    prop_oneof![
        2 => select(words).prop_map(Expression::Protocol),
        3 => address(),
        3 => port(),
        1 => (select(&ENDS), select(&STATIONS)).prop_map(|(ends, station)| Expression::Ether(ends, station)),
        1 => (40u32..130).prop_map(Expression::Less),
        1 => (40u32..130).prop_map(Expression::Greater),
    ]
}

fn joined(one: impl Strategy<Value = Expression> + 'static) -> impl Strategy<Value = Expression> {
    one.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::And(a.into(), b.into())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::Or(a.into(), b.into())),
            inner.prop_map(|a| Expression::Not(a.into())),
        ]
    })
}

/// Words that filters have, in no order.
pub fn word() -> impl Strategy<Value = &'static str> {
    select(vec![
        "and",
        "or",
        "not",
        "(",
        ")",
        "!",
        "src",
        "dst",
        "host",
        "net",
        "port",
        "portrange",
        "tcp",
        "udp",
        "ip",
        "ip6",
        "arp",
        "icmp",
        "ether",
        "less",
        "greater",
        "vlan",
        "10.0.0.1",
        "10.0.0.0/8",
        "fd00::1",
        "80",
        "1-2",
        "2:0:0:0:0:1",
        "é",
    ])
}
