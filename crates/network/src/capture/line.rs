//! A packet as a line of text, much as tcpdump(8) shows it.
//!
//! Any bytes make a line: what is cut off, or makes no sense, is said to be so. A line is printable ASCII, without line
//! ends, whatever is in the packet.

mod arp;
mod dns;
mod icmp;
mod ip;
mod transport;

use std::fmt::Write as _;

use super::packet::{Direction, Hardware, Packet, Reception};

/// Said of what is not all there.
const CUT: &str = "[truncated]";

/// Which way a packet went, in tcpdump's words: `In`, `Out`, or `B`, `M` and `P` for what came for all, for a group, for
/// another.
pub fn way(packet: &Packet) -> &'static str {
    match (packet.direction, packet.reception) {
        (Direction::Out, _) => "Out",
        (_, Reception::Unicast) => "In",
        (_, Reception::Multicast) => "M",
        (_, Reception::Broadcast) => "B",
        (_, Reception::Other) => "P",
    }
}

/// What is in a packet: `IP 10.0.0.1.4242 > 10.0.0.2.80: Flags [S], …`.
pub fn describe(packet: &Packet) -> String {
    let mut line = String::new();
    let (bytes, length) = (Bytes(&packet.bytes), packet.length as usize);
    match packet.hardware {
        Hardware::Ethernet => ethernet(&mut line, bytes, length),
        Hardware::Raw => match bytes.u8(0).map(|byte| byte >> 4) {
            Some(4) => ip::v4(&mut line, bytes, length),
            Some(6) => ip::v6(&mut line, bytes, length),
            Some(other) => _ = write!(line, "IP version {other}, length {length}"),
            None => _ = write!(line, "IP {CUT}, length {length}"),
        },
        Hardware::Other(kind) => _ = write!(line, "interface type {kind}, length {length}"),
    }
    line
}

/// Tags of VLANs in each other, at most.
const MOST_TAGS: usize = 4;

fn ethernet(line: &mut String, bytes: Bytes<'_>, length: usize) {
    let (Some(to), Some(from), Some(mut kind)) =
        (bytes.array::<6>(0), bytes.array::<6>(6), bytes.u16(12))
    else {
        _ = write!(line, "Ethernet {CUT}, length {length}");
        return;
    };
    let mut header = 14;
    // Customers' tags, and providers' around them.
    while matches!(kind, 0x8100 | 0x88a8)
        && header < 14 + 4 * MOST_TAGS
        && let (Some(tag), Some(inner)) = (bytes.u16(header), bytes.u16(header + 2))
    {
        _ = write!(line, "vlan {}, ", tag & 0xfff);
        (kind, header) = (inner, header + 4);
    }
    let (behind, left) = (bytes.from(header), length.saturating_sub(header));
    match kind {
        0x0800 => return ip::v4(line, behind, left),
        0x86dd => return ip::v6(line, behind, left),
        0x0806 | 0x8035 => return arp::arp(line, behind, left),
        _ => {}
    }
    station(line, &from);
    line.push_str(" > ");
    station(line, &to);
    match kind {
        // IEEE 802.3: such a number is a length.
        size @ 0..=1500 => _ = write!(line, ", 802.3 of {size} bytes"),
        0x88cc => line.push_str(", LLDP"),
        kind => _ = write!(line, ", ethertype {kind:#06x}"),
    }
    _ = write!(line, ", length {length}");
}

/// A hardware address.
fn station(line: &mut String, bytes: &[u8]) {
    for (place, byte) in bytes.iter().enumerate() {
        let colon = if place == 0 { "" } else { ":" };
        _ = write!(line, "{colon}{byte:02x}");
    }
}

/// Bytes that may be too few.
#[derive(Debug, Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The first `length` of them, or all.
    fn to(self, length: usize) -> Bytes<'a> {
        Bytes(self.0.get(..length).unwrap_or(self.0))
    }

    /// What is there from `at` on.
    fn from(self, at: usize) -> Bytes<'a> {
        Bytes(self.0.get(at..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
