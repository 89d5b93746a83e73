//! Published ports that the machine's own firewall keeps from outside.
//!
//! What a published port leads to a container is forwarded, and never crosses the machine's input chains. Where those would
//! drop it, the port is led there for this machine and its containers only; what comes from elsewhere meets those chains as
//! if there were no container.

use std::collections::BTreeMap;

use soute_network::closed::Inputs;
use soute_network::nft::{Arriving, Family, Nftables, SeenChain};
use soute_network::ruleset::Published;

use super::Noted;
use super::ports::is_by_rules;
use crate::error::Error;

/// What the machine's input chains say, asked once something is to be known of them.
#[derive(Debug, Default)]
pub(super) struct Firewall(Option<Inputs>);

impl Firewall {
    /// The chain that keeps the port from outside.
    fn closing(&mut self, port: &Published) -> Result<Option<&SeenChain>, Error> {
        let inputs = match &mut self.0 {
            Some(inputs) => inputs,
            none => none.insert(Inputs::read(&mut Nftables::open()?)?),
        };
        // Nothing from outside comes to 127.0.0.1.
        if port.address.is_some_and(|address| address.is_loopback()) {
            return Ok(None);
        }
        Ok(inputs.closes(Arriving {
            ipv4: port.to.is_ipv4(),
            protocol: port.protocol.number(),
            port: port.port,
            address: port.address.filter(|address| !address.is_unspecified()),
        }))
    }

    /// The port as it is to be led now; `open`: for everybody, whatever the firewall says.
    pub(super) fn decided(&mut self, port: &Published, open: bool) -> Result<Published, Error> {
        let local = !open && self.closing(port)?.is_some();
        Ok(Published {
            local,
            ..port.clone()
        })
    }
}

/// Which of the ports are kept from outside, and by whom, in words; and which are not, by rules that cannot be read.
pub(super) fn told(noted: &Noted) -> Result<Vec<String>, Error> {
    let mut firewall = Firewall::default();
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let ports = noted.published.iter().filter(|port| is_by_rules(port));
    for port in ports.filter(|_| !noted.publish_open) {
        let whom = match firewall.closing(port)? {
            Some(chain) => alone(chain),
            None => match unread(port) {
                Some(program) => format!(
                    "whomever chain FORWARD of {program} lets pass: soute does not read its rules, and its chain INPUT keeps \
                     nobody from a published port"
                ),
                None => continue,
            },
        };
        let named = told.entry(whom).or_default();
        let port = format!("{}/{}", port.port, port.protocol);
        if !named.contains(&port) {
            named.push(port);
        }
    }
    let told = told.into_iter().map(|(whom, ports)| {
        let (ports, serve) = match ports.as_slice() {
            [one] => (format!("port {one}"), "serves"),
            several => (format!("ports {}", several.join(", ")), "serve"),
        };
        format!("{ports} {serve} {whom}")
    });
    Ok(told.collect())
}

fn alone(chain: &SeenChain) -> String {
    let by = match chain.family {
        Family::IPV4 => " by IPv4",
        Family::IPV6 => " by IPv6",
        _ => "",
    };
    format!(
        "this machine and its containers alone{by}: chain {} of table {} {} drops what comes in, unless a rule lets it pass; \
         --publish-open, or a rule there that accepts the port from anywhere and without a limit, opens it",
        chain.name, chain.family, chain.table
    )
}

/// Whose rules may be there for what comes to the port, and are not in nf_tables.
fn unread(port: &Published) -> Option<&'static str> {
    let (names, program) = match port.to.is_ipv4() {
        true => ("/proc/self/net/ip_tables_names", "iptables-legacy"),
        false => ("/proc/self/net/ip6_tables_names", "ip6tables-legacy"),
    };
    let local = port.address.is_some_and(|address| address.is_loopback());
    // Not there where nobody uses them.
    let names = std::fs::read_to_string(names).unwrap_or_default();
    (!local && names.lines().any(|name| name == "filter")).then_some(program)
}
