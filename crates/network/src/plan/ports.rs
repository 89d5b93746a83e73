//! What `-p` means: `[address:][port of the machine]:port of the container[/protocol]`, either port a range, as Docker
//! reads it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Protocol;

/// A port of a container that is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The machine's address; none, or an unspecified one: all.
    pub address: Option<IpAddr>,
    /// The machine's port.
    pub port: PortOfMachine,
    /// The container's port.
    pub container: u16,
    /// Of both.
    pub protocol: Protocol,
}

/// Which port of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortOfMachine {
    /// One that is free, of those that are given to whoever asks for none (`net.ipv4.ip_local_port_range`).
    Any,
    /// This one.
    One(u16),
    /// The first free one of these, both ends included.
    Of(u16, u16),
}

/// Why a text means no ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port {text:?}: {why}")]
pub struct InvalidPort {
    text: String,
    why: String,
}

/// The ports that `text` means: of a range, all.
///
/// - `80`, `:80`, `0:80`: any free port of the machine leads to 80
/// - `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80/udp`
/// - `127.0.0.1::80`: any free port of that address
/// - `8000-8010:8000-8010`: one to one; both of the same length
/// - `8000-8010:80`: the first free one of eleven
pub fn parse(text: &str) -> Result<Vec<Wanted>, InvalidPort> {
    let bad = |why: String| InvalidPort {
        text: text.to_owned(),
        why,
    };
    let (ports, protocol) = match text.split_once('/') {
        // Nothing behind the slash is nothing said.
        Some((ports, "")) => (ports, Protocol::Tcp),
        Some((ports, protocol)) => {
            let known = protocol.parse::<Protocol>();
            (ports, known.map_err(|e| bad(e.to_string()))?)
        }
        None => (text, Protocol::Tcp),
    };
    let mut parts = ports.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let machine = parts.next().unwrap_or_default();
    let address = match parts.next() {
        None | Some("") => None,
        Some(address) => Some(parse_address(address).map_err(bad)?),
    };
    if container.is_empty() {
        return Err(bad("the container's port is missing".into()));
    }
    let (first, last) = range(container).map_err(bad)?;
    if first == 0 {
        return Err(bad("the container's port is 1 to 65535".into()));
    }
    let machine = match machine {
        "" | "0" => None,
        machine => Some(range(machine).map_err(bad)?),
    };
    let one = |port, container| Wanted {
        address,
        port,
        container,
        protocol,
    };
    match machine {
        None => Ok((first..=last)
            .map(|container| one(PortOfMachine::Any, container))
            .collect()),
        Some((0, _)) => Err(bad("a range of the machine's ports begins at 1".into())),
        Some((low, high)) if high - low == last - first => {
            let ports = (low..=high).zip(first..=last);
            Ok(ports
                .map(|(port, container)| one(PortOfMachine::One(port), container))
                .collect())
        }
        Some((low, high)) if first == last => Ok(vec![one(PortOfMachine::Of(low, high), first)]),
        Some((low, high)) => Err(bad(format!(
            "{low}-{high} and {first}-{last} are not of the same length"
        ))),
    }
}

/// An address; of IPv6 in brackets or without.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let inner = match text.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .filter(|inner| inner.contains(':'))
            .ok_or_else(|| format!("{text:?} is no IPv6 address in brackets"))?,
        None => text,
    };
    let address: IpAddr = inner
        .parse()
        .map_err(|_| format!("{inner:?} is no IPv4 or IPv6 address"))?;
    // ::ffff:192.0.2.1 is IPv4's.
    Ok(address.to_canonical())
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok((first, last))
}

fn number(text: &str) -> Result<u16, String> {
    Some(text)
        // parse takes a sign.
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{text:?} is no port from 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PortOfMachine::{Any, Of, One};
    use super::*;

    fn wanted(address: &str, port: PortOfMachine, container: u16, protocol: Protocol) -> Wanted {
        Wanted {
            address: address.parse().ok(),
            port,
            container,
            protocol,
        }
    }

    #[test]
    fn one_port() {
        use Protocol::{Sctp, Tcp, Udp};
        for (text, expected) in [
            ("80", wanted("", Any, 80, Tcp)),
            (":80", wanted("", Any, 80, Tcp)),
            ("::80", wanted("", Any, 80, Tcp)),
            ("0:80", wanted("", Any, 80, Tcp)),
            ("80/udp", wanted("", Any, 80, Udp)),
            ("80/", wanted("", Any, 80, Tcp)),
            ("8080:80", wanted("", One(8080), 80, Tcp)),
            ("8080:80/SCTP", wanted("", One(8080), 80, Sctp)),
            ("127.0.0.1:8080:80", wanted("127.0.0.1", One(8080), 80, Tcp)),
            ("127.0.0.1::80", wanted("127.0.0.1", Any, 80, Tcp)),
            ("0.0.0.0:65535:1", wanted("0.0.0.0", One(65535), 1, Tcp)),
            ("[::1]:80:80", wanted("::1", One(80), 80, Tcp)),
            ("::1:8080:80", wanted("::1", One(8080), 80, Tcp)),
            ("[2001:db8::1]::80/udp", wanted("2001:db8::1", Any, 80, Udp)),
            (
                "[::ffff:192.0.2.1]:80:80",
                wanted("192.0.2.1", One(80), 80, Tcp),
            ),
            ("8000-8010:80", wanted("", Of(8000, 8010), 80, Tcp)),
            ("8000-8000:80", wanted("", One(8000), 80, Tcp)),
        ] {
            assert_eq!(parse(text).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn ranges() {
        let two = parse("127.0.0.1:8000-8001:90-91/udp").unwrap();
        let at = |port, container| wanted("127.0.0.1", One(port), container, Protocol::Udp);
        assert_eq!(two, [at(8000, 90), at(8001, 91)]);
        let any = parse("90-92").unwrap();
        assert_eq!(any.len(), 3);
        assert!(any.iter().all(|port| port.port == Any));
        assert_eq!(parse("1-65535:1-65535").unwrap().len(), 65535);
    }

    #[test]
    fn what_means_no_port_is_told() {
        for (text, why) in [
            ("", "the container's port is missing"),
            ("8080:", "the container's port is missing"),
            ("/tcp", "the container's port is missing"),
            ("0", "1 to 65535"),
            ("80/icmp", "unknown protocol \"icmp\""),
            ("80/tcp/udp", "unknown protocol \"tcp/udp\""),
            ("+80", "no port"),
            ("65536", "no port"),
            ("8080:http", "no port"),
            ("80-", "no port"),
            ("90-80", "ends before it begins"),
            ("0-10:80", "begins at 1"),
            ("8000-8010:80-81", "not of the same length"),
            ("8000:80-81", "not of the same length"),
            ("localhost:80:80", "no IPv4 or IPv6 address"),
            ("1.2.3:80:80", "no IPv4 or IPv6 address"),
            ("[127.0.0.1]:80:80", "in brackets"),
            ("[::1:80:80", "in brackets"),
            ("fe80::1%eth0:80:80", "no IPv4 or IPv6 address"),
            (" 80", "no port"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.contains(why) && e.contains(&format!("{text:?}")), "{e}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[0-9a-f:./\[\]-]{0,24}") {
            let _ = parse(&text);
        }

        #[test]
        fn numbers_mean_themselves(port in 1u16.., container in 1u16..) {
            let one = wanted("", One(port), container, Protocol::Tcp);
            prop_assert_eq!(parse(&format!("{port}:{container}")).unwrap(), [one]);
        }
    }
}
