//! What the engine knows of the machine's network: its networks, the containers that run, the ports that lead to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use serde::Serialize;
use soute_engine::{Error, NetworkRecord, Noted, Places, Status, short};
use soute_lens::Basis;
use soute_lens::view::ContainerName;
use soute_lens::wiring::NetworkNamespace;
use soute_network::Protocol;
use soute_network::ruleset::{Published, Ruleset};

/// All of it. Whoever may not open the engine has none of it, and is told so.
#[derive(Debug, Default)]
pub struct Known {
    pub networks: Vec<NetworkRecord>,
    pub containers: Vec<Container>,
    pub published: Vec<PublishedPort>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// A container that runs.
#[derive(Debug)]
pub struct Container {
    pub name: ContainerName,
    /// Its first process.
    pub pid: u32,
    /// Its monitor, which holds the sockets that reserve its ports.
    pub monitor: u32,
    pub noted: Noted,
}

/// A port of the machine's that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedPort {
    pub protocol: Protocol,
    /// The machine's address; unspecified: all of its family.
    pub address: IpAddr,
    /// The machine's port.
    pub port: u16,
    /// The container's address.
    pub to: IpAddr,
    /// Its port.
    pub to_port: u16,
    /// None: no container of this engine.
    pub container: Option<ContainerName>,
    /// Whose it is, as the element says: also of another engine.
    pub owner: String,
    /// The container's interface that has the address.
    pub interface: Option<String>,
    /// What leads there: its element, as nft(8) shows it, or the monitor; none: it is missing in the table.
    pub rule: Option<String>,
    /// The monitor that holds the socket that reserves the port.
    #[serde(skip)]
    pub monitor: Option<u32>,
}

impl Known {
    pub fn new(places: &Places) -> Result<Self> {
        let mut known = Self::default();
        match super::super::open(places) {
            Ok(engine) => {
                known.networks = engine.networks()?;
                for container in engine.containers()? {
                    let Status::Running(running) = container.status else {
                        continue;
                    };
                    known.containers.push(Container {
                        noted: engine.networking(&container.record.id)?,
                        name: ContainerName {
                            name: container.record.name,
                            id: container.record.id,
                        },
                        pid: running.pid.unsigned_abs(),
                        monitor: running.monitor.unsigned_abs(),
                    });
                }
            }
            Err(e) if matches!(e.downcast_ref(), Some(Error::NotRoot(_))) => {
                known.notes.push(
                    "soute's networks, containers and published ports are root's to see: they are missing here"
                        .to_owned(),
                );
            }
            Err(e) => return Err(e),
        }
        let in_table = match Ruleset::open().and_then(|mut table| table.elements()) {
            Ok(state) => state.unwrap_or_default().published,
            Err(why) => {
                known.notes.push(format!(
                    "the rules of nftables are missing here: {why} (they are root's to see)"
                ));
                Vec::new()
            }
        };
        known.published = joined(&in_table, &known.containers);
        Ok(known)
    }

    /// The container of this name, or the one whose id begins so.
    pub fn container_named(&self, name: &str) -> Result<Option<&Container>> {
        let mut all = self.containers.iter();
        if let Some(found) = all.find(|container| container.name.name == name) {
            return Ok(Some(found));
        }
        let begins =
            |container: &&Container| !name.is_empty() && container.name.id.starts_with(name);
        let found: Vec<&Container> = self.containers.iter().filter(begins).collect();
        match found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => bail!(
                "{name} is the beginning of several containers' ids: give more digits, or the name"
            ),
        }
    }
}

/// What is in the table, with the container whose it is; then what should be there and is not.
fn joined(in_table: &[Published], containers: &[Container]) -> Vec<PublishedPort> {
    let key = |port: &Published| {
        let address = port.address.filter(|address| !address.is_unspecified());
        (port.protocol, address, port.port, port.to)
    };
    let of = |port: &Published| {
        containers.iter().find(|container| {
            let mut noted = container.noted.published.iter();
            noted.any(|noted| key(noted) == key(port))
        })
    };
    let mut all: Vec<PublishedPort> = in_table
        .iter()
        .map(|port| {
            let rule = port.rule().ok().map(|rule| match port.local {
                true => format!("{rule}, for this machine alone"),
                false => rule,
            });
            describe(port, of(port), rule)
        })
        .collect();
    for container in containers {
        for port in &container.noted.published {
            if !in_table.iter().any(|there| key(there) == key(port)) {
                // The kernel translates no ::1.
                let local = port.address == Some(Ipv6Addr::LOCALHOST.into());
                let by = local.then(|| "passed on by its monitor".to_owned());
                all.push(describe(port, Some(container), by));
            }
        }
    }
    all.sort_by_key(|port| (port.protocol, port.port, port.address));
    all
}

fn describe(
    port: &Published,
    container: Option<&Container>,
    rule: Option<String>,
) -> PublishedPort {
    let any: IpAddr = match port.to.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let interface = container.and_then(|container| {
        let mut wires = container.noted.wires.iter();
        let wire = wires.find(|wire| wire.addresses.iter().any(|(own, _)| *own == port.to.ip()))?;
        Some(wire.interface.clone())
    });
    PublishedPort {
        protocol: port.protocol,
        address: port.address.unwrap_or(any),
        port: port.port,
        to: port.to.ip(),
        to_port: port.to.port(),
        container: container.map(|container| container.name.clone()),
        owner: match container {
            Some(container) => format!("{} {}", container.name.name, short(&container.name.id)),
            None => port.owner.clone(),
        },
        interface,
        rule,
        monitor: container.map(|container| container.monitor),
    }
}

/// What people call a network namespace: the machine, a container's name, a mount point's, a process's, in that order.
pub fn place_name(seen: &NetworkNamespace, containers: &[ContainerName]) -> String {
    if seen.machine == Some(Basis::Initial) {
        return "machine".to_owned();
    }
    if seen.here {
        return "here".to_owned();
    }
    if !containers.is_empty() {
        let names: Vec<&str> = containers.iter().map(|own| own.name.as_str()).collect();
        return names.join(", ");
    }
    if let Some(path) = seen.nsfs.first() {
        let name = path.rsplit('/').next().unwrap_or(path);
        return format!("netns {name}");
    }
    match seen.pid {
        Some(pid) => format!("{} ({pid})", seen.command),
        None => seen.command.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use soute_engine::Wire;

    use super::*;

    fn published(address: Option<&str>, port: u16, to: &str) -> Published {
        Published {
            address: address.map(|address| address.parse().unwrap()),
            protocol: Protocol::Tcp,
            port,
            to: to.parse().unwrap(),
            owner: "elsewhere 0123".into(),
            local: false,
        }
    }

    fn container(published: Vec<Published>) -> Container {
        let to: Option<SocketAddr> = published.first().map(|port| port.to);
        Container {
            name: ContainerName {
                name: "web".into(),
                id: "ab".repeat(32),
            },
            pid: 4613,
            monitor: 4612,
            noted: Noted {
                publish_open: false,
                wires: vec![Wire {
                    network: "bridge".into(),
                    interface: "eth1".into(),
                    peer: "veth".into(),
                    mac: "02:00:00:00:00:01".parse().unwrap(),
                    addresses: to.map(|to| (to.ip(), 24)).into_iter().collect(),
                    gateways: Vec::new(),
                    names: Vec::new(),
                }],
                published,
            },
        }
    }

    #[test]
    fn what_the_table_has_is_joined_with_whose_it_is() {
        let own = published(Some("0.0.0.0"), 8080, "10.121.0.2:80");
        let lost = published(Some("127.0.0.1"), 81, "10.121.0.2:81");
        let containers = [container(vec![own, lost])];
        let others = published(None, 9090, "10.9.0.2:90");
        // The table does not tell an unspecified address from none.
        let in_table = [others, published(None, 8080, "10.121.0.2:80")];
        let all = joined(&in_table, &containers);
        let told: Vec<_> = all
            .iter()
            .map(|port| {
                let container = port.container.as_ref().map(|name| name.name.as_str());
                (
                    port.port,
                    container,
                    port.interface.as_deref(),
                    port.rule.is_some(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (81, Some("web"), Some("eth1"), false),
                (8080, Some("web"), Some("eth1"), true),
                (9090, None, None, true),
            ]
        );
        assert_eq!(all[2].owner, "elsewhere 0123");
        assert!(all[1].address.is_unspecified());
        assert_eq!(all[1].monitor, Some(4612));
    }
}
