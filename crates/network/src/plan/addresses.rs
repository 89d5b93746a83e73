//! Which address of a subnet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::Subnet;
use crate::subnet::{number, with_number};

/// A subnet, and which of its addresses are for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    subnet: Subnet,
    gateway: IpAddr,
    range: Subnet,
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// It is not of the subnet.
    #[error("{what} {address} is not in the subnet {subnet}")]
    Outside {
        /// `the address`, `the gateway`
        what: &'static str,
        /// The address, or the first of the range.
        address: IpAddr,
        /// The subnet.
        subnet: Subnet,
    },
    /// The range is not all in the subnet.
    #[error("the range {range} is not in the subnet {subnet}")]
    Range {
        /// The range.
        range: Subnet,
        /// The subnet.
        subnet: Subnet,
    },
    /// No interface can have it.
    #[error("{what} {address} is {why} of {subnet}")]
    Reserved {
        /// `the address`, `the gateway`
        what: &'static str,
        /// The address.
        address: IpAddr,
        /// `the network's address`, `the broadcast address`
        why: &'static str,
        /// The subnet.
        subnet: Subnet,
    },
    /// Somebody has it.
    #[error("the address {0} is taken")]
    Taken(IpAddr),
    /// All have somebody.
    #[error("no address is left in {0}")]
    None(Subnet),
}

impl Addresses {
    /// The gateway is the first address if none is given; `range`: where containers' addresses are chosen from, if not
    /// from all of the subnet.
    ///
    /// # Errors
    /// [`NoAddress::Outside`], [`NoAddress::Range`], [`NoAddress::Reserved`]; [`NoAddress::None`]: a subnet of one address.
    pub fn new(
        subnet: Subnet,
        gateway: Option<IpAddr>,
        range: Option<Subnet>,
    ) -> Result<Self, NoAddress> {
        let range = range.unwrap_or(subnet);
        if !subnet.covers(range) {
            return Err(NoAddress::Range { range, subnet });
        }
        if subnet.first() == subnet.last() {
            return Err(NoAddress::None(subnet));
        }
        let gateway = match gateway {
            Some(gateway) => {
                usable("the gateway", gateway, subnet)?;
                gateway
            }
            None => first_usable(subnet),
        };
        Ok(Self {
            subnet,
            gateway,
            range,
        })
    }

    /// The subnet.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The bridge's address, by which containers reach all others.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The lowest address of the range that nobody has.
    ///
    /// # Errors
    /// [`NoAddress::None`]
    pub fn free(&self, taken: &BTreeSet<IpAddr>) -> Result<IpAddr, NoAddress> {
        let first = number(self.range.first());
        // As many as are taken, and the three that are nobody's, are passed over at most.
        let most = (taken.len() as u128).saturating_add(3);
        let last = number(self.range.last()).min(first.saturating_add(most));
        (first..=last)
            .map(|number| with_number(self.range.first(), number))
            .find(|address| self.check(*address, taken).is_ok())
            .ok_or(NoAddress::None(self.range))
    }

    /// Whether a wanted address can be had. It need not be in the range.
    ///
    /// # Errors
    /// [`NoAddress::Outside`], [`NoAddress::Reserved`], [`NoAddress::Taken`]
    pub fn check(&self, wanted: IpAddr, taken: &BTreeSet<IpAddr>) -> Result<(), NoAddress> {
        usable("the address", wanted, self.subnet)?;
        if wanted == self.gateway || taken.contains(&wanted) {
            return Err(NoAddress::Taken(wanted));
        }
        Ok(())
    }
}

/// Whether the lowest address is nobody's: the network's own of IPv4, the anycast of its routers of IPv6 (RFC 4291, 2.6.1);
/// not of two addresses alone (RFC 3021, RFC 6164).
fn has_own_address(subnet: Subnet) -> bool {
    subnet.prefix() < if subnet.is_ipv4() { 31 } else { 127 }
}

fn first_usable(subnet: Subnet) -> IpAddr {
    let step = u128::from(has_own_address(subnet));
    with_number(subnet.first(), number(subnet.first()) + step)
}

fn usable(what: &'static str, address: IpAddr, subnet: Subnet) -> Result<(), NoAddress> {
    if !subnet.contains(address) {
        return Err(NoAddress::Outside {
            what,
            address,
            subnet,
        });
    }
    let reserved = |why| NoAddress::Reserved {
        what,
        address,
        why,
        subnet,
    };
    if !has_own_address(subnet) {
        return Ok(());
    }
    if address == subnet.first() {
        return Err(reserved("the network's address"));
    }
    if subnet.is_ipv4() && address == subnet.last() {
        return Err(reserved("the broadcast address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn taken(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    fn of(text: &str) -> Addresses {
        Addresses::new(subnet(text), None, None).unwrap()
    }

    #[test]
    fn the_gateway_comes_first() {
        for (text, gateway, first) in [
            ("10.1.0.0/24", "10.1.0.1", "10.1.0.2"),
            ("10.1.0.4/31", "10.1.0.4", "10.1.0.5"),
            ("10.1.0.4/30", "10.1.0.5", "10.1.0.6"),
            ("fd00::/64", "fd00::1", "fd00::2"),
            ("fd00::2/127", "fd00::2", "fd00::3"),
        ] {
            let all = of(text);
            assert_eq!(all.gateway(), address(gateway), "{text}");
            assert_eq!(all.free(&taken(&[])).unwrap(), address(first), "{text}");
        }
        let last = Addresses::new(subnet("10.1.0.0/24"), Some(address("10.1.0.254")), None);
        assert_eq!(
            last.unwrap().free(&taken(&[])).unwrap(),
            address("10.1.0.1")
        );
    }

    #[test]
    fn taken_ones_are_passed_over_until_none_is_left() {
        let all = of("10.1.0.0/29");
        let mut in_use = taken(&["10.1.0.3", "10.9.9.9"]);
        let mut given = Vec::new();
        while let Ok(next) = all.free(&in_use) {
            in_use.insert(next);
            given.push(next.to_string());
        }
        assert_eq!(given, ["10.1.0.2", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
        let e = all.free(&in_use).unwrap_err();
        assert_eq!(e.to_string(), "no address is left in 10.1.0.0/29");
    }

    #[test]
    fn a_range_bounds_the_choice_but_not_the_wish() {
        let range = Some(subnet("10.1.0.128/30"));
        let all = Addresses::new(subnet("10.1.0.0/24"), None, range).unwrap();
        // All four: the subnet's own address and its broadcast address are elsewhere.
        let mut in_use = taken(&[]);
        for n in 128..132 {
            let next = all.free(&in_use).unwrap();
            assert_eq!(next, IpAddr::from([10, 1, 0, n]));
            in_use.insert(next);
        }
        assert_eq!(
            all.free(&in_use),
            Err(NoAddress::None(subnet("10.1.0.128/30")))
        );
        all.check(address("10.1.0.7"), &in_use).unwrap();
    }

    #[test]
    fn what_cannot_be_is_told() {
        let all = of("10.1.0.0/24");
        let in_use = taken(&["10.1.0.9"]);
        for (wanted, told) in [
            (
                "10.1.1.1",
                "the address 10.1.1.1 is not in the subnet 10.1.0.0/24",
            ),
            (
                "fd00::1",
                "the address fd00::1 is not in the subnet 10.1.0.0/24",
            ),
            (
                "10.1.0.0",
                "the address 10.1.0.0 is the network's address of 10.1.0.0/24",
            ),
            (
                "10.1.0.255",
                "the address 10.1.0.255 is the broadcast address of 10.1.0.0/24",
            ),
            ("10.1.0.1", "the address 10.1.0.1 is taken"),
            ("10.1.0.9", "the address 10.1.0.9 is taken"),
        ] {
            let e = all.check(address(wanted), &in_use).unwrap_err();
            assert_eq!(e.to_string(), told);
        }
        for (text, gateway, range) in [
            ("10.1.0.0/24", Some("10.2.0.1"), None),
            ("10.1.0.0/24", Some("10.1.0.0"), None),
            ("10.1.0.0/24", Some("10.1.0.255"), None),
            ("10.1.0.0/24", None, Some("10.1.0.0/23")),
            ("10.1.0.0/24", None, Some("10.2.0.0/25")),
            ("10.1.0.0/24", None, Some("fd00::/120")),
            ("10.1.0.1/32", None, None),
            ("fd00::1/128", None, None),
        ] {
            let made = Addresses::new(subnet(text), gateway.map(address), range.map(subnet));
            assert!(made.is_err(), "{text} {gateway:?} {range:?}");
        }
    }

    proptest! {
        #[test]
        fn the_lowest_usable_one_is_given(in_use in proptest::collection::btree_set(0u8..64, 0..64)) {
            let all = of("10.1.0.0/26");
            let in_use: BTreeSet<_> = in_use.into_iter().map(|n| IpAddr::from([10, 1, 0, n])).collect();
            let lowest = (2..63u8)
                .map(|n| IpAddr::from([10, 1, 0, n]))
                .find(|address| !in_use.contains(address));
            prop_assert_eq!(all.free(&in_use).ok(), lowest);
        }
    }
}
