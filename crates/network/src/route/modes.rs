//! How links that share an interface with others are told apart, and what they see of each other.

use serde::{Deserialize, Serialize};

/// What of a macvlan's siblings and of the outside can reach it (`MACVLAN_MODE_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Siblings cannot.
    Private = 1,
    /// Siblings by way of the switch outside.
    Vepa = 2,
    /// Siblings directly.
    #[default]
    Bridge = 4,
    /// The one on its interface.
    Passthru = 8,
}

impl MacvlanMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bridge, Self::Private, Self::Vepa, Self::Passthru];

    /// As ip-link(8) has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
            Self::Passthru => "passthru",
        }
    }
}

/// On which layer an ipvlan's packets are told apart (`IPVLAN_MODE_*`). All on one interface have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// As on a switch: broadcasts, and ARP, arrive.
    #[default]
    L2 = 0,
    /// As behind a router: neither does.
    L3 = 1,
    /// As L3, through the machine's netfilter hooks.
    L3s = 2,
}

impl IpvlanMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::L2, Self::L3, Self::L3s];

    /// As ip-link(8) has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::L3s => "l3s",
        }
    }
}

/// What an ipvlan's siblings see of it (`IPVLAN_F_*`, Linux 4.15). All on one interface have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanFlag {
    /// They reach it directly.
    #[default]
    Bridge = 0,
    /// They do not.
    Private = 1,
    /// They reach it by way of the switch outside.
    Vepa = 2,
}

impl IpvlanFlag {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bridge, Self::Private, Self::Vepa];

    /// As ip-link(8) has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Private => "private",
            Self::Vepa => "vepa",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_names_that_options_have() {
        for mode in MacvlanMode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        for mode in IpvlanMode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        for flag in IpvlanFlag::ALL {
            assert_eq!(serde_json::to_value(flag).unwrap(), flag.name());
        }
    }
}
