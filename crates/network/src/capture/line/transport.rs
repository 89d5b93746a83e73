//! TCP, UDP, SCTP (RFC 9293, RFC 768, RFC 9260).

use std::fmt::Write as _;

use etherparse::{TcpHeaderSlice, TcpOptionElement};

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

pub(super) fn tcp(line: &mut String, datagram: &Datagram<'_>) {
    let ports = ends(line, datagram);
    let header = match TcpHeaderSlice::from_slice(datagram.bytes.0) {
        Ok(header) => header,
        Err(_) => {
            _ = write!(line, "tcp {CUT}, length {}", datagram.length);
            return;
        }
    };
    let size = header.slice().len();
    let length = datagram.length.saturating_sub(size);
    line.push_str("Flags [");
    let set = [
        (header.syn(), 'S'),
        (header.fin(), 'F'),
        (header.rst(), 'R'),
        (header.psh(), 'P'),
        (header.urg(), 'U'),
        (header.ece(), 'E'),
        (header.cwr(), 'W'),
        (header.ack(), '.'),
    ];
    let before = line.len();
    line.extend(
        set.iter()
            .filter(|(set, _)| *set)
            .map(|(_, letter)| *letter),
    );
    if line.len() == before {
        line.push_str("none");
    }
    line.push(']');
    let sequence = header.sequence_number();
    if length > 0 {
        // Sequence numbers go round.
        let end = sequence.wrapping_add(length as u32);
        _ = write!(line, ", seq {sequence}:{end}");
    } else if header.syn() || header.fin() || header.rst() {
        _ = write!(line, ", seq {sequence}");
    }
    if header.ack() {
        _ = write!(line, ", ack {}", header.acknowledgment_number());
    }
    _ = write!(line, ", win {}", header.window_size());
    if header.urg() {
        _ = write!(line, ", urg {}", header.urgent_pointer());
    }
    options(line, &header);
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

fn options(line: &mut String, header: &TcpHeaderSlice<'_>) {
    use TcpOptionElement as O;
    let mut texts = Vec::new();
    for option in header.options_iterator() {
        texts.push(match option {
            Ok(O::Noop) => "nop".to_owned(),
            Ok(O::MaximumSegmentSize(size)) => format!("mss {size}"),
            Ok(O::WindowScale(shift)) => format!("wscale {shift}"),
            Ok(O::SelectiveAcknowledgementPermitted) => "sackOK".to_owned(),
            Ok(O::SelectiveAcknowledgement(first, rest)) => {
                let blocks = std::iter::once(first).chain(rest.into_iter().flatten());
                let blocks = blocks.map(|(from, to)| format!("{{{from}:{to}}}"));
                format!("sack {}", blocks.collect::<String>())
            }
            Ok(O::Timestamp(value, echo)) => format!("TS val {value} ecr {echo}"),
            // The iterator knows no others, and ends there.
            Err(_) => "others".to_owned(),
        });
    }
    if !texts.is_empty() {
        _ = write!(line, ", options [{}]", texts.join(","));
    }
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

/// The ports of a packet that another message quotes.
pub(super) fn quoted(bytes: Bytes<'_>) -> Option<(u16, u16)> {
    bytes.u16(0).zip(bytes.u16(2))
}
