//! Which interface another is tied to, from what the namespaces of both tell.
//!
//! An interface names what it is tied to by two numbers: the other's in its namespace, and, where that is another, the number
//! that its own namespace has for it. Only the kernel knows which namespace has which number; here is who is asked first, and
//! what is made of the answers.

use std::collections::{BTreeSet, HashMap};

use super::NetworkNamespace;

/// An interface: the inode of its namespace, and its number there.
type Key = (u64, u32);

/// The numbers that a namespace has for others, as far as its interfaces use them.
pub fn wanted(namespace: &NetworkNamespace) -> BTreeSet<i32> {
    let ties = namespace.links.iter().filter_map(|link| link.tie.as_ref());
    ties.filter_map(|tie| tie.netnsid.filter(|number| *number >= 0))
        .collect()
}

/// The order in which other namespaces are worth asking for, where `namespace` has numbers to be known: those first that have
/// an interface which in turn is tied to one of its, then the caller's own, then all others.
pub fn order(namespace: &NetworkNamespace, others: &[NetworkNamespace]) -> Vec<usize> {
    let ends: BTreeSet<(u32, u32)> = namespace
        .links
        .iter()
        .filter_map(|link| Some((link.tie.as_ref()?.index, link.index)))
        .collect();
    let fits = |other: &NetworkNamespace| {
        other.links.iter().any(|link| {
            let tie = link.tie.as_ref();
            tie.is_some_and(|tie| tie.netnsid.is_some() && ends.contains(&(link.index, tie.index)))
        })
    };
    let mut order: Vec<(u8, usize)> = others
        .iter()
        .enumerate()
        .filter(|(_, other)| other.ns != namespace.ns)
        .map(|(at, other)| match (fits(other), other.here) {
            (true, _) => (0, at),
            (false, true) => (1, at),
            (false, false) => (2, at),
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// Says of each tie where its other end is: `numbers` has, for a namespace's inode and a number of its, the inode that it
/// stands for.
pub fn resolve(namespaces: &mut [NetworkNamespace], numbers: &HashMap<(u64, i32), u64>) {
    // The other end by namespace and number: its name, and what it is tied to itself.
    let mut ends: HashMap<Key, (String, Option<Key>)> = HashMap::new();
    let place = |ns: u64, netnsid: Option<i32>| match netnsid {
        None => Some(ns),
        Some(number) => numbers.get(&(ns, number)).copied(),
    };
    for namespace in &*namespaces {
        for link in &namespace.links {
            let tied = link.tie.as_ref().and_then(|tie| {
                let ns = place(namespace.ns, tie.netnsid)?;
                Some((ns, tie.index))
            });
            ends.insert((namespace.ns, link.index), (link.name.clone(), tied));
        }
    }
    for namespace in namespaces {
        let ns = namespace.ns;
        for link in &mut namespace.links {
            let Some(tie) = &mut link.tie else { continue };
            tie.ns = place(ns, tie.netnsid);
            let end = tie.ns.and_then(|there| ends.get(&(there, tie.index)));
            tie.name = end.map(|(name, _)| name.clone());
            tie.mutual = end.is_some_and(|(_, tied)| *tied == Some((ns, link.index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::{Interface, Tie};

    fn link(index: u32, name: &str, tied: Option<(u32, Option<i32>)>) -> Interface {
        Interface {
            index,
            name: name.into(),
            kind: "veth".into(),
            mac: None,
            mtu: 1500,
            up: true,
            state: "up",
            master: None,
            tag: None,
            tie: tied.map(|(index, netnsid)| Tie {
                index,
                netnsid,
                ns: None,
                name: None,
                mutual: false,
            }),
            addresses: Vec::new(),
        }
    }

    fn namespace(ns: u64, links: Vec<Interface>) -> NetworkNamespace {
        NetworkNamespace {
            ns,
            here: ns == 1,
            machine: None,
            nprocs: 1,
            pid: Some(1),
            command: "sleep".into(),
            nsfs: Vec::new(),
            hidden: None,
            links,
            routes: Vec::new(),
        }
    }

    /// The machine (1) with two containers (2, 3), whose interfaces have the same number.
    fn two() -> Vec<NetworkNamespace> {
        vec![
            namespace(
                1,
                vec![
                    link(142, "vethA", Some((2, Some(0)))),
                    link(144, "vethB", Some((2, Some(1)))),
                ],
            ),
            namespace(2, vec![link(2, "eth0", Some((142, Some(0))))]),
            namespace(3, vec![link(2, "eth0", Some((144, Some(0))))]),
        ]
    }

    #[test]
    fn both_ends_are_found_across_namespaces() {
        let mut all = two();
        let numbers = [((1, 0), 2), ((1, 1), 3), ((2, 0), 1), ((3, 0), 1)].into();
        resolve(&mut all, &numbers);
        let tie = |ns: usize, at: usize| all[ns].links[at].tie.clone().unwrap();
        for (ns, at, there, name) in [
            (0, 0, 2, "eth0"),
            (0, 1, 3, "eth0"),
            (1, 0, 1, "vethA"),
            (2, 0, 1, "vethB"),
        ] {
            let tie = tie(ns, at);
            assert_eq!((tie.ns, tie.name.as_deref()), (Some(there), Some(name)));
            assert!(tie.mutual);
        }
        assert_eq!(all[1].links[0].tied_name(), "eth0@if142");
    }

    #[test]
    fn an_end_in_a_namespace_that_was_not_found_stays_open() {
        let mut all = two();
        all.remove(2);
        resolve(&mut all, &[((1, 0), 2), ((2, 0), 1)].into());
        let tie = all[0].links[1].tie.clone().unwrap();
        assert_eq!((tie.index, tie.netnsid), (2, Some(1)));
        assert_eq!((tie.ns, tie.name, tie.mutual), (None, None, false));
    }

    /// What a number meant was given to another interface while one looked.
    #[test]
    fn an_end_that_says_otherwise_is_not_mutual() {
        let mut all = two();
        all[1].links[0].tie = None;
        resolve(&mut all, &[((1, 0), 2), ((1, 1), 3), ((3, 0), 1)].into());
        let tie = all[0].links[0].tie.clone().unwrap();
        assert_eq!((tie.ns, tie.name.as_deref()), (Some(2), Some("eth0")));
        assert!(!tie.mutual);
    }

    #[test]
    fn a_parent_and_a_peer_in_the_same_namespace_are_named() {
        let mut all = vec![namespace(
            1,
            vec![
                link(2, "a", Some((3, None))),
                link(3, "b", Some((2, None))),
                link(4, "mv0", Some((2, None))),
            ],
        )];
        resolve(&mut all, &HashMap::new());
        let links = &all[0].links;
        assert!(links[0].tie.as_ref().unwrap().mutual);
        assert_eq!(links[0].tied_name(), "a@b");
        assert_eq!(links[2].tied_name(), "mv0@a");
        assert!(!links[2].tie.as_ref().unwrap().mutual);
    }

    #[test]
    fn whoever_fits_is_asked_first() {
        let all = two();
        assert_eq!(order(&all[2], &all), [0, 1]);
        assert_eq!(order(&all[0], &all), [1, 2]);
        // 3's peer would be 1; of the others the caller's own comes first.
        let stranger = namespace(9, vec![link(7, "x", Some((8, Some(0))))]);
        assert_eq!(order(&stranger, &all), [0, 1, 2]);
        assert_eq!(wanted(&all[0]), [0, 1].into());
    }
}
