//! Which addresses a new network gets, so that it is in nobody's way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use soute_network::Subnet;
use soute_network::route::{Hop, Rtnetlink};

use super::record::{NetworkRecord, Range};
use crate::error::Error;

/// Where IPv4 subnets of 254 addresses are taken from, unless they are named: blocks of 10.0.0.0/8 that home routers, VPNs
/// and other engines rarely use, then one of 172.16.0.0/12 that Docker begins with last.
const BLOCKS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 90, 0, 0), 16),
    (Ipv4Addr::new(10, 218, 0, 0), 16),
    (Ipv4Addr::new(172, 31, 0, 0), 16),
];

/// What an address range is in the way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) subnet: Subnet,
    /// As an error names it.
    pub(super) by: String,
}

/// All that is reached from the machine's network namespace, and all networks' subnets.
pub(super) fn taken(
    machine: &mut Rtnetlink,
    networks: &[NetworkRecord],
) -> Result<Vec<Taken>, Error> {
    let links = machine.links()?;
    let name = |hop: &Hop| {
        let link = links.iter().find(|link| Some(link.index) == hop.link);
        link.map_or_else(String::new, |link| format!(" by {}", link.name))
    };
    let mut taken: Vec<Taken> = networks
        .iter()
        .flat_map(|network| {
            network.subnets.iter().map(|range| Taken {
                subnet: range.subnet,
                by: format!("network {} has {}", network.name, range.subnet),
            })
        })
        .collect();
    for route in machine.routes()? {
        // The way to everything else is in nobody's way.
        if route.is_default() {
            continue;
        }
        let by: String = route.hops.iter().map(name).collect();
        taken.push(Taken {
            subnet: route.to,
            by: format!("the machine has a route to {}{by}", route.to),
        });
    }
    Ok(taken)
}

/// Refuses a subnet that overlaps what is there.
pub(super) fn check(subnet: Subnet, taken: &[Taken]) -> Result<(), Error> {
    match taken.iter().find(|other| other.subnet.overlaps(subnet)) {
        None => Ok(()),
        Some(other) => Err(Error::Impossible(format!(
            "the subnet {subnet} is not free: {}",
            other.by
        ))),
    }
}

/// An IPv4 subnet that overlaps nothing.
pub(super) fn choose(taken: &[Taken]) -> Result<Subnet, Error> {
    BLOCKS
        .iter()
        .flat_map(|&(first, prefix)| {
            (0..1u32 << (24 - prefix)).filter_map(move |number| {
                let first = Ipv4Addr::from(u32::from(first) + (number << 8));
                Subnet::of(IpAddr::V4(first), 24)
            })
        })
        .find(|subnet| check(*subnet, taken).is_ok())
        .ok_or_else(|| {
            Error::Impossible(
                "no IPv4 subnet is left that the machine has no route to: --subnet names one"
                    .to_owned(),
            )
        })
}

/// The IPv6 subnet of a network: a unique local one (RFC 4193), by the random digits of its id.
pub(super) fn unique_local(id: &str) -> Option<Subnet> {
    let digits = u128::from_str_radix(id.get(..14)?, 16).ok()?;
    let address = Ipv6Addr::from((0xfd << 120) | (digits << 64));
    Subnet::of(IpAddr::V6(address), 64)
}

/// The subnet's first address is the bridge's, unless another is named.
///
/// # Errors
/// The subnet has no room for a container beside it; what is named is not in it.
pub(super) fn range(
    subnet: Subnet,
    gateway: Option<IpAddr>,
    pool: Option<Subnet>,
) -> Result<Range, Error> {
    let most = if subnet.is_ipv4() { 30 } else { 126 };
    let impossible = |why: String| Err(Error::Impossible(why));
    if subnet.prefix() > most {
        return impossible(format!(
            "the subnet {subnet} has no room for a bridge and a container: /{most} is the smallest"
        ));
    }
    let gateway = gateway.unwrap_or(match subnet.first() {
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) + 1).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) + 1).into()),
    });
    if !subnet.contains(gateway) || [subnet.first(), subnet.last()].contains(&gateway) {
        return impossible(format!(
            "--gateway {gateway} is no host's address of {subnet}"
        ));
    }
    if let Some(pool) = pool
        && !subnet.covers(pool)
    {
        return impossible(format!("--ip-range {pool} is not within {subnet}"));
    }
    Ok(Range {
        subnet,
        gateway,
        pool,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn taken(texts: &[&str]) -> Vec<Taken> {
        texts
            .iter()
            .map(|text| Taken {
                subnet: subnet(text),
                by: format!("{text} is somebody's"),
            })
            .collect()
    }

    #[test]
    fn the_first_that_is_free_is_chosen() {
        assert_eq!(choose(&[]).unwrap(), subnet("10.90.0.0/24"));
        let busy = taken(&["10.90.0.0/24", "10.90.1.128/25", "10.90.2.0/23"]);
        assert_eq!(choose(&busy).unwrap(), subnet("10.90.4.0/24"));
        assert_eq!(
            choose(&taken(&["10.0.0.0/8"])).unwrap(),
            subnet("172.31.0.0/24")
        );
        choose(&taken(&["10.0.0.0/8", "172.16.0.0/12"])).unwrap_err();
    }

    #[test]
    fn a_clash_names_what_is_in_the_way() {
        let error = check(subnet("10.1.0.0/16"), &taken(&["10.1.2.0/24"])).unwrap_err();
        assert!(
            error.to_string().contains("10.1.2.0/24 is somebody's"),
            "{error}"
        );
    }

    #[test]
    fn ipv6_is_by_the_id() {
        let own = unique_local(&"0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(own, subnet("fd01:2345:6789:abcd::/64"));
    }

    #[test]
    fn gateways_and_ranges_lie_within() {
        let all = subnet("10.1.2.0/24");
        assert_eq!(
            range(all, None, None).unwrap().gateway.to_string(),
            "10.1.2.1"
        );
        for gateway in ["10.1.3.1", "10.1.2.0", "10.1.2.255"] {
            range(all, Some(gateway.parse().unwrap()), None).unwrap_err();
        }
        range(all, None, Some(subnet("10.1.2.128/25"))).unwrap();
        range(all, None, Some(subnet("10.1.0.0/16"))).unwrap_err();
        range(subnet("10.1.2.0/31"), None, None).unwrap_err();
    }
}
