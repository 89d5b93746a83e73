//! What is known of a network: a file in `networks`, by its name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_network::Subnet;

use crate::error::{Error, io};
use crate::places::{Places, make_folder};
use crate::record::{read_json, write_json};

/// A network of the engine's: a bridge of the machine's, to which its containers are joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The interface that all its containers are joined to.
    pub bridge: String,
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
    /// The bridge's own, and the containers' way out.
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

    /// All networks, by name.
    pub(crate) fn all(places: &Places) -> Result<Vec<Self>, Error> {
        let folder = places.networks();
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => io("reading the folder", &folder, other)?,
        };
        let mut networks = Vec::new();
        for entry in entries {
            let path = io("reading the folder", &folder, entry)?.path();
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
