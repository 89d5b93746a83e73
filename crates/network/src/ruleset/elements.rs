//! What the table holds of networks and containers, as elements, and back.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use soute_sys::net::unspecified;

use crate::nft::{Batch, Data, Element, Key, Mapped, Set, show};
use crate::subnet::{number, width};
use crate::{Protocol, Subnet};

use super::skeleton::{
    ANY4, ANY6, BRIDGES, CLOSED, INTERNAL, LOCAL_ANY4, LOCAL_ANY6, LOCAL_PORTS4, LOCAL_PORTS6,
    MASQUERADED, PORTS4, PORTS6, SUBNETS4, SUBNETS6, WITHIN,
};
use super::{Error, Families, Network, Published, State, TABLE};

/// The sets that networks are in.
pub(super) static OF_NETWORKS: [&Set; 6] = [
    &BRIDGES,
    &INTERNAL,
    &WITHIN,
    &MASQUERADED,
    &SUBNETS4,
    &SUBNETS6,
];

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
const IPV4: u8 = 2;
const IPV6: u8 = 10;

impl Families {
    fn numbers(self) -> impl Iterator<Item = u8> {
        let both = [(self.ipv4, IPV4), (self.ipv6, IPV6)];
        both.into_iter()
            .filter_map(|(is, family)| is.then_some(family))
    }

    fn that(is: impl Fn(u8) -> bool) -> Self {
        Self {
            ipv4: is(IPV4),
            ipv6: is(IPV6),
        }
    }
}

impl Published {
    /// Its map, and its element there.
    pub(super) fn element(&self) -> Result<(&'static Set, Element), Error> {
        let address = self.address.filter(|address| !address.is_unspecified());
        let families = || Error::Families {
            port: self.told(),
            to: self.to,
        };
        let ipv4 = self.to.is_ipv4();
        if self
            .address
            .is_some_and(|address| address.is_ipv4() != ipv4)
        {
            return Err(families());
        }
        if self.owner.contains('\0') {
            return Err(Error::Owner(self.owner.clone()));
        }
        let key = Key::new();
        let (set, key) = match (address, ipv4) {
            (Some(address), true) => (&PORTS4, key.address(address)),
            (Some(address), false) => (&PORTS6, key.address(address)),
            (None, true) => (&ANY4, key),
            (None, false) => (&ANY6, key),
        };
        let key = key.protocol(self.protocol.number()).port(self.port);
        let value = Key::new().address(self.to.ip()).port(self.to.port());
        let mut element = Element::to(key, value);
        if !self.owner.is_empty() {
            element.set_comment(&self.owner);
        }
        Ok((set, element))
    }

    /// What leads to the container, as nft(8) would show it: the table, the map, its element.
    ///
    /// # Errors
    /// [`Error::Families`], [`Error::Owner`]: there can be no such element.
    pub fn rule(&self) -> Result<String, Error> {
        let (set, element) = self.element()?;
        let key = show(set.key, &element.key);
        let to = match (&element.data, set.to) {
            (Some(Data::Value(value)), Mapped::Values(fields)) => show(fields, value),
            _ => String::new(),
        };
        Ok(format!("{TABLE} {} {{ {key} : {to} }}", set.name))
    }

    /// Such as `0.0.0.0:80/tcp`.
    pub(super) fn told(&self) -> String {
        let any = unspecified(self.to.ip());
        let at = SocketAddr::new(self.address.unwrap_or(any), self.port);
        format!("{at}/{}", self.protocol)
    }
}

/// The set that a local port of the map is in as well, and its element there.
pub(super) fn local(map: &Set, element: &Element) -> (&'static Set, Element) {
    let set = match map.name {
        name if name == PORTS4.name => &LOCAL_PORTS4,
        name if name == PORTS6.name => &LOCAL_PORTS6,
        name if name == ANY4.name => &LOCAL_ANY4,
        _ => &LOCAL_ANY6,
    };
    let local = Element {
        data: None,
        ..element.clone()
    };
    (set, local)
}

/// The published port that an element of `set` is; `None` if it is no such one. Whether it is local, another set tells.
pub(super) fn published(set: &Set, element: &Element) -> Option<Published> {
    let Some(Data::Value(value)) = &element.data else {
        return None;
    };
    let (address, rest) = if set.name == PORTS4.name || set.name == PORTS6.name {
        let (address, rest) = address_of(set.name == PORTS4.name, &element.key)?;
        (Some(address), rest)
    } else if set.name == ANY4.name || set.name == ANY6.name {
        (None, element.key.as_slice())
    } else {
        return None;
    };
    let &[protocol, _, _, _, port_high, port_low, ..] = rest else {
        return None;
    };
    let (to, rest) = address_of(set.name == PORTS4.name || set.name == ANY4.name, value)?;
    let &[to_high, to_low, ..] = rest else {
        return None;
    };
    Some(Published {
        address,
        protocol: Protocol::numbered(protocol)?,
        port: u16::from_be_bytes([port_high, port_low]),
        to: SocketAddr::new(to, u16::from_be_bytes([to_high, to_low])),
        owner: element.comment.clone().unwrap_or_default(),
        local: false,
    })
}

/// The address that bytes begin with, and what follows.
fn address_of(ipv4: bool, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    if ipv4 {
        let (octets, rest) = bytes.split_first_chunk::<4>()?;
        Some(((*octets).into(), rest))
    } else {
        let (octets, rest) = bytes.split_first_chunk::<16>()?;
        Some(((*octets).into(), rest))
    }
}

fn name_of(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Elements of some of the table's sets.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements(Vec<(&'static Set, BTreeSet<Element>)>);

impl Elements {
    pub(super) fn of(state: &State) -> Result<Self, Error> {
        let mut all = Self::default();
        for network in &state.networks {
            all.add_network(network)?;
        }
        for port in &state.published {
            let (set, element) = port.element()?;
            let key = |there: &&Element| there.key == element.key;
            if let Some(there) = all.get(set).and_then(|there| there.iter().find(key))
                && *there != element
            {
                return Err(Error::Taken {
                    port: port.told(),
                    by: published(set, there),
                });
            }
            all.add_port(set, element, port.local);
        }
        all.close(state.closed);
        Ok(all)
    }

    /// Those that are in `set`, besides others that may be there.
    pub(super) fn insert(&mut self, set: &'static Set, elements: Vec<Element>) {
        self.set(set).extend(elements);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static Set, &BTreeSet<Element>)> {
        self.0.iter().map(|(set, elements)| (*set, elements))
    }

    pub(super) fn add_network(&mut self, network: &Network) -> Result<(), Error> {
        let bridge = network.bridge.as_str();
        if bridge.is_empty() || bridge.len() > 15 || bridge.contains('\0') {
            return Err(Error::Bridge(bridge.to_owned()));
        }
        let name = || Key::new().interface(bridge);
        self.add(&BRIDGES, Element::new(name()));
        self.add(&WITHIN, Element::new(name().interface(bridge)));
        if network.internal {
            self.add(&INTERNAL, Element::new(name()));
        }
        for family in network.masquerade.numbers() {
            let key = Key::new().protocol(family).interface(bridge);
            self.add(&MASQUERADED, Element::new(key));
        }
        for subnet in &network.subnets {
            let key = |address| Key::new().address(address).interface(bridge).finish();
            self.add(
                if subnet.is_ipv4() {
                    &SUBNETS4
                } else {
                    &SUBNETS6
                },
                Element {
                    key: key(subnet.first()),
                    key_end: Some(key(subnet.last())),
                    ..Element::default()
                },
            );
        }
        Ok(())
    }

    pub(super) fn remove_network(&mut self, bridge: &str) {
        let name = Key::new().interface(bridge).finish();
        for set in OF_NETWORKS {
            // The bridge's name is all of the key, or its end.
            let others = |element: &Element| !element.key.ends_with(&name);
            self.set(set).retain(others);
        }
    }

    pub(super) fn close(&mut self, closed: Families) {
        self.set(&CLOSED).clear();
        for family in closed.numbers() {
            self.add(&CLOSED, Element::new(Key::new().protocol(family)));
        }
    }

    pub(super) fn publish(&mut self, port: &Published) -> Result<(), Error> {
        let (set, element) = port.element()?;
        self.add_port(set, element, port.local);
        Ok(())
    }

    fn add_port(&mut self, map: &'static Set, element: Element, is_local: bool) {
        if is_local {
            let (set, local) = local(map, &element);
            self.add(set, local);
        }
        self.add(map, element);
    }

    /// What makes of these the `wanted` ones: first what is to go, so that what overlaps it has room.
    pub(super) fn batch_to(&self, wanted: &Self) -> Batch {
        let mut batch = Batch::new(TABLE);
        let none = BTreeSet::new();
        for (set, there) in self.iter() {
            let wanted = wanted.get(set).unwrap_or(&none);
            batch.delete_elements(set, there.difference(wanted));
        }
        for (set, wanted) in wanted.iter() {
            let there = self.get(set).unwrap_or(&none);
            batch.add_elements(set, true, wanted.difference(there));
        }
        batch
    }

    /// Networks and ports that these elements are. What is but part of one is left out.
    pub(super) fn state(&self) -> State {
        let keys = |set| self.get(set).into_iter().flatten();
        let named = |set, bridge: &str| keys(set).any(|element| name_of(&element.key) == bridge);
        let mut state = State::default();
        for element in keys(&BRIDGES) {
            let bridge = name_of(&element.key);
            let subnets = [&SUBNETS4, &SUBNETS6].into_iter().flat_map(|set| {
                let all =
                    keys(set).filter_map(|element| subnet_of(set.name == SUBNETS4.name, element));
                all.filter(|(_, name)| *name == bridge)
            });
            let translated = |family| {
                let key = Key::new().protocol(family).interface(&bridge).finish();
                keys(&MASQUERADED).any(|element| element.key == key)
            };
            state.networks.push(Network {
                internal: named(&INTERNAL, &bridge),
                subnets: subnets.map(|(subnet, _)| subnet).collect(),
                masquerade: Families::that(translated),
                bridge,
            });
        }
        for set in [&PORTS4, &ANY4, &PORTS6, &ANY6] {
            let (locals, _) = local(set, &Element::default());
            let locals: BTreeSet<&[u8]> =
                keys(locals).map(|element| element.key.as_slice()).collect();
            let ports = keys(set).filter_map(|element| {
                Some(Published {
                    local: locals.contains(element.key.as_slice()),
                    ..published(set, element)?
                })
            });
            state.published.extend(ports);
        }
        state.closed =
            Families::that(|family| keys(&CLOSED).any(|element| element.key == [family]));
        state
    }

    fn get(&self, set: &Set) -> Option<&BTreeSet<Element>> {
        let found = self.0.iter().find(|(there, _)| there.name == set.name);
        found.map(|(_, elements)| elements)
    }

    fn set(&mut self, set: &'static Set) -> &mut BTreeSet<Element> {
        let at = match self.0.iter().position(|(there, _)| there.name == set.name) {
            Some(at) => at,
            None => {
                self.0.push((set, BTreeSet::new()));
                self.0.len() - 1
            }
        };
        &mut self.0[at].1
    }

    fn add(&mut self, set: &'static Set, element: Element) {
        self.set(set).insert(element);
    }
}

/// The subnet and the bridge that an element of `subnets4` or `subnets6` is.
fn subnet_of(ipv4: bool, element: &Element) -> Option<(Subnet, String)> {
    let (first, name) = address_of(ipv4, &element.key)?;
    let (last, _) = address_of(ipv4, element.key_end.as_deref()?)?;
    let common = (number(first) ^ number(last)).leading_zeros();
    let prefix = common.checked_sub(128 - width(first))?;
    let subnet = Subnet::of(first, u8::try_from(prefix).ok()?)?;
    (subnet.first() == first && subnet.last() == last).then(|| (subnet, name_of(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(bridge: &str, internal: bool, subnets: &[&str]) -> Network {
        let subnets = subnets.iter().map(|subnet| subnet.parse().unwrap());
        Network {
            bridge: bridge.into(),
            internal,
            subnets: subnets.collect(),
            masquerade: Families {
                ipv4: !internal,
                ipv6: false,
            },
        }
    }

    fn port(address: Option<&str>, port: u16, to: &str) -> Published {
        Published {
            address: address.map(|address| address.parse().unwrap()),
            protocol: Protocol::Tcp,
            port,
            to: to.parse().unwrap(),
            owner: "web".into(),
            local: false,
        }
    }

    fn local(port: Published) -> Published {
        Published {
            local: true,
            ..port
        }
    }

    fn state() -> State {
        State {
            networks: vec![
                network("br0", false, &["10.1.0.0/24", "fd00:1::/64"]),
                network("br1", true, &["10.1.1.0/24"]),
                network("br2", false, &["0.0.0.0/24", "255.255.255.0/24", "::/0"]),
            ],
            published: vec![
                port(Some("10.0.0.1"), 80, "10.1.0.2:8080"),
                port(None, 80, "10.1.0.2:8080"),
                port(Some("fd00::1"), 80, "[fd00:1::2]:8080"),
                port(None, 81, "[fd00:1::2]:8080"),
            ],
            closed: Families {
                ipv4: true,
                ipv6: false,
            },
        }
    }

    #[test]
    fn a_state_reads_back() {
        assert_eq!(Elements::of(&state()).unwrap().state(), state());
    }

    /// Whichever of them are for this machine only: of one address and of all, of both families.
    #[test]
    fn local_ports_read_back() {
        for which in 0..16 {
            let mut state = state();
            for (at, port) in state.published.iter_mut().enumerate() {
                port.local = which & 1 << at != 0;
            }
            let elements = Elements::of(&state).unwrap();
            assert_eq!(elements.state(), state);
            let others = Elements::of(&self::state()).unwrap();
            assert_eq!(elements.batch_to(&others).is_empty(), which == 0);
        }
    }

    /// A port is one, whomever it is for.
    #[test]
    fn a_local_port_is_the_same_port() {
        let any = port(Some("0.0.0.0"), 80, "10.1.0.2:8080");
        assert!(local(any.clone()).is(&port(None, 80, "10.1.0.2:8080")));
        assert!(!any.is(&port(Some("10.0.0.1"), 80, "10.1.0.2:8080")));
        assert!(!any.is(&port(None, 80, "10.1.0.3:8080")));
    }

    #[test]
    fn a_rule_is_shown_as_nft_shows_it() {
        let rule = |port: Published| port.rule().unwrap();
        assert_eq!(
            rule(port(None, 80, "10.1.0.2:8080")),
            "inet soute any4 { tcp . 80 : 10.1.0.2 . 8080 }"
        );
        assert_eq!(
            rule(port(Some("fd00::1"), 80, "[fd00:1::2]:8080")),
            "inet soute ports6 { fd00::1 . tcp . 80 : fd00:1::2 . 8080 }"
        );
    }

    #[test]
    fn only_differences_are_changed() {
        let all = Elements::of(&state()).unwrap();
        assert!(all.batch_to(&all).is_empty());
        let mut fewer = state();
        fewer.published.pop();
        assert!(!all.batch_to(&Elements::of(&fewer).unwrap()).is_empty());
    }

    #[test]
    fn a_removed_network_leaves_the_others() {
        let mut all = Elements::of(&state()).unwrap();
        all.remove_network("br0");
        let left = all.state();
        let bridges: Vec<_> = left.networks.iter().map(|n| n.bridge.as_str()).collect();
        assert_eq!(bridges, ["br1", "br2"]);
        assert_eq!(left.networks, state().networks[1..]);
    }

    #[test]
    fn a_port_that_leads_to_two_places_is_refused() {
        let mut twice = state();
        twice
            .published
            .push(port(Some("0.0.0.0"), 80, "10.1.0.3:1"));
        let e = Elements::of(&twice).unwrap_err().to_string();
        assert_eq!(
            e,
            "0.0.0.0:80/tcp is published already by web, for 10.1.0.2:8080"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mixed = port(Some("::"), 80, "10.1.0.2:80").element().unwrap_err();
        assert!(mixed.to_string().contains("not both are IPv4"), "{mixed}");
        let mut nul = port(None, 80, "10.1.0.2:80");
        nul.owner = "a\0b".into();
        assert!(matches!(nul.element(), Err(Error::Owner(_))));
        for bridge in ["", "0123456789abcdef", "a\0b"] {
            let e = Elements::default().add_network(&network(bridge, false, &[]));
            assert!(matches!(e, Err(Error::Bridge(_))));
        }
    }
}
