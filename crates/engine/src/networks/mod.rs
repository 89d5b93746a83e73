//! Networks: bridges of the machine's that containers are joined to by veth pairs.

mod connect;
mod firewall;
mod holder;
mod leases;
mod ports;
mod record;
mod subnets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_network::route::Rtnetlink;
use soute_network::ruleset::Published;
use soute_network::{Mac, Subnet};

pub use connect::Wire;
use ports::Reserved;
pub use record::{NetworkRecord, Range};

use crate::error::{Error, io};
use crate::places::{Places, make_folder};
use crate::record::{Record, read_json, write_json};
use crate::request::{Endpoint, Network};
use crate::{Engine, ids};

/// What joins a container to its networks, and what of the machine's leads to it.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    wires: Vec<(NetworkRecord, Wire)>,
    ports: Vec<Reserved>,
}

impl Wires {
    /// It is in no network.
    pub(crate) fn is_empty(&self) -> bool {
        self.wires.is_empty()
    }

    /// The addresses that it has.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let wires = self.wires.iter();
        wires.flat_map(|(_, wire)| wire.addresses.iter().map(|(address, _)| *address))
    }

    /// The sockets that keep its ports for it.
    pub(crate) fn into_sockets(self) -> Vec<OwnedFd> {
        self.ports
            .into_iter()
            .filter_map(|port| port.socket)
            .collect()
    }

    fn noted(&self) -> Noted {
        Noted {
            wires: self.wires.iter().map(|(_, wire)| wire.clone()).collect(),
            published: self
                .ports
                .iter()
                .map(|port| port.published.clone())
                .collect(),
        }
    }
}

/// How a container is joined, for as long as it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// To its networks.
    pub wires: Vec<Wire>,
    /// What of the machine's leads to it.
    pub published: Vec<Published>,
}

/// The network that is there without having been made.
pub const DEFAULT: &str = "bridge";
/// Names that mean something else.
const RESERVED: [&str; 4] = ["none", "host", "container", "default"];

/// A network that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its addresses: at most one subnet of each family. Without one of IPv4, one is chosen.
    pub ranges: Vec<NewRange>,
    /// With IPv6 although no subnet of it is named.
    pub ipv6: bool,
    /// No way out, and none in.
    pub internal: bool,
    /// What leaves the machine keeps its address.
    pub no_masquerade: bool,
    /// Bytes of the longest packet.
    pub mtu: Option<u32>,
    /// The bridge's name.
    pub bridge: Option<String>,
    /// Whatever the user wants to find it by.
    pub labels: BTreeMap<String, String>,
}

/// Addresses that a network is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRange {
    /// All of them.
    pub subnet: Subnet,
    /// The bridge's; `None`: the first.
    pub gateway: Option<IpAddr>,
    /// Where containers' are taken from; `None`: all.
    pub pool: Option<Subnet>,
}

impl Engine {
    /// All networks, by name.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>, Error> {
        NetworkRecord::all(&self.places)
    }

    /// The network of this name, or the one whose id begins so.
    pub fn network(&self, name: &str) -> Result<NetworkRecord, Error> {
        if let Some(network) = NetworkRecord::read(&self.places, name)? {
            return Ok(network);
        }
        if name == DEFAULT {
            return self.create_network(NewNetwork {
                name: DEFAULT.to_owned(),
                ipv6: true,
                ..NewNetwork::default()
            });
        }
        let mut all = NetworkRecord::all(&self.places)?;
        all.retain(|network| !name.is_empty() && network.id.starts_with(name));
        match all.len() {
            1 => Ok(all.remove(0)),
            0 => Err(Error::NoSuchNetwork(name.to_owned())),
            _ => Err(Error::Impossible(format!(
                "{name} is the beginning of several networks' ids: more digits tell which"
            ))),
        }
    }

    /// Makes a network: it is written down, and its bridge is made with its first container.
    ///
    /// # Errors
    /// The name is taken, or no name; a subnet is in the way of a route of the machine's.
    pub fn create_network(&self, wanted: NewNetwork) -> Result<NetworkRecord, Error> {
        record::check_name(&wanted.name)?;
        if RESERVED.contains(&wanted.name.as_str()) {
            return Err(Error::Impossible(format!(
                "{} is no network's name: --network {0} means something else",
                wanted.name
            )));
        }
        let _lock = lock(&self.places)?;
        if let Some(other) = NetworkRecord::read(&self.places, &wanted.name)? {
            // Two commands at once wanted the one that is there without being made.
            return match wanted.name == DEFAULT {
                true => Ok(other),
                false => Err(Error::NetworkExists(wanted.name)),
            };
        }
        let others = NetworkRecord::all(&self.places)?;
        let mut machine = Rtnetlink::open()?;
        let taken = subnets::taken(&mut machine, &others)?;
        let id = ids::new_id()?;
        let mut ranges = Vec::new();
        for wanted in &wanted.ranges {
            if ranges
                .iter()
                .any(|range: &Range| range.subnet.is_ipv4() == wanted.subnet.is_ipv4())
            {
                return Err(Error::Impossible(format!(
                    "--subnet {}: a network has one subnet of each family",
                    wanted.subnet
                )));
            }
            subnets::check(wanted.subnet, &taken)?;
            ranges.push(subnets::range(wanted.subnet, wanted.gateway, wanted.pool)?);
        }
        if !ranges.iter().any(|range| range.subnet.is_ipv4()) {
            ranges.insert(0, subnets::range(subnets::choose(&taken)?, None, None)?);
        }
        if wanted.ipv6 && ranges.iter().all(|range| range.subnet.is_ipv4()) && has_ipv6() {
            let own = subnets::choose_ipv6(&id, &taken)?;
            ranges.push(subnets::range(own, None, None)?);
        }
        let bridge = match wanted.bridge {
            Some(name) if is_free(&mut machine, &others, &name)? => name,
            Some(name) => {
                return Err(Error::Impossible(format!(
                    "the name {name} is an interface's already: a network makes a bridge of its own"
                )));
            }
            // soute0 where that is nobody's.
            None => free_bridge(&mut machine, &others, wanted.name != DEFAULT)?,
        };
        let network = NetworkRecord {
            name: wanted.name,
            id,
            created: Timestamp::now(),
            bridge,
            subnets: ranges,
            internal: wanted.internal,
            masquerade: !wanted.internal && !wanted.no_masquerade,
            mtu: wanted.mtu,
            labels: wanted.labels,
        };
        network.write(&self.places)?;
        Ok(network)
    }

    /// Removes a network that no container runs in, with its bridge.
    ///
    /// # Errors
    /// There is none of the name; containers are in it, which are named.
    pub fn remove_network(&self, name: &str) -> Result<NetworkRecord, Error> {
        let _lock = lock(&self.places)?;
        let network = match NetworkRecord::read(&self.places, name)? {
            Some(network) => network,
            None if name == DEFAULT => return Err(Error::NoSuchNetwork(name.to_owned())),
            None => self.network(name)?,
        };
        let members = self.members(&network)?;
        if !members.is_empty() {
            let names: BTreeSet<&str> = members.iter().map(|(_, name)| name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            return Err(Error::Impossible(format!(
                "network {} is in use by {}",
                network.name,
                names.join(", ")
            )));
        }
        let mut machine = Rtnetlink::open()?;
        if let Some(bridge) = machine.link(&network.bridge)?
            && bridge.kind.as_deref() == Some("bridge")
        {
            machine.delete_link(bridge.index)?;
        }
        firewall::forget(&network)?;
        network.remove(&self.places)?;
        leases::forget(&self.places, &network.name)?;
        Ok(network)
    }

    /// The containers that run in a network: each address, and who has it.
    pub fn members(&self, network: &NetworkRecord) -> Result<Vec<(IpAddr, String)>, Error> {
        let leases = leases::of(&self.places, &network.name)?;
        Ok(leases
            .into_iter()
            .map(|(address, id)| match ids::name_of(&self.places, &id) {
                Ok(Some(name)) => (address, name),
                _ => (address, id),
            })
            .collect())
    }

    /// Puts back what of the table of nftables is not as it should be; whether anything was.
    pub fn heal_networks(&self) -> Result<bool, Error> {
        match self.places.leases().exists() {
            true => firewall::heal(&self.places),
            // No container has been in a network since the machine started.
            false => Ok(false),
        }
    }

    /// How a container that runs is joined to its networks.
    pub fn networking(&self, id: &str) -> Result<Noted, Error> {
        noted(&self.places, id)
    }

    /// Takes what container `id` needs to be in the networks that it asks for.
    pub(crate) fn reserve(&self, record: &Record) -> Result<Wires, Error> {
        let Network::Networks(endpoints) = &record.request.network else {
            return Ok(Wires::default());
        };
        let id = record.id.as_str();
        // The one that is there without having been made is made now, if it is to be.
        let known: Result<Vec<_>, Error> = endpoints
            .iter()
            .map(|endpoint| self.network(&endpoint.network))
            .collect();
        let known = known?;
        // A network that is looked at, and has no container yet, is not removed before it has one.
        let _shared = share(&self.places)?;
        let reserve = |(number, (endpoint, known)): (usize, (&Endpoint, &NetworkRecord))| {
            let network = NetworkRecord::read(&self.places, &known.name)?;
            let network = network.ok_or_else(|| Error::NoSuchNetwork(known.name.clone()))?;
            let mut addresses = Vec::new();
            let mut gateways = Vec::new();
            for range in &network.subnets {
                let wanted = match range.subnet.is_ipv4() {
                    true => endpoint.address.map(IpAddr::V4),
                    false => endpoint.address6.map(IpAddr::V6),
                };
                let address = leases::take(&self.places, &network, range, id, wanted)?;
                addresses.push((address, range.subnet.prefix()));
                // One way out of each kind: that of the first network.
                if number == 0 && !network.internal {
                    gateways.push(range.gateway);
                }
            }
            let connection = Wire {
                network: network.name.clone(),
                interface: format!("eth{number}"),
                peer: connect::peer_name(id, number),
                mac: endpoint.mac.unwrap_or_else(|| mac(id, number)),
                addresses,
                gateways,
            };
            Ok((network, connection))
        };
        let both = endpoints.iter().zip(&known).enumerate();
        let wires: Result<Vec<_>, Error> = both.map(reserve).collect();
        let reserved = wires.and_then(|wires| {
            let own: Vec<Wire> = wires.iter().map(|(_, wire)| wire.clone()).collect();
            let ports = ports::reserve(&self.places, record, &own)?;
            Ok(Wires { wires, ports })
        });
        reserved.map_err(|e| e.undone(release(&self.places, id)))
    }

    /// Opens the ways in and out of the networks that a container is about to be in, and says what that changed on the
    /// machine.
    pub(crate) fn open_ways(&self, wires: &Wires) -> Result<Vec<String>, Error> {
        if wires.is_empty() {
            return Ok(Vec::new());
        }
        let networks: Vec<&NetworkRecord> =
            wires.wires.iter().map(|(network, _)| network).collect();
        firewall::admit(&self.places, &networks)?;
        let mut notices = firewall::forward(&self.places, &networks)?;
        if networks.iter().any(|network| !network.internal) {
            notices.extend(firewall::obstacles()?);
        }
        Ok(notices)
    }
}

/// Where the wires of a container that runs are written down.
fn wires_path(places: &Places, id: &str) -> PathBuf {
    places.running(id).join("networks.json")
}

/// Writes down how container `id` is joined, for as long as it runs.
pub(crate) fn note(places: &Places, id: &str, wires: &Wires) -> Result<(), Error> {
    if wires.is_empty() {
        return Ok(());
    }
    write_json(&wires_path(places, id), &wires.noted(), false)
}

/// How the container `id` is joined to its networks; empty where it is to none, or does not run.
pub(crate) fn noted(places: &Places, id: &str) -> Result<Noted, Error> {
    Ok(read_json(&wires_path(places, id))?.unwrap_or_default())
}

/// What is noted of all containers that run, by their ids. What cannot be read is that container's own trouble.
fn all_noted(places: &Places) -> Vec<(String, Noted)> {
    let running = std::fs::read_dir(places.run.join("containers"));
    let ids = running.into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|id| {
            let noted = noted(places, &id).ok()?;
            Some((id, noted))
        })
        .collect()
}

/// Joins the container whose network namespace this is to its networks.
pub(crate) fn connect(wanted: &Wires, container: BorrowedFd<'_>) -> Result<(), Error> {
    let mut machine = Rtnetlink::open()?;
    for (network, wire) in &wanted.wires {
        let bridge = connect::bridge(&mut machine, network)?;
        connect::wire(
            &mut machine,
            &bridge,
            container,
            wire,
            !wanted.ports.is_empty(),
        )?;
    }
    firewall::publish(&wanted.noted().published)
}

/// Gives up all addresses and ports of container `id`. Its wires went with its network namespace.
pub(crate) fn release(places: &Places, id: &str) -> Result<(), Error> {
    let published = noted(places, id)?.published;
    // The note first: a repair in between brings nothing back that is not noted.
    let note = wires_path(places, id);
    match std::fs::remove_file(&note) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return io("removing", &note, Err(e)),
        _ => {}
    }
    firewall::unpublish(&published)?;
    leases::free(places, id)
}

/// Networks are made and removed one at a time.
fn lock(places: &Places) -> Result<std::fs::File, Error> {
    let (file, folder) = lock_file(places)?;
    io("locking", &folder, file.lock())?;
    Ok(file)
}

/// As long as this is held, no network is removed.
fn share(places: &Places) -> Result<std::fs::File, Error> {
    let (file, folder) = lock_file(places)?;
    io("locking", &folder, file.lock_shared())?;
    Ok(file)
}

fn lock_file(places: &Places) -> Result<(std::fs::File, PathBuf), Error> {
    let folder = places.networks();
    make_folder(&folder, 0o700)?;
    let file = io("opening", &folder, std::fs::File::open(&folder))?;
    Ok((file, folder))
}

/// The first `souteN` that is nobody's, from 0 or 1 on.
fn free_bridge(
    machine: &mut Rtnetlink,
    networks: &[NetworkRecord],
    from_one: bool,
) -> Result<String, Error> {
    let mut number = u32::from(from_one);
    loop {
        let name = format!("soute{number}");
        if is_free(machine, networks, &name)? {
            return Ok(name);
        }
        number += 1;
    }
}

fn is_free(machine: &mut Rtnetlink, networks: &[NetworkRecord], name: &str) -> Result<bool, Error> {
    let of_network = networks.iter().any(|network| network.bridge == name);
    Ok(!of_network && machine.link(name)?.is_none())
}

/// Whether the machine has IPv6 at all.
fn has_ipv6() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6")
        .is_ok_and(|disabled| disabled.trim() == "0")
}

/// The Ethernet address of interface `number` of a container or a network: the same for as long as it is there.
fn mac(id: &str, number: usize) -> Mac {
    let digits = u64::from_str_radix(id.get(..10).unwrap_or(id), 16).unwrap_or(0);
    let [.., a, b, c, d, e] = digits.to_be_bytes();
    Mac::local([a, b, c, d, e, number as u8])
}
