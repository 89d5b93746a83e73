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

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice};

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
    match packet.hardware {
        Hardware::Ethernet => ethernet(&mut line, packet),
        Hardware::Raw => match LaxSlicedPacket::from_ip(&packet.bytes) {
            Ok(sliced) => network(&mut line, &sliced, packet.length as usize),
            Err(e) => _ = write!(line, "IP {e}, length {}", packet.length),
        },
        Hardware::Other(kind) => {
            _ = write!(line, "interface type {kind}, length {}", packet.length);
        }
    }
    line
}

fn ethernet(line: &mut String, packet: &Packet) {
    let length = packet.length as usize;
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(&packet.bytes) else {
        _ = write!(line, "Ethernet {CUT}, length {length}");
        return;
    };
    let mut header = 14;
    let mut kind = None;
    if let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link {
        kind = Some(ethernet.ether_type().0);
    }
    for ext in &sliced.link_exts {
        if let LaxLinkExtSlice::Vlan(vlan) = ext {
            header += 4;
            kind = Some(vlan.ether_type().0);
            _ = write!(line, "vlan {}, ", vlan.vlan_identifier().value());
        }
    }
    if sliced.net.is_some() || matches!(kind, Some(0x0800 | 0x86dd)) {
        return network(line, &sliced, length.saturating_sub(header));
    }
    if let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link {
        station(line, &ethernet.source());
        line.push_str(" > ");
        station(line, &ethernet.destination());
        line.push_str(", ");
    }
    match kind {
        // IEEE 802.3: such a number is a length.
        Some(size @ 0..=1500) => _ = write!(line, "802.3 of {size} bytes"),
        Some(0x88cc) => line.push_str("LLDP"),
        Some(kind) => _ = write!(line, "ethertype {kind:#06x}"),
        None => line.push_str(CUT),
    }
    _ = write!(line, ", length {length}");
}

/// What is behind the link's header, which had `length` bytes.
fn network(line: &mut String, sliced: &LaxSlicedPacket<'_>, length: usize) {
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(slice)) => ip::v4(line, slice, length),
        Some(LaxNetSlice::Ipv6(slice)) => ip::v6(line, slice, length),
        Some(LaxNetSlice::Arp(slice)) => arp::arp(line, slice, length),
        None => {
            line.push_str("IP ");
            match &sliced.stop_err {
                Some((e, _)) => _ = write!(line, "{e}"),
                None => line.push_str(CUT),
            }
            _ = write!(line, ", length {length}");
        }
    }
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

    /// What is there from `at` on.
    fn from(self, at: usize) -> Bytes<'a> {
        Bytes(self.0.get(at..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
