//! A packet and what the kernel says of it.

use soute_sys::packet::Received;

/// `ARPHRD_LOOPBACK` (linux/if_arp.h).
pub(super) const LOOPBACK: u16 = 772;
/// `PACKET_OUTGOING` (linux/if_packet.h).
pub(super) const OUTGOING: u8 = 4;

/// Bytes of an Ethernet header before a VLAN's tag: two addresses.
const ADDRESSES: usize = 12;

/// How the packets of an interface begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// With an Ethernet header: what most virtual interfaces have, and `lo`.
    Ethernet,
    /// With an IPv4 or IPv6 header: tunnels.
    Raw,
    /// In a way that is not known here: the number is the kernel's (`ARPHRD_*`, linux/if_arp.h).
    Other(u16),
}

impl Hardware {
    /// Those that are known, by the kernel's numbers: Ethernet and loopback; nothing (tun, WireGuard), raw IP, and three
    /// kinds of tunnels.
    pub(super) const KNOWN: [(u16, Self); 7] = [
        (1, Self::Ethernet),
        (LOOPBACK, Self::Ethernet),
        (0xfffe, Self::Raw),
        (519, Self::Raw),
        (768, Self::Raw),
        (769, Self::Raw),
        (776, Self::Raw),
    ];

    /// Of the kernel's number.
    pub fn numbered(number: u16) -> Self {
        let found = Self::KNOWN.iter().find(|(known, _)| *known == number);
        found.map_or(Self::Other(number), |(_, hardware)| *hardware)
    }

    /// Its number in files: LINKTYPE_ETHERNET, LINKTYPE_RAW. `None`: files have no such packets.
    pub fn link_type(self) -> Option<u16> {
        match self {
            Self::Ethernet => Some(1),
            Self::Raw => Some(101),
            Self::Other(_) => None,
        }
    }
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It came to the interface.
    In,
    /// It left by it.
    Out,
}

/// To whom a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// To this interface, or, if it went out, to whomever.
    Unicast,
    /// To a group.
    Multicast,
    /// To all.
    Broadcast,
    /// To another: the interface is a bridge's port, say, or listens to all.
    Other,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The number of the interface that it crossed.
    pub index: u32,
    /// How it begins.
    pub hardware: Hardware,
    /// Which way it went.
    pub direction: Direction,
    /// To whom it went.
    pub reception: Reception,
    /// When, in nanoseconds after the epoch.
    pub time: u64,
    /// Its bytes, or as many of them as were asked for.
    pub bytes: Vec<u8>,
    /// How many bytes it had.
    pub length: u32,
}

impl Packet {
    /// From what was received into `buffer`. A VLAN's tag, which the kernel has taken out, is put back where it was.
    pub(super) fn new(received: &Received, buffer: &[u8], now: u64) -> Self {
        let hardware = Hardware::numbered(received.hardware);
        let mut bytes = buffer.get(..received.captured).unwrap_or(buffer).to_vec();
        let mut length = received.length;
        if let (Some((kind, tag)), Hardware::Ethernet) = (received.vlan, hardware)
            && bytes.len() >= ADDRESSES
        {
            let [[a, b], [c, d]] = [kind.to_be_bytes(), tag.to_be_bytes()];
            bytes.splice(ADDRESSES..ADDRESSES, [a, b, c, d]);
            length = length.saturating_add(4);
        }
        let (direction, reception) = match received.kind {
            1 => (Direction::In, Reception::Broadcast),
            2 => (Direction::In, Reception::Multicast),
            3 => (Direction::In, Reception::Other),
            OUTGOING => (Direction::Out, Reception::Unicast),
            _ => (Direction::In, Reception::Unicast),
        };
        let time = received.time.and_then(|(seconds, nanoseconds)| {
            let whole = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
            whole.checked_add(nanoseconds.into())
        });
        Self {
            index: received.index,
            hardware,
            direction,
            reception,
            time: time.unwrap_or(now),
            // A driver that lies about lengths makes no file that nobody can read.
            length: length.max(bytes.len() as u32),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(hardware: u16) -> Received {
        Received {
            captured: 16,
            length: 60,
            index: 3,
            hardware,
            kind: 4,
            vlan: Some((0x8100, 5)),
            time: Some((1, 2)),
        }
    }

    #[test]
    fn a_tag_is_put_back() {
        let buffer: Vec<u8> = (0..100).collect();
        let packet = Packet::new(&received(1), &buffer, 0);
        assert_eq!(packet.bytes[..12], buffer[..12]);
        assert_eq!(packet.bytes[12..16], [0x81, 0, 0, 5]);
        assert_eq!(packet.bytes[16..], buffer[12..16]);
        assert_eq!((packet.length, packet.time), (64, 1_000_000_002));
        assert_eq!(packet.direction, Direction::Out);
        assert_eq!(
            Packet::new(&received(0xfffe), &buffer, 0).bytes,
            buffer[..16]
        );
    }

    #[test]
    fn nothing_is_trusted() {
        let mut odd = received(1);
        (odd.captured, odd.length, odd.time) = (1000, 0, Some((-1, 7)));
        let packet = Packet::new(&odd, &[1; 8], 9);
        assert_eq!((packet.bytes.len(), packet.length, packet.time), (8, 8, 9));
        odd.time = Some((i64::MAX, 0));
        assert_eq!(Packet::new(&odd, &[], 9).time, 9);
    }
}
