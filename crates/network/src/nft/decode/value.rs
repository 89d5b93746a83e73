//! What expressions load, and values as nft(8) writes them.

use std::net::IpAddr;

/// What kind of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Address4,
    Address6,
    Port,
    Protocol,
    NfProto,
    Interface,
    /// In the machine's order.
    Host,
    Mark,
    State,
    Status,
    RouteType,
    Flags,
    /// In the network's order.
    Number,
}

/// A key of `meta`: its name, its kind, its length.
pub(super) fn meta(key: u32) -> Option<(&'static str, Kind, u32)> {
    Some(match key {
        0 => ("meta length", Kind::Host, 4),
        3 => ("meta mark", Kind::Mark, 4),
        4 => ("iif", Kind::Host, 4),
        5 => ("oif", Kind::Host, 4),
        6 => ("iifname", Kind::Interface, 16),
        7 => ("oifname", Kind::Interface, 16),
        10 => ("meta skuid", Kind::Host, 4),
        11 => ("meta skgid", Kind::Host, 4),
        12 => ("meta nftrace", Kind::Number, 1),
        15 => ("meta nfproto", Kind::NfProto, 1),
        16 => ("meta l4proto", Kind::Protocol, 1),
        23 => ("meta cgroup", Kind::Host, 4),
        26 => ("meta iifkind", Kind::Interface, 16),
        27 => ("meta oifkind", Kind::Interface, 16),
        _ => return None,
    })
}

/// A key of `ct`.
pub(super) fn ct(key: u32) -> Option<(&'static str, Kind, u32)> {
    Some(match key {
        0 => ("state", Kind::State, 4),
        2 => ("status", Kind::Status, 4),
        3 => ("mark", Kind::Mark, 4),
        11 => ("proto-src", Kind::Port, 2),
        12 => ("proto-dst", Kind::Port, 2),
        _ => return None,
    })
}

/// A field of IP's header.
pub(super) fn network(ipv4: bool, offset: u32, length: u32) -> Option<(&'static str, Kind)> {
    Some(match (ipv4, offset, length) {
        (true, 12, 1..=4) => ("ip saddr", Kind::Address4),
        (true, 16, 1..=4) => ("ip daddr", Kind::Address4),
        (true, 9, 1) => ("ip protocol", Kind::Protocol),
        (true, 8, 1) => ("ip ttl", Kind::Number),
        (false, 8, 1..=16) => ("ip6 saddr", Kind::Address6),
        (false, 24, 1..=16) => ("ip6 daddr", Kind::Address6),
        (false, 6, 1) => ("ip6 nexthdr", Kind::Protocol),
        (false, 7, 1) => ("ip6 hoplimit", Kind::Number),
        _ => return None,
    })
}

/// A field of the header above IP.
pub(super) fn transport(
    protocol: Option<u8>,
    offset: u32,
    length: u32,
) -> Option<(&'static str, Kind)> {
    Some(match (protocol, offset, length) {
        (Some(6), 0, 2) => ("tcp sport", Kind::Port),
        (Some(6), 2, 2) => ("tcp dport", Kind::Port),
        (Some(6), 13, 1) => ("tcp flags", Kind::Flags),
        (Some(17), 0, 2) => ("udp sport", Kind::Port),
        (Some(17), 2, 2) => ("udp dport", Kind::Port),
        (Some(132), 0, 2) => ("sctp sport", Kind::Port),
        (Some(132), 2, 2) => ("sctp dport", Kind::Port),
        (Some(1), 0, 1) => ("icmp type", Kind::Number),
        (Some(58), 0, 1) => ("icmpv6 type", Kind::Number),
        (None, 0, 2) => ("th sport", Kind::Port),
        (None, 2, 2) => ("th dport", Kind::Port),
        _ => return None,
    })
}

impl Kind {
    /// A value as nft(8) writes it.
    pub(super) fn show(self, bytes: &[u8]) -> Option<String> {
        Some(match (self, bytes) {
            (Self::Address4 | Self::Address6, bytes) => self.address(bytes)?,
            (Self::Port, &[a, b]) => u16::from_be_bytes([a, b]).to_string(),
            (Self::Protocol, &[number]) => protocol(number),
            (Self::NfProto, [2]) => "ipv4".to_owned(),
            (Self::NfProto, [10]) => "ipv6".to_owned(),
            // Without the NUL at its end it is a beginning.
            (Self::Interface, bytes) => {
                let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                let more = if bytes.contains(&0) { "" } else { "*" };
                format!("\"{}{more}\"", String::from_utf8_lossy(name))
            }
            (Self::Host, bytes) => u32::from_ne_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Mark, bytes) => {
                format!("{:#010x}", u32::from_ne_bytes(bytes.try_into().ok()?))
            }
            (Self::State | Self::Status | Self::Flags, bytes) => self.show_bits(bytes)?,
            (Self::RouteType, bytes) => match u32::from_ne_bytes(bytes.try_into().ok()?) {
                1 => "unicast".to_owned(),
                2 => "local".to_owned(),
                3 => "broadcast".to_owned(),
                5 => "multicast".to_owned(),
                other => other.to_string(),
            },
            (Self::Number, bytes) if !bytes.is_empty() && bytes.len() <= 8 => bytes
                .iter()
                .fold(0u64, |all, byte| all << 8 | u64::from(*byte))
                .to_string(),
            _ => return None,
        })
    }

    /// Bits by their names.
    pub(super) fn show_bits(self, mask: &[u8]) -> Option<String> {
        let (names, bits): (&[(u32, &str)], u32) = match self {
            Self::State => (
                &[
                    (1, "invalid"),
                    (2, "established"),
                    (4, "related"),
                    (8, "new"),
                    (64, "untracked"),
                ],
                u32::from_ne_bytes(mask.try_into().ok()?),
            ),
            Self::Status => (
                &[
                    (1, "expected"),
                    (2, "seen-reply"),
                    (4, "assured"),
                    (8, "confirmed"),
                    (16, "snat"),
                    (32, "dnat"),
                    (512, "dying"),
                ],
                u32::from_ne_bytes(mask.try_into().ok()?),
            ),
            Self::Flags => (
                &[
                    (1, "fin"),
                    (2, "syn"),
                    (4, "rst"),
                    (8, "psh"),
                    (16, "ack"),
                    (32, "urg"),
                ],
                u32::from(*mask.first()?),
            ),
            _ => return None,
        };
        let known = names.iter().fold(0, |all, (bit, _)| all | bit);
        if bits == 0 || bits & !known != 0 {
            return None;
        }
        let names: Vec<&str> = names
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| *name)
            .collect();
        Some(names.join(","))
    }

    /// `value` of the bits of `mask`.
    pub(super) fn show_masked(self, mask: &[u8], value: &[u8]) -> Option<String> {
        match self {
            Self::Address4 | Self::Address6 => {
                let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
                let leading = mask.iter().take_while(|byte| **byte == 0xff).count();
                let rest = mask.get(leading).map_or(0, |byte| byte.leading_ones());
                // No prefix otherwise.
                (leading as u32 * 8 + rest == ones)
                    .then(|| Some(format!("{}/{ones}", self.address(value)?)))?
            }
            Self::Flags => Some(format!(
                "{} / {}",
                self.show_bits(value).unwrap_or_else(|| "0x0".to_owned()),
                self.show_bits(mask)?
            )),
            Self::Mark => Some(format!("and {} == {}", self.show(mask)?, self.show(value)?)),
            _ => None,
        }
    }

    /// An address; of fewer bytes than one has, those at its beginning, as nft(8) compares them for a prefix of whole
    /// bytes.
    fn address(self, bytes: &[u8]) -> Option<String> {
        let mut octets = [0; 16];
        octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let (address, whole): (IpAddr, usize) = match (self, octets) {
            (Self::Address4, [a, b, c, d, ..]) => ([a, b, c, d].into(), 4),
            _ => (octets.into(), 16),
        };
        match bytes.len() {
            length if length == whole => Some(address.to_string()),
            length if length < whole => Some(format!("{address}/{}", length * 8)),
            _ => None,
        }
    }
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "ipv6-icmp".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}
