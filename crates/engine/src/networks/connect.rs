//! The wires of one container: a veth pair from its network namespace to the bridge, or a link over another interface.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use soute_network::route::{End, Hop, Link, Place, Rtnetlink, unless_there};
use soute_network::{Mac, Subnet};
use soute_sys::CallError;

use super::parent;
use super::record::{Driver, NetworkRecord};
use crate::error::{Error, short};

/// A wire from a container, and what it is joined to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// The network's name.
    pub network: String,
    /// Its interface's name in the container: `eth0`.
    pub interface: String,
    /// The other end's name, on the machine; empty: it has none, and stands on the interface that its network shares.
    pub peer: String,
    /// Its interface's Ethernet address.
    pub mac: Mac,
    /// Its addresses, each with the bits of its subnet's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The routers that lead elsewhere, none on a network that is internal.
    pub gateways: Vec<IpAddr>,
    /// What its neighbours find it by, in small letters.
    #[serde(default)]
    pub names: Vec<String>,
}

impl Wire {
    /// It leads to a bridge of the network's own.
    pub fn is_bridged(&self) -> bool {
        !self.peer.is_empty()
    }
}

/// How long is waited for what the container had when it ran before: the kernel takes its time to end a namespace.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// Does it again while it fails with `busy`.
pub(super) fn patiently(
    busy: Errno,
    mut deed: impl FnMut() -> Result<(), CallError>,
) -> Result<(), CallError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match deed() {
            Err(e) if e.errno() == busy && Instant::now() < end => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

/// The name on the machine of the end that belongs to interface `number` of container `id`: one of at most 15 bytes.
pub(super) fn peer_name(id: &str, number: usize) -> String {
    format!("veth{number}{}", &short(id)[..9])
}

/// Joins a container, whose network namespace this is, to a network; `hairpin` as [`wire`] has it.
pub(super) fn join(
    machine: &mut Rtnetlink,
    network: &NetworkRecord,
    container: &mut Place<'_>,
    connection: &Wire,
    hairpin: bool,
) -> Result<(), Error> {
    match network.driver {
        Driver::Bridge => {
            let bridge = bridge(machine, network)?;
            Ok(wire(machine, &bridge, container, connection, hairpin)?)
        }
        Driver::Macvlan { .. } | Driver::Ipvlan { .. } => {
            parent::join(machine, network, container, connection)
        }
    }
}

/// The bridge of `network`, made and in order, whatever became of it since the last container.
///
/// # Errors
/// There is an interface of its name that is no bridge; the kernel's.
pub(super) fn bridge(machine: &mut Rtnetlink, network: &NetworkRecord) -> Result<Link, Error> {
    let found = match machine.link(&network.bridge)? {
        Some(link) => link,
        None => {
            let mtu = match network.mtu {
                Some(mtu) => Some(mtu),
                None => machine.default_link()?.map(|link| link.mtu),
            };
            let end = End {
                name: &network.bridge,
                // Without one of its own it would be that of whichever container's end is lowest, and change with it.
                mac: Some(super::mac(&network.id, 0)),
                mtu,
                ..End::default()
            };
            // Another container of the network may have just made it.
            unless_there(machine.make_bridge(&end))?;
            machine
                .link(&network.bridge)?
                .ok_or_else(|| gone(network))?
        }
    };
    if found.kind.as_deref() != Some("bridge") {
        return Err(Error::Impossible(format!(
            "network {} needs the name {} for its bridge, and the machine has another interface of that name",
            network.name, network.bridge
        )));
    }
    let ranges: Vec<_> = network.usable().collect();
    for range in &ranges {
        unless_there(machine.add_address(found.index, range.gateway, range.subnet.prefix()))?;
    }
    if ranges.iter().any(|range| !range.subnet.is_ipv4()) {
        // Without one that is usable at once, the first packets to a container wait until one is.
        let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        unless_there(machine.add_address(found.index, IpAddr::V6(own), 64))?;
    }
    super::firewall::allow_local(&network.bridge)?;
    super::firewall::heed_no_router(&network.bridge)?;
    if !found.is_up() {
        machine.set_up(found.index, true)?;
    }
    Ok(found)
}

/// Lays the wire; `hairpin`: what the container sends may come back to it, as it must if it is to reach its own published
/// ports where bridged packets are translated, too (net.bridge.bridge-nf-call-iptables). On return the interface in the
/// namespace `container` is up, with its addresses and routes.
fn wire(
    machine: &mut Rtnetlink,
    bridge: &Link,
    container: &mut Place<'_>,
    connection: &Wire,
    hairpin: bool,
) -> Result<(), CallError> {
    let here = End {
        name: &connection.peer,
        mtu: Some(bridge.mtu),
        ..End::default()
    };
    let there = End {
        name: &connection.interface,
        namespace: Some(container.namespace),
        mac: Some(connection.mac),
        mtu: Some(bridge.mtu),
    };
    match machine.make_veth(&here, Some(bridge.index), &there) {
        // That of a run before: it goes with its namespace, which the kernel takes its time for.
        Err(e) if e.errno() == Errno::EXIST => {
            if let Some(old) = machine.link(&connection.peer)? {
                machine.delete_link(old.index)?;
            }
            machine.make_veth(&here, Some(bridge.index), &there)?;
        }
        other => other?,
    }
    if hairpin {
        let_come_back(machine, connection)?;
    }
    settle(&mut container.netlink, connection)
}

/// What the container sends by this wire may come back to it.
pub(super) fn let_come_back(machine: &mut Rtnetlink, connection: &Wire) -> Result<(), CallError> {
    match machine.link(&connection.peer)? {
        Some(port) => machine.set_hairpin(port.index, true),
        None => Ok(()),
    }
}

/// An interface that the container has.
fn find(inside: &mut Rtnetlink, interface: &str) -> Result<Link, CallError> {
    let missing = || CallError::new(interface.to_owned(), Errno::NODEV);
    inside.link(interface)?.ok_or_else(missing)
}

/// Gives a container's interface its addresses and routes, and brings it up.
pub(super) fn settle(inside: &mut Rtnetlink, connection: &Wire) -> Result<(), CallError> {
    let link = find(inside, &connection.interface)?;
    for &(address, prefix) in &connection.addresses {
        // An ipvlan's is no other's on its parent.
        patiently(Errno::ADDRINUSE, || {
            inside.add_address(link.index, address, prefix)
        })?;
    }
    inside.set_up(link.index, true)?;
    let mut gateways = connection.gateways.iter();
    gateways.try_for_each(|&gateway| lead_everywhere(inside, &link, gateway))
}

/// Has a gateway, or where it is 0.0.0.0 or :: the link itself, lead out of the container whose network namespace this is,
/// by an interface that it has.
pub(super) fn lead_out(
    container: BorrowedFd<'_>,
    interface: &str,
    gateway: IpAddr,
) -> Result<(), CallError> {
    let mut inside = Rtnetlink::open_in(container)?;
    let link = find(&mut inside, interface)?;
    lead_everywhere(&mut inside, &link, gateway)
}

fn lead_everywhere(inside: &mut Rtnetlink, link: &Link, gateway: IpAddr) -> Result<(), CallError> {
    let hop = Hop {
        gateway: Some(gateway).filter(|gateway| !gateway.is_unspecified()),
        link: Some(link.index),
    };
    let everywhere = Subnet::of(gateway, 0).unwrap_or_else(|| unreachable!("0 bits fit"));
    inside.add_route(everywhere, hop)
}

fn gone(network: &NetworkRecord) -> Error {
    Error::Impossible(format!(
        "the bridge {} of network {} was removed while it was made",
        network.bridge, network.name
    ))
}
