//! The map as data, which is what `--json` prints, and what the drawings are made of.

use serde::Serialize;
use soute_engine::NetworkRecord;
use soute_lens::view::ContainerName;
use soute_lens::wiring::{Interface, NetworkNamespace, Wiring};
use soute_network::Subnet;

use super::super::known::{Container, Known, PublishedPort, place_name};
use super::firewall::Firewall;

/// All that is shown.
#[derive(Debug, Serialize)]
pub struct Map {
    /// The caller's own first.
    pub namespaces: Vec<Place>,
    /// soute's networks, by name.
    pub networks: Vec<Network>,
    /// The ports that lead to containers.
    pub published: Vec<PublishedPort>,
    /// What stands in packets' way, in the caller's own namespace.
    pub firewall: Firewall,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// A network namespace, and whose it is.
#[derive(Debug, Serialize)]
pub struct Place {
    /// What people call it.
    pub name: String,
    /// soute's containers in it.
    pub containers: Vec<ContainerName>,
    #[serde(flatten)]
    pub seen: NetworkNamespace,
}

/// A network of soute's.
#[derive(Debug, Clone, Serialize)]
pub struct Network {
    pub name: String,
    pub id: String,
    /// Its bridge's name; the bridge is made with its first container.
    pub bridge: String,
    pub subnets: Vec<Subnet>,
    pub internal: bool,
    /// Whether what leaves the machine does so by the machine's address.
    pub masquerade: bool,
}

impl Map {
    /// Joins what the kernel shows with what the engine knows; `init_of` is, for each container, the inode of its network
    /// namespace, where that was seen.
    pub fn new(
        wiring: Wiring,
        known: Known,
        firewall: Firewall,
        init_of: &dyn Fn(&Container) -> Option<u64>,
    ) -> Self {
        let mut containers: Vec<(u64, ContainerName)> = known
            .containers
            .iter()
            .filter_map(|container| Some((init_of(container)?, container.name.clone())))
            .collect();
        containers.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let place = |seen: NetworkNamespace| {
            let own = containers.iter().filter(|(ns, _)| *ns == seen.ns);
            let containers: Vec<ContainerName> = own.map(|(_, name)| name.clone()).collect();
            Place {
                name: place_name(&seen, &containers),
                containers,
                seen,
            }
        };
        let mut notes = known.notes;
        for note in wiring.notes.into_iter().chain(firewall.notes.clone()) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Self {
            namespaces: wiring.namespaces.into_iter().map(place).collect(),
            networks: known.networks.iter().map(Network::from).collect(),
            published: known.published,
            firewall,
            notes,
        }
    }

    /// Where the interface of this number is in the namespace of this inode.
    pub fn link(&self, ns: u64, index: u32) -> Option<(&Place, &Interface)> {
        let place = self.namespaces.iter().find(|place| place.seen.ns == ns)?;
        Some((place, place.seen.link(index)?))
    }

    /// The network that an interface of the caller's own namespace is the bridge of.
    pub fn network(&self, place: &Place, link: &Interface) -> Option<&Network> {
        let is = |network: &&Network| network.bridge == link.name && link.kind == "bridge";
        self.networks.iter().find(is).filter(|_| place.seen.here)
    }

    /// What stands on an interface, wherever it is: vlans, macvlans and others.
    pub fn above(&self, ns: u64, index: u32) -> impl Iterator<Item = (&Place, &Interface)> {
        let places = self.namespaces.iter();
        let all = places.flat_map(|place| place.seen.links.iter().map(move |link| (place, link)));
        all.filter(move |(_, link)| {
            let tie = link.tie.as_ref();
            !link.is_pair() && tie.is_some_and(|tie| tie.ns == Some(ns) && tie.index == index)
        })
    }

    /// The ports that lead to an interface's addresses.
    pub fn published_to<'m>(
        &'m self,
        place: &'m Place,
        link: &'m Interface,
    ) -> impl Iterator<Item = &'m PublishedPort> {
        self.published.iter().filter(move |port| {
            let container = port.container.as_ref();
            container
                .is_some_and(|container| place.containers.iter().any(|own| own.id == container.id))
                && link.addresses.iter().any(|own| own.address == port.to)
        })
    }
}

impl From<&NetworkRecord> for Network {
    fn from(record: &NetworkRecord) -> Self {
        Self {
            name: record.name.clone(),
            id: record.id.clone(),
            bridge: record.bridge.clone(),
            subnets: record.subnets.iter().map(|range| range.subnet).collect(),
            internal: record.internal,
            masquerade: record.masquerade,
        }
    }
}

impl Network {
    /// How it is joined to the world, in words.
    pub fn ways(&self) -> &'static str {
        match (self.internal, self.masquerade) {
            (true, _) => "internal: no way out, none in but by published ports",
            (false, true) => "NAT: goes outside by the machine's address",
            (false, false) => "goes outside by its own addresses, without NAT",
        }
    }
}
