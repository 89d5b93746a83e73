//! Which addresses a new network gets, so that it is in nobody's way.

use std::net::IpAddr;

use soute_network::Subnet;
use soute_network::plan::addresses::Addresses;
use soute_network::plan::subnets::{self, Taken};
use soute_network::route::Rtnetlink;

use super::record::{NetworkRecord, Range};
use crate::error::Error;

/// What the machine reaches, and all networks' subnets.
pub(super) fn taken(
    machine: &mut Rtnetlink,
    networks: &[NetworkRecord],
) -> Result<Vec<Taken>, Error> {
    let links = machine.links()?;
    let (routes, addresses) = (machine.routes()?, machine.addresses()?);
    // A network's own bridge has its subnet, too: the network is the better name for it.
    Ok(of_networks(networks)
        .chain(subnets::of_machine(&routes, &addresses, &links))
        .collect())
}

/// All networks' subnets.
pub(super) fn of_networks(networks: &[NetworkRecord]) -> impl Iterator<Item = Taken> {
    networks.iter().flat_map(|network| {
        let ranges = network.subnets.iter();
        ranges.map(|range| Taken {
            subnet: range.subnet,
            by: format!("that of network {}, {}", network.name, range.subnet),
        })
    })
}

/// Refuses a subnet that overlaps what is there.
pub(super) fn check(subnet: Subnet, taken: &[Taken]) -> Result<(), Error> {
    subnets::check(subnet, taken).map_err(impossible)
}

/// An IPv4 subnet that overlaps nothing.
pub(super) fn choose(taken: &[Taken]) -> Result<Subnet, Error> {
    subnets::free(&subnets::default_pools(), taken).map_err(impossible)
}

/// An IPv6 subnet that overlaps nothing, by the random digits of a network's id.
pub(super) fn choose_ipv6(id: &str, taken: &[Taken]) -> Result<Subnet, Error> {
    let digits = u64::from_str_radix(id.get(..10).unwrap_or(id), 16).unwrap_or(0);
    let [.., a, b, c, d, e] = digits.to_be_bytes();
    subnets::free(&[subnets::unique_local([a, b, c, d, e])], taken).map_err(impossible)
}

/// The subnet's first address is the bridge's, unless another is named.
pub(super) fn range(
    subnet: Subnet,
    gateway: Option<IpAddr>,
    pool: Option<Subnet>,
) -> Result<Range, Error> {
    let addresses = Addresses::new(subnet, gateway, pool).map_err(impossible)?;
    Ok(Range {
        subnet,
        gateway: addresses.gateway(),
        pool,
    })
}

pub(super) fn impossible(why: impl std::fmt::Display) -> Error {
    Error::Impossible(why.to_string())
}
