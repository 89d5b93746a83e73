//! The words before a value, and what they make of it.

use std::net::IpAddr;

use super::{Carried, End, Network, Test};
use crate::Subnet;

/// What stands before a value, and holds for values that follow without words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Qualifiers {
    pub protocol: Option<Named>,
    pub end: End,
    pub kind: Option<Kind>,
}

/// A protocol by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Ether,
    Network(Network),
    Carried(Carried),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Net,
    Port,
    PortRange,
}

/// A decimal number. (`parse` takes a sign.)
pub(super) fn digits<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| word.parse().ok())
        .flatten()
}

impl Qualifiers {
    /// Whether its words go together.
    pub(super) fn sound(self) -> Result<(), &'static str> {
        let ports = matches!(self.kind, Some(Kind::Port | Kind::PortRange));
        match self.protocol {
            Some(Named::Ether) if !matches!(self.kind, None | Some(Kind::Host)) => {
                Err("'ether' has hosts alone")
            }
            Some(Named::Network(_)) if ports => Err("ports are of tcp, udp and sctp"),
            Some(Named::Carried(Carried::Icmp | Carried::Icmp6)) => {
                Err("it has no hosts, nets or ports of its own: join conditions by 'and'")
            }
            Some(Named::Carried(_)) if !ports => {
                Err("it has ports alone: join a host or net by 'and'")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn wanted(self) -> &'static str {
        match (self.protocol, self.kind) {
            (Some(Named::Ether), _) => "an Ethernet address",
            (_, None | Some(Kind::Host)) => "an IPv4 or IPv6 address (names are not looked up)",
            (_, Some(Kind::Net)) => "a net such as 10.1.0.0/16 or fd00::/8",
            (_, Some(Kind::Port)) => "a port from 0 to 65535 (names are not looked up)",
            (_, Some(Kind::PortRange)) => "two ports such as 8000-8080",
        }
    }

    pub(super) fn test(self, word: &str) -> Result<Test, String> {
        let bad = || format!("{} is wanted", self.wanted());
        match (self.protocol, self.kind) {
            (Some(Named::Ether), _) => Ok(Test::Ether(self.end, ether(word).ok_or_else(bad)?)),
            (protocol, Some(Kind::Port | Kind::PortRange)) => {
                let (first, last) = match (self.kind, word.split_once('-')) {
                    (Some(Kind::PortRange), Some((first, last))) => (first, last),
                    (Some(Kind::PortRange), None) => return Err(bad()),
                    _ => (word, word),
                };
                let port = |text| digits::<u16>(text).ok_or_else(bad);
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err("its last port comes before its first".to_owned());
                }
                let protocol = match protocol {
                    Some(Named::Carried(Carried::Ports(protocol))) => Some(protocol),
                    _ => None,
                };
                Ok(Test::Port(protocol, self.end, first, last))
            }
            (protocol, kind) => {
                let subnet = match word.parse::<IpAddr>() {
                    Ok(address) => Subnet::of(address, if address.is_ipv4() { 32 } else { 128 }),
                    Err(_) if kind == Some(Kind::Host) || !word.contains('/') => None,
                    Err(_) => Some(word.parse::<Subnet>().map_err(|e| e.to_string())?),
                };
                let subnet = subnet.ok_or_else(bad)?;
                let network = match protocol {
                    Some(Named::Network(network)) => Some(network),
                    _ => None,
                };
                match (network, subnet.is_ipv4()) {
                    (Some(Network::Ipv6), true) => Err("ip6 has no IPv4 addresses".to_owned()),
                    (Some(Network::Ipv4 | Network::Arp | Network::Rarp), false) => {
                        Err("only ip6 has IPv6 addresses".to_owned())
                    }
                    _ => Ok(Test::Address(network, self.end, subnet)),
                }
            }
        }
    }
}

/// Six numbers of one or two hexadecimal digits between colons (or hyphens): any, those of groups too.
fn ether(word: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut numbers = word.split([':', '-']);
    for byte in &mut bytes {
        let number = numbers.next()?;
        let sound =
            (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(number, 16).ok().filter(|_| sound)?;
    }
    numbers.next().is_none().then_some(bytes)
}
