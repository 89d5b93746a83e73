//! What an expression says of a packet, from the bytes, without any program.

use std::net::IpAddr;

use crate::expressions::Expression;
use crate::packets::{LOOPBACK, Seen};

/// A packet that is too short for what is looked at.
struct Short;

/// Whether the packet is wanted.
pub fn wants(expression: &Expression, packet: &Seen) -> bool {
    if packet.hardware == LOOPBACK && packet.outgoing {
        return false;
    }
    packet.network().is_some() && holds(expression, packet).unwrap_or(false)
}

fn holds(expression: &Expression, packet: &Seen) -> Result<bool, Short> {
    Ok(match expression {
        Expression::And(a, b) => holds(a, packet)? && holds(b, packet)?,
        Expression::Or(a, b) => holds(a, packet)? || holds(b, packet)?,
        Expression::Not(a) => !holds(a, packet)?,
        Expression::Protocol(word) => protocol(word, packet)?,
        Expression::Address(protocol, ends, address, prefix) => {
            addressed(protocol, ends, address.parse().unwrap(), *prefix, packet)?
        }
        Expression::Port(protocol, ends, first, last) => {
            port(protocol, ends, *first..=*last, packet)?
        }
        Expression::Ether(ends, station) => {
            packet.network() == Some(14)
                && joined(ends, |is_source| {
                    let at = if is_source { 6 } else { 0 };
                    Ok(packet.bytes.get(at..at + 6).ok_or(Short)? == station)
                })?
        }
        Expression::Vlan(wanted) => {
            let mut tag = packet.vlan;
            if tag.is_none_or(|tag| wanted.is_some_and(|wanted| wanted != tag & 0xfff))
                && matches!(packet.protocol, 0x8100 | 0x88a8)
                && packet.network() == Some(14)
            {
                tag = match wanted {
                    // Nobody looks at it.
                    None => Some(0),
                    Some(_) => Some(u16::from_be_bytes(bytes::<2>(packet, 0)?)),
                };
            }
            tag.is_some_and(|tag| wanted.is_none_or(|wanted| wanted == tag & 0xfff))
        }
        Expression::Less(length) => packet.bytes.len() <= *length as usize,
        Expression::Greater(length) => packet.bytes.len() >= *length as usize,
    })
}

fn joined(ends: &str, mut end: impl FnMut(bool) -> Result<bool, Short>) -> Result<bool, Short> {
    match ends {
        "src" => end(true),
        "dst" => end(false),
        "src and dst" => Ok(end(true)? && end(false)?),
        _ => Ok(end(true)? || end(false)?),
    }
}

/// Behind the link's header.
fn bytes<const N: usize>(packet: &Seen, at: usize) -> Result<[u8; N], Short> {
    let at = packet.network().unwrap() + at;
    let bytes = packet.bytes.get(at..at + N).ok_or(Short)?;
    Ok(bytes.try_into().unwrap())
}

fn byte(packet: &Seen, at: usize) -> Result<u8, Short> {
    bytes::<1>(packet, at).map(|[byte]| byte)
}

fn protocol(word: &str, packet: &Seen) -> Result<bool, Short> {
    let kind = packet.protocol;
    let carried = |number| -> Result<bool, Short> {
        match kind {
            0x0800 => Ok(byte(packet, 9)? == number),
            0x86dd => match byte(packet, 6)? {
                44 => Ok(byte(packet, 40)? == number),
                next => Ok(next == number),
            },
            _ => Ok(false),
        }
    };
    match word {
        "ip" => Ok(kind == 0x0800),
        "ip6" => Ok(kind == 0x86dd),
        "arp" => Ok(kind == 0x0806),
        "rarp" => Ok(kind == 0x8035),
        "icmp" => Ok(kind == 0x0800 && carried(1)?),
        "icmp6" => Ok(kind == 0x86dd && carried(58)?),
        "tcp" => carried(6),
        "udp" => carried(17),
        "sctp" => carried(132),
        other => panic!("{other}"),
    }
}

fn addressed(
    protocol: &str,
    ends: &str,
    address: IpAddr,
    prefix: u8,
    packet: &Seen,
) -> Result<bool, Short> {
    let of = |name: &str| protocol.is_empty() || protocol == name;
    let v4 = address.is_ipv4();
    let places = match packet.protocol {
        0x0800 if v4 && of("ip") => (12, 16),
        0x0806 if v4 && of("arp") => (14, 24),
        0x8035 if v4 && of("rarp") => (14, 24),
        0x86dd if !v4 && of("ip6") => (8, 24),
        _ => return Ok(false),
    };
    let wanted = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    joined(ends, |is_source| {
        let at = if is_source { places.0 } else { places.1 };
        // Bit by bit, but read in words: a packet may end between them.
        for word in 0..wanted.len() / 4 {
            let bits = usize::from(prefix).saturating_sub(32 * word).min(32);
            if bits == 0 {
                break;
            }
            let there = bytes::<4>(packet, at + 4 * word)?;
            let same = |bit: usize| {
                let of = |bytes: &[u8]| bytes[bit / 8] >> (7 - bit % 8) & 1;
                of(&there) == of(&wanted[4 * word..])
            };
            if !(0..bits).all(same) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn port(
    protocol: &str,
    ends: &str,
    wanted: std::ops::RangeInclusive<u16>,
    packet: &Seen,
) -> Result<bool, Short> {
    let carried = |number| match number {
        6 => protocol.is_empty() || protocol == "tcp",
        17 => protocol.is_empty() || protocol == "udp",
        132 => protocol.is_empty() || protocol == "sctp",
        _ => false,
    };
    let behind = match packet.protocol {
        0x86dd if carried(byte(packet, 6)?) => 40,
        0x0800 if carried(byte(packet, 9)?) => {
            let [high, low] = bytes::<2>(packet, 6)?;
            if high & 0x1f != 0 || low != 0 {
                return Ok(false);
            }
            usize::from(byte(packet, 0)? & 0xf) * 4
        }
        _ => return Ok(false),
    };
    joined(ends, |is_source| {
        let port = bytes::<2>(packet, behind + if is_source { 0 } else { 2 })?;
        Ok(wanted.contains(&u16::from_be_bytes(port)))
    })
}
