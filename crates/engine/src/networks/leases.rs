//! Which container has which address of a network.
//!
//! A link `ADDRESS -> id` is the reservation, as with names and id ranges: making it is atomic, and it is in memory,
//! since no container runs after a boot.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use soute_network::Subnet;
use soute_network::plan::addresses::{Addresses, NoAddress};

use super::record::{Driver, NetworkRecord, Range};
use super::subnets::impossible;
use crate::error::{Error, io, short};
use crate::ids;
use crate::places::{Places, entries, make_folder, remove_if_there};

/// How many addresses are tried: more than any network has containers, fewer than an IPv6 subnet has addresses.
const MOST: u128 = 1 << 17;

/// Takes an address of `range` for container `id`: `wanted`, or one that nobody has.
///
/// # Errors
/// It is taken, or not one of the subnet's that a container can have; there is none left.
pub(super) fn take(
    places: &Places,
    network: &NetworkRecord,
    range: &Range,
    id: &str,
    wanted: Option<IpAddr>,
) -> Result<IpAddr, Error> {
    let folder = folder(places, &network.name);
    for folder in [&places.leases(), &folder] {
        make_folder(folder, 0o700)?;
    }
    if let Some(address) = wanted {
        check(range, address).map_err(|e| {
            let bridges = match network.driver {
                _ if address != range.gateway => "",
                Driver::Bridge => ": it is the bridge's own",
                _ if network.driver.is_routed() => ": it is kept for the network itself",
                Driver::Macvlan { .. } | Driver::Ipvlan { .. } => ": it is the gateway's",
            };
            impossible(format_args!("network {}: {e}{bridges}", network.name))
        })?;
        return match reserve(&folder, address, id)? {
            None => Ok(address),
            Some(holder) => Err(Error::Impossible(format!(
                "the address {address} of network {} is container {}'s",
                network.name,
                short(&holder)
            ))),
        };
    }
    let pool = range.pool.unwrap_or(range.subnet);
    let seed = u128::from(u32::from_str_radix(id.get(..8).unwrap_or(id), 16).unwrap_or(0));
    for address in addresses(pool, seed) {
        if check(range, address).is_ok() && reserve(&folder, address, id)?.is_none() {
            return Ok(address);
        }
    }
    Err(Error::Impossible(format!(
        "no address is left in {pool} of network {}; `soute rm` of a container that has stopped frees none: fewer must run",
        network.name
    )))
}

/// Whose an address of the network is.
pub(super) fn holder(places: &Places, network: &str, address: IpAddr) -> Option<String> {
    let link = folder(places, network).join(address.to_string());
    let holder = std::fs::read_link(link).ok()?;
    Some(holder.to_string_lossy().into_owned())
}

/// Frees all addresses and names that container `id` has, in whatever network.
pub(super) fn free(places: &Places, id: &str) -> Result<(), Error> {
    let all = places.leases();
    for network in entries(&all)? {
        if let Some(name) = network?.file_name().and_then(|name| name.to_str()) {
            super::names::forget(places, name, id)?;
            free_in(places, name, id)?;
        }
    }
    Ok(())
}

/// Frees the addresses that container `id` has in one network.
pub(super) fn free_in(places: &Places, network: &str, id: &str) -> Result<(), Error> {
    let folder = folder(places, network);
    if !folder.exists() {
        return Ok(());
    }
    for link in ids::links_to(&folder, id)? {
        remove_if_there("freeing the address", &link)?;
    }
    Ok(())
}

/// Whether anybody has an address of the network.
pub(super) fn are_any(places: &Places, name: &str) -> Result<bool, Error> {
    let folder = folder(places, name);
    for link in entries(&folder)? {
        if address_of(&link?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a link reserves. `None`: it is no lease, but the folder of names.
fn address_of(link: &Path) -> Option<IpAddr> {
    link.file_name()?.to_str()?.parse().ok()
}

/// Who has addresses of the network: address and container.
pub(super) fn of(places: &Places, name: &str) -> Result<Vec<(IpAddr, String)>, Error> {
    let folder = folder(places, name);
    let mut leases = Vec::new();
    for link in entries(&folder)? {
        let link = link?;
        let holder = std::fs::read_link(&link).ok();
        if let (Some(address), Some(holder)) = (address_of(&link), holder) {
            leases.push((address, holder.to_string_lossy().into_owned()));
        }
    }
    leases.sort();
    Ok(leases)
}

/// The network is no more.
pub(super) fn forget(places: &Places, name: &str) -> Result<(), Error> {
    crate::tree::remove(&folder(places, name))
}

fn folder(places: &Places, name: &str) -> PathBuf {
    places.leases().join(name)
}

/// Those of `pool`, at most [`MOST`], each once, from a place on that `seed` tells.
fn addresses(pool: Subnet, seed: u128) -> impl Iterator<Item = IpAddr> {
    let bits = if pool.is_ipv4() { 32 } else { 128 } - u32::from(pool.prefix());
    let size = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
    (0..size.min(MOST)).map(move |step| {
        let offset = (seed % size + step) % size;
        match pool.first() {
            IpAddr::V4(first) => IpAddr::V4((u32::from(first) + offset as u32).into()),
            IpAddr::V6(first) => IpAddr::V6((u128::from(first) + offset).into()),
        }
    })
}

/// `None`: it is `id`'s now; else whose it is.
fn reserve(folder: &Path, address: IpAddr, id: &str) -> Result<Option<String>, Error> {
    let link = folder.join(address.to_string());
    match std::os::unix::fs::symlink(id, &link) {
        Ok(()) => Ok(None),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let holder = std::fs::read_link(&link).unwrap_or_default();
            Ok(Some(holder.to_string_lossy().into_owned()))
        }
        Err(e) => io("taking the address", &link, Err(e)),
    }
}

/// Whether a container may have it.
fn check(range: &Range, address: IpAddr) -> Result<(), NoAddress> {
    let own = Addresses::new(range.subnet, Some(range.gateway), range.pool)?;
    own.check(address, &BTreeSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_names_is_no_lease() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            run: folder.path().to_owned(),
            ..Places::default()
        };
        let network = places.leases().join("net");
        assert!(!are_any(&places, "net").unwrap());
        make_folder(&network.join("names"), 0o700).unwrap();
        assert!(!are_any(&places, "net").unwrap());
        let own = "10.0.0.2".parse().unwrap();
        assert_eq!(reserve(&network, own, "id").unwrap(), None);
        assert!(are_any(&places, "net").unwrap());
        assert_eq!(of(&places, "net").unwrap(), [(own, "id".to_owned())]);
    }
}
