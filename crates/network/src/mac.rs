//! Ethernet addresses (IEEE 802, EUI-48).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Of the first byte: an address of a group.
const GROUP: u8 = 0x01;
/// Of the first byte: given by who administers the network, not by who made the interface.
const LOCAL: u8 = 0x02;

/// An Ethernet address that an interface can have: of one station, and not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// Why a text or bytes are no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address {text:?}: {why}")]
pub struct InvalidMac {
    text: String,
    why: &'static str,
}

impl Mac {
    /// From six bytes.
    ///
    /// # Errors
    /// A group's address, or zero.
    pub fn new(bytes: [u8; 6]) -> Result<Self, InvalidMac> {
        let bad = |why| InvalidMac {
            text: Self(bytes).to_string(),
            why,
        };
        if bytes[0] & GROUP != 0 {
            return Err(bad(
                "it is a group's: the lowest bit of the first byte is set",
            ));
        }
        if bytes == [0; 6] {
            return Err(bad("it is zero"));
        }
        Ok(Self(bytes))
    }

    /// The locally administered address that these random bytes make.
    pub fn local(random: [u8; 6]) -> Self {
        let [first, rest @ ..] = random;
        let [b, c, d, e, f] = rest;
        Self([first & !GROUP | LOCAL, b, c, d, e, f])
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Six pairs of hexadecimal digits between colons, or all between hyphens.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let bad = |why| InvalidMac {
            text: text.to_owned(),
            why,
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pairs = text.split(separator);
        for byte in &mut bytes {
            *byte = pairs
                .next()
                // from_str_radix takes a sign.
                .filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| bad("six pairs of hexadecimal digits are wanted"))?;
        }
        if pairs.next().is_some() {
            return Err(bad("six pairs of hexadecimal digits are wanted"));
        }
        Self::new(bytes).map_err(|e| bad(e.why))
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts() {
        for (text, shown) in [
            ("02:00:00:00:00:07", "02:00:00:00:00:07"),
            ("AA-bb-0C-0d-0e-0f", "aa:bb:0c:0d:0e:0f"),
        ] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:07:08",
            "02:00:00:00:00:7",
            "02:00:00:00:00:+7",
            "02:00:00-00:00:07",
            "0200:0000:0007",
            "02:00:00:00:00:é",
            // Of a group; zero.
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            let e = text.parse::<Mac>().unwrap_err();
            assert!(e.to_string().contains(&format!("{text:?}")), "{e}");
        }
    }

    proptest! {
        #[test]
        fn made_ones_are_local_stations_and_read_back(random: [u8; 6]) {
            let mac = Mac::local(random);
            prop_assert_eq!(mac.bytes()[0] & 0x03, 0x02);
            prop_assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Mac>();
        }
    }
}
