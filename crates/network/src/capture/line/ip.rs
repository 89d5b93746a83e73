//! IPv4 and IPv6 (RFC 791, RFC 8200).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Bytes, CUT, icmp, transport};

/// IANA's registry of protocol numbers.
const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
const ICMP6: u8 = 58;
pub(super) const SCTP: u8 = 132;
/// Headers that IPv6 may have before what it carries.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

/// What IP carries.
pub(super) struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Its protocol's number.
    pub protocol: u8,
    /// As much of it as is there.
    pub bytes: Bytes<'a>,
    /// How many bytes it had.
    pub length: usize,
    /// Which part of a larger one it is, if it is one.
    pub fragment: Option<Fragment>,
}

/// A part of a larger packet: where it begins in it, in bytes, whether there are more behind it, and the packet's number.
pub(super) struct Fragment {
    offset: u32,
    more: bool,
    id: u32,
}

impl Datagram<'_> {
    /// Whether it has the beginning of what is carried, where ports and the like are.
    pub(super) fn has_beginning(&self) -> bool {
        self.fragment
            .as_ref()
            .is_none_or(|fragment| fragment.offset == 0)
    }
}

/// Reads a packet of IPv4 that had `length` bytes. `None`: its header is cut off, or none.
pub(super) fn read_v4(bytes: Bytes<'_>, length: usize) -> Option<Datagram<'_>> {
    let header = usize::from(bytes.u8(0).filter(|byte| byte >> 4 == 4)? & 0xf) * 4;
    if header < 20 || header > bytes.0.len() {
        return None;
    }
    let total = match usize::from(bytes.u16(2)?) {
        // Larger packets than 64 KiB, which do not leave the machine, say 0.
        0 => length,
        total => total,
    };
    let parts = bytes.u16(6)?;
    let (offset, more) = (u32::from(parts & 0x1fff) * 8, parts & 0x2000 != 0);
    Some(Datagram {
        source: Ipv4Addr::from(bytes.array::<4>(12)?).into(),
        destination: Ipv4Addr::from(bytes.array::<4>(16)?).into(),
        protocol: bytes.u8(9)?,
        // What is behind the packet fills the frame up.
        bytes: bytes.to(total).from(header),
        length: total.saturating_sub(header),
        fragment: (offset > 0 || more).then_some(Fragment {
            offset,
            more,
            id: bytes.u16(4)?.into(),
        }),
    })
}

/// The same of IPv6.
pub(super) fn read_v6(bytes: Bytes<'_>, length: usize) -> Option<Datagram<'_>> {
    const HEADER: usize = 40;
    bytes.u8(0).filter(|byte| byte >> 4 == 6)?;
    let total = match usize::from(bytes.u16(4)?) {
        0 => length.saturating_sub(HEADER),
        total => total,
    };
    let mut datagram = Datagram {
        source: Ipv6Addr::from(bytes.array::<16>(8)?).into(),
        destination: Ipv6Addr::from(bytes.array::<16>(24)?).into(),
        protocol: bytes.u8(6)?,
        bytes: bytes.from(HEADER).to(total),
        length: total,
        fragment: None,
    };
    while let Some((next, size)) = datagram.extension() {
        datagram.protocol = next;
        datagram.bytes = datagram.bytes.from(size);
        datagram.length = datagram.length.saturating_sub(size);
        if !datagram.has_beginning() {
            break;
        }
    }
    Some(datagram)
}

impl Datagram<'_> {
    /// If what is carried is a further header of IPv6: what comes behind it, and its own length, which is never 0.
    fn extension(&mut self) -> Option<(u8, usize)> {
        let (next, words) = (self.bytes.u8(0), self.bytes.u8(1).map(usize::from));
        let size = match self.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => (words? + 1) * 8,
            AUTHENTICATION => (words? + 2) * 4,
            FRAGMENT => {
                let (parts, id) = (self.bytes.u16(2)?, self.bytes.u32(4)?);
                let (offset, more) = (u32::from(parts & 0xfff8), parts & 1 != 0);
                // One that has all of the packet is nothing to tell.
                self.fragment = (offset > 0 || more).then_some(Fragment { offset, more, id });
                8
            }
            _ => return None,
        };
        // One that is cut off is what is shown.
        (size <= self.bytes.0.len()).then_some((next?, size))
    }
}

pub(super) fn v4(line: &mut String, bytes: Bytes<'_>, length: usize) {
    line.push_str("IP ");
    show(line, read_v4(bytes, length), length);
}

pub(super) fn v6(line: &mut String, bytes: Bytes<'_>, length: usize) {
    line.push_str("IP6 ");
    show(line, read_v6(bytes, length), length);
}

fn show(line: &mut String, datagram: Option<Datagram<'_>>, length: usize) {
    let Some(datagram) = datagram else {
        _ = write!(line, "{CUT}, length {length}");
        return;
    };
    let Some(Fragment { offset, more, id }) = &datagram.fragment else {
        carried(line, &datagram);
        return;
    };
    if datagram.has_beginning() {
        carried(line, &datagram);
    } else {
        addresses(line, &datagram);
        line.push_str(&name(datagram.protocol));
    }
    let more = if *more { "+" } else { "" };
    _ = write!(
        line,
        ", fragment {id:#x} of {} bytes at {offset}{more}",
        datagram.length
    );
}

fn carried(line: &mut String, datagram: &Datagram<'_>) {
    match datagram.protocol {
        // They tell the length of what they carry.
        TCP => return transport::tcp(line, datagram),
        UDP => return transport::udp(line, datagram),
        SCTP => transport::sctp(line, datagram),
        ICMP => {
            addresses(line, datagram);
            icmp::v4(line, datagram.bytes);
        }
        ICMP6 => {
            addresses(line, datagram);
            icmp::v6(line, datagram.bytes);
        }
        number => {
            addresses(line, datagram);
            line.push_str(&name(number));
        }
    }
    _ = write!(line, ", length {}", datagram.length);
}

/// `10.0.0.1 > 10.0.0.2: `
fn addresses(line: &mut String, datagram: &Datagram<'_>) {
    _ = write!(line, "{} > {}: ", datagram.source, datagram.destination);
}

/// What IANA's registry calls a protocol, or its number.
pub(super) fn name(protocol: u8) -> String {
    let name = match protocol {
        ICMP => "ICMP",
        2 => "IGMP",
        4 => "IPv4 in IP",
        TCP => "TCP",
        UDP => "UDP",
        41 => "IPv6 in IP",
        47 => "GRE",
        50 => "ESP",
        AUTHENTICATION => "AH",
        ICMP6 => "ICMP6",
        59 => "nothing",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        SCTP => "SCTP",
        136 => "UDP-Lite",
        other => return format!("protocol {other}"),
    };
    name.to_owned()
}
