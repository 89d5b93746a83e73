//! Networks: bridges of the machine's that containers are joined to by veth pairs, and interfaces that they share.

mod carry;
mod closed;
mod connect;
mod firewall;
mod holder;
mod inside;
mod leases;
mod mark;
pub(crate) mod names;
mod parent;
pub(crate) mod ports;
mod publish;
mod record;
mod rewire;
mod rules_hook;
mod subnets;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_network::route::{Place, Rtnetlink};
use soute_network::ruleset::{self, Published};
use soute_network::{Mac, Subnet, dns};
use soute_sys::netlink::Socket;

pub(crate) use carry::Order;
pub use carry::Side;
pub use connect::Wire;
pub(crate) use inside::root_of;
pub use inside::{Inside, Located, is_same_network, network_of, own_network};
use mark::Mark;
use ports::Reserved;
pub(crate) use publish::takes_ports;
pub use record::{Driver, NetworkRecord, Range, Vlan};
pub use rules_hook::RulesHookError;
pub(crate) use upkeep::{Kept, keep};

use crate::error::{Error, io, short};
use crate::places::{Places, make_folder, remove_if_there};
use crate::record::{Record, read_json, write_json};
use crate::request::{Endpoint, Network};
use crate::{Engine, ids};

/// What joins a container to its networks, and what of the machine's leads to it.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    wires: Vec<(NetworkRecord, Wire)>,
    ports: Vec<Reserved>,
    /// They are for everybody, whatever the machine's firewall says of what comes in.
    publish_open: bool,
}

impl Wires {
    /// It is in no network.
    pub(crate) fn is_empty(&self) -> bool {
        self.wires.is_empty()
    }

    /// What joins it to each.
    pub(crate) fn wires(&self) -> Vec<Wire> {
        self.wires.iter().map(|(_, wire)| wire.clone()).collect()
    }

    /// Its neighbours have names that it can find them by.
    fn have_names(&self) -> bool {
        let mut wires = self.wires.iter();
        wires.any(|(network, _)| names::are_in(&network.name))
    }

    /// What keeps its ports for it.
    pub(crate) fn into_ports(self) -> Vec<Reserved> {
        self.ports
    }

    pub(crate) fn noted(&self) -> Noted {
        Noted {
            wires: self.wires(),
            published: self
                .ports
                .iter()
                .map(|port| port.published.clone())
                .collect(),
            publish_open: self.publish_open,
        }
    }
}

/// How a container is joined, for as long as it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// To its networks.
    pub wires: Vec<Wire>,
    /// What of the machine's leads to it. Whether from outside, the table `soute` has.
    pub published: Vec<Published>,
    /// From outside, too, whatever the machine's firewall says of what comes in.
    #[serde(default)]
    pub publish_open: bool,
}

impl Noted {
    /// What becomes of the machine's firewall changes who reaches its ports.
    pub(crate) fn heeds_firewall(&self) -> bool {
        !self.published.is_empty() && !self.publish_open
    }

    /// Its published ports that the other one has not.
    fn published_only(&self, other: &Self) -> Vec<Published> {
        let own = self.published.iter();
        let own = own.filter(|port| !other.published.contains(port));
        own.cloned().collect()
    }
}

/// An address of a network's that a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The address.
    pub address: IpAddr,
    /// The container's id.
    pub id: String,
    /// Its name, or the id if it has none any more.
    pub name: String,
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
    /// What joins containers to it.
    pub driver: Driver,
    /// The interface of the machine's that they share, unless they are on a bridge.
    pub parent: Option<String>,
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
        match self.known_network(name)? {
            Some(network) => Ok(network),
            None if name == DEFAULT => self.create_network(NewNetwork {
                name: DEFAULT.to_owned(),
                ipv6: true,
                ..NewNetwork::default()
            }),
            None => Err(Error::NoSuchNetwork(name.to_owned())),
        }
    }

    /// As [`Self::network`]; the one that is there without being made is not made now.
    fn known_network(&self, name: &str) -> Result<Option<NetworkRecord>, Error> {
        if let Some(network) = NetworkRecord::read(&self.places, name)? {
            return Ok(Some(network));
        }
        let mut all = NetworkRecord::all(&self.places)?;
        all.retain(|network| !name.is_empty() && network.id.starts_with(name));
        match all.len() {
            1 => Ok(Some(all.remove(0))),
            0 => Ok(None),
            _ => Err(Error::Impossible(format!(
                "{name} is the beginning of several networks' ids: more digits tell which"
            ))),
        }
    }

    /// Makes a network: it is written down, and a bridge is made with its first container.
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
        // On a network that it only lends an interface to, the machine has no address: its own routes are in nobody's way,
        // and mostly the parent's own subnet is what is wanted.
        let hidden = match wanted.driver {
            Driver::Bridge => taken.clone(),
            Driver::Macvlan { .. } | Driver::Ipvlan { .. } => {
                subnets::of_networks(&others).collect()
            }
        };
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
            subnets::check(wanted.subnet, &hidden)?;
            ranges.push(subnets::range(wanted.subnet, wanted.gateway, wanted.pool)?);
        }
        if !ranges.iter().any(|range| range.subnet.is_ipv4()) {
            ranges.insert(0, subnets::range(subnets::choose(&taken)?, None, None)?);
        }
        let has_own = ranges.iter().any(|range| !range.subnet.is_ipv4());
        let can_have = has_ipv6();
        if (wanted.ipv6 || has_own) && !can_have && wanted.name != DEFAULT {
            return Err(Error::Impossible(format!(
                "network {}: this machine has no IPv6, or it is off (net.ipv6.conf.all.disable_ipv6)",
                wanted.name
            )));
        }
        if wanted.ipv6 && !has_own && can_have {
            let own = subnets::choose_ipv6(&id, &taken)?;
            ranges.push(subnets::range(own, None, None)?);
        }
        let (bridge, vlan) = match wanted.driver {
            Driver::Bridge => (own_bridge(&mut machine, &others, &wanted)?, None),
            Driver::Macvlan { .. } | Driver::Ipvlan { .. } => {
                parent::choose(&mut machine, &others, &wanted)?
            }
        };
        let network = NetworkRecord {
            name: wanted.name,
            id,
            created: Timestamp::now(),
            driver: wanted.driver,
            bridge,
            vlan,
            subnets: ranges,
            internal: wanted.internal,
            masquerade: wanted.driver.is_bridge() && !wanted.internal && !wanted.no_masquerade,
            mtu: wanted.mtu,
            labels: wanted.labels,
        };
        network.write(&self.places)?;
        Ok(network)
    }

    /// Removes a network that no container runs in, with its bridge. Says what did not succeed then.
    ///
    /// # Errors
    /// There is none of the name; containers are in it, which are named.
    pub fn remove_network(&self, name: &str) -> Result<(NetworkRecord, Vec<String>), Error> {
        let _lock = lock(&self.places)?;
        let network = self.known_network(name)?;
        let network = network.ok_or_else(|| Error::NoSuchNetwork(name.to_owned()))?;
        let members = self.members(&network)?;
        if !members.is_empty() {
            let names: BTreeSet<&str> = members.iter().map(|one| one.name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            return Err(Error::Impossible(format!(
                "network {} is in use by {}",
                network.name,
                names.join(", ")
            )));
        }
        let mut machine = Rtnetlink::open()?;
        match network.driver {
            Driver::Bridge => {
                if let Some(bridge) = machine.link(&network.bridge)?
                    && bridge.kind.as_deref() == Some("bridge")
                {
                    machine.delete_link(bridge.index)?;
                }
                firewall::forget(&self.places, &network)?;
            }
            Driver::Macvlan { .. } | Driver::Ipvlan { .. } => {
                let others = NetworkRecord::all(&self.places)?;
                parent::forget(&mut machine, &network, &others)?;
            }
        }
        network.remove(&self.places)?;
        leases::forget(&self.places, &network.name)?;
        let told = match network.driver.is_bridge() {
            true => rules_hook::tell(&self.places, self.settings.rules_hook.as_ref()),
            false => Ok(false),
        };
        let notices = told.err().map(|e| e.to_string());
        Ok((network, notices.into_iter().collect()))
    }

    /// The containers that run in a network: each address, and who has it.
    pub fn members(&self, network: &NetworkRecord) -> Result<Vec<Member>, Error> {
        let leases = leases::of(&self.places, &network.name)?;
        let member = |(address, id): (IpAddr, String)| Member {
            address,
            name: match ids::name_of(&self.places, &id) {
                Ok(Some(name)) => name,
                _ => id.clone(),
            },
            id,
        };
        Ok(leases.into_iter().map(member).collect())
    }

    /// Puts back what of the table of nftables is not as it should be, and finishes what killed commands left half-done of
    /// networks; whether the table was amiss.
    pub fn heal_networks(&self) -> Result<bool, Error> {
        self.finish_rewiring()?;
        match self.places.leases().exists() {
            true => {
                upkeep::mend_bridges(&self.places)?;
                match upkeep::make_whole(&self.places, self.settings.rules_hook.as_ref()) {
                    // A start in a network has said so.
                    Err(Error::Ruleset(ruleset::Error::Unsupported(_))) => Ok(false),
                    other => other,
                }
            }
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
        let reserved = self.reserve_all(record, endpoints, &known);
        reserved.map_err(|e| e.undone(release(&self.places, id)))
    }

    fn reserve_all(
        &self,
        record: &Record,
        endpoints: &[Endpoint],
        known: &[NetworkRecord],
    ) -> Result<Wires, Error> {
        let mut networks = Vec::new();
        let mut wires = Vec::new();
        for (endpoint, known) in endpoints.iter().zip(known) {
            let network = NetworkRecord::read(&self.places, &known.name)?;
            let network = network.ok_or_else(|| Error::NoSuchNetwork(known.name.clone()))?;
            wires.push(self.reserve_one(record, endpoint, &network, &wires)?);
            networks.push(network);
        }
        let led_by = match record.request.published.is_empty() {
            true => Vec::new(),
            false => parent::ways_in(&wires)?,
        };
        let ports = ports::reserve(&self.places, record, &led_by, &record.request.published)?;
        let wires = networks.into_iter().zip(wires).collect();
        Ok(Wires {
            wires,
            ports,
            publish_open: record.request.publish_open || self.settings.publish_open,
        })
    }

    /// What joins the container to one network, besides `others` to other ones.
    fn reserve_one(
        &self,
        record: &Record,
        endpoint: &Endpoint,
        network: &NetworkRecord,
        others: &[Wire],
    ) -> Result<Wire, Error> {
        let id = record.id.as_str();
        let interface = |number: usize| format!("eth{number}");
        let is_free = |number: &usize| {
            let mut others = others.iter();
            others.all(|wire| wire.interface != interface(*number))
        };
        let number = (0..).find(is_free).unwrap_or_default();
        let names = known_by(record, endpoint, network)?;
        let mut addresses = Vec::new();
        let mut gateways = Vec::new();
        let ranges: Vec<&Range> = network.usable().collect();
        if let Some(address) = endpoint.address6
            && ranges.iter().all(|range| range.subnet.is_ipv4())
        {
            return Err(Error::Impossible(format!(
                "--ip6 {address}: network {} has no IPv6 here",
                network.name
            )));
        }
        for range in ranges {
            let wanted = match range.subnet.is_ipv4() {
                true => endpoint.address.map(IpAddr::V4),
                false => endpoint.address6.map(IpAddr::V6),
            };
            let address = leases::take(&self.places, network, range, id, wanted)?;
            addresses.push((address, range.subnet.prefix()));
            // One way out of each kind: that of the first network that has one.
            let mut ways = others.iter().flat_map(|wire| &wire.gateways);
            if ways.all(|way| way.is_ipv4() != range.gateway.is_ipv4()) {
                gateways.extend(network.way_out(range));
            }
        }
        let own = mac(id, number);
        let (peer, mac) = match network.driver {
            Driver::Bridge => (connect::peer_name(id, number), endpoint.mac.unwrap_or(own)),
            Driver::Macvlan { .. } | Driver::Ipvlan { .. } => {
                (String::new(), parent::mac(network, endpoint.mac, own)?)
            }
        };
        Ok(Wire {
            network: network.name.clone(),
            interface: interface(number),
            peer,
            mac,
            addresses,
            gateways,
            names,
        })
    }

    /// Opens the ways in and out of the networks that a container is about to be in, and says what that changed on the
    /// machine.
    pub(crate) fn open_ways(&self, wires: &Wires) -> Result<Vec<String>, Error> {
        let networks: Vec<&NetworkRecord> =
            wires.wires.iter().map(|(network, _)| network).collect();
        let mut notices = self.open_ways_of(&networks, false)?;
        notices.extend(closed::told(&wires.noted())?);
        Ok(notices)
    }

    /// `locked`: the caller has the [`lock`].
    fn open_ways_of(
        &self,
        networks: &[&NetworkRecord],
        locked: bool,
    ) -> Result<Vec<String>, Error> {
        let mut notices = parent::obstacles(networks)?;
        let bridges = networks.iter().filter(|network| network.driver.is_bridge());
        let networks: Vec<&NetworkRecord> = bridges.copied().collect();
        if networks.is_empty() {
            return Ok(notices);
        }
        firewall::admit(&self.places, &networks)?;
        let hook = self.settings.rules_hook.as_ref();
        // Somebody may have flushed a chain while no monitor was there to hear of it.
        upkeep::make_whole(&self.places, hook)?;
        rules_hook::tell(&self.places, hook)?;
        notices.extend(firewall::forward(&self.places, &networks, locked)?);
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
    let noted = wires.noted();
    write_json(&wires_path(places, id), &noted, false)?;
    noted
        .wires
        .iter()
        .try_for_each(|wire| names::write(places, id, wire))
}

/// How the container `id` is joined to its networks; empty where it is to none, or does not run.
pub(crate) fn noted(places: &Places, id: &str) -> Result<Noted, Error> {
    Ok(read_json(&wires_path(places, id))?.unwrap_or_default())
}

/// Whether anything is noted of the container's networks.
pub(crate) fn is_noted(places: &Places, id: &str) -> bool {
    wires_path(places, id).exists()
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

/// Joins the container whose network namespace this is, and in which the socket is, to its networks. Gives the sockets of
/// its name server, where it is to have one.
pub(crate) fn connect(
    places: &Places,
    wanted: &Wires,
    container: BorrowedFd<'_>,
    inside: Socket,
) -> Result<Option<dns::Sockets>, Error> {
    let mut machine = Rtnetlink::open()?;
    let mut there = Place {
        namespace: container,
        netlink: Rtnetlink::of(inside),
    };
    for (network, wire) in &wanted.wires {
        let hairpin = !wanted.ports.is_empty();
        connect::join(&mut machine, network, &mut there, wire, hairpin)?;
    }
    firewall::publish(places, &wanted.noted().published, wanted.publish_open)?;
    Ok(match wanted.have_names() {
        true => Some(dns::place(container)?),
        false => None,
    })
}

/// The machine's addresses as a container sees them that is joined so: those of the first bridge.
pub(crate) fn gateways(places: &Places, wires: &[Wire]) -> Result<Vec<IpAddr>, Error> {
    let Some(wire) = wires.iter().find(|wire| wire.is_bridged()) else {
        return Ok(Vec::new());
    };
    let network = NetworkRecord::read(places, &wire.network)?;
    let subnets = network.into_iter().flat_map(|network| network.subnets);
    Ok(subnets.map(|range| range.gateway).collect())
}

/// What a container's neighbours in a network find it by: its name, the beginning of its id, the host name that it was
/// given, and whatever else it was given there.
fn known_by(
    record: &Record,
    endpoint: &Endpoint,
    network: &NetworkRecord,
) -> Result<Vec<String>, Error> {
    endpoint
        .aliases
        .iter()
        .try_for_each(|name| names::check(name))?;
    if !names::are_in(&network.name) {
        return match endpoint.aliases.first() {
            None => Ok(Vec::new()),
            Some(alias) => Err(Error::Impossible(format!(
                "the alias {alias}: containers of the network {DEFAULT} have no names to be found by; those of a network \
                 that was made have (soute network create)"
            ))),
        };
    }
    let own = [&record.name, short(&record.id)];
    let own = own.into_iter().chain(record.request.hostname.as_deref());
    let given = endpoint.aliases.iter().map(String::as_str);
    let mut names: Vec<String> = own.chain(given).map(str::to_ascii_lowercase).collect();
    // A host name of another alphabet leads nowhere.
    names.retain(|name| names::check(name).is_ok());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Gives up all addresses and ports of container `id`. Its wires went with its network namespace.
pub(crate) fn release(places: &Places, id: &str) -> Result<(), Error> {
    // Nobody is about to join it to a network at the same time.
    let _shared = share(places)?;
    let published = noted(places, id)?.published;
    // By a mark the next command knows of ports that are noted no more, and still led in.
    let mark = match published.is_empty() {
        true => None,
        false => Some(Mark::unpublish(places, id, &published)?),
    };
    // The note first: a repair in between brings nothing back that is not noted.
    let note = wires_path(places, id);
    remove_if_there("removing", &note)?;
    firewall::unpublish(places, &published)?;
    leases::free(places, id)?;
    mark.map_or(Ok(()), Mark::remove)
}

/// Networks are made and removed one at a time, and records of containers that run changed.
pub(crate) fn lock(places: &Places) -> Result<std::fs::File, Error> {
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

/// The name of a new network's bridge: that which it is to have, or one that nobody has.
fn own_bridge(
    machine: &mut Rtnetlink,
    others: &[NetworkRecord],
    wanted: &NewNetwork,
) -> Result<String, Error> {
    match &wanted.bridge {
        Some(name) if is_free(machine, others, name)? => Ok(name.clone()),
        Some(name) => Err(Error::Impossible(format!(
            "the name {name} is an interface's already: a network makes a bridge of its own"
        ))),
        // soute0 where that is nobody's.
        None => free_bridge(machine, others, wanted.name != DEFAULT),
    }
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

/// Whether the machine has IPv6 at all, now.
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
