//! Packets as a file: pcapng (draft-ietf-opsawg-pcapng), one section, little-endian, times in nanoseconds.
//!
//! Blocks are appended to bytes: who writes them, and when, is the caller's. Why no crate does it:
//! docs/decisions/0010-captures.md.

use super::packet::{Direction, Packet, Reception};

/// Types of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Times count 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// An interface as a file tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its packets begin: a LINKTYPE_ number.
    pub link_type: u16,
    /// How many bytes of a packet there are at most.
    pub snaplen: u32,
    /// The filter's text, if there was one.
    pub filter: Option<&'a str>,
}

/// What a file tells of an interface at the end.
#[derive(Debug, Clone, Copy)]
pub struct Statistics<'a> {
    /// When the capture began and ended, in nanoseconds after the epoch.
    pub began: u64,
    /// See [`Self::began`].
    pub ended: u64,
    /// Packets in the file.
    pub delivered: u64,
    /// Packets that the kernel had no room for. `None`: there is no telling whose they were.
    pub dropped: Option<u64>,
    /// What else there is to say.
    pub comment: Option<&'a str>,
}

/// The beginning of a file, that `program` makes.
pub fn section(out: &mut Vec<u8>, program: &str) {
    block(out, SECTION, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        // Version 1.0, of a length that is not known.
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(body, 3, b"Linux");
        option(body, 4, program.as_bytes());
        end_of_options(body);
    });
}

/// An interface. The first has the number 0 in this file, the next 1, and so on.
pub fn interface(out: &mut Vec<u8>, description: &Description<'_>) {
    block(out, INTERFACE, |body| {
        body.extend(description.link_type.to_le_bytes());
        body.extend([0, 0]);
        body.extend(description.snaplen.to_le_bytes());
        option(body, 2, description.name.as_bytes());
        option(body, 9, &[NANOSECONDS]);
        if let Some(filter) = description.filter {
            // 0: a text for libpcap follows.
            option(body, 11, &[&[0], filter.as_bytes()].concat());
        }
        end_of_options(body);
    });
}

/// A packet of the interface with this number in the file.
pub fn packet(out: &mut Vec<u8>, interface: u32, packet: &Packet) {
    block(out, PACKET, |body| {
        body.extend(interface.to_le_bytes());
        body.extend(halves(packet.time));
        body.extend((packet.bytes.len() as u32).to_le_bytes());
        body.extend(packet.length.to_le_bytes());
        body.extend(&packet.bytes);
        pad(body);
        option(body, 2, &flags(packet).to_le_bytes());
        end_of_options(body);
    });
}

/// What became of the interface with this number in the file.
pub fn statistics(out: &mut Vec<u8>, interface: u32, statistics: &Statistics<'_>) {
    block(out, STATISTICS, |body| {
        body.extend(interface.to_le_bytes());
        body.extend(halves(statistics.ended));
        if let Some(comment) = statistics.comment {
            option(body, 1, comment.as_bytes());
        }
        option(body, 2, &halves(statistics.began));
        option(body, 3, &halves(statistics.ended));
        if let Some(dropped) = statistics.dropped {
            option(body, 7, &dropped.to_le_bytes());
        }
        option(body, 8, &statistics.delivered.to_le_bytes());
        end_of_options(body);
    });
}

/// epb_flags: two bits for the direction, three for whom it went to.
fn flags(packet: &Packet) -> u32 {
    let direction = match packet.direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    let reception = match (packet.direction, packet.reception) {
        // Of what goes out the kernel does not say it.
        (Direction::Out, _) => 0,
        (_, Reception::Unicast) => 1,
        (_, Reception::Multicast) => 2,
        (_, Reception::Broadcast) => 3,
        (_, Reception::Other) => 4,
    };
    direction | reception << 2
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    body(&mut content);
    // Type, length, content, length again.
    let length = (content.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(content);
    out.extend(length);
}

/// One longer than an option can be is cut.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(usize::from(u16::MAX));
    body.extend(code.to_le_bytes());
    body.extend((length as u16).to_le_bytes());
    body.extend(&value[..length]);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// All parts of a block begin at multiples of 32 bits.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A time's higher 32 bits come first, whatever the order of bytes.
fn halves(time: u64) -> [u8; 8] {
    let [a, b, c, d] = ((time >> 32) as u32).to_le_bytes();
    let [e, f, g, h] = (time as u32).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::Hardware;

    /// Blocks by type, as a reader takes them apart.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word =
            |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = word(file, 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(file, length - 4) as usize, length);
            blocks.push((word(file, 0), file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        blocks
    }

    fn packet_of(bytes: Vec<u8>) -> Packet {
        Packet {
            index: 2,
            hardware: Hardware::Ethernet,
            direction: Direction::In,
            reception: Reception::Broadcast,
            time: 0x0102_0304_0506_0708,
            length: 1500,
            bytes,
        }
    }

    #[test]
    fn a_packet() {
        let mut file = Vec::new();
        packet(&mut file, 1, &packet_of(vec![9; 5]));
        let mut wanted = vec![
            1, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 5, 0, 0, 0, 0xdc, 5, 0, 0,
        ];
        wanted.extend([9, 9, 9, 9, 9, 0, 0, 0]);
        wanted.extend([2, 0, 4, 0, 0b1101, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(blocks(&file), [(PACKET, wanted)]);
    }

    proptest! {
        #[test]
        fn any_content_makes_whole_blocks(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), name: String, filter: Option<String>, dropped: Option<u64>,
        ) {
            let mut file = Vec::new();
            section(&mut file, "soute");
            let description = Description { name: &name, link_type: 1, snaplen: 80, filter: filter.as_deref() };
            interface(&mut file, &description);
            packet(&mut file, 0, &packet_of(bytes));
            let end = Statistics { began: 1, ended: 2, delivered: 1, dropped, comment: filter.as_deref() };
            statistics(&mut file, 0, &end);
            let kinds: Vec<u32> = blocks(&file).into_iter().map(|(kind, _)| kind).collect();
            prop_assert_eq!(kinds, [SECTION, INTERFACE, PACKET, STATISTICS]);
        }
    }
}
