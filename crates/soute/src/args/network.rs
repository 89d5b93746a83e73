//! `--network`, `--dns`, `--add-host` and their kin.

use std::net::IpAddr;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::request::{Network, Request};

use super::namespaces::container;

/// Network and name resolution.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// none, host or container:NAME
    #[arg(long, visible_alias = "net", value_name = "MODE", value_parser = network)]
    network: Option<Network>,

    /// Add a name to /etc/hosts
    #[arg(long, value_name = "HOST:IP", value_parser = extra_host)]
    add_host: Vec<(String, IpAddr)>,

    /// Name servers instead of the machine's
    #[arg(long, value_name = "IP", value_parser = |text: &str| text.parse::<IpAddr>())]
    dns: Vec<IpAddr>,

    /// Search domains instead of the machine's ('.' for none)
    #[arg(long, value_name = "DOMAIN", value_parser = search_domain)]
    dns_search: Vec<String>,

    /// Resolver options instead of the machine's (resolv.conf(5))
    #[arg(long, alias = "dns-opt", value_name = "OPTION", value_parser = dns_option)]
    dns_option: Vec<String>,

    /// Known, so that the refusal says why.
    #[arg(short, long, hide = true, value_name = "PORT")]
    publish: Vec<String>,

    /// Known, so that the refusal says why.
    #[arg(short = 'P', long, hide = true)]
    publish_all: bool,
}

impl NetworkArgs {
    /// The container whose network is shared.
    pub fn joined(&self) -> Option<&str> {
        match &self.network {
            Some(Network::Container(name)) => Some(name),
            _ => None,
        }
    }

    /// Files the network under `request`.
    pub fn apply(self, request: &mut Request) -> Result<()> {
        if !self.publish.is_empty() || self.publish_all {
            bail!("published ports: {MISSING}");
        }
        request.network = self.network.unwrap_or_default();
        request.extra_hosts = self.add_host;
        request.dns = self.dns;
        request.dns_search = self.dns_search;
        request.dns_options = self.dns_option;
        Ok(())
    }
}

const MISSING: &str = "networks other than none, host and container: are not there yet";

fn network(text: &str) -> Result<Network, String> {
    match text {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        "" => Err("none, host or container:NAME is expected".to_owned()),
        text => match container(text)? {
            Some(name) => Ok(Network::Container(name)),
            None => Err(MISSING.to_owned()),
        },
    }
}

/// `HOST:IP` or `HOST=IP`, an IPv6 address perhaps in brackets.
fn extra_host(text: &str) -> Result<(String, IpAddr), String> {
    let separator = if text.contains('=') { '=' } else { ':' };
    let (host, address) = text.split_once(separator).ok_or("HOST:IP is expected")?;
    // The name becomes a word of a line of /etc/hosts.
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(format!("'{host}' is not a host name"));
    }
    if address == "host-gateway" {
        return Err(format!("host-gateway: {MISSING}"));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare
        .unwrap_or(address)
        .parse()
        .map_err(|_| format!("'{address}' is not an IP address"))?;
    Ok((host.to_owned(), address))
}

/// A domain name, or `.` for "none at all".
fn search_domain(text: &str) -> Result<String, String> {
    let domain = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match text == "." || (domain.len() <= 253 && domain.split('.').all(label)) {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a domain name")),
    }
}

/// A word of the `options` line.
fn dns_option(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(format!(
            "'{}' is not a resolver option",
            text.escape_debug()
        )),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_refusals() {
        assert_eq!(network("none"), Ok(Network::None));
        assert_eq!(network("host"), Ok(Network::Host));
        assert_eq!(
            network("container:web"),
            Ok(Network::Container("web".into()))
        );
        for text in ["bridge", "default", "mine", "ns:/x"] {
            assert_eq!(network(text), Err(MISSING.to_owned()), "{text}");
        }
        assert!(network("container:").is_err());
        assert!(network("").is_err());
    }

    #[test]
    fn hosts() {
        for (text, host, address) in [
            ("a:1.2.3.4", "a", "1.2.3.4"),
            ("a=1.2.3.4", "a", "1.2.3.4"),
            ("a:::1", "a", "::1"),
            ("a:[::1]", "a", "::1"),
            ("a=[fe80::1]", "a", "fe80::1"),
        ] {
            assert_eq!(
                extra_host(text),
                Ok((host.into(), address.parse().unwrap())),
                "{text}"
            );
        }
        for text in [
            "",
            "a",
            "a:",
            ":1.2.3.4",
            "a:b",
            "a:1.2.3",
            "a:host-gateway",
            "a b:1.2.3.4",
            "a\n:1.2.3.4",
            "#a:1.2.3.4",
            "a:[::1",
        ] {
            assert!(extra_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resolver_words() {
        for text in ["example.com", "a.b.c.", ".", "under_score"] {
            assert!(search_domain(text).is_ok(), "{text}");
        }
        for text in ["", "!", "a..b", "-a", "a b", "a\nnameserver 1.2.3.4"] {
            assert!(search_domain(text).is_err(), "{text}");
        }
        assert!(dns_option("ndots:2").is_ok());
        assert!(dns_option("ndots:2\nnameserver 6.6.6.6").is_err());
    }
}
