//! What is to be reached: `web`, `web:80`, `10.0.0.2:53/udp`, `[2001:db8::1]:80`.

use std::net::IpAddr;
use std::time::Duration;

use soute_network::Protocol;

/// An end of a connection, as it is given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// An address, or a name.
    pub host: Host,
    /// The port, if there is one, and whose.
    pub port: Option<(Protocol, u16)>,
}

/// An address, or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

/// Reads one.
pub fn target(text: &str) -> Result<Target, String> {
    let (end, protocol) = match text.rsplit_once('/') {
        Some((end, protocol)) => {
            let protocol: Protocol = protocol
                .parse()
                .map_err(|_| format!("{protocol:?} is neither tcp nor udp"))?;
            if protocol == Protocol::Sctp {
                return Err("sctp is not probed: tcp or udp".to_owned());
            }
            (end, Some(protocol))
        }
        None => (text, None),
    };
    let (host, port) = split(end)?;
    let port = match (port, protocol) {
        (Some(port), protocol) => Some((protocol.unwrap_or(Protocol::Tcp), number(port)?)),
        (None, None) => None,
        (None, Some(protocol)) => {
            return Err(format!("a port is missing: {end}:PORT/{protocol}"));
        }
    };
    Ok(Target {
        host: host_of(host)?,
        port,
    })
}

/// The host, and the port behind it.
fn split(end: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = end.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a ] is missing")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("{host:?} is no IPv6 address"));
        }
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err(format!("{rest:?} is no port: [ADDRESS]:PORT")),
        };
    }
    match end.split_once(':') {
        None => Ok((end, None)),
        Some(_) if end.parse::<IpAddr>().is_ok() => Ok((end, None)),
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        Some(_) => Err(format!(
            "{end:?} has too many colons: an IPv6 address with a port is written [ADDRESS]:PORT"
        )),
    }
}

fn number(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| format!("{text:?} is no port: 1 to 65535"))
}

fn host_of(text: &str) -> Result<Host, String> {
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(address));
    }
    // What a name server could be asked for, and no more.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match text.is_empty() || text.len() > 253 || !text.bytes().all(plain) {
        true => Err(format!("{text:?} is neither an address nor a name")),
        false => Ok(Host::Name(text.to_owned())),
    }
}

/// `--timeout`: seconds, perhaps with a fraction.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time to wait: 0.1 to 60 seconds");
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    match plain && (0.1..=60.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read() {
        let tcp = |port| Some((Protocol::Tcp, port));
        for (text, host, port) in [
            ("web", "web", None),
            ("web:80", "web", tcp(80)),
            ("web:80/tcp", "web", tcp(80)),
            ("10.0.0.2:53/udp", "10.0.0.2", Some((Protocol::Udp, 53))),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:65535", "2001:db8::1", tcp(65535)),
            ("a.b-c_d.", "a.b-c_d.", None),
        ] {
            let host = match host.parse() {
                Ok(address) => Host::Address(address),
                Err(_) => Host::Name(host.to_owned()),
            };
            assert_eq!(target(text), Ok(Target { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_no_end_is_told() {
        for (text, why) in [
            ("", "neither an address nor a name"),
            ("web:", "no port"),
            ("web:0", "no port"),
            ("web:65536", "no port"),
            ("web:+1", "no port"),
            ("web/udp", "a port is missing"),
            ("web:80/sctp", "not probed"),
            ("web:80/x", "neither tcp nor udp"),
            ("2001:db8::1:x", "too many colons"),
            ("[2001:db8::1", "] is missing"),
            ("[2001:db8::1]80", "no port"),
            ("[web]:80", "no IPv6 address"),
            ("a b", "neither an address nor a name"),
            ("\u{1b}[2J", "neither an address nor a name"),
        ] {
            let told = target(text).unwrap_err();
            assert!(told.contains(why), "{text:?}: {told}");
        }
        for text in ["0", "-1", "61", "inf", "1e1", "x", ""] {
            assert!(timeout(text).is_err(), "{text}");
        }
        assert_eq!(timeout("0.5"), Ok(Duration::from_millis(500)));
    }
}
