//! ARP and RARP (RFC 826, RFC 903).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use etherparse::ArpPacketSlice;

use super::station;

pub(super) fn arp(line: &mut String, arp: &ArpPacketSlice<'_>, length: usize) {
    let protocol = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => Ipv4Addr::from(octets).to_string(),
        Err(_) => format!("{} bytes of an address", bytes.len()),
    };
    let (sender, target) = (
        protocol(arp.sender_protocol_addr()),
        protocol(arp.target_protocol_addr()),
    );
    line.push_str("ARP, ");
    match arp.operation().0 {
        1 if sender == target => _ = write!(line, "Announcement {sender}"),
        1 => _ = write!(line, "Request who-has {target} tell {sender}"),
        2 => {
            _ = write!(line, "Reply {sender} is-at ");
            station(line, arp.sender_hw_addr());
        }
        3 => {
            line.push_str("Reverse Request who-is ");
            station(line, arp.target_hw_addr());
        }
        4 => {
            line.push_str("Reverse Reply ");
            station(line, arp.target_hw_addr());
            _ = write!(line, " at {target}");
        }
        other => _ = write!(line, "operation {other}"),
    }
    _ = write!(line, ", length {length}");
}
