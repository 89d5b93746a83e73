//! Which subnet a network has. One that overlaps what the machine reaches would hide it: from the machine, and from the
//! network's containers.

use crate::Subnet;
use crate::route::{Address, Link, Route};

/// What has a subnet already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The subnet.
    pub subnet: Subnet,
    /// What has it, for messages: `the route 10.0.0.0/8 via 192.0.2.1 dev tun0`.
    pub by: String,
}

/// Subnets of one length, to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What they are all in.
    pub within: Subnet,
    /// The length of their prefixes.
    pub prefix: u8,
}

/// Why there is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSubnet {
    /// The one that was wanted has addresses that no network can have.
    #[error("the subnet {subnet} overlaps {special}, {what}")]
    Special {
        /// What was wanted.
        subnet: Subnet,
        /// The addresses with a meaning of their own.
        special: &'static str,
        /// What they are.
        what: &'static str,
    },
    /// The one that was wanted is taken.
    #[error("the subnet {subnet} overlaps {by}")]
    Clash {
        /// What was wanted.
        subnet: Subnet,
        /// What has it.
        by: String,
    },
    /// All of the pools are taken.
    #[error("no subnet is left in {pools}; the last one overlaps {by}")]
    None {
        /// The pools.
        pools: String,
        /// What has the last one that was looked at.
        by: String,
    },
}

/// Routes with shorter prefixes than these are taken for what a default route is: all that no other is for. VPNs have such
/// pairs (`0.0.0.0/1` and `128.0.0.0/1`), and beside them everything would be taken.
const WIDE_IPV4: u8 = 8;
const WIDE_IPV6: u8 = 8;

/// Where IPv4 subnets come from if nobody says: private ones (RFC 1918) out of the way of Docker's (172.17 to 172.31,
/// 192.168 from below) and Podman's (10.88, 10.89), three of them, as a VPN may have any one whole.
pub fn default_pools() -> Vec<Pool> {
    [
        ([10, 121, 0, 0], 16),
        ([192, 168, 192, 0], 18),
        ([172, 16, 64, 0], 18),
    ]
    .into_iter()
    .filter_map(|(first, prefix)| {
        let within = Subnet::of(first.into(), prefix)?;
        Some(Pool { within, prefix: 24 })
    })
    .collect()
}

/// Where IPv6 subnets come from if nobody says: the unique local prefix that 40 random bits make (RFC 4193, 3.2), by whose
/// randomness it overlaps nobody's. It is to be made once for a machine.
pub fn unique_local(random: [u8; 5]) -> Pool {
    let [a, b, c, d, e] = random;
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&[0xfd, a, b, c, d, e]);
    let first = std::net::Ipv6Addr::from(octets).into();
    // 48 bits are less than 128.
    let within = Subnet::of(first, 48).unwrap_or(Subnet::ALL_IPV6);
    Pool { within, prefix: 64 }
}

/// What the machine has by its routes and addresses, `links` being there for their names. Default routes have nothing.
pub fn of_machine(routes: &[Route], addresses: &[Address], links: &[Link]) -> Vec<Taken> {
    let name = |index: u32| match links.iter().find(|link| link.index == index) {
        Some(link) => link.name.clone(),
        None => format!("number {index}"),
    };
    let routes = routes.iter().filter(|route| !is_wide(route.to));
    let routes = routes.map(|route| {
        let mut by = format!("the route {}", route.to);
        for hop in &route.hops {
            if let Some(gateway) = hop.gateway {
                by += &format!(" via {gateway}");
            }
            if let Some(link) = hop.link {
                by += &format!(" dev {}", name(link));
            }
        }
        // The main table needs no naming.
        if route.table != 254 {
            by += &format!(" table {}", route.table);
        }
        Taken {
            subnet: route.to,
            by,
        }
    });
    // An interface that is down has addresses, but no routes.
    let addresses = addresses.iter().filter_map(|address| {
        let by = format!(
            "the address {}/{} of {}",
            address.address,
            address.prefix,
            name(address.link)
        );
        let subnet = address.subnet()?;
        Some(Taken { subnet, by })
    });
    routes.chain(addresses).collect()
}

fn is_wide(subnet: Subnet) -> bool {
    let limit = if subnet.is_ipv4() {
        WIDE_IPV4
    } else {
        WIDE_IPV6
    };
    subnet.prefix() < limit
}

/// What no network's subnet may overlap, whatever the machine's routes: the kernel gives these addresses a meaning of
/// their own. Link-local ones are refused because a route to them would take the machine's way to what it reaches there:
/// a cloud's metadata service, its routers' advertisements.
///
/// Of the IANA special-purpose address registries (RFC 6890).
const SPECIAL: [(&str, &str); 8] = [
    ("0.0.0.0/8", "the addresses of this host on this network"),
    ("127.0.0.0/8", "the loopback addresses"),
    ("169.254.0.0/16", "the link-local addresses"),
    ("224.0.0.0/4", "the multicast addresses"),
    // ::, ::1 and the IPv4 addresses in IPv6's clothes.
    ("::/80", "the loopback and the IPv4-mapped addresses"),
    ("fe80::/10", "the link-local addresses"),
    ("ff00::/8", "the multicast addresses"),
    ("255.255.255.255/32", "the broadcast address"),
];

/// Whether a wanted subnet is free.
///
/// # Errors
/// [`NoSubnet::Special`]; [`NoSubnet::Clash`], which names the first that it overlaps.
pub fn check(wanted: Subnet, taken: &[Taken]) -> Result<(), NoSubnet> {
    for (special, what) in SPECIAL {
        if special.parse().is_ok_and(|s: Subnet| s.overlaps(wanted)) {
            return Err(NoSubnet::Special {
                subnet: wanted,
                special,
                what,
            });
        }
    }
    match taken.iter().find(|taken| taken.subnet.overlaps(wanted)) {
        Some(taken) => Err(NoSubnet::Clash {
            subnet: wanted,
            by: taken.by.clone(),
        }),
        None => Ok(()),
    }
}

/// The first free subnet of the first pool that has one.
///
/// # Errors
/// [`NoSubnet::None`]
pub fn free(pools: &[Pool], taken: &[Taken]) -> Result<Subnet, NoSubnet> {
    let mut last = "nothing: there is no pool";
    for pool in pools {
        let mut next = Subnet::of(pool.within.first(), pool.prefix);
        while let Some(candidate) = next.filter(|candidate| pool.within.covers(*candidate)) {
            match taken.iter().find(|taken| taken.subnet.overlaps(candidate)) {
                None => return Ok(candidate),
                Some(taken) => {
                    last = &taken.by;
                    // Past the longer of the two: a pool of a million subnets in a route is one step.
                    let wider = if taken.subnet.covers(candidate) {
                        taken.subnet
                    } else {
                        candidate
                    };
                    next = wider
                        .next_address()
                        .and_then(|first| Subnet::of(first, pool.prefix));
                }
            }
        }
    }
    let shown = pools
        .iter()
        .map(|pool| format!("{} (by /{})", pool.within, pool.prefix));
    Err(NoSubnet::None {
        pools: shown.collect::<Vec<_>>().join(", "),
        by: last.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::{Hop, LinkFlags, State};

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn taken(texts: &[&str]) -> Vec<Taken> {
        let one = |text: &&str| Taken {
            subnet: subnet(text),
            by: format!("the route {text}"),
        };
        texts.iter().map(one).collect()
    }

    fn pool(within: &str, prefix: u8) -> Pool {
        Pool {
            within: subnet(within),
            prefix,
        }
    }

    #[test]
    fn the_first_free_one_is_chosen() {
        let pools = [pool("10.1.0.0/16", 24), pool("10.2.0.0/16", 24)];
        for (in_use, chosen) in [
            (&[][..], "10.1.0.0/24"),
            (&["10.1.0.0/24"], "10.1.1.0/24"),
            (&["10.1.0.7/32"], "10.1.1.0/24"),
            (&["10.1.0.0/17"], "10.1.128.0/24"),
            (&["10.1.1.0/24", "10.1.0.128/25"], "10.1.2.0/24"),
            (&["10.0.0.0/15"], "10.2.0.0/24"),
            (&["192.168.0.0/16", "fd00::/8"], "10.1.0.0/24"),
        ] {
            assert_eq!(
                free(&pools, &taken(in_use)).unwrap(),
                subnet(chosen),
                "{in_use:?}"
            );
        }
        let e = free(&pools, &taken(&["10.0.0.0/8"])).unwrap_err();
        assert_eq!(
            e.to_string(),
            "no subnet is left in 10.1.0.0/16 (by /24), 10.2.0.0/16 (by /24); the last one overlaps the route 10.0.0.0/8"
        );
        assert!(free(&[], &[]).is_err());
        // To the very end of the addresses; a pool smaller than its subnets.
        let end = [pool("255.255.255.0/24", 25), pool("10.0.0.0/24", 16)];
        assert!(free(&end, &taken(&["255.255.255.0/24"])).is_err());
    }

    #[test]
    fn defaults_are_private_and_apart() {
        let pools = default_pools();
        assert_eq!(pools.len(), 3);
        for pool in &pools {
            let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
            assert!(private.iter().any(|p| subnet(p).covers(pool.within)));
            for others in ["172.17.0.0/16", "10.88.0.0/15"] {
                assert!(!pool.within.overlaps(subnet(others)));
            }
        }
        let ula = unique_local([1, 2, 3, 4, 5]);
        assert_eq!(ula.within, subnet("fd01:203:405::/48"));
        let in_use = taken(&["fd01:203:405::/64"]);
        assert_eq!(
            free(&[ula], &in_use).unwrap(),
            subnet("fd01:203:405:1::/64")
        );
    }

    #[test]
    fn a_wanted_one_that_clashes_names_the_route() {
        let hop = |gateway: Option<&str>, link| Hop {
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            link: Some(link),
        };
        let route = |to, hop, table| Route {
            to: subnet(to),
            hops: vec![hop],
            source: None,
            onlink: false,
            metrics: Vec::new(),
            table,
            metric: 0,
        };
        let link = Link {
            index: 7,
            name: "tun0".into(),
            hardware: 0xfffe,
            flags: LinkFlags(0),
            mtu: 1500,
            master: None,
            kind: None,
            link_index: None,
            link_netnsid: None,
            address: Vec::new(),
            state: State::Up,
            tag: None,
        };
        let routes = [
            route("0.0.0.0/0", hop(Some("192.0.2.1"), 7), 254),
            route("0.0.0.0/1", hop(Some("192.0.2.1"), 7), 254),
            route("10.0.0.0/8", hop(Some("192.0.2.1"), 7), 254),
            route("172.20.0.0/16", hop(None, 8), 1000),
        ];
        let address = Address {
            peer: None,
            link: 7,
            address: "192.168.7.1".parse().unwrap(),
            prefix: 24,
            scope: 0,
            flags: 0,
        };
        let taken = of_machine(&routes, &[address], &[link]);
        for (wanted, told) in [
            (
                "10.5.0.0/24",
                "the subnet 10.5.0.0/24 overlaps the route 10.0.0.0/8 via 192.0.2.1 dev tun0",
            ),
            (
                "172.16.0.0/12",
                "the subnet 172.16.0.0/12 overlaps the route 172.20.0.0/16 dev number 8 table 1000",
            ),
            (
                "192.168.7.128/25",
                "the subnet 192.168.7.128/25 overlaps the address 192.168.7.1/24 of tun0",
            ),
        ] {
            let e = check(subnet(wanted), &taken).unwrap_err();
            assert_eq!(e.to_string(), told);
        }
        check(subnet("192.168.8.0/24"), &taken).unwrap();
    }

    #[test]
    fn addresses_with_a_meaning_of_their_own_are_no_networks() {
        for (special, _) in SPECIAL {
            check(subnet(special), &[]).unwrap_err();
        }
        for (wanted, told) in [
            (
                "169.254.169.0/24",
                "the subnet 169.254.169.0/24 overlaps 169.254.0.0/16, the link-local addresses",
            ),
            (
                "255.255.255.0/24",
                "the subnet 255.255.255.0/24 overlaps 255.255.255.255/32, the broadcast address",
            ),
            (
                "::ffff:10.0.0.0/104",
                "the subnet ::ffff:10.0.0.0/104 overlaps ::/80, the loopback and the IPv4-mapped addresses",
            ),
        ] {
            let e = check(subnet(wanted), &[]).unwrap_err();
            assert_eq!(e.to_string(), told);
        }
        for fine in ["1.0.0.0/8", "240.0.0.0/24", "2001:db8::/32", "fd00::/8"] {
            check(subnet(fine), &[]).unwrap();
        }
    }

    fn subnets() -> impl Strategy<Value = Vec<Taken>> {
        let one = (any::<u32>(), 8u8..=32).prop_map(|(address, prefix)| {
            // Mostly in the pool.
            let address = 0x0a01_0000 | address & 0x0003_ffff;
            let subnet = Subnet::of(std::net::Ipv4Addr::from(address).into(), prefix).unwrap();
            Taken {
                subnet,
                by: subnet.to_string(),
            }
        });
        proptest::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn what_is_chosen_overlaps_nothing_and_nothing_free_is_missed(taken in subnets()) {
            let pools = [pool("10.1.0.0/16", 24)];
            let all = (0..=255).map(|n| Subnet::of([10, 1, n, 0].into(), 24).unwrap());
            let first = all.into_iter().find(|subnet| check(*subnet, &taken).is_ok());
            prop_assert_eq!(free(&pools, &taken).ok(), first);
        }
    }
}
