//! What is linked to what in the picture: by wires, and by namespaces that are shared.

use std::collections::HashSet;

use soute_lens::Kind;
use soute_lens::view::{Graph, Whose, World};

use super::panel::{Anchor, Key};

/// Two interfaces, and whether one stands on the other.
pub type Tie = (Key, Key, bool);

/// A tie that is drawn, and the worlds of its ends: one stands in the other, or both in the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    pub tie: Tie,
    pub one: usize,
    pub other: usize,
}

impl Drawn {
    pub fn is_of(&self, world: usize) -> bool {
        self.one == world || self.other == world
    }
}

/// All that are drawn.
pub fn drawn(graph: &Graph) -> Vec<Drawn> {
    let of = |key: Key| graph.interface(key.0, key.1).map(|(world, _)| world.id);
    let inside = |world: usize| graph.worlds[world].inside;
    let drawn = ties(graph).into_iter().filter_map(|tie| {
        let (one, other) = (of(tie.0)?, of(tie.1)?);
        let (a, b) = (inside(one), inside(other));
        let near = one != other && (a == Some(other) || b == Some(one) || a == b);
        near.then_some(Drawn { tie, one, other })
    });
    drawn.collect()
}

/// All pairs of ends that are both in the graph, each once.
fn ties(graph: &Graph) -> Vec<Tie> {
    let mut ties = Vec::new();
    let mut seen = HashSet::new();
    for world in &graph.worlds {
        let Some(ns) = world.namespace(Kind::Net).map(|own| own.ns) else {
            continue;
        };
        for link in &world.interfaces {
            let own = (ns, link.index);
            let Some(tie) = &link.tie else { continue };
            let Some(there) = tie.ns else { continue };
            let far = (there, tie.index);
            if graph.interface(far.0, far.1).is_some() && seen.insert((own.min(far), own.max(far)))
            {
                ties.push((own, far, !link.is_pair()));
            }
        }
    }
    ties
}

/// Worlds in the same one that share namespaces, each with the first that has them.
pub fn sharing(inside: &[&World]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for world in inside {
        let shared = world
            .namespaces
            .iter()
            .filter(|own| own.whose == Whose::Shared);
        for own in shared {
            let has = |other: &&&World| {
                let mut all = other.namespaces.iter();
                all.any(|one| (one.kind, one.ns) == (own.kind, own.ns))
            };
            // That with the interfaces, if there is one; then the one that was first.
            let first = |other: &&&World| (other.interfaces.is_empty(), other.pid);
            let home = inside.iter().filter(has).min_by_key(first);
            if let Some(home) = home.filter(|home| home.id != world.id) {
                let pair = (home.id, world.id);
                if !pairs.contains(&pair) && !pairs.contains(&(pair.1, pair.0)) {
                    pairs.push(pair);
                }
            }
        }
    }
    pairs
}

/// Those in a world that are wired, in groups of those that are linked to each other, in the order in which their wires cross
/// least; and the others. `anchors`: the cards of the world itself.
pub fn nearest(
    world: &World,
    inside: &[&World],
    wires: &[Drawn],
    sharing: &[(usize, usize)],
    anchors: &[Anchor],
) -> (Vec<Vec<usize>>, Vec<usize>) {
    let height = |key: Key| {
        anchors
            .iter()
            .find(|anchor| anchor.key == key)
            .map(|anchor| anchor.y)
    };
    // The height of the card that it is wired to.
    let own = |at: usize| {
        let heights = wires.iter().filter_map(
            |Drawn {
                 tie: (a, b, _),
                 one,
                 other,
             }| match () {
                () if (*one, *other) == (world.id, at) => height(*a),
                () if (*one, *other) == (at, world.id) => height(*b),
                () => None,
            },
        );
        heights.min()
    };
    let partners = |at: usize| {
        let wired = wires.iter().map(|wire| (wire.one, wire.other));
        let pairs = wired.chain(sharing.iter().copied());
        let partners = pairs.filter_map(move |(one, other)| match () {
            () if one == at => Some(other),
            () if other == at => Some(one),
            () => None,
        });
        partners.filter(|other| *other != world.id)
    };
    let is_linked = |at: usize| own(at).is_some() || partners(at).next().is_some();
    let (linked, rest): (Vec<usize>, Vec<usize>) = inside
        .iter()
        .map(|in_it| in_it.id)
        .partition(|at| is_linked(*at));
    let mut order: Vec<usize> = linked
        .iter()
        .copied()
        .filter(|at| own(*at).is_some())
        .collect();
    order.sort_by_key(|at| own(*at));
    // Whoever is linked to another in it stands behind that.
    let mut left: Vec<usize> = linked.into_iter().filter(|at| own(*at).is_none()).collect();
    while !left.is_empty() {
        let place = |at: usize| {
            let places =
                partners(at).filter_map(|other| order.iter().position(|own| *own == other));
            places.min()
        };
        let next = left.iter().position(|at| place(*at).is_some()).unwrap_or(0);
        let at = left.remove(next);
        let mut behind = place(at).map_or(order.len(), |place| place + 1);
        // Behind those that stand there for the same reason.
        while order.get(behind).is_some_and(|other| own(*other).is_none()) {
            behind += 1;
        }
        order.insert(behind, at);
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in order {
        let is_linked = |group: &Vec<usize>| partners(at).any(|other| group.contains(&other));
        let (linked, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_linked);
        // Where the first of them stood.
        let place = apart.iter().position(|group| {
            linked
                .first()
                .is_some_and(|first| own(first[0]) < own(group[0]))
        });
        let mut group = linked.concat();
        group.push(at);
        groups = apart;
        groups.insert(place.unwrap_or(groups.len()), group);
    }
    (groups, rest)
}
