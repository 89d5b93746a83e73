//! The part of the machine that is asked for, and of that as much as a picture holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::branches::branches;
use super::places::Places;
use super::worlds::{Draft, Inhabitant, around, sharers};
use super::{Graph, Other, Whose, World, WorldNamespace, WorldProcess};
use crate::{Discovery, Error, Kind, NamespaceId};

/// Worlds that a graph has at most, beside those of processes and containers that are asked for and the ones that these stand in.
const WORLDS: usize = 32;
/// Processes of each.
const PROCESSES: usize = 8;
/// Worlds that are named of those that share a namespace.
const OTHERS: usize = 100;
/// Interfaces of each.
const INTERFACES: usize = 24;

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// This process, and the world that it is in.
    Process(u32),
    /// The world of the container whose first process this is.
    Container(u32),
    /// Every world that is in this namespace.
    Namespace(NamespaceId),
}

impl Asked {
    fn is_of(self, draft: &Draft) -> bool {
        match self {
            Self::Process(pid) | Self::Container(pid) => draft.members.contains(&pid),
            Self::Namespace(id) => draft.namespaces.contains(&Some(id)),
        }
    }
}

/// Whether all that is asked for is there.
pub fn check(asked: &[Asked], drafts: &[Draft], found: &Discovery) -> Result<(), Error> {
    for one in asked {
        if drafts.iter().any(|draft| one.is_of(draft)) {
            continue;
        }
        return Err(match *one {
            Asked::Process(pid) | Asked::Container(pid) if found.hidden.contains(&pid) => {
                Error::Hidden(pid)
            }
            Asked::Process(pid) | Asked::Container(pid) => Error::NoSuchProcess(pid),
            Asked::Namespace(id) => Error::NoSuchNamespace(id.inode),
        });
    }
    Ok(())
}

/// The graph of all `worlds`, or of those that are asked for.
pub fn choose(
    worlds: Vec<World>,
    drafts: &[Draft],
    found: &Discovery,
    places: &Places,
    inhabitants: &BTreeMap<u32, Inhabitant>,
    asked: &[Asked],
) -> Graph {
    let choice = Choice::new(&worlds, drafts, found, places, asked);
    let candidates = choice.candidates();
    let kept = choice.within_bounds(&candidates);
    let order = order(drafts, &worlds, &kept);
    let new: BTreeMap<usize, usize> = order
        .iter()
        .enumerate()
        .map(|(new, old)| (*old, new))
        .collect();
    let links = choice.links(&kept);
    // The parents of the first process of each other world: who made it.
    let firsts = drafts.iter().filter_map(Draft::first);
    let makers: HashSet<u32> = firsts.map(|pid| inhabitants[&pid].parent).collect();
    let numbers: HashSet<u32> = asked
        .iter()
        .filter_map(|one| match one {
            Asked::Process(pid) => Some(*pid),
            Asked::Container(_) | Asked::Namespace(_) => None,
        })
        .collect();
    let ancestors = choice.ancestors(inhabitants);
    let left_out = candidates.iter().filter(|at| !kept.contains(at));
    let mut left_out: Vec<usize> = left_out.map(|at| places.span(*at).0).collect();
    left_out.sort_unstable();
    let mut chosen = Vec::new();
    for at in &order {
        let mut world = worlds[*at].clone();
        world.id = new[at];
        world.inside = world.inside.and_then(|outer| new.get(&outer).copied());
        world.asked = choice.asked.contains(at);
        for own in &mut world.namespaces {
            let others = choice.others(*at, own);
            let named = others.iter().take(OTHERS).map(|(other, thread)| Other {
                world: new.get(other).copied(),
                name: match thread.map(|pid| (pid, inhabitants.get(&pid))) {
                    Some((pid, one)) => {
                        let name = one.map_or("", |one| &one.name);
                        format!("a thread of {name} ({pid})")
                    }
                    None => worlds[*other].name.clone(),
                },
            });
            own.with = named.collect();
            own.with_left_out = others.len() - own.with.len();
        }
        let all = world.interfaces.len();
        let ns = world.namespace(Kind::Net).map(|own| own.ns);
        world
            .interfaces
            .retain(|link| ns.is_some_and(|ns| links.contains(&(ns, link.index))));
        world.interfaces_left_out = match choice.is_whole(*at) {
            true => all - world.interfaces.len(),
            false => 0,
        };
        let only = (!choice.is_whole(*at)).then_some(&ancestors);
        world.processes = processes(&drafts[*at], inhabitants, &makers, &numbers, only);
        let (first, last) = places.span(*at);
        let up_to = |end: usize| left_out.partition_point(|place| *place <= end);
        world.worlds_left_out = up_to(last) - up_to(first);
        chosen.push(world);
    }
    Graph {
        worlds_left_out: candidates.len() - kept.len(),
        worlds: chosen,
        idle_namespaces: 0,
        notes: Vec::new(),
    }
}

/// An interface: the inode of its namespace, and its number there.
type Key = (u64, u32);

struct Choice<'w> {
    worlds: &'w [World],
    drafts: &'w [Draft],
    found: &'w Discovery,
    places: &'w Places,
    asked: BTreeSet<usize>,
    /// Those of them that were named one by one.
    named: BTreeSet<usize>,
    /// Those that are asked for and those in them; all, if none is asked for.
    whole: BTreeSet<usize>,
    everything: bool,
    /// The interfaces at both ends of each tie, the bridges that they are ports of among them.
    ties: Vec<(Key, Key)>,
}

impl<'w> Choice<'w> {
    fn new(
        worlds: &'w [World],
        drafts: &'w [Draft],
        found: &'w Discovery,
        places: &'w Places,
        asked: &[Asked],
    ) -> Self {
        let is_of = |at: &usize, one: &&Asked| one.is_of(&drafts[*at]);
        let is_asked = |at: &usize| asked.iter().any(|one| is_of(at, &one));
        let chosen: BTreeSet<usize> = (0..drafts.len()).filter(is_asked).collect();
        let by_name = |one: &&Asked| !matches!(one, Asked::Namespace(_));
        let is_named = |at: &usize| asked.iter().filter(by_name).any(|one| is_of(at, &one));
        let named = chosen.iter().copied().filter(is_named).collect();
        let everything = asked.is_empty();
        // In the machine's are all; whoever asks for it asks for what it has and is wired to.
        let mut walk: Vec<usize> = (0..drafts.len()).collect();
        walk.sort_unstable_by_key(|at| places.span(*at).0);
        let mut end = 0;
        let is_whole = |at: &usize| {
            let (first, last) = places.span(*at);
            if *at != 0 && chosen.contains(at) {
                end = end.max(last);
            }
            everything || chosen.contains(at) || (first > 0 && first <= end)
        };
        let whole = walk.into_iter().filter(is_whole).collect();
        let mut ties = Vec::new();
        for world in worlds {
            let Some(net) = world.namespace(Kind::Net) else {
                continue;
            };
            for link in &world.interfaces {
                if let Some(tie) = &link.tie
                    && let Some(ns) = tie.ns
                {
                    ties.push(((net.ns, link.index), (ns, tie.index)));
                }
            }
        }
        Self {
            worlds,
            drafts,
            found,
            places,
            whole,
            asked: chosen,
            named,
            everything,
            ties,
        }
    }

    fn is_whole(&self, at: usize) -> bool {
        self.everything || self.whole.contains(&at)
    }

    /// The network namespaces that are shown as far as there is room.
    fn networks(&self) -> HashSet<u64> {
        let all = self.whole.iter();
        all.filter_map(|at| Some(self.worlds[*at].namespace(Kind::Net)?.ns))
            .collect()
    }

    /// Where the interfaces of network namespaces are shown.
    fn homes(&self) -> HashMap<u64, usize> {
        let nets = self
            .drafts
            .iter()
            .filter_map(|one| one.namespace(Kind::Net));
        nets.filter_map(|id| Some((id.inode, self.places.home(id)?)))
            .collect()
    }

    /// Who else is in a namespace of a world: worlds, and processes of others that have but a thread in it.
    fn others(&self, at: usize, own: &WorldNamespace) -> Vec<(usize, Option<u32>)> {
        let id = self.drafts[at].namespace(own.kind);
        let Some(namespace) = id.and_then(|id| self.found.get(id)) else {
            return Vec::new();
        };
        match own.whose {
            Whose::Own | Whose::Machine => Vec::new(),
            Whose::Outer => {
                let outer = self.places.outer(at, namespace.id);
                outer.map(|outer| (outer, None)).into_iter().collect()
            }
            Whose::Shared => sharers(at, namespace, self.drafts, self.places).collect(),
        }
    }

    /// All worlds that belong to what is asked for: those in it, whom they share with, what they are wired to, and those
    /// around all these.
    fn candidates(&self) -> BTreeSet<usize> {
        if self.everything {
            return (0..self.worlds.len()).collect();
        }
        let mut all = self.whole.clone();
        let mut seen = HashSet::new();
        for at in &self.whole {
            let shared = self.worlds[*at].namespaces.iter();
            for own in shared.filter(|own| own.whose == Whose::Shared) {
                if seen.insert(own.ns) {
                    all.extend(self.others(*at, own).into_iter().map(|(other, _)| other));
                }
            }
        }
        let (networks, homes) = (self.networks(), self.homes());
        for (one, other) in &self.ties {
            for (near, far) in [(one, other), (other, one)] {
                if networks.contains(&near.0) {
                    all.extend(homes.get(&far.0));
                }
            }
        }
        all.extend(networks.iter().filter_map(|ns| homes.get(ns)));
        self.with_outer(&all)
    }

    fn with_outer(&self, some: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([0]);
        for at in some {
            // Around one that is there are others that are.
            let _ = around(self.drafts, *at).find(|outer| !all.insert(*outer));
        }
        all
    }

    /// As many as there is room for: those that are asked for, containers, what is wired, then others; those that were first
    /// before those that came later.
    fn within_bounds(&self, candidates: &BTreeSet<usize>) -> BTreeSet<usize> {
        let rank = |at: &usize| {
            let world = &self.worlds[*at];
            let rank = match () {
                () if world.machine || self.asked.contains(at) => 0,
                () if world.container.is_some() => 1,
                () if !world.interfaces.is_empty() => 2,
                () => 3,
            };
            (rank, *at)
        };
        let mut ranked: Vec<usize> = candidates.iter().copied().collect();
        ranked.sort_by_key(rank);
        let mut kept = self.with_outer(&self.named);
        for at in ranked {
            let room = WORLDS.saturating_sub(kept.len());
            let more = around(self.drafts, at).take_while(|outer| !kept.contains(outer));
            let more: Vec<usize> = more.take(room + 1).collect();
            if more.len() <= room {
                kept.extend(more);
            }
        }
        kept
    }

    /// The interfaces that are shown: those at the ends of wires between shown worlds and what they are ports of first.
    fn links(&self, kept: &BTreeSet<usize>) -> HashSet<Key> {
        let networks = self.networks();
        let shown: HashSet<Key> = kept
            .iter()
            .filter_map(|at| Some((&self.worlds[*at], self.worlds[*at].namespace(Kind::Net)?.ns)))
            .flat_map(|(world, ns)| world.interfaces.iter().map(move |link| (ns, link.index)))
            .collect();
        let mut wired: HashSet<Key> = HashSet::new();
        for (one, other) in &self.ties {
            let is_asked =
                self.everything || networks.contains(&one.0) || networks.contains(&other.0);
            if is_asked && shown.contains(one) && shown.contains(other) {
                wired.extend([*one, *other]);
            }
        }
        let mut all = HashSet::new();
        for at in kept {
            let world = &self.worlds[*at];
            let Some(ns) = world.namespace(Kind::Net).map(|own| own.ns) else {
                continue;
            };
            let masters: HashSet<u32> = world
                .interfaces
                .iter()
                .filter(|link| wired.contains(&(ns, link.index)))
                .filter_map(|link| link.master)
                .collect();
            let is_wired = |index: u32| wired.contains(&(ns, index));
            let mut ranked: Vec<(u8, u32)> = world
                .interfaces
                .iter()
                .filter_map(|link| match () {
                    () if masters.contains(&link.index) => Some((0, link.index)),
                    () if is_wired(link.index) => Some((1, link.index)),
                    () if self.everything || networks.contains(&ns) => Some((2, link.index)),
                    () => None,
                })
                .collect();
            ranked.sort_unstable();
            all.extend(
                ranked
                    .iter()
                    .take(INTERFACES)
                    .map(|(_, index)| (ns, *index)),
            );
        }
        all
    }

    /// The processes that those descend from that are asked for.
    fn ancestors(&self, inhabitants: &BTreeMap<u32, Inhabitant>) -> HashSet<u32> {
        let firsts = self.whole.iter().filter_map(|at| self.drafts[*at].first());
        let mut all = HashSet::new();
        for first in firsts {
            let mut next = inhabitants.get(&first).map(|one| one.parent);
            while let Some(pid) = next.filter(|pid| inhabitants.contains_key(pid)) {
                if !all.insert(pid) {
                    break;
                }
                next = inhabitants.get(&pid).map(|one| one.parent);
            }
        }
        all
    }
}

/// Each world before those in it, and these by what they are and are called.
fn order(drafts: &[Draft], worlds: &[World], kept: &BTreeSet<usize>) -> Vec<usize> {
    let mut order = Vec::new();
    let mut left = vec![0];
    while let Some(at) = left.pop() {
        order.push(at);
        let in_it = kept
            .iter()
            .copied()
            .filter(|other| drafts[*other].inside == Some(at));
        let mut in_it: Vec<usize> = in_it.collect();
        in_it.sort_by_key(|at| {
            let world = &worlds[*at];
            let container = world.container.as_ref().map(|_| world.name.clone());
            (world.pid.is_none(), container.is_none(), container, *at)
        });
        left.extend(in_it.into_iter().rev());
    }
    order
}

/// The processes of a world that are shown, as a tree. `only`: of one that is shown for the sake of others, those.
fn processes(
    draft: &Draft,
    inhabitants: &BTreeMap<u32, Inhabitant>,
    makers: &HashSet<u32>,
    asked: &HashSet<u32>,
    only: Option<&HashSet<u32>>,
) -> Vec<WorldProcess> {
    let members: HashSet<u32> = draft.members.iter().copied().collect();
    let rank = |pid: &u32| {
        let one = &inhabitants[pid];
        let rank = match () {
            () if asked.contains(pid) => 0,
            () if draft.first() == Some(*pid) => 1,
            () if one.kernel_thread => 5,
            () if makers.contains(pid) => 2,
            () if !members.contains(&one.parent) => 3,
            () => 4,
        };
        (rank, *pid)
    };
    let first = draft.first();
    let is_shown = |pid: &&u32| {
        only.is_none_or(|only| only.contains(pid) || (first == Some(**pid) && !draft.machine))
    };
    let mut ranked: Vec<u32> = draft.members.iter().filter(is_shown).copied().collect();
    ranked.sort_by_key(rank);
    // Those that are asked for are never too many: each was named.
    let named = ranked.iter().filter(|pid| asked.contains(pid)).count();
    ranked.truncate(PROCESSES.max(named));
    let shown: HashSet<u32> = ranked.iter().copied().collect();
    let nearest = |pid: &u32| {
        let mut next = inhabitants[pid].parent;
        for _ in 0..inhabitants.len() {
            if shown.contains(&next) {
                return Some(next);
            }
            next = inhabitants.get(&next)?.parent;
        }
        None
    };
    let parents: BTreeMap<u32, Option<u32>> =
        ranked.iter().map(|pid| (*pid, nearest(pid))).collect();
    branches(&parents)
        .into_iter()
        .map(|(pid, depth, branches)| {
            let one = &inhabitants[&pid];
            WorldProcess {
                pids: one.pids.clone(),
                ppid: one.parent,
                name: one.name.clone(),
                command: one.command.clone(),
                asked: asked.contains(&pid),
                depth,
                branches,
            }
        })
        .collect()
}
