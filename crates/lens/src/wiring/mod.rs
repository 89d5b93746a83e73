//! Network namespaces: the links of each, and which of them are tied to each other, within one and between two.
//!
//! - [`Wiring`]: all of it, as pure data (which serialises to JSON).
//! - [`ties`]: the two ends of a tie found among what each namespace tells of its own, as pure data.
//! - [`sockets`]: the sockets that have a port, and the processes that hold them.
//!
//! Each namespace is read once, one after the other, while others change: an end whose other end was not there, or says
//! otherwise by then, is shown as it says itself.

mod read;
pub mod sockets;
pub mod ties;

use std::net::IpAddr;

use serde::Serialize;
use soute_network::route::{Address, Link, LinkFlags, Route};

use crate::Basis;

/// All network namespaces that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Wiring {
    /// The caller's own first, then by inode.
    pub namespaces: Vec<NetworkNamespace>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

impl Wiring {
    /// The namespace of this inode.
    pub fn get(&self, ns: u64) -> Option<&NetworkNamespace> {
        self.namespaces.iter().find(|namespace| namespace.ns == ns)
    }
}

/// A network namespace. The fields that `soute ns ls --json` has too are named as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkNamespace {
    /// Its inode.
    pub ns: u64,
    /// Whether the caller is in it.
    pub here: bool,
    /// Whether it is the machine's, and how that is known.
    pub machine: Option<Basis>,
    /// How many processes are in it.
    pub nprocs: usize,
    /// The lowest process number in it.
    pub pid: Option<u32>,
    /// The name of that process; of a namespace that nobody is in: what keeps it.
    pub command: String,
    /// Mount points of its file that are visible to the caller.
    pub nsfs: Vec<String>,
    /// Why its links are not told.
    pub hidden: Option<String>,
    /// Its interfaces, by their numbers.
    pub links: Vec<Interface>,
    /// The routes to others, of all tables.
    pub routes: Vec<Way>,
}

impl NetworkNamespace {
    /// Its interface of this number.
    pub fn link(&self, index: u32) -> Option<&Interface> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The ports of a bridge, or whatever else joins several.
    pub fn ports(&self, master: u32) -> impl Iterator<Item = &Interface> {
        self.links
            .iter()
            .filter(move |link| link.master == Some(master))
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth` and so on, as the kernel calls them; `loopback`; `physical`: of no kind, as those of hardware are.
    pub kind: String,
    /// Its hardware address, if it has one.
    pub mac: Option<String>,
    /// Longest packet in bytes, without the link's own header.
    pub mtu: u32,
    /// Whether its administrator wants it up.
    pub up: bool,
    /// Whether packets pass, in ip(8)'s words, in small letters.
    pub state: &'static str,
    /// The number of the bridge (or bond, or VRF) that it is a port of.
    pub master: Option<u32>,
    /// Of a vlan or vxlan: its number on the wire.
    pub tag: Option<u32>,
    /// What it is tied to: of a veth, the other end; of a macvlan, a vlan and others, what it stands on.
    pub tie: Option<Tie>,
    /// Its addresses.
    pub addresses: Vec<Inet>,
}

impl Interface {
    /// Whether it is one end of a pair.
    pub fn is_pair(&self) -> bool {
        matches!(self.kind.as_str(), "veth" | "netkit" | "vxcan")
    }

    /// Whether it is there in every namespace and tells nothing: the loopback interface as it always is, and the tunnels' ends
    /// that the kernel puts into each.
    pub fn is_usual(&self) -> bool {
        match self.kind.as_str() {
            "loopback" => self
                .addresses
                .iter()
                .all(|own| own.address.to_canonical().is_loopback()),
            "ipip" | "sit" | "gre" | "gretap" | "erspan" | "vti" | "vti6" | "ip6tnl" | "ip6gre"
            | "ip6gretap" | "ip6erspan" => !self.up && self.addresses.is_empty(),
            _ => false,
        }
    }

    /// As ip(8) has it: `eth0@if142`, `eth0@br0`; the name alone of what is tied to nothing.
    pub fn tied_name(&self) -> String {
        match &self.tie {
            Some(tie) if tie.netnsid.is_none() => match &tie.name {
                Some(name) => format!("{}@{name}", self.name),
                None => format!("{}@if{}", self.name, tie.index),
            },
            Some(tie) => format!("{}@if{}", self.name, tie.index),
            None => self.name.clone(),
        }
    }
}

/// The interface that another is tied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tie {
    /// Its number in its namespace.
    pub index: u32,
    /// The number by which the namespace of the one that is tied calls the namespace that this is in, if that is another.
    pub netnsid: Option<i32>,
    /// The inode of the namespace that it is in; `None`: none of those that were found.
    pub ns: Option<u64>,
    /// Its name there, if it is seen there.
    pub name: Option<String>,
    /// Whether it says the same of its own other end.
    pub mutual: bool,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Inet {
    /// The address.
    pub address: IpAddr,
    /// Bits that it has in common with its neighbours'.
    pub prefix: u8,
    /// How far it is known.
    pub scope: &'static str,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// What it leads to, as `10.0.0.0/8`.
    pub to: String,
    /// Whether it leads to all that no other route leads to.
    pub default: bool,
    /// Its next steps.
    pub hops: Vec<Step>,
    /// The routing table that it is in; 254 is the main one.
    pub table: u32,
    /// Its cost.
    pub metric: u32,
}

/// The next step on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The router; none: the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The number of the interface.
    pub link: Option<u32>,
}

impl Interface {
    /// What the kernel tells of it, with its addresses among all of its namespace, tied to whatever `ns` is found for.
    fn new(link: &Link, addresses: &[Address]) -> Self {
        let kind = match &link.kind {
            Some(kind) => kind.as_str(),
            None if link.flags.has(LinkFlags::LOOPBACK) => "loopback",
            None => "physical",
        };
        let own = addresses
            .iter()
            .filter(|address| address.link == link.index);
        Self {
            index: link.index,
            name: link.name.clone(),
            kind: kind.to_owned(),
            mac: hardware_address(&link.address),
            mtu: link.mtu,
            up: link.is_up(),
            state: link.state.name(),
            master: link.master,
            tag: link.tag,
            tie: link.link_index.map(|index| Tie {
                index,
                netnsid: link.link_netnsid,
                ns: None,
                name: None,
                mutual: false,
            }),
            addresses: own
                .map(|address| Inet {
                    address: address.address,
                    prefix: address.prefix,
                    scope: scope(address.scope),
                })
                .collect(),
        }
    }
}

impl From<&Route> for Way {
    fn from(route: &Route) -> Self {
        Self {
            to: route.to.to_string(),
            default: route.is_default(),
            hops: route
                .hops
                .iter()
                .map(|hop| Step {
                    gateway: hop.gateway,
                    link: hop.link,
                })
                .collect(),
            table: route.table,
            metric: route.metric,
        }
    }
}

fn hardware_address(bytes: &[u8]) -> Option<String> {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (!pairs.is_empty()).then(|| pairs.join(":"))
}

/// `RT_SCOPE_*` in ip(8)'s words.
fn scope(number: u8) -> &'static str {
    match number {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        _ => "other",
    }
}
