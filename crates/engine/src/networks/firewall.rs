//! The ways in and out of networks: the one table of nftables, and the machine's forwarding.

use std::path::{Path, PathBuf};

use soute_network::Protocol;
use soute_network::conntrack::Conntrack;
use soute_network::forwards::{self, By};
use soute_network::nft::Nftables;
use soute_network::ruleset::{self, Families, Healed, Published, Ruleset, State};

use super::closed::Firewall;
use super::ports::is_by_rules;
use super::record::NetworkRecord;
use super::upkeep::tended;
use crate::error::{Error, io};
use crate::places::Places;
use crate::record::{read_json, write_json};

/// Has the table hold these networks, and whatever it held before.
///
/// # Errors
/// The kernel's, which has no nftables perhaps.
pub(super) fn admit(places: &Places, networks: &[&NetworkRecord]) -> Result<(), Error> {
    for network in networks {
        let wanted = as_ruleset(network);
        tended(places, |table| {
            match table.add_network(&wanted) {
                // The first network since the machine started, or somebody has flushed it all.
                Err(ruleset::Error::Missing(_)) => {
                    table.heal(|| wanted_of_all(places))?;
                    table.add_network(&wanted)?;
                }
                other => other?,
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Makes the table as it is to be, whatever became of it, and of the machine's own firewall.
pub(super) fn heal(places: &Places) -> Result<Healed, Error> {
    let mut turned = Vec::new();
    let healed = Ruleset::open()?.heal(|| {
        let (wanted, others) = wanted_and_turned(places)?;
        turned = others;
        Ok::<_, Error>(wanted)
    })?;
    forget_connections(&turned)?;
    Ok(healed)
}

fn wanted_of_all(places: &Places) -> Result<State, Error> {
    wanted_and_turned(places).map(|(wanted, _)| wanted)
}

/// All networks, and the ports of all containers that run; and what else is there, which is another engine's. And the ports
/// that have become open to outside, or have been until now.
fn wanted_and_turned(places: &Places) -> Result<(State, Vec<Published>), Error> {
    let networks = NetworkRecord::all(places)?;
    let noted = super::all_noted(places);
    let mut firewall = Firewall::default();
    let mut published = Vec::new();
    for (_, noted) in noted {
        for port in noted.published.iter().filter(|port| is_by_rules(port)) {
            published.push(firewall.decided(port, noted.publish_open)?);
        }
    }
    let mut all = State {
        networks: networks
            .iter()
            .filter(|network| network.driver.is_bridge())
            .map(as_ruleset)
            .collect(),
        published,
        closed: turned_on(places)?,
    };
    let seen = Ruleset::open()?.elements()?.unwrap_or_default();
    for network in seen.networks {
        if all.networks.iter().all(|own| own.bridge != network.bridge) {
            all.networks.push(network);
        }
    }
    let mut turned = Vec::new();
    for port in seen.published {
        match all.published.iter().find(|own| own.is(&port)) {
            Some(own) if own.local != port.local => turned.push(port),
            Some(_) => {}
            None => all.published.push(port),
        }
    }
    all.closed.ipv4 |= seen.closed.ipv4;
    all.closed.ipv6 |= seen.closed.ipv6;
    Ok((all, turned))
}

/// A network that is no more has no place in the table.
pub(super) fn forget(places: &Places, network: &NetworkRecord) -> Result<(), Error> {
    let forgotten = tended(places, |table| {
        match table.remove_network(&network.bridge) {
            Err(ruleset::Error::Missing(_)) => Ok(()),
            other => Ok(other?),
        }
    });
    match forgotten {
        // Then it never came into one.
        Err(Error::Ruleset(ruleset::Error::Unsupported(_))) => Ok(()),
        other => other,
    }
}

/// Has ports of the machine's, which are noted, lead to a container.
///
/// `open`: for everybody, whatever the machine's firewall says of what comes in.
pub(super) fn publish(places: &Places, ports: &[Published], open: bool) -> Result<(), Error> {
    let ports = by_rules(ports);
    if ports.is_empty() {
        return Ok(());
    }
    let done = tended(places, |table| {
        // If the firewall changes after this, all is not taken to be well.
        let mut firewall = Firewall::default();
        let ports = ports.iter().map(|port| firewall.decided(port, open));
        Ok(table.publish(&ports.collect::<Result<Vec<_>, _>>()?)?)
    });
    match done {
        // What is noted is brought back by every repair: one was first.
        Err(Error::Ruleset(ruleset::Error::Taken { .. })) if are_published(&ports)? => {}
        // Somebody has flushed it all.
        Err(Error::Ruleset(ruleset::Error::Missing(_))) => drop(heal(places)?),
        other => other?,
    }
    forget_connections(&ports)
}

fn are_published(ports: &[Published]) -> Result<bool, Error> {
    let seen = Ruleset::open()?.elements()?.unwrap_or_default().published;
    Ok(ports.iter().all(|port| seen.iter().any(|one| one.is(port))))
}

fn by_rules(ports: &[Published]) -> Vec<Published> {
    let ports = ports.iter().filter(|port| is_by_rules(port));
    ports.cloned().collect()
}

/// They lead nowhere any more.
pub(super) fn unpublish(places: &Places, ports: &[Published]) -> Result<(), Error> {
    let ports = by_rules(ports);
    if ports.is_empty() {
        return Ok(());
    }
    tended(places, |table| match table.unpublish(&ports) {
        // Somebody has flushed it all.
        Err(ruleset::Error::Missing(_)) => Ok(()),
        other => other.map(|_| ()).map_err(Error::from),
    })?;
    forget_connections(&ports)
}

/// A client that goes on asking by UDP would go on being led where its first packet was: to nobody before the port was
/// published, and to a container that is gone afterwards.
fn forget_connections(ports: &[Published]) -> Result<(), Error> {
    let udp = |port: &&Published| port.protocol == Protocol::Udp;
    if !ports.iter().any(|port| udp(&port)) {
        return Ok(());
    }
    Conntrack::open()?.forget(|connection| {
        let mut ports = ports.iter().filter(udp);
        connection.protocol == Protocol::Udp.number()
            && ports.any(|port| {
                connection.destination.port() == port.port || connection.answered_by == port.to
            })
    })?;
    Ok(())
}

/// What of the machine's own firewall drops forwarded packets unless one of its rules lets them pass. It has the last
/// word, and a user whose container reaches nobody should know who has.
pub(super) fn obstacles() -> Result<Vec<String>, Error> {
    let dropping = forwards::dropping(&mut Nftables::open()?)?.into_iter();
    let told = dropping.map(|(chain, by)| {
        let how = match by {
            By::Policy => "has the policy drop",
            By::Rule => "ends with a rule that drops",
        };
        format!(
            "the machine's firewall drops what is forwarded, unless one of its rules lets it pass: chain {} of table {} {} \
             {how}, and containers reach outside, and are reached, as it says",
            chain.name, chain.family, chain.table
        )
    });
    Ok(told.collect())
}

/// The families in which what is in the network goes outside.
fn outward(network: &NetworkRecord) -> Families {
    let has = |ipv4| {
        let mut subnets = network.subnets.iter();
        !network.internal && subnets.any(|range| range.subnet.is_ipv4() == ipv4)
    };
    Families {
        ipv4: has(true),
        ipv6: has(false),
    }
}

fn as_ruleset(network: &NetworkRecord) -> ruleset::Network {
    ruleset::Network {
        bridge: network.bridge.clone(),
        internal: network.internal,
        subnets: network.subnets.iter().map(|range| range.subnet).collect(),
        masquerade: match network.masquerade {
            true => outward(network),
            false => Families::default(),
        },
    }
}

const FORWARD_IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const FORWARD_IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// Has the machine forward what goes from these networks and to them, and says what that changed. If it forwarded nothing
/// before, it forwards nothing else now.
///
/// `locked`: the caller has the networks' lock.
///
/// # Errors
/// A setting cannot be read or written.
pub(super) fn forward(
    places: &Places,
    networks: &[&NetworkRecord],
    locked: bool,
) -> Result<Vec<String>, Error> {
    let wanted = networks.iter().map(|network| outward(network));
    let wanted = wanted.fold(Families::default(), |all, one| Families {
        ipv4: all.ipv4 || one.ipv4,
        ipv6: all.ipv6 || one.ipv6,
    });
    let missing = || {
        Ok::<_, Error>(Families {
            ipv4: wanted.ipv4 && is_off(FORWARD_IPV4)?,
            ipv6: wanted.ipv6 && is_off(FORWARD_IPV6)?,
        })
    };
    if missing()? == Families::default() {
        return Ok(Vec::new());
    }
    // One at a time, and only the first finds it so.
    let _lock = match locked {
        true => None,
        false => Some(super::lock(places)?),
    };
    let missing = missing()?;
    if missing == Families::default() {
        return Ok(Vec::new());
    }
    // The door before the way: in between nothing is forwarded yet.
    let closed = turned_on(places)?;
    let closed = Families {
        ipv4: closed.ipv4 || missing.ipv4,
        ipv6: closed.ipv6 || missing.ipv6,
    };
    write_json(&turned_on_path(places), &closed, false)?;
    Ruleset::open()?.close(closed)?;
    let mut told = Vec::new();
    if missing.ipv4 {
        write(FORWARD_IPV4, "1")?;
        told.push(notice("net.ipv4.ip_forward"));
    }
    if missing.ipv6 {
        keep_advertisements()?;
        write(FORWARD_IPV6, "1")?;
        told.push(notice("net.ipv6.conf.all.forwarding"));
    }
    Ok(told)
}

/// Where it is noted until the next boot whose forwarding soute turned on.
fn turned_on_path(places: &Places) -> PathBuf {
    places.run.join("forwarding.json")
}

fn turned_on(places: &Places) -> Result<Families, Error> {
    Ok(read_json(&turned_on_path(places))?.unwrap_or_default())
}

fn notice(setting: &str) -> String {
    format!(
        "{setting} is 1 now, for containers' networks: what goes neither from nor to one of them is dropped as before \
         (nft list chain inet soute forward)"
    )
}

/// A machine that forwards IPv6 no longer heeds routers' advertisements, and would lose its own way out, unless each
/// interface is told to go on (ip-sysctl, accept_ra).
fn keep_advertisements() -> Result<(), Error> {
    let all = Path::new("/proc/sys/net/ipv6/conf");
    for entry in io("reading the folder", all, std::fs::read_dir(all))? {
        let interface = io("reading the folder", all, entry)?;
        // Those that come later are containers'.
        if ["all", "default"]
            .iter()
            .any(|name| interface.file_name() == *name)
        {
            continue;
        }
        let setting = interface.path().join("accept_ra");
        let heeds = std::fs::read_to_string(&setting).is_ok_and(|value| value.trim() == "1");
        if heeds {
            io("writing", &setting, std::fs::write(&setting, "2"))?;
        }
    }
    Ok(())
}

/// Packets for 127.0.0.1 that a published port leads to a container leave by the bridge: the kernel lets none of that
/// address out otherwise. The table's guard drops all other traffic of such addresses.
pub(super) fn allow_local(bridge: &str) -> Result<(), Error> {
    write(
        &format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"),
        "1",
    )
}

/// No container tells the machine its way: routers' advertisements by the bridge are not heeded (CVE-2020-13401).
pub(super) fn heed_no_router(bridge: &str) -> Result<(), Error> {
    let setting = format!("/proc/sys/net/ipv6/conf/{bridge}/accept_ra");
    match write(&setting, "0") {
        // A kernel without IPv6.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_off(setting: &str) -> Result<bool, Error> {
    match std::fs::read_to_string(setting) {
        Ok(value) => Ok(value.trim() == "0"),
        // A kernel without IPv6.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => io("reading", Path::new(setting), Err(e)),
    }
}

fn write(setting: &str, value: &str) -> Result<(), Error> {
    io(
        "writing",
        Path::new(setting),
        std::fs::write(setting, value),
    )
}
