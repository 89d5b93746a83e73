//! What is known of a network: a file in `networks`, by its name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_network::Subnet;
use soute_network::route::{IpvlanFlag, IpvlanMode, MacvlanMode};

use crate::error::{Error, io};
use crate::places::{Places, entries, make_folder};
use crate::record::{read_json, write_json};

/// What joins containers to a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the network's own, and veth pairs.
    #[default]
    Bridge,
    /// An interface of the machine's, on which each has an Ethernet address of its own.
    Macvlan {
        /// Whom they reach.
        mode: MacvlanMode,
    },
    /// An interface of the machine's, whose Ethernet address they share.
    Ipvlan {
        /// On which layer they are told apart.
        mode: IpvlanMode,
        /// Whom they reach.
        flag: IpvlanFlag,
    },
}

impl Driver {
    /// As `--driver` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
        }
    }

    /// Its containers are on a bridge of its own, and what they send goes by the machine's rules.
    pub fn is_bridge(self) -> bool {
        self == Self::Bridge
    }
}

/// What of an interface goes with a tag of its own (IEEE 802.1Q).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// The interface.
    pub base: String,
    /// The tag, 1 to 4094.
    pub id: u16,
}

/// A network of the engine's, which its containers are joined to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What joins them.
    #[serde(default)]
    pub driver: Driver,
    /// The machine's interface that all its containers are joined to: its own bridge, or the parent that they share.
    pub bridge: String,
    /// The parent is this VLAN, made where it is missing, and removed with the network.
    #[serde(default)]
    pub vlan: Option<Vlan>,
    /// One of IPv4, one of IPv6, or both.
    pub subnets: Vec<Range>,
    /// Nothing outside is reached from it, and nothing outside reaches it.
    pub internal: bool,
    /// What leaves the machine does so by the machine's address.
    pub masquerade: bool,
    /// Bytes of the longest packet; `None`: as the interface to the outside has it.
    pub mtu: Option<u32>,
    /// Whatever the user wants to find it by.
    pub labels: BTreeMap<String, String>,
}

/// The addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// All that are reached without a router.
    pub subnet: Subnet,
    /// The bridge's own, or that of a router outside, and the containers' way out.
    pub gateway: IpAddr,
    /// Where containers' addresses are taken from; `None`: the whole subnet.
    pub pool: Option<Subnet>,
}

/// Whether `name` can be a network's: a file is called so, and a word of a table.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let valid = (1..=64).contains(&name.len())
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    match valid {
        true => Ok(()),
        false => Err(Error::Impossible(format!(
            "{name:?} is no network's name: at most 64 letters, digits, and (not first) _ . -"
        ))),
    }
}

impl NetworkRecord {
    /// The router by which its containers reach others with addresses of `range`'s family; 0.0.0.0 and ::, where the link
    /// itself leads there. `None`: it leads nowhere else.
    pub fn way_out(&self, range: &Range) -> Option<IpAddr> {
        match (self.internal, self.driver.is_routed(), range.gateway) {
            (true, _, _) => None,
            (false, false, gateway) => Some(gateway),
            (false, true, IpAddr::V4(_)) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (false, true, IpAddr::V6(_)) => Some(Ipv6Addr::UNSPECIFIED.into()),
        }
    }

    fn path(places: &Places, name: &str) -> PathBuf {
        places.networks().join(format!("{name}.json"))
    }

    /// The network of this name.
    pub(crate) fn read(places: &Places, name: &str) -> Result<Option<Self>, Error> {
        // A name that no network can have leads to no file.
        match check_name(name) {
            Ok(()) => read_json(&Self::path(places, name)),
            Err(_) => Ok(None),
        }
    }

    /// The ranges of which there are addresses: that of IPv6 as long as it is not off.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Range> {
        let ranges = self.subnets.iter();
        ranges.filter(|range| range.subnet.is_ipv4() || super::has_ipv6())
    }

    /// All networks, by name.
    pub(crate) fn all(places: &Places) -> Result<Vec<Self>, Error> {
        let folder = places.networks();
        let mut networks = Vec::new();
        for path in entries(&folder)? {
            let path = path?;
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                // One that was removed meanwhile is none.
                networks.extend(read_json::<Self>(&path)?);
            }
        }
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    /// Writes it down, for good.
    pub(crate) fn write(&self, places: &Places) -> Result<(), Error> {
        make_folder(&places.networks(), 0o700)?;
        write_json(&Self::path(places, &self.name), self, true)
    }

    /// Forgets it.
    pub(crate) fn remove(&self, places: &Places) -> Result<(), Error> {
        let path = Self::path(places, &self.name);
        io("removing", &path, std::fs::remove_file(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before there were drivers.
    const BRIDGE: &str = r#"{"name": "net", "id": "1a", "created": "2026-01-01T00:00:00Z", "bridge": "soute1",
        "subnets": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "pool": null}, {"subnet": "fd00::/64",
        "gateway": "fd00::1", "pool": null}], "internal": false, "masquerade": true, "mtu": null, "labels": {}}"#;

    #[test]
    fn a_record_of_no_driver_is_of_a_bridge() {
        let network: NetworkRecord = serde_json::from_str(BRIDGE).unwrap();
        assert_eq!((network.driver, network.vlan), (Driver::Bridge, None));
        let driver = Driver::Ipvlan {
            mode: IpvlanMode::L3s,
            flag: IpvlanFlag::Vepa,
        };
        let text = serde_json::to_string(&driver).unwrap();
        assert_eq!(text, r#"{"ipvlan":{"mode":"l3s","flag":"vepa"}}"#);
        assert_eq!(serde_json::from_str::<Driver>(&text).unwrap(), driver);
    }

    #[test]
    fn the_way_out_is_a_router_or_the_link_itself() {
        let mut network: NetworkRecord = serde_json::from_str(BRIDGE).unwrap();
        let ways = |network: &NetworkRecord| -> Vec<String> {
            let ways = network
                .subnets
                .iter()
                .filter_map(|one| network.way_out(one));
            ways.map(|way| way.to_string()).collect()
        };
        assert_eq!(ways(&network), ["10.1.0.1", "fd00::1"]);
        for (mode, expected) in [
            (IpvlanMode::L2, ["10.1.0.1", "fd00::1"]),
            (IpvlanMode::L3, ["0.0.0.0", "::"]),
        ] {
            let flag = IpvlanFlag::Bridge;
            network.driver = Driver::Ipvlan { mode, flag };
            assert_eq!(ways(&network), expected);
        }
        network.internal = true;
        assert!(ways(&network).is_empty());
    }
}
