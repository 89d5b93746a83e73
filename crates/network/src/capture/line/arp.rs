//! ARP and RARP (RFC 826, RFC 903).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::{Bytes, CUT, station};

pub(super) fn arp(line: &mut String, bytes: Bytes<'_>, length: usize) {
    line.push_str("ARP, ");
    if message(line, bytes).is_none() {
        line.push_str(CUT);
    }
    _ = write!(line, ", length {length}");
}

/// `None`: it is cut off.
fn message(line: &mut String, bytes: Bytes<'_>) -> Option<()> {
    // Kinds of addresses, their lengths, what it is, and twice both addresses.
    let (hardware, protocol) = (bytes.u8(4)?, bytes.u8(5)?);
    let operation = bytes.u16(6)?;
    if (bytes.u16(2)?, hardware, protocol) != (0x0800, 6, 4) {
        _ = write!(line, "operation {operation} for other addresses");
        return Some(());
    }
    let station_of = |at| bytes.array::<6>(at);
    let sender = Ipv4Addr::from(bytes.array::<4>(14)?);
    let target = Ipv4Addr::from(bytes.array::<4>(24)?);
    match operation {
        1 if sender == target => _ = write!(line, "Announcement {sender}"),
        1 => _ = write!(line, "Request who-has {target} tell {sender}"),
        2 => {
            _ = write!(line, "Reply {sender} is-at ");
            station(line, &station_of(8)?);
        }
        3 => {
            line.push_str("Reverse Request who-is ");
            station(line, &station_of(18)?);
        }
        4 => {
            line.push_str("Reverse Reply ");
            station(line, &station_of(18)?);
            _ = write!(line, " at {target}");
        }
        other => _ = write!(line, "operation {other}"),
    }
    Some(())
}
