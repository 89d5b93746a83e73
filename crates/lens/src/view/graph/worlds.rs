//! Processes made into worlds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use super::super::kept_by;
use super::places::Places;
use super::{Set, Whose, World, WorldNamespace};
use crate::text::lossy;
use crate::{Container, Discovery, Kind, Machine, Maker, Namespace, NamespaceId};

/// What counts of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inhabitant {
    /// Its number at each level, from here down to its own.
    pub pids: Vec<u32>,
    /// Its parent's number here.
    pub parent: u32,
    /// In clock ticks after boot.
    pub start_time: u64,
    pub kernel_thread: bool,
    pub name: String,
    pub command: String,
    /// By [`Kind::ALL`].
    pub namespaces: Set,
    /// The innermost container that it is in.
    pub container: Option<Container>,
}

/// A world to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its processes: the first to have started is the first, the others by number.
    pub members: Vec<u32>,
    /// By [`Kind::ALL`].
    pub namespaces: Set,
    /// The container whose world it is.
    pub container: Option<Container>,
    pub machine: bool,
    /// The one that it stands in, by its place.
    pub inside: Option<usize>,
}

impl Draft {
    pub fn first(&self) -> Option<u32> {
        self.members.first().copied()
    }

    pub fn namespace(&self, kind: Kind) -> Option<NamespaceId> {
        of_kind(&self.namespaces, kind)
    }
}

fn of_kind(set: &Set, kind: Kind) -> Option<NamespaceId> {
    let mut both = Kind::ALL.iter().zip(set);
    both.find(|(own, _)| **own == kind).and_then(|(_, id)| *id)
}

/// The worlds, the machine's first, the others by when they began.
pub fn drafts(
    found: &Discovery,
    machine: &Machine,
    inhabitants: &BTreeMap<u32, Inhabitant>,
) -> Vec<Draft> {
    let own = Kind::ALL.map(|kind| machine.namespace(kind).map(|(id, _)| id));
    // Not every process of a container tells its name.
    let mut known: BTreeMap<(Maker, &str), &Container> = BTreeMap::new();
    for container in inhabitants
        .values()
        .filter_map(|one| one.container.as_ref())
    {
        let one = known
            .entry((container.engine, &container.id))
            .or_insert(container);
        if one.name.is_none() {
            *one = container;
        }
    }
    let mut groups: BTreeMap<(Option<&Container>, Set), Vec<u32>> = BTreeMap::new();
    for (pid, one) in inhabitants {
        let container = one.container.as_ref();
        let container = container.and_then(|own| known.get(&(own.engine, &*own.id)).copied());
        groups
            .entry((container, one.namespaces))
            .or_default()
            .push(*pid);
    }
    let started = |pid: &u32| (inhabitants[pid].start_time, *pid);
    let mut drafts: Vec<Draft> = vec![Draft {
        namespaces: own,
        machine: true,
        ..Draft::default()
    }];
    // The container of each, whose first world has its name.
    let mut containers: Vec<Option<&Container>> = vec![None];
    let mut first_of: BTreeMap<&Container, usize> = BTreeMap::new();
    let mut others = Vec::new();
    for ((container, namespaces), mut members) in groups {
        if namespaces == own {
            drafts[0].members.extend(members);
            continue;
        }
        if let Some(first) = members.iter().copied().min_by_key(|pid| started(pid)) {
            members.retain(|pid| *pid != first);
            members.insert(0, first);
        }
        others.push((container, namespaces, members));
    }
    drafts[0].members.sort_unstable();
    others.sort_by_key(|(_, _, members)| members.first().map(&started));
    for (container, namespaces, members) in others {
        let at = drafts.len();
        let first_of_container = container.filter(|own| *first_of.entry(own).or_insert(at) == at);
        containers.push(container);
        drafts.push(Draft {
            members,
            namespaces,
            container: first_of_container.cloned(),
            machine: false,
            inside: Some(0),
        });
    }
    let known = Known::new(&drafts, containers, first_of, inhabitants);
    let outer = (0..drafts.len()).map(|at| known.outer(at, found, inhabitants));
    for (at, outer) in settled(&outer.collect::<Vec<_>>()).into_iter().enumerate() {
        drafts[at].inside = outer;
    }
    let kept = found
        .of_kind(Kind::Net)
        .filter(|one| one.processes.is_empty() && one.threads.is_empty());
    for namespace in kept.filter(|one| machine.basis(one).is_none()) {
        drafts.push(Draft {
            namespaces: Kind::ALL.map(|kind| (kind == Kind::Net).then_some(namespace.id)),
            inside: Some(0),
            ..Draft::default()
        });
    }
    drafts
}

/// The world and those that it stands in, up to the machine's.
pub fn around(drafts: &[Draft], at: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(at), |at| drafts[*at].inside).take(drafts.len())
}

/// Of each what it stands in, the machine's if it is to stand in none: whatever processes do, no world stands in itself.
fn settled(outer: &[Option<usize>]) -> Vec<Option<usize>> {
    let mut settled = vec![None; outer.len()];
    // The machine's stands in none.
    let mut done = vec![false; outer.len()];
    done[0] = true;
    for at in 1..outer.len() {
        let mut path = vec![at];
        let mut next = at;
        while !done[next] {
            done[next] = true;
            next = outer[next].unwrap_or(0);
            path.push(next);
        }
        for both in path.windows(2) {
            settled[both[0]] = Some(both[1]);
        }
        // The last of the path may be one of those before it.
        if let [before @ .., one, last] = &path[..]
            && (before.contains(last) || one == last)
        {
            settled[*one] = Some(0);
        }
    }
    settled
}

/// The worlds of processes, by what they may be found.
struct Known<'d> {
    drafts: &'d [Draft],
    containers: Vec<Option<&'d Container>>,
    /// The world that is the container itself.
    first_of: BTreeMap<&'d Container, usize>,
    /// Those that are in a namespace, those with its process 1 first.
    in_it: HashMap<NamespaceId, Vec<usize>>,
    of_process: HashMap<u32, usize>,
}

impl<'d> Known<'d> {
    fn new(
        drafts: &'d [Draft],
        containers: Vec<Option<&'d Container>>,
        first_of: BTreeMap<&'d Container, usize>,
        inhabitants: &BTreeMap<u32, Inhabitant>,
    ) -> Self {
        let mut in_it: HashMap<NamespaceId, Vec<usize>> = HashMap::new();
        let mut of_process = HashMap::new();
        for (at, draft) in drafts.iter().enumerate().skip(1) {
            for id in draft.namespaces.iter().flatten() {
                in_it.entry(*id).or_default().push(at);
            }
            of_process.extend(draft.members.iter().map(|pid| (*pid, at)));
        }
        for all in in_it.values_mut() {
            all.sort_by_key(|at| {
                let pids = drafts[*at].first().map(|pid| &inhabitants[&pid].pids);
                (pids.and_then(|pids| pids.last()) != Some(&1), *at)
            });
        }
        Self {
            drafts,
            containers,
            first_of,
            in_it,
            of_process,
        }
    }

    /// What the world at `at` stands in; None: in the machine's.
    fn outer(
        &self,
        at: usize,
        found: &Discovery,
        inhabitants: &BTreeMap<u32, Inhabitant>,
    ) -> Option<usize> {
        let own = &self.drafts[at];
        if let Some(container) = self.containers[at].filter(|_| own.container.is_none()) {
            return self.first_of.get(container).copied();
        }
        // The world that has the parent of the namespace of a kind, or of that one, …
        let of_parent = |kind: Kind| {
            let parent = |id: NamespaceId| found.get(id)?.parent.id();
            let mut next = own.namespace(kind).and_then(parent);
            let mut left = self.drafts.len();
            while let Some(id) = next.filter(|_| left > 0) {
                // The machine's has parents nowhere.
                if self.drafts[0].namespace(kind) == Some(id) {
                    return None;
                }
                let mut homes = self.in_it.get(&id).into_iter().flatten();
                if let Some(home) = homes.find(|other| **other != at) {
                    return Some(*home);
                }
                next = parent(id);
                left -= 1;
            }
            None
        };
        let of_parent_process = || {
            let parent = inhabitants.get(&own.first()?)?.parent;
            let home = self.of_process.get(&parent).copied();
            home.filter(|other| *other != at)
        };
        of_parent(Kind::Pid)
            .or_else(of_parent_process)
            .or_else(|| of_parent(Kind::User))
    }
}

/// Who else is in a namespace of the world at `at`, the outermost of each: worlds, and processes of others that have but a thread
/// in it.
pub fn sharers(
    at: usize,
    namespace: &Namespace,
    drafts: &[Draft],
    places: &Places,
) -> impl Iterator<Item = (usize, Option<u32>)> {
    let worlds = places.outermost(namespace.id).iter().copied();
    let worlds = worlds.filter(move |other| *other != at);
    let pids: BTreeSet<u32> = namespace.threads.iter().map(|one| one.pid).collect();
    let (kind, id) = (namespace.kind, namespace.id);
    let threads = pids.into_iter().filter_map(move |pid| {
        let world = places.of_process(pid)?;
        (drafts[world].namespace(kind) != Some(id)).then_some((world, Some(pid)))
    });
    worlds.map(|world| (world, None)).chain(threads)
}

/// How many namespaces nobody is in, except networks.
pub fn idle(found: &Discovery) -> usize {
    let idle = found
        .namespaces()
        .filter(|one| one.kind != Kind::Net && one.processes.is_empty() && one.threads.is_empty());
    idle.count()
}

/// The worlds, without what only the machine tells of them (interfaces, ids), and without the names of those they share with.
pub fn describe(
    drafts: &[Draft],
    found: &Discovery,
    machine: &Machine,
    inhabitants: &BTreeMap<u32, Inhabitant>,
    places: &Places,
) -> Vec<World> {
    let all = drafts.iter().enumerate();
    all.map(|(at, draft)| {
        let first = draft.first().map(|pid| &inhabitants[&pid]);
        let namespaces = draft.namespaces.iter().flatten();
        let namespaces = namespaces.filter_map(|id| found.get(*id)).map(|namespace| {
            let is_shared = || sharers(at, namespace, drafts, places).next().is_some();
            WorldNamespace {
                kind: namespace.kind,
                ns: namespace.id.inode,
                ons: namespace.owner.id().map(|id| id.inode),
                whose: match () {
                    () if machine.basis(namespace).is_some() => Whose::Machine,
                    () if places.outer(at, namespace.id).is_some() => Whose::Outer,
                    () if is_shared() => Whose::Shared,
                    () => Whose::Own,
                },
                with: Vec::new(),
                with_left_out: 0,
            }
        });
        World {
            id: at,
            inside: draft.inside,
            name: name(draft, found, machine, inhabitants),
            container: draft.container.clone(),
            machine: draft.machine,
            asked: false,
            pid: draft.first(),
            command: match first {
                Some(first) => first.command.clone(),
                None => kept(draft, found)
                    .map(|one| kept_by(one, found))
                    .unwrap_or_default(),
            },
            root_uid: None,
            namespaces: namespaces.collect(),
            nprocs: draft.members.len(),
            processes: Vec::new(),
            interfaces: Vec::new(),
            interfaces_left_out: 0,
            worlds_left_out: 0,
        }
    })
    .collect()
}

/// The namespace of a world that nobody is in.
fn kept<'d>(draft: &Draft, found: &'d Discovery) -> Option<&'d Namespace> {
    found.get(draft.namespaces.iter().flatten().next().copied()?)
}

fn name(
    draft: &Draft,
    found: &Discovery,
    machine: &Machine,
    inhabitants: &BTreeMap<u32, Inhabitant>,
) -> String {
    if draft.machine {
        let initial = machine.namespace(Kind::Pid).map(|(_, basis)| basis);
        return match initial {
            Some(crate::Basis::Initial) => "machine".to_owned(),
            _ => "here".to_owned(),
        };
    }
    if let Some(container) = &draft.container {
        return container.short_name().to_owned();
    }
    if let Some(pid) = draft.first() {
        return format!("{} ({pid})", inhabitants[&pid].name);
    }
    let kept = kept(draft, found);
    let path = kept.and_then(|namespace| {
        let mut here = namespace.bound.iter();
        here.find_map(|bound| bound.path.file_name())
    });
    match (path, kept) {
        (Some(name), _) => format!("netns {}", lossy(name.as_bytes())),
        (None, Some(namespace)) => format!("net {}", namespace.id.inode),
        (None, None) => String::new(),
    }
}
