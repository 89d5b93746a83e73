//! IPv4 and IPv6 (RFC 791, RFC 8200).

use std::fmt::Write as _;
use std::net::IpAddr;

use etherparse::{IpNumber, LaxIpPayloadSlice, LaxIpv4Slice, LaxIpv6Slice};

use super::{Bytes, icmp, transport};

/// What IP carries.
pub(super) struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// As much of it as is there.
    pub bytes: Bytes<'a>,
    /// How many bytes it had.
    pub length: usize,
}

/// A part of a larger packet: where it begins in it, in bytes, whether there are more behind it, and the packet's number.
struct Fragment {
    offset: u32,
    more: bool,
    id: u32,
}

pub(super) fn v4(line: &mut String, slice: &LaxIpv4Slice<'_>, length: usize) {
    let header = slice.header();
    let total = match usize::from(header.total_len()) {
        // Larger packets than 64 KiB, which do not leave the machine, say 0.
        0 => length,
        total => total,
    };
    let fragment = header.is_fragmenting_payload().then(|| Fragment {
        offset: u32::from(header.fragments_offset().value()) * 8,
        more: header.more_fragments(),
        id: header.identification().into(),
    });
    line.push_str("IP ");
    let behind = slice.payload();
    let datagram = Datagram {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        bytes: Bytes(behind.payload),
        length: total.saturating_sub(header.slice().len()),
    };
    carried(line, &datagram, behind, fragment.as_ref());
}

pub(super) fn v6(line: &mut String, slice: &LaxIpv6Slice<'_>, length: usize) {
    let header = slice.header();
    let total = match usize::from(header.payload_length()) {
        0 => length.saturating_sub(header.slice().len()),
        total => total,
    };
    let behind = slice.payload();
    let extensions = slice.extensions();
    let fragment = extensions
        .clone()
        .into_iter()
        .find_map(|extension| match extension {
            etherparse::Ipv6ExtensionSlice::Fragment(fragment) => Some(Fragment {
                offset: u32::from(fragment.fragment_offset().value()) * 8,
                more: fragment.more_fragments(),
                id: fragment.identification(),
            }),
            _ => None,
        });
    // A fragment's header that has all of the packet is nothing to tell.
    let fragment = fragment.filter(|fragment| fragment.more || fragment.offset > 0);
    line.push_str("IP6 ");
    let datagram = Datagram {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        bytes: Bytes(behind.payload),
        length: total.saturating_sub(extensions.slice().len()),
    };
    carried(line, &datagram, behind, fragment.as_ref());
}

fn carried(
    line: &mut String,
    datagram: &Datagram<'_>,
    behind: &LaxIpPayloadSlice<'_>,
    fragment: Option<&Fragment>,
) {
    let number = behind.ip_number;
    if let Some(Fragment { offset, more, id }) = fragment {
        // Ports and the like are in the first one alone.
        if *offset > 0 {
            addresses(line, datagram);
            _ = write!(line, "{}", name(number));
        } else {
            protocol(line, datagram, number);
        }
        let more = if *more { "+" } else { "" };
        _ = write!(
            line,
            ", fragment {id:#x} at {offset}{more}, length {}",
            datagram.length
        );
        return;
    }
    protocol(line, datagram, number);
    match number {
        // They tell the length of what they carry.
        IpNumber::TCP | IpNumber::UDP => {}
        _ => _ = write!(line, ", length {}", datagram.length),
    }
}

fn protocol(line: &mut String, datagram: &Datagram<'_>, number: IpNumber) {
    match number {
        IpNumber::TCP => transport::tcp(line, datagram),
        IpNumber::UDP => transport::udp(line, datagram),
        IpNumber::SCTP => transport::sctp(line, datagram),
        IpNumber::ICMP => {
            addresses(line, datagram);
            icmp::v4(line, datagram.bytes);
        }
        IpNumber::IPV6_ICMP => {
            addresses(line, datagram);
            icmp::v6(line, datagram.bytes);
        }
        number => {
            addresses(line, datagram);
            line.push_str(&name(number));
        }
    }
}

/// `10.0.0.1 > 10.0.0.2: `
fn addresses(line: &mut String, datagram: &Datagram<'_>) {
    _ = write!(line, "{} > {}: ", datagram.source, datagram.destination);
}

/// What IANA's registry calls it, or its number.
pub(super) fn name(number: IpNumber) -> String {
    match number.keyword_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("protocol {}", number.0),
    }
}
