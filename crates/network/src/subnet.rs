//! Subnets: an IPv4 or IPv6 address and the length of its prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: IpAddr,
    prefix: u8,
}

/// Why a text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid subnet {text:?}: {why}")]
pub struct InvalidSubnet {
    text: String,
    why: String,
}

impl Subnet {
    /// All addresses of IPv6.
    pub const ALL_IPV6: Self = Self {
        first: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        prefix: 0,
    };

    /// The subnet of this address. The address's bits behind the prefix do not matter.
    ///
    /// `None`: the prefix is longer than the address.
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = width(address);
        if u32::from(prefix) > bits {
            return None;
        }
        let mask = match bits - u32::from(prefix) {
            128 => 0,
            host => u128::MAX << host,
        };
        Some(Self {
            first: with_number(address, number(address) & mask),
            prefix,
        })
    }

    /// Its lowest address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// Its highest address: of an IPv4 subnet of more than two addresses, the broadcast address.
    pub fn last(self) -> IpAddr {
        let host = width(self.first) - u32::from(self.prefix);
        let mask = match host {
            128 => u128::MAX,
            host => (1 << host) - 1,
        };
        with_number(self.first, number(self.first) | mask)
    }

    /// The address behind its last. `None`: there is none.
    pub fn next_address(self) -> Option<IpAddr> {
        let next = number(self.last()).checked_add(1)?;
        (next >> 1 >> (width(self.first) - 1) == 0).then(|| with_number(self.first, next))
    }

    /// Bits that all its addresses have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether it is IPv4's.
    pub fn is_ipv4(self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether the address is one of it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4() && (self.first..=self.last()).contains(&address)
    }

    /// Whether an address is in both. One then contains the other.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Whether all addresses of `other` are in this one.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }
}

/// The address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of `like`'s family with this number, of which IPv4 takes the lowest 32 bits.
pub(crate) fn with_number(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// Bits of an address of this family.
pub(crate) fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    /// `10.1.2.0/24`, `fd00:1::/64`: without bits behind the prefix, which are more likely a slip than meant.
    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let bad = |why: String| InvalidSubnet {
            text: text.to_owned(),
            why,
        };
        let (address, prefix) = text.split_once('/').ok_or_else(|| {
            bad("an address and the length of its prefix are wanted, such as 10.1.2.0/24".into())
        })?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| bad(format!("{address:?} is no IPv4 or IPv6 address")))?;
        let bits = width(address);
        let subnet = Some(prefix)
            // parse takes a sign.
            .filter(|prefix| prefix.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|prefix| prefix.parse().ok())
            .and_then(|prefix| Self::of(address, prefix))
            .ok_or_else(|| bad(format!("the prefix has 0 to {bits} bits, not {prefix:?}")))?;
        if subnet.first != address {
            return Err(bad(format!(
                "{address} is an address in it; the subnet is {subnet}"
            )));
        }
        Ok(subnet)
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts() {
        for text in [
            "10.1.2.0/24",
            "0.0.0.0/0",
            "1.2.3.4/32",
            "::/0",
            "fd00:1::/64",
            "::1/128",
        ] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("10.1.2.0", "are wanted"),
            ("10.1.2/24", "no IPv4"),
            ("10.1.2.0/33", "0 to 32 bits"),
            ("10.1.2.0/+8", "0 to 32 bits"),
            ("10.1.2.0/", "0 to 32 bits"),
            ("fd00::/129", "0 to 128 bits"),
            ("10.1.2.3/24", "the subnet is 10.1.2.0/24"),
            ("fd00::1/64", "the subnet is fd00::/64"),
        ] {
            let e = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
        }
    }

    #[test]
    fn ends() {
        for (text, last) in [
            ("10.1.2.0/24", "10.1.2.255"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("1.2.3.4/32", "1.2.3.4"),
            ("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fd00:1::/64", "fd00:1::ffff:ffff:ffff:ffff"),
        ] {
            let subnet: Subnet = text.parse().unwrap();
            assert_eq!(subnet.last().to_string(), last);
        }
        let next = |text: &str| text.parse::<Subnet>().unwrap().next_address();
        assert_eq!(next("10.1.2.0/24"), Some([10, 1, 3, 0].into()));
        assert_eq!(next("255.255.255.0/24"), None);
        assert_eq!(next("::/0"), None);
    }

    fn subnets() -> impl Strategy<Value = Subnet> {
        let v4 = (any::<u32>(), 0u8..=32).prop_map(|(a, p)| (IpAddr::V4(a.into()), p));
        let v6 = (any::<u128>(), 0u8..=128).prop_map(|(a, p)| (IpAddr::V6(a.into()), p));
        prop_oneof![v4, v6].prop_map(|(a, p)| Subnet::of(a, p).unwrap())
    }

    proptest! {
        #[test]
        fn they_read_back_and_hold_their_ends(subnet in subnets()) {
            prop_assert_eq!(subnet.to_string().parse::<Subnet>().unwrap(), subnet);
            prop_assert!(subnet.contains(subnet.first()) && subnet.contains(subnet.last()));
        }

        #[test]
        fn overlap_means_that_one_covers_the_other(a in subnets(), b in subnets()) {
            prop_assert_eq!(a.overlaps(b), a.covers(b) || b.covers(a));
            prop_assert_eq!(a.overlaps(b), b.overlaps(a));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f.:/+ ]{0,20}") {
            let _ = text.parse::<Subnet>();
        }
    }
}
