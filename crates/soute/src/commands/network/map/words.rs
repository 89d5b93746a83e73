//! What both drawings say of an interface, in lines of a label and a text, fit for a terminal.

use soute_lens::wiring::{Interface, Way};

use super::super::super::drawing::interface::addresses;
use super::model::{Map, Place};
use crate::output::visible;

/// `RT_TABLE_MAIN`
const MAIN: u32 = 254;

/// A line: what it tells of, and that.
pub type Fact = (&'static str, String);

/// What a place is called, on one line.
pub fn title(place: &Place) -> String {
    visible(&place.name).into_owned()
}

/// Which namespace it is, and who is in it.
pub fn subtitle(place: &Place) -> String {
    let processes = match place.seen.nprocs {
        0 => "no process".to_owned(),
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    };
    let word = match place.containers.len() {
        0 => "",
        1 => "container, ",
        _ => "containers, ",
    };
    format!("{word}net:[{}], {processes}", place.seen.ns)
}

/// What is said of an interface beside its name and nature. `label`: what its addresses are called.
pub fn facts(map: &Map, place: &Place, link: &Interface, label: &'static str) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label, text: Option<String>| facts.extend(text.map(|text| (label, text)));
    // Two blanks stand between what a picture has on lines of its own.
    let mut own = addresses(link);
    if !own.is_empty() {
        own.extend(link.mac.iter().map(|mac| format!("mac {mac}")));
        add(label, Some(own.join("  ")));
    }
    let leading = place.seen.routes.iter().filter(|way| {
        let mut hops = way.hops.iter();
        hops.any(|hop| hop.link == Some(link.index))
    });
    let (defaults, others): (Vec<&Way>, Vec<&Way>) = leading.partition(|way| way.default);
    let list = |ways: Vec<String>| (!ways.is_empty()).then(|| ways.join("  "));
    add(
        "default",
        list(defaults.iter().map(|way| steps(way, link.index)).collect()),
    );
    let own = |way: &&&Way| {
        let is_own = |own: &soute_lens::wiring::Inet| {
            soute_network::Subnet::of(own.address, own.prefix)
                .is_some_and(|subnet| subnet.to_string() == way.to)
        };
        !(way.to.starts_with("fe80::/") || link.addresses.iter().any(is_own))
    };
    let others = others.iter().filter(own);
    add(
        "routes",
        list(
            others
                .map(|way| format!("{} {}", way.to, steps(way, link.index)))
                .collect(),
        ),
    );
    if let Some(network) = map.network(place, link) {
        let subnets: Vec<String> = network.subnets.iter().map(ToString::to_string).collect();
        let name = visible(&network.name);
        add("network", Some(format!("{name}  {}", subnets.join("  "))));
        add("", Some(network.ways().to_owned()));
    }
    for port in map.published_to(place, link) {
        let from = std::net::SocketAddr::new(port.address, port.port);
        let missing = match port.rule {
            Some(_) => "",
            None => "  (its rule is missing)",
        };
        add(
            "published",
            Some(format!(
                "{from}/{} → port {}{missing}",
                port.protocol, port.to_port
            )),
        );
    }
    facts
}

/// `via 10.0.0.1`, by that interface.
fn steps(way: &Way, index: u32) -> String {
    let hops = way.hops.iter().filter(|hop| hop.link == Some(index));
    let hops: Vec<String> = hops
        .map(|hop| match hop.gateway {
            Some(gateway) => format!("via {gateway}"),
            None => "on the link".to_owned(),
        })
        .collect();
    let mut text = hops.join(" and ");
    if way.table != MAIN {
        text += &format!(" (table {})", way.table);
    }
    text
}

/// One line for each of the tables and chains that stand in packets' way, with the depth at which it stands.
pub fn rules(map: &Map) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for table in &map.firewall.tables {
        let whose = if table.own { "" } else { ", not soute's" };
        let name = visible(&table.name);
        lines.push((0, format!("table {} {name}{whose}", table.family)));
        for chain in &table.chains {
            let stands = match &chain.hook {
                Some(hook) => format!(
                    "{} at {}, priority {}{}",
                    visible(&hook.kind),
                    hook.hook,
                    hook.priority,
                    match hook.policy {
                        "drop" => ", drops by default",
                        _ => "",
                    }
                ),
                None => "from other chains".to_owned(),
            };
            lines.push((1, format!("{}: {stands}", visible(&chain.name))));
            let rules = chain.rules.iter();
            lines.extend(rules.map(|rule| (2, visible(rule).into_owned())));
        }
    }
    for table in &map.firewall.legacy {
        lines.push((
            0,
            format!("{}: legacy, its rules are not seen", visible(table)),
        ));
    }
    lines
}

/// What the machine does with others' packets.
pub fn forwarding(map: &Map) -> &'static str {
    match (map.firewall.forwards_ipv4, map.firewall.forwards_ipv6) {
        (true, true) => "forwards IPv4 and IPv6",
        (true, false) => "forwards IPv4",
        (false, true) => "forwards IPv6",
        (false, false) => "forwards nothing",
    }
}
