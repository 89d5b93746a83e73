//! Which names are whose in a network.
//!
//! A link `NAME@ID -> ADDRESSES` beside the network's leases, for as long as container ID is in it: several containers may
//! share a name, and one look into a folder finds all who do. The default network has none, as Docker's has none.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use soute_network::dns::{Directory, Others};

use super::record::NetworkRecord;
use super::{DEFAULT, Wire};
use crate::error::{Error, io};
use crate::ids;
use crate::places::{Places, entries, make_folder, remove_if_there};

/// More name servers than a resolver heeds (resolv.conf(5)).
const MOST_SERVERS: usize = 4;
const PORT: u16 = 53;

/// Whether containers of this network find each other by name.
pub(crate) fn are_in(network: &str) -> bool {
    network != DEFAULT
}

/// Whether `name` can be a further name of a container's: it is looked up, and is a word of a line.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match name.len() <= 200 && name.split('.').all(label) {
        true => Ok(()),
        false => Err(Error::Impossible(format!(
            "{name:?} is no name to be found by: letters, digits, - and _, in parts of at most 63 between dots"
        ))),
    }
}

/// Has the names of a wire lead to its addresses.
pub(super) fn write(places: &Places, id: &str, wire: &Wire) -> Result<(), Error> {
    if wire.names.is_empty() {
        return Ok(());
    }
    let folder = folder(places, &wire.network);
    make_folder(&folder, 0o700)?;
    let addresses = wire
        .addresses
        .iter()
        .map(|(address, _)| address.to_string());
    let addresses = addresses.collect::<Vec<_>>().join(" ");
    for name in &wire.names {
        let link = folder.join(format!("{name}@{id}"));
        match std::os::unix::fs::symlink(&addresses, &link) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return io("making the name known", &link, Err(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// All names of container `id` in the network lead nowhere.
pub(super) fn forget(places: &Places, network: &str, id: &str) -> Result<(), Error> {
    for (link, _) in matching(&folder(places, network), |_, holder| holder == id)? {
        remove_if_there("removing the name", &link)?;
    }
    Ok(())
}

/// The addresses of a name of the network.
fn find(places: &Places, network: &str, wanted: &str) -> Vec<IpAddr> {
    let found = matching(&folder(places, network), |name, _| name == wanted).unwrap_or_default();
    let mut addresses = Vec::new();
    for (_, target) in found {
        let words = target.to_string_lossy().into_owned();
        addresses.extend(
            words
                .split(' ')
                .filter_map(|word| word.parse::<IpAddr>().ok()),
        );
    }
    addresses
}

/// The links whose name and id are wanted, and what they lead to.
fn matching(
    folder: &Path,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let mut found = Vec::new();
    for link in entries(folder)? {
        let link = link?;
        let name = link.file_name().and_then(|name| name.to_str());
        let parts = name.and_then(|name| name.rsplit_once('@'));
        if parts.is_some_and(|(name, id)| wanted(name, id)) {
            // One that was removed meanwhile leads nowhere.
            let target = std::fs::read_link(&link).unwrap_or_default();
            found.push((link, target));
        }
    }
    Ok(found)
}

fn folder(places: &Places, network: &str) -> PathBuf {
    places.leases().join(network).join("names")
}

/// The names that a container's name server knows.
#[derive(Debug)]
pub(crate) struct Names {
    places: Places,
    id: String,
    /// `--dns`: who is asked instead of those whom the machine asks.
    servers: Vec<IpAddr>,
}

impl Names {
    /// Those of container `id`.
    pub(crate) fn new(places: &Places, id: &str, servers: &[IpAddr]) -> Self {
        Self {
            places: places.clone(),
            id: id.to_owned(),
            servers: servers.to_vec(),
        }
    }

    /// Whether it is in a network that has names.
    pub(crate) fn are_any(&self) -> bool {
        self.wires().iter().any(|wire| are_in(&wire.network))
    }

    /// Its wires, as they are now.
    fn wires(&self) -> Vec<Wire> {
        super::noted(&self.places, &self.id)
            .unwrap_or_default()
            .wires
    }
}

impl Directory for Names {
    fn addresses(&mut self, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = Vec::new();
        for wire in self.wires() {
            found.extend(find(&self.places, &wire.network, name));
            // `db.net` is the db of one of several networks.
            let with_network = name
                .strip_suffix(&wire.network.to_ascii_lowercase())
                .and_then(|name| name.strip_suffix('.'));
            if let Some(name) = with_network {
                found.extend(find(&self.places, &wire.network, name));
            }
        }
        (!found.is_empty()).then_some(found)
    }

    fn name(&mut self, address: IpAddr) -> Option<String> {
        self.wires().into_iter().find_map(|wire| {
            if !are_in(&wire.network) {
                return None;
            }
            let id = super::leases::holder(&self.places, &wire.network, address)?;
            let name = ids::name_of(&self.places, &id).ok()??;
            Some(format!("{name}.{}", wire.network))
        })
    }

    fn others(&mut self) -> Others {
        let reaches_outside = self.wires().iter().any(|wire| {
            let network = NetworkRecord::read(&self.places, &wire.network);
            matches!(network, Ok(Some(network)) if !network.internal)
        });
        if !reaches_outside {
            return Others::Nobody;
        }
        let own = self.servers.iter().filter(|address| !address.is_loopback());
        let own: Vec<SocketAddr> = own.map(|&address| (address, PORT).into()).collect();
        Others::Ask(match self.servers.is_empty() {
            false => own,
            // Read each time: a VPN or another Wi-Fi has changed it perhaps.
            true => servers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        })
    }
}

/// The name servers of the machine's resolv.conf.
fn servers(text: &str) -> Vec<SocketAddr> {
    let mut index = |interface: &str| {
        let file = Path::new("/sys/class/net").join(interface).join("ifindex");
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    let all = soute_network::probe::names::servers(text, &mut index);
    all.take(MOST_SERVERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(network: &str, names: &[&str], address: &str) -> Wire {
        Wire {
            network: network.to_owned(),
            interface: "eth0".to_owned(),
            peer: "veth0".to_owned(),
            mac: soute_network::Mac::local([0; 6]),
            addresses: vec![(address.parse().unwrap(), 24)],
            gateways: Vec::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn names_lead_to_all_who_have_them() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            run: folder.path().to_owned(),
            ..Places::default()
        };
        write(&places, "1a", &wire("net", &["web", "one"], "10.0.0.2")).unwrap();
        write(&places, "2b", &wire("net", &["web"], "10.0.0.3")).unwrap();
        write(&places, "3c", &wire("other", &["web"], "10.0.1.2")).unwrap();
        let find = |name: &str| {
            let mut found = find(&places, "net", name);
            found.sort();
            found
        };
        let both: [IpAddr; 2] = ["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()];
        assert_eq!(find("web"), both);
        assert_eq!(find("one"), both[..1]);
        assert!(find("on").is_empty() && find("one@1a").is_empty());
        forget(&places, "net", "1a").unwrap();
        assert_eq!(find("web"), both[1..]);
        assert!(find("one").is_empty());
    }

    #[test]
    fn name_servers_are_read_as_resolvers_read_them() {
        let text = "# nameserver 192.0.2.9\nnameserver 127.0.0.53\n nameserver\t2001:db8::1 # x\nnameserver x\nnameservers 192.0.2.8\nnameserver fe80::1%7\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["127.0.0.53:53", "[2001:db8::1]:53", "[fe80::1%7]:53"]
        );
        assert!(servers("nameserver fe80::1%no-such-interface").is_empty());
    }

    #[test]
    fn what_cannot_be_looked_up_is_no_name() {
        for name in ["db", "db.example.org", "a_b-c"] {
            check(name).unwrap();
        }
        for name in ["", ".", "a..b", "a b", "a@b", "a/b", "ä", &"x".repeat(64)] {
            check(name).unwrap_err();
        }
    }
}
