//! ICMP and ICMPv6 (RFC 792, RFC 4443, RFC 4861, RFC 3810).

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use super::{Bytes, CUT, ip, station};

pub(super) fn v4(line: &mut String, bytes: Bytes<'_>) {
    line.push_str("ICMP ");
    let (Some(kind), Some(code)) = (bytes.u8(0), bytes.u8(1)) else {
        return line.push_str(CUT);
    };
    match (kind, code) {
        (8, _) => echo(line, "echo request", bytes),
        (0, _) => echo(line, "echo reply", bytes),
        (3, 3) => {
            quoted(line, bytes);
            line.push_str(" port unreachable");
        }
        (3, 4) => {
            quoted(line, bytes);
            let mtu = bytes.u16(6).unwrap_or_default();
            _ = write!(line, " unreachable: needs fragmentation, mtu {mtu}");
        }
        (3, _) => {
            quoted(line, bytes);
            let what = match code {
                0 => "net unreachable",
                1 => "host unreachable",
                2 => "protocol unreachable",
                9 | 10 | 13 => "unreachable: administratively prohibited",
                _ => "unreachable",
            };
            _ = write!(line, " {what}");
        }
        (5, _) => {
            quoted(line, bytes);
            line.push_str(" redirected");
        }
        (11, _) => {
            quoted(line, bytes);
            line.push_str(" time exceeded");
        }
        (kind, code) => _ = write!(line, "type {kind}, code {code}"),
    }
}

pub(super) fn v6(line: &mut String, bytes: Bytes<'_>) {
    line.push_str("ICMP6 ");
    let (Some(kind), Some(code)) = (bytes.u8(0), bytes.u8(1)) else {
        return line.push_str(CUT);
    };
    match kind {
        128 => echo(line, "echo request", bytes),
        129 => echo(line, "echo reply", bytes),
        1 => {
            quoted(line, bytes);
            line.push_str(match code {
                0 => " unreachable: no route",
                1 | 5 | 6 => " unreachable: administratively prohibited",
                3 => " address unreachable",
                4 => " port unreachable",
                _ => " unreachable",
            });
        }
        2 => {
            quoted(line, bytes);
            _ = write!(line, " too big, mtu {}", bytes.u32(4).unwrap_or_default());
        }
        3 => {
            quoted(line, bytes);
            line.push_str(" time exceeded");
        }
        133 => line.push_str("router solicitation"),
        134 => line.push_str("router advertisement"),
        135 => {
            line.push_str("neighbor solicitation, who has ");
            target(line, bytes);
        }
        136 => {
            line.push_str("neighbor advertisement, target is ");
            target(line, bytes);
            // The option that has the hardware's address: type 2, length 8.
            if let Some([2, 1, address @ ..]) = bytes.array::<8>(24) {
                line.push_str(" at ");
                station(line, &address);
            }
        }
        130 => line.push_str("multicast listener query"),
        131 | 143 => line.push_str("multicast listener report"),
        132 => line.push_str("multicast listener done"),
        137 => line.push_str("redirect"),
        kind => _ = write!(line, "type {kind}, code {code}"),
    }
}

fn echo(line: &mut String, what: &str, bytes: Bytes<'_>) {
    line.push_str(what);
    match bytes.u16(4).zip(bytes.u16(6)) {
        Some((id, number)) => _ = write!(line, ", id {id}, seq {number}"),
        None => _ = write!(line, ", {CUT}"),
    }
}

fn target(line: &mut String, bytes: Bytes<'_>) {
    match bytes.array::<16>(8) {
        Some(address) => _ = write!(line, "{}", Ipv6Addr::from(address)),
        None => line.push_str(CUT),
    }
}

/// The packet that the message is about, of which it has the beginning: where it went.
fn quoted(line: &mut String, bytes: Bytes<'_>) {
    let bytes = bytes.from(8);
    let length = bytes.0.len();
    let Some(quoted) = ip::read_v4(bytes, length).or_else(|| ip::read_v6(bytes, length)) else {
        return line.push_str(CUT);
    };
    let name = ip::name(quoted.protocol).to_lowercase();
    _ = write!(line, "{} {name}", quoted.destination);
    if matches!(quoted.protocol, ip::TCP | ip::UDP | ip::SCTP)
        && quoted.has_beginning()
        && let Some(port) = quoted.bytes.u16(2)
    {
        _ = write!(line, " {port}");
    }
}
