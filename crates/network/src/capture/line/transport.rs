//! TCP, UDP, SCTP (RFC 9293, RFC 768, RFC 9260).

use std::fmt::Write as _;

use super::ip::Datagram;
use super::{Bytes, CUT, dns};

const DNS: u16 = 53;
const MULTICAST_DNS: u16 = 5353;

/// `10.0.0.1.4242 > 10.0.0.2.80: `; the ports, if they are there.
fn ends(line: &mut String, datagram: &Datagram<'_>) -> Option<(u16, u16)> {
    let ports = datagram.bytes.u16(0).zip(datagram.bytes.u16(2));
    match ports {
        Some((from, to)) => {
            _ = write!(
                line,
                "{}.{from} > {}.{to}: ",
                datagram.source, datagram.destination
            );
        }
        None => _ = write!(line, "{} > {}: ", datagram.source, datagram.destination),
    }
    ports
}

fn is_dns(ports: (u16, u16)) -> bool {
    [ports.0, ports.1]
        .iter()
        .any(|port| matches!(*port, DNS | MULTICAST_DNS))
}

/// The flags of a TCP header, from the lowest bit on, in the order in which they are shown.
const FLAGS: [(u8, char); 8] = [
    (0x02, 'S'),
    (0x01, 'F'),
    (0x04, 'R'),
    (0x08, 'P'),
    (0x20, 'U'),
    (0x40, 'E'),
    (0x80, 'W'),
    (ACK, '.'),
];
const ACK: u8 = 0x10;
const URGENT: u8 = 0x20;
/// SYN, FIN, RST: what has a sequence number without data.
const NUMBERED: u8 = 0x07;

pub(super) fn tcp(line: &mut String, datagram: &Datagram<'_>) {
    let ports = ends(line, datagram);
    if header(line, datagram).is_none() {
        _ = write!(line, "tcp {CUT}, length {}", datagram.length);
        return;
    }
    let size = header_size(datagram.bytes).unwrap_or_default();
    let length = datagram.length.saturating_sub(size);
    _ = write!(line, ", length {length}");
    // Of TCP, a message's length stands before it; a message that begins in an earlier packet is not read.
    let payload = datagram.bytes.from(size);
    if ports.is_some_and(is_dns)
        && let Some(message) = payload.u16(0)
        && usize::from(message) + 2 == length
    {
        line.push_str(": ");
        dns::message(line, payload.from(2));
    }
}

/// A header's length; `None`: it is cut off, or shorter than the shortest.
fn header_size(bytes: Bytes<'_>) -> Option<usize> {
    let size = usize::from(bytes.u8(12)? >> 4) * 4;
    (20..=bytes.0.len()).contains(&size).then_some(size)
}

/// `None`, and nothing is written: the header is cut off.
fn header(line: &mut String, datagram: &Datagram<'_>) -> Option<()> {
    let bytes = datagram.bytes;
    let size = header_size(bytes)?;
    let (sequence, acknowledged) = (bytes.u32(4)?, bytes.u32(8)?);
    let (flags, window, urgent) = (bytes.u8(13)?, bytes.u16(14)?, bytes.u16(18)?);
    let set: String = FLAGS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, letter)| *letter)
        .collect();
    _ = write!(
        line,
        "Flags [{}]",
        if set.is_empty() { "none" } else { &set }
    );
    match datagram.length.saturating_sub(size) {
        0 if flags & NUMBERED == 0 => {}
        0 => _ = write!(line, ", seq {sequence}"),
        // Sequence numbers go round.
        length => {
            let end = sequence.wrapping_add(length as u32);
            _ = write!(line, ", seq {sequence}:{end}");
        }
    }
    if flags & ACK != 0 {
        _ = write!(line, ", ack {acknowledged}");
    }
    _ = write!(line, ", win {window}");
    if flags & URGENT != 0 {
        _ = write!(line, ", urg {urgent}");
    }
    options(line, bytes.to(size).from(20));
    Some(())
}

/// IANA's registry of TCP options.
fn options(line: &mut String, mut bytes: Bytes<'_>) {
    let mut texts = Vec::new();
    while let Some(kind) = bytes.u8(0) {
        // Two have no length.
        let size = match kind {
            0 | 1 => 1,
            _ => usize::from(bytes.u8(1).unwrap_or_default()),
        };
        if size == 0 || size == 1 && kind > 1 || size > bytes.0.len() {
            texts.push("bad".to_owned());
            break;
        }
        let option = bytes.to(size);
        let text = match (kind, size) {
            (0, _) => Some("eol".to_owned()),
            (1, _) => Some("nop".to_owned()),
            (2, 4) => option.u16(2).map(|size| format!("mss {size}")),
            (3, 3) => option.u8(2).map(|shift| format!("wscale {shift}")),
            (4, 2) => Some("sackOK".to_owned()),
            (5, 10..) => Some(format!("sack {}", blocks(option.from(2)))),
            (8, 10) => {
                let times = option.u32(2).zip(option.u32(6));
                times.map(|(value, echo)| format!("TS val {value} ecr {echo}"))
            }
            _ => None,
        };
        texts.push(text.unwrap_or_else(|| format!("option {kind}")));
        if kind == 0 {
            break;
        }
        bytes = bytes.from(size);
    }
    if !texts.is_empty() {
        _ = write!(line, ", options [{}]", texts.join(","));
    }
}

/// What was received out of order.
fn blocks(mut bytes: Bytes<'_>) -> String {
    let mut text = String::new();
    while let (Some(from), Some(to)) = (bytes.u32(0), bytes.u32(4)) {
        _ = write!(text, "{{{from}:{to}}}");
        bytes = bytes.from(8);
    }
    text
}

pub(super) fn udp(line: &mut String, datagram: &Datagram<'_>) {
    let ports = ends(line, datagram);
    let (Some(ports), Some(told)) = (ports, datagram.bytes.u16(4)) else {
        _ = write!(line, "UDP {CUT}, length {}", datagram.length);
        return;
    };
    let payload = datagram.bytes.from(8);
    if is_dns(ports) && !payload.0.is_empty() {
        dns::message(line, payload);
    } else {
        line.push_str("UDP");
    }
    let length = match usize::from(told) {
        0 => datagram.length.saturating_sub(8),
        told => told.saturating_sub(8),
    };
    _ = write!(line, ", length {length}");
}

pub(super) fn sctp(line: &mut String, datagram: &Datagram<'_>) {
    ends(line, datagram);
    line.push_str("SCTP");
    // Source, destination, tag and checksum come before the chunks.
    let mut chunks = datagram.bytes.from(12);
    let mut count = 0;
    while let (Some(kind), Some(size)) = (chunks.u8(0), chunks.u16(2)) {
        count += 1;
        if count > 8 {
            line.push_str(" ...");
            return;
        }
        match kind {
            0 => {
                let number = chunks.u32(4).unwrap_or_default();
                let (stream, bytes) = (chunks.u16(8).unwrap_or_default(), size.saturating_sub(16));
                _ = write!(line, " [DATA tsn {number} stream {stream} length {bytes}]");
            }
            3 => _ = write!(line, " [SACK {}]", chunks.u32(4).unwrap_or_default()),
            kind => match chunk(kind) {
                Some(name) => _ = write!(line, " [{name}]"),
                None => _ = write!(line, " [chunk {kind}]"),
            },
        }
        // The header of a chunk is part of its length.
        chunks = chunks.from(usize::from(size.max(4)).next_multiple_of(4));
    }
    if count == 0 {
        _ = write!(line, " {CUT}");
    }
}

/// IANA's registry of SCTP chunk types.
fn chunk(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "INIT",
        2 => "INIT ACK",
        4 => "HEARTBEAT",
        5 => "HEARTBEAT ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "ERROR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        14 => "SHUTDOWN COMPLETE",
        _ => return None,
    })
}
