//! A part of the map: some namespaces or networks, with whatever is at the other ends of their wires.

use std::collections::HashSet;

use super::model::Map;

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// All of the namespace of this inode.
    Namespace(u64),
    /// The bridge of this namespace and number, and what is joined to it.
    Bridge(u64, u32),
}

/// The part of the map that is `chosen`.
pub fn choose(mut map: Map, chosen: &[Chosen]) -> Map {
    let kept = kept(&map, chosen);
    let whole = |ns: u64| chosen.contains(&Chosen::Namespace(ns));
    for place in &mut map.namespaces {
        let ns = place.seen.ns;
        let is_kept = |index: u32| kept.contains(&(ns, index));
        place.seen.links.retain(|link| is_kept(link.index));
        place
            .seen
            .routes
            .retain(|way| whole(ns) || way.hops.iter().any(|hop| hop.link.is_some_and(is_kept)));
    }
    map.namespaces
        .retain(|place| whole(place.seen.ns) || !place.seen.links.is_empty());
    let links = || {
        let places = map.namespaces.iter();
        places.flat_map(|place| place.seen.links.iter().map(move |link| (place, link)))
    };
    let networks: HashSet<String> = links()
        .filter_map(|(place, link)| map.network(place, link))
        .map(|network| network.name.clone())
        .collect();
    let addresses: HashSet<_> = links()
        .flat_map(|(_, link)| link.addresses.iter().map(|own| own.address))
        .collect();
    map.networks
        .retain(|network| networks.contains(&network.name));
    map.published.retain(|port| addresses.contains(&port.to));
    map
}

fn kept(map: &Map, chosen: &[Chosen]) -> HashSet<(u64, u32)> {
    let mut kept = HashSet::new();
    for one in chosen {
        match *one {
            Chosen::Namespace(ns) => {
                let place = map.namespaces.iter().find(|place| place.seen.ns == ns);
                let links = place.into_iter().flat_map(|place| &place.seen.links);
                for link in links {
                    kept.insert((ns, link.index));
                    keep_far_end(map, ns, link.index, &mut kept);
                }
            }
            Chosen::Bridge(ns, index) => {
                kept.insert((ns, index));
                let place = map.namespaces.iter().find(|place| place.seen.ns == ns);
                let ports = place.into_iter().flat_map(|place| place.seen.ports(index));
                for port in ports {
                    kept.insert((ns, port.index));
                    keep_far_end(map, ns, port.index, &mut kept);
                }
                for (place, link) in map.above(ns, index) {
                    kept.insert((place.seen.ns, link.index));
                }
            }
        }
    }
    kept
}

/// What an interface is tied to, and the bridge that this is a port of.
fn keep_far_end(map: &Map, ns: u64, index: u32, kept: &mut HashSet<(u64, u32)>) {
    let tie = map.link(ns, index).and_then(|(_, link)| link.tie.as_ref());
    let Some((place, end)) = tie.and_then(|tie| map.link(tie.ns?, tie.index)) else {
        return;
    };
    kept.insert((place.seen.ns, end.index));
    if let Some(master) = end.master {
        kept.insert((place.seen.ns, master));
    }
}
