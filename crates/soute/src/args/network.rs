//! `--network`, `--dns`, `--add-host` and their kin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use soute_engine::request::{Endpoint, HostAddress, Network, Request};
use soute_network::Mac;
use soute_network::plan::ports;

use super::namespaces::container;

/// Network and name resolution.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// bridge (the default), none, host, container:NAME, ns:PATH (the network namespace that a file leads to, such as
    /// /run/netns/NAME), or the name of a network; several of those join all. With more about one: name=NETWORK[,alias=NAME][,ip=IP][,ip6=IP][,mac-address=MAC]
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = network)]
    network: Vec<Network>,

    /// A further name by which its neighbours in its network find it
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,

    /// The address that it wants in its network
    #[arg(long, value_name = "IP")]
    ip: Option<Ipv4Addr>,

    /// The IPv6 address that it wants in its network
    #[arg(long, value_name = "IP")]
    ip6: Option<Ipv6Addr>,

    /// The Ethernet address that it wants in its network
    #[arg(long, value_name = "MAC")]
    mac_address: Option<Mac>,

    /// Add a name to /etc/hosts; with host-gateway for IP, the machine's, by the address that it has on the container's
    /// bridge
    #[arg(long, value_name = "HOST:IP", value_parser = extra_host)]
    add_host: Vec<(String, HostAddress)>,

    /// Name servers instead of the machine's
    #[arg(long, value_name = "IP", value_parser = |text: &str| text.parse::<IpAddr>())]
    dns: Vec<IpAddr>,

    /// Search domains instead of the machine's ('.' for none)
    #[arg(long, value_name = "DOMAIN", value_parser = search_domain)]
    dns_search: Vec<String>,

    /// Resolver options instead of the machine's (resolv.conf(5))
    #[arg(long, alias = "dns-opt", value_name = "OPTION", value_parser = dns_option)]
    dns_option: Vec<String>,

    /// Ports of the machine's that lead to it
    #[arg(short, long, value_name = "[IP:][PORT:]PORT[/PROTOCOL]")]
    publish: Vec<String>,

    /// All ports that the image names, by ones of the machine's that are free
    #[arg(short = 'P', long)]
    publish_all: bool,

    /// Published ports are open to outside also where an input chain of the machine's firewall drops what comes to them
    #[arg(long)]
    publish_open: bool,
}

impl NetworkArgs {
    /// The container whose network is shared.
    pub fn joined(&self) -> Option<&str> {
        self.network.iter().find_map(|network| match network {
            Network::Container(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Files the network under `request`.
    pub fn apply(self, request: &mut Request) -> Result<()> {
        request.publish_all = self.publish_all;
        request.publish_open = self.publish_open;
        for text in &self.publish {
            let wanted = ports::parse(text).context("--publish")?;
            request.published.extend(wanted);
        }
        let publishes = self.publish_all || !request.published.is_empty();
        request.network = together(self.network)?;
        if publishes && !matches!(request.network, Network::Networks(_)) {
            bail!(
                "--publish leads to a container in a network of its own: it cannot be given with --network {}",
                request.network
            );
        }
        wish(
            &mut request.network,
            Endpoint {
                network: String::new(),
                address: self.ip,
                address6: self.ip6,
                mac: self.mac_address,
                aliases: self.network_alias,
            },
        )?;
        request.extra_hosts = self.add_host;
        request.dns = self.dns;
        request.dns_search = self.dns_search;
        request.dns_options = self.dns_option;
        Ok(())
    }
}

/// What several `--network` make together.
fn together(networks: Vec<Network>) -> Result<Network> {
    let mut networks = networks.into_iter();
    let first = networks.next().unwrap_or_else(|| in_network("bridge"));
    networks.try_fold(first, |all, next| match (all, next) {
        (Network::Networks(mut all), Network::Networks(more)) => {
            for endpoint in more {
                if all.iter().any(|other| other.network == endpoint.network) {
                    bail!("--network {} is given twice", endpoint.network);
                }
                all.push(endpoint);
            }
            Ok(Network::Networks(all))
        }
        _ => bail!("--network none, host, container:NAME and ns:PATH go with no other --network"),
    })
}

/// Files what the container wants to be in its network, where there is one: all but the network's name.
fn wish(network: &mut Network, wanted: Endpoint) -> Result<()> {
    if wanted == Endpoint::default() {
        return Ok(());
    }
    let flags = "--ip, --ip6, --mac-address and --network-alias";
    match network {
        Network::Networks(all) if all.len() == 1 => {
            let one = &mut all[0];
            one.address = wanted.address.or(one.address);
            one.address6 = wanted.address6.or(one.address6);
            one.mac = wanted.mac.or(one.mac);
            one.aliases.extend(wanted.aliases);
            Ok(())
        }
        Network::Networks(_) => bail!(
            "{flags} tell nothing of which of several networks they are for: --network name=NETWORK,ip=…,alias=…"
        ),
        _ => bail!("{flags} are for a container in a network of its own: --network NAME"),
    }
}

fn network(text: &str) -> Result<Network, String> {
    match text {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        "" => Err("none, host, container:NAME, ns:PATH or a network's name is expected".to_owned()),
        // Docker's other word for it.
        "default" => Ok(in_network("bridge")),
        text if text.starts_with("ns:") => namespace(&text["ns:".len()..]),
        text if text.contains([',', '=']) => long(text),
        text => Ok(match container(text)? {
            Some(name) => Network::Container(name),
            None => in_network(text),
        }),
    }
}

/// A path is kept with the container, which may be started from elsewhere.
fn namespace(path: &str) -> Result<Network, String> {
    match Path::new(path).is_absolute() {
        true => Ok(Network::Namespace(path.into())),
        false => Err("ns:PATH: an absolute path is expected".to_owned()),
    }
}

/// `name=NETWORK,alias=NAME,ip=IP`, as Docker has it.
fn long(text: &str) -> Result<Network, String> {
    let mut endpoint = Endpoint::default();
    for option in text.split(',') {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| format!("{option:?}: name=NETWORK,KEY=VALUE is expected"))?;
        let bad = |e: &dyn std::fmt::Display| format!("{option}: {e}");
        match key {
            "name" => endpoint.network = value.to_owned(),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "ip" => endpoint.address = Some(value.parse().map_err(|e| bad(&e))?),
            "ip6" => endpoint.address6 = Some(value.parse().map_err(|e| bad(&e))?),
            "mac-address" => endpoint.mac = Some(value.parse().map_err(|e| bad(&e))?),
            other => {
                return Err(format!(
                    "{other:?} is no option of a network: name, alias, ip, ip6, mac-address"
                ));
            }
        }
    }
    match network(&endpoint.network) {
        Ok(Network::Networks(mut all)) => {
            endpoint.network = all.remove(0).network;
            Ok(Network::Networks(vec![endpoint]))
        }
        Ok(other) => Err(format!("{other} has no options")),
        Err(e) => Err(format!("name=: {e}")),
    }
}

fn in_network(name: &str) -> Network {
    Network::Networks(vec![Endpoint {
        network: name.to_owned(),
        ..Endpoint::default()
    }])
}

/// `HOST:IP` or `HOST=IP`, an IPv6 address perhaps in brackets.
fn extra_host(text: &str) -> Result<(String, HostAddress), String> {
    let separator = if text.contains('=') { '=' } else { ':' };
    let (host, address) = text.split_once(separator).ok_or("HOST:IP is expected")?;
    // The name becomes a word of a line of /etc/hosts.
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Err(format!("'{host}' is not a host name"));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let found = match bare {
        Some(bare) => bare.parse().ok().map(HostAddress::Address),
        None => address.parse().ok(),
    };
    let address = found.ok_or_else(|| format!("'{address}' is not an IP address"))?;
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
        for (text, name) in [
            ("bridge", "bridge"),
            ("default", "bridge"),
            ("mine", "mine"),
        ] {
            assert_eq!(network(text), Ok(in_network(name)), "{text}");
        }
        let path = "/run/netns/a=b,c";
        let namespace = Network::Namespace(path.into());
        assert_eq!(network(&format!("ns:{path}")), Ok(namespace));
        for text in ["ns:", "ns:x", "ns:./x"] {
            assert!(network(text).unwrap_err().contains("absolute"), "{text}");
        }
        assert_eq!(network("name=mine"), Ok(in_network("mine")));
        assert!(network("container:").is_err());
        assert!(network("").is_err());
    }

    #[test]
    fn several_networks_are_joined() {
        let all =
            |names: &[&str]| together(names.iter().map(|name| network(name).unwrap()).collect());
        assert_eq!(all(&[]).unwrap(), in_network("bridge"));
        assert_eq!(all(&["host"]).unwrap(), Network::Host);
        let Network::Networks(both) = all(&["a", "b"]).unwrap() else {
            panic!("no networks");
        };
        assert_eq!(both.len(), 2);
        for names in [
            &["a", "a"][..],
            &["a", "host"],
            &["none", "a"],
            &["host", "host"],
        ] {
            assert!(all(names).is_err(), "{names:?}");
        }
    }

    #[test]
    fn addresses_are_for_one_network() {
        let wanted = Endpoint {
            address: Some(Ipv4Addr::new(10, 0, 0, 7)),
            aliases: vec!["db".to_owned()],
            ..Endpoint::default()
        };
        let mut one = in_network("a");
        wish(&mut one, wanted.clone()).unwrap();
        let named = Endpoint {
            network: "a".to_owned(),
            ..wanted.clone()
        };
        assert_eq!(one, Network::Networks(vec![named]));
        let mut two = together(vec![in_network("a"), in_network("b")]).unwrap();
        for network in [&mut two, &mut Network::Host, &mut Network::None] {
            assert!(wish(network, wanted.clone()).is_err(), "{network:?}");
            wish(network, Endpoint::default()).unwrap();
        }
    }

    #[test]
    fn a_network_in_many_words() {
        let text =
            "name=a,alias=db,alias=sql,ip=10.0.0.7,ip6=fd00::7,mac-address=02:00:00:00:00:07";
        let endpoint = Endpoint {
            network: "a".to_owned(),
            address: Some(Ipv4Addr::new(10, 0, 0, 7)),
            address6: Some("fd00::7".parse().unwrap()),
            mac: Some("02:00:00:00:00:07".parse().unwrap()),
            aliases: vec!["db".to_owned(), "sql".to_owned()],
        };
        assert_eq!(network(text), Ok(Network::Networks(vec![endpoint])));
        for (text, why) in [
            ("a,ip=10.0.0.1", "name=NETWORK"),
            ("ip=10.0.0.1", "name="),
            ("name=a,ip=x", "ip=x"),
            ("name=a,driver-opt=x", "driver-opt"),
            ("name=host,ip=10.0.0.1", "host has no options"),
            ("name=ns:/x,ip=10.0.0.1", "ns:/x has no options"),
            ("name=a,", "name=NETWORK"),
        ] {
            assert!(network(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for (text, host, address) in [
            ("a:1.2.3.4", "a", "1.2.3.4"),
            ("a=1.2.3.4", "a", "1.2.3.4"),
            ("a:::1", "a", "::1"),
            ("a:[::1]", "a", "::1"),
            ("a=[fe80::1]", "a", "fe80::1"),
            ("a:host-gateway", "a", "host-gateway"),
            ("a=host-gateway", "a", "host-gateway"),
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
            "a:[host-gateway]",
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
