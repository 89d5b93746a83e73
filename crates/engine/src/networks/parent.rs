//! Networks that share an interface of the machine's, their parent: macvlan and ipvlan.
//!
//! A container's link is made in its own network namespace, straight over the parent. Its packets pass none of the machine's
//! rules, and between the machine itself and the container none pass at all: the kernel hands them to the outside.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use soute_network::Mac;
use soute_network::route::{End, IpvlanMode, Link, LinkFlags, MacvlanMode, Place, Rtnetlink};

use super::connect::{self, patiently};
use super::record::{Driver, NetworkRecord, Vlan};
use super::{NewNetwork, Wire};
use crate::error::Error;

fn impossible<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Impossible(why.into()))
}

/// The parent that a new network is to have, by its name; and of what it is a VLAN, if soute is to make it.
///
/// # Errors
/// None is named, or it cannot be one; another network has it in a way that does not go with this one.
pub(super) fn choose(
    machine: &mut Rtnetlink,
    others: &[NetworkRecord],
    wanted: &NewNetwork,
) -> Result<(String, Option<Vlan>), Error> {
    let driver = wanted.driver;
    let Some(name) = &wanted.parent else {
        return impossible(format!(
            "--driver {}: --opt parent=INTERFACE says which of the machine's interfaces its containers share; those that \
             are to reach nobody but each other want a bridge, and --internal",
            driver.name()
        ));
    };
    if driver.is_routed() && wanted.ranges.iter().any(|range| range.gateway.is_some()) {
        return impossible(
            "--gateway: ipvlans of mode l3 and l3s have none: their packets leave by the machine's own routes",
        );
    }
    let beside: Vec<&NetworkRecord> = others
        .iter()
        .filter(|other| other.bridge == *name)
        .collect();
    for other in &beside {
        if let Some(why) = discord(driver, other.driver) {
            return impossible(format!("network {} is on {name}, too: {why}", other.name));
        }
    }
    require(machine, driver.name())?;
    match machine.link(name)? {
        Some(link) => {
            check(machine, &link)?;
            // What soute made for another network goes with the last one.
            let vlan = beside.iter().find_map(|other| other.vlan.clone());
            Ok((name.clone(), vlan))
        }
        None => {
            let Some(vlan) = vlan_of(name) else {
                return missing(name);
            };
            let Some(base) = machine.link(&vlan.base)? else {
                return missing(&vlan.base);
            };
            require(machine, "vlan")?;
            check(machine, &base)?;
            Ok((name.clone(), Some(vlan)))
        }
    }
}

/// Why links of a network are not on an interface that another network has.
fn discord(one: Driver, other: Driver) -> Option<&'static str> {
    use Driver::{Ipvlan, Macvlan};
    let alone = |driver| matches!(driver, Macvlan { mode } if mode == MacvlanMode::Passthru);
    match (one, other) {
        // Containers would be in that network past the rules that keep it apart, and lose their links with it.
        (_, Driver::Bridge) => Some("the bridge is that network's own"),
        _ if alone(one) || alone(other) => Some("a macvlan of mode passthru has it for itself"),
        (Macvlan { .. }, Ipvlan { .. }) | (Ipvlan { .. }, Macvlan { .. }) => {
            Some("an interface has macvlans or ipvlans, not both")
        }
        (Ipvlan { .. }, Ipvlan { .. }) if one != other => {
            Some("all ipvlans on an interface have one mode and one flag")
        }
        _ => None,
    }
}

/// `eth0.50` is, if there is no interface of this name, VLAN 50 of eth0.
fn vlan_of(name: &str) -> Option<Vlan> {
    let (base, id) = name.rsplit_once('.')?;
    let id = id.parse().ok().filter(|id| (1..4095).contains(id))?;
    Some(Vlan {
        base: base.to_owned(),
        id,
    })
}

fn missing<T>(name: &str) -> Result<T, Error> {
    impossible(format!("--opt parent: the machine has no interface {name}"))
}

/// The kernel has links of this kind.
fn require(machine: &mut Rtnetlink, kind: &str) -> Result<(), Error> {
    if machine.has_kind(kind)? {
        return Ok(());
    }
    let (module, option) = match kind {
        "vlan" => ("8021q", "CONFIG_VLAN_8021Q"),
        "ipvlan" => ("ipvlan", "CONFIG_IPVLAN"),
        _ => ("macvlan", "CONFIG_MACVLAN"),
    };
    impossible(format!(
        "the kernel has no {kind}: its module {module} is not there, and not built in ({option})"
    ))
}

/// Whether links can be made over it.
fn check(machine: &mut Rtnetlink, link: &Link) -> Result<(), Error> {
    let name = &link.name;
    if link.flags.has(LinkFlags::LOOPBACK) {
        return impossible(format!(
            "the interface {name} leads nowhere but to the machine itself: no container can share it"
        ));
    }
    if link.address.len() != 6 {
        return impossible(format!(
            "the interface {name} is not one of Ethernet: no container can share it"
        ));
    }
    let master = match link.master {
        Some(index) => machine.link_numbered(index)?,
        None => None,
    };
    match master {
        // A VRF is a routing table, and takes no packets away.
        Some(master) if master.kind.as_deref() != Some("vrf") => impossible(format!(
            "the interface {name} is a port of {0}, which gets its packets: {0} itself can be the parent",
            master.name
        )),
        _ => Ok(()),
    }
}

/// The parent of `network`, which is made where it is a VLAN that soute is to make.
///
/// # Errors
/// It is not there, or became something that has no room for others.
fn parent(machine: &mut Rtnetlink, network: &NetworkRecord) -> Result<Link, Error> {
    let name = &network.bridge;
    if let Some(link) = machine.link(name)? {
        check(machine, &link)?;
        return Ok(link);
    }
    let Some(vlan) = &network.vlan else {
        return missing_of(network, name);
    };
    let Some(base) = machine.link(&vlan.base)? else {
        return missing_of(network, &vlan.base);
    };
    let end = End {
        name,
        ..End::default()
    };
    match machine.make_vlan(base.index, vlan.id, &end) {
        // Another container of the network has just made it.
        Err(e) if e.errno() == Errno::EXIST => {}
        Err(e) if e.errno() == Errno::NETDOWN => {
            return impossible(format!(
                "network {}: the interface {} is down, and has no VLANs before it is up",
                network.name, base.name
            ));
        }
        other => other?,
    }
    match machine.link(name)? {
        Some(link) => Ok(link),
        None => impossible(format!(
            "network {}: {} has a VLAN {} already, by another name than {name}",
            network.name, base.name, vlan.id
        )),
    }
}

fn missing_of<T>(network: &NetworkRecord, name: &str) -> Result<T, Error> {
    impossible(format!(
        "network {} is on the interface {name}, and the machine has none of this name now",
        network.name
    ))
}

/// The Ethernet address of a container's link: `wanted`, or `own`; the parent's, where it cannot have another.
pub(super) fn mac(network: &NetworkRecord, wanted: Option<Mac>, own: Mac) -> Result<Mac, Error> {
    let parent = parent(&mut Rtnetlink::open()?, network)?;
    let shared = match network.driver {
        Driver::Macvlan { mode } => mode == MacvlanMode::Passthru,
        Driver::Ipvlan { .. } => true,
        Driver::Bridge => false,
    };
    let parents = parent.mac();
    match (wanted, parents) {
        (Some(wanted), _) if shared || parents == Some(wanted) => impossible(format!(
            "the Ethernet address {wanted}: {}",
            match shared {
                true => format!(
                    "a container of network {} has that of {}",
                    network.name, parent.name
                ),
                false => format!("it is that of {} itself", parent.name),
            }
        )),
        (None, Some(parents)) if shared => Ok(parents),
        _ => Ok(wanted.unwrap_or(own)),
    }
}

/// Makes the container's link, and gives it its addresses and routes.
pub(super) fn join(
    machine: &mut Rtnetlink,
    network: &NetworkRecord,
    container: &mut Place<'_>,
    wire: &Wire,
) -> Result<(), Error> {
    let parent = parent(machine, network)?;
    if let Some(mtu) = network.mtu.filter(|mtu| *mtu > parent.mtu) {
        return impossible(format!(
            "network {} has packets of {mtu} bytes, and its interface {} takes {} at most",
            network.name, parent.name, parent.mtu
        ));
    }
    let end = End {
        name: &wire.interface,
        namespace: Some(container.namespace),
        // Without a value the parent's.
        mtu: network.mtu,
        mac: None,
    };
    let made = match network.driver {
        Driver::Macvlan { mode } => {
            // The one before has its address, or in mode passthru the parent, until its namespace has ended.
            let busy = match mode {
                MacvlanMode::Passthru => Errno::INVAL,
                _ => Errno::ADDRINUSE,
            };
            let mac = Some(wire.mac).filter(|_| mode != MacvlanMode::Passthru);
            let end = End { mac, ..end };
            patiently(busy, || machine.make_macvlan(parent.index, mode, &end))
        }
        Driver::Ipvlan { mode, flag } => machine.make_ipvlan(parent.index, mode, flag, &end),
        Driver::Bridge => Ok(()),
    };
    made.map_err(|e| refused(machine, network, wire, e))?;
    Ok(connect::settle(&mut container.netlink, wire)?)
}

/// Why the kernel made no link, in words.
fn refused(
    machine: &mut Rtnetlink,
    network: &NetworkRecord,
    wire: &Wire,
    e: soute_sys::CallError,
) -> Error {
    let parent = &network.bridge;
    let passthru =
        matches!(network.driver, Driver::Macvlan { mode } if mode == MacvlanMode::Passthru);
    let why = match e.errno() {
        Errno::OPNOTSUPP => match require(machine, network.driver.name()) {
            Err(why) => return why,
            Ok(()) => e.to_string(),
        },
        Errno::BUSY => format!(
            "{parent} is a port of something else, or has links of another kind than {} on it ({e})",
            network.driver.name()
        ),
        Errno::ADDRINUSE => format!(
            "the Ethernet address {} is that of another link on {parent}",
            wire.mac
        ),
        Errno::INVAL if passthru => format!(
            "in mode passthru one container has {parent} for itself, and another link is on it ({e})"
        ),
        _ => e.to_string(),
    };
    Error::Impossible(format!("network {}: {why}", network.name))
}

/// Removes from a container what stands on the parent, whatever it is called by now, but for the wires that are `left`.
pub(super) fn leave(
    machine: &mut Rtnetlink,
    network: &NetworkRecord,
    container: BorrowedFd<'_>,
    left: &[Wire],
) -> Result<(), Error> {
    let Some(parent) = machine.link(&network.bridge)? else {
        // With it went all that stood on it.
        return Ok(());
    };
    let mut inside = Rtnetlink::open_in(container)?;
    for link in inside.links()? {
        // The number is one of another namespace's interfaces, and none but the parent is under a container's.
        let stands = link.kind.as_deref() == Some(network.driver.name())
            && link.link_index == Some(parent.index)
            && link.link_netnsid.is_some();
        let mut left = left.iter().filter(|wire| !wire.is_bridged());
        if stands && left.all(|wire| wire.interface != link.name) {
            inside.delete_link(link.index)?;
        }
    }
    Ok(())
}

/// The network is no more: a parent that soute made for it goes, unless it is one of `others`, too.
pub(super) fn forget(
    machine: &mut Rtnetlink,
    network: &NetworkRecord,
    others: &[NetworkRecord],
) -> Result<(), Error> {
    let mut others = others.iter().filter(|other| other.name != network.name);
    if network.vlan.is_none() || others.any(|other| other.bridge == network.bridge) {
        return Ok(());
    }
    if let Some(link) = machine.link(&network.bridge)?
        && link.kind.as_deref() == Some("vlan")
    {
        machine.delete_link(link.index)?;
    }
    Ok(())
}

/// Of a container's wires those by which published ports can lead to it.
///
/// # Errors
/// There is none, or answers would leave by another.
pub(super) fn ways_in(wires: &[Wire]) -> Result<Vec<Wire>, Error> {
    let bridged = || wires.iter().filter(|wire| wire.is_bridged());
    let out = wires.iter().find(|wire| !wire.gateways.is_empty());
    let (wire, why) = match (out, bridged().count()) {
        (Some(out), 1..) if !out.is_bridged() => (
            out,
            "and answers would leave by it: name the bridge's network before it",
        ),
        (_, 0) if !wires.is_empty() => (
            &wires[0],
            "which has no way to them; do without, or join a bridge's network, too",
        ),
        _ => return Ok(bridged().cloned().collect()),
    };
    impossible(format!(
        "--publish: network {} is on an interface of the machine's (macvlan, ipvlan): its containers are reached at their own \
         addresses, and not by the machine, {why}",
        wire.network
    ))
}

/// What of the machine keeps containers of these networks from reaching outside.
pub(super) fn obstacles(networks: &[&NetworkRecord]) -> Result<Vec<String>, Error> {
    let mut told = Vec::new();
    for network in networks
        .iter()
        .filter(|network| !network.driver.is_bridge())
    {
        let link = Rtnetlink::open()?.link(&network.bridge)?;
        if link.is_some_and(|link| !link.is_up()) {
            told.push(format!(
                "{} is down: containers of network {} reach nobody before it is up",
                network.bridge, network.name
            ));
        }
    }
    Ok(told)
}

impl Driver {
    /// There is no router on its link: all goes to the parent, and from there by the machine's routes.
    pub(super) fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan { mode, .. } if mode != IpvlanMode::L2)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use soute_network::route::IpvlanFlag;

    use super::*;

    fn macvlan(mode: MacvlanMode) -> Driver {
        Driver::Macvlan { mode }
    }

    fn ipvlan(mode: IpvlanMode, flag: IpvlanFlag) -> Driver {
        Driver::Ipvlan { mode, flag }
    }

    #[test]
    fn only_what_the_kernel_has_together_shares_a_parent() {
        let l2 = ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge);
        for (one, other) in [
            (macvlan(MacvlanMode::Bridge), macvlan(MacvlanMode::Private)),
            (l2, l2),
        ] {
            assert_eq!(discord(one, other), None, "{one:?} {other:?}");
        }
        for (one, other) in [
            (macvlan(MacvlanMode::Passthru), macvlan(MacvlanMode::Bridge)),
            (macvlan(MacvlanMode::Bridge), l2),
            (l2, ipvlan(IpvlanMode::L3, IpvlanFlag::Bridge)),
            (l2, ipvlan(IpvlanMode::L2, IpvlanFlag::Private)),
        ] {
            assert!(discord(one, other).is_some(), "{one:?} {other:?}");
            assert!(discord(other, one).is_some(), "{other:?} {one:?}");
        }
        assert!(discord(l2, Driver::Bridge).is_some());
    }

    #[test]
    fn published_ports_lead_by_bridges() {
        let wire = |network: &str, peer: &str, way_out: bool| Wire {
            network: network.to_owned(),
            interface: "eth0".to_owned(),
            peer: peer.to_owned(),
            mac: Mac::local([0; 6]),
            addresses: Vec::new(),
            gateways: if way_out {
                vec![[10, 0, 0, 1].into()]
            } else {
                Vec::new()
            },
            names: Vec::new(),
        };
        let (bridge, lan) = (wire("net", "veth0", true), wire("lan", "", true));
        let inner = wire("inner", "veth1", false);
        assert_eq!(ways_in(&[]).unwrap(), []);
        assert_eq!(
            ways_in(&[bridge.clone(), lan.clone()]).unwrap(),
            from_ref(&bridge)
        );
        // An internal bridge alone is no way out that could be the wrong one.
        assert_eq!(ways_in(from_ref(&inner)).unwrap(), from_ref(&inner));
        for (wires, why) in [
            (vec![lan.clone()], "no way to them"),
            (vec![lan.clone(), bridge], "answers would leave by it"),
            (vec![inner, lan], "answers would leave by it"),
        ] {
            let told = ways_in(&wires).unwrap_err().to_string();
            assert!(told.contains("network lan") && told.contains(why), "{told}");
        }
    }

    #[test]
    fn a_name_tells_of_which_interface_it_is_a_vlan() {
        let vlan = |base: &str, id| {
            Some(Vlan {
                base: base.to_owned(),
                id,
            })
        };
        assert_eq!(vlan_of("eth0.50"), vlan("eth0", 50));
        assert_eq!(vlan_of("eth0.7.4094"), vlan("eth0.7", 4094));
        for name in ["eth0", "eth0.", "eth0.0", "eth0.4095", "eth0.x", "eth0.-1"] {
            assert_eq!(vlan_of(name), None, "{name}");
        }
    }
}
