//! Processes made into worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;

use super::super::kept_by;
use super::{Other, Set, Whose, World, WorldNamespace};
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
        let first_of_container = container.filter(|_| !containers.contains(&container));
        containers.push(container);
        drafts.push(Draft {
            members,
            namespaces,
            container: first_of_container.cloned(),
            machine: false,
            inside: Some(0),
        });
    }
    for at in 1..drafts.len() {
        let outer = outer(at, &drafts, &containers, found, inhabitants);
        // Whatever processes do, no world stands in itself.
        let outer = outer.filter(|outer| !around(&drafts, *outer).any(|one| one == at));
        drafts[at].inside = Some(outer.unwrap_or(0));
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

/// What the world at `at` stands in; None: in the machine's.
fn outer(
    at: usize,
    drafts: &[Draft],
    containers: &[Option<&Container>],
    found: &Discovery,
    inhabitants: &BTreeMap<u32, Inhabitant>,
) -> Option<usize> {
    let own = &drafts[at];
    let known = drafts.len().min(containers.len());
    if let Some(container) = containers[at].filter(|_| own.container.is_none()) {
        let is = |other: &usize| drafts[*other].container.as_ref() == Some(container);
        return (1..known).find(is);
    }
    // The world that has the parent of the namespace of a kind, or of that one, …
    let of_parent = |kind: Kind| {
        let parent = |id: NamespaceId| found.get(id)?.parent.id();
        let mut next = own.namespace(kind).and_then(parent);
        let mut left = drafts.len();
        while let Some(id) = next.filter(|_| left > 0) {
            // The machine's has parents nowhere.
            if drafts[0].namespace(kind) == Some(id) {
                return None;
            }
            let has = |other: &usize| drafts[*other].namespace(kind) == Some(id) && *other != at;
            let first = |other: &usize| {
                let pid = drafts[*other].first();
                let pids = pid.map(|pid| &inhabitants[&pid].pids);
                (pids.and_then(|pids| pids.last()) != Some(&1), *other)
            };
            if let Some(home) = (1..known).filter(has).min_by_key(first) {
                return Some(home);
            }
            next = parent(id);
            left -= 1;
        }
        None
    };
    let of_parent_process = || {
        let parent = inhabitants.get(&own.first()?)?.parent;
        let has = |other: &usize| drafts[*other].members.contains(&parent);
        (1..known).find(has).filter(|other| *other != at)
    };
    of_parent(Kind::Pid)
        .or_else(of_parent_process)
        .or_else(|| of_parent(Kind::User))
}

/// The worlds that are in a namespace.
fn worlds_in(drafts: &[Draft], namespace: &Namespace) -> BTreeSet<usize> {
    let all = drafts.iter().enumerate();
    let in_it = all.filter(|(_, draft)| draft.namespace(namespace.kind) == Some(namespace.id));
    in_it.map(|(at, _)| at).collect()
}

/// The processes of other worlds that have but a thread in a namespace: the place of each, and what it is called.
fn threads_in(
    drafts: &[Draft],
    namespace: &Namespace,
    in_it: &BTreeSet<usize>,
    inhabitants: &BTreeMap<u32, Inhabitant>,
) -> Vec<Other> {
    let pids: BTreeSet<u32> = namespace.threads.iter().map(|one| one.pid).collect();
    let of = |pid: u32| {
        let world = drafts
            .iter()
            .position(|draft| draft.members.contains(&pid))?;
        let name = &inhabitants.get(&pid)?.name;
        (!in_it.contains(&world)).then(|| Other {
            world: Some(world),
            name: format!("a thread of {name} ({pid})"),
        })
    };
    pids.into_iter().filter_map(of).collect()
}

/// The world at which a namespace of several is shown: the outermost, and of these the first.
pub fn home(drafts: &[Draft], id: Option<NamespaceId>) -> Option<usize> {
    let id = id?;
    let has = |at: &usize| drafts[*at].namespaces.contains(&Some(id));
    let all = (0..drafts.len()).filter(has);
    all.min_by_key(|at| (around(drafts, *at).count(), *at))
}

/// How many namespaces nobody is in, except networks.
pub fn idle(found: &Discovery) -> usize {
    let idle = found
        .namespaces()
        .filter(|one| one.kind != Kind::Net && one.processes.is_empty() && one.threads.is_empty());
    idle.count()
}

/// The worlds, without what only the machine tells of them: interfaces, ids.
pub fn describe(
    drafts: &[Draft],
    found: &Discovery,
    machine: &Machine,
    inhabitants: &BTreeMap<u32, Inhabitant>,
) -> Vec<World> {
    let names: Vec<String> = drafts
        .iter()
        .map(|draft| name(draft, found, machine, inhabitants))
        .collect();
    let mut inside: BTreeMap<NamespaceId, BTreeSet<usize>> = BTreeMap::new();
    for namespace in found.namespaces() {
        inside.insert(namespace.id, worlds_in(drafts, namespace));
    }
    let all = drafts.iter().enumerate();
    all.map(|(at, draft)| {
        let first = draft.first().map(|pid| &inhabitants[&pid]);
        let namespaces = draft.namespaces.iter().flatten();
        let namespaces = namespaces.filter_map(|id| found.get(*id)).map(|namespace| {
            let in_it = &inside[&namespace.id];
            let (mut whose, with) = whose(at, drafts, namespace, in_it, machine);
            let mut with: Vec<Other> = with
                .into_iter()
                .map(|other| Other {
                    world: Some(other),
                    name: names[other].clone(),
                })
                .collect();
            if matches!(whose, Whose::Own | Whose::Shared) {
                with.extend(threads_in(drafts, namespace, in_it, inhabitants));
            }
            if whose == Whose::Own && !with.is_empty() {
                whose = Whose::Shared;
            }
            WorldNamespace {
                kind: namespace.kind,
                ns: namespace.id.inode,
                ons: namespace.owner.id().map(|id| id.inode),
                whose,
                with,
            }
        });
        World {
            id: at,
            inside: draft.inside,
            name: names[at].clone(),
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

fn whose(
    at: usize,
    drafts: &[Draft],
    namespace: &Namespace,
    in_it: &BTreeSet<usize>,
    machine: &Machine,
) -> (Whose, Vec<usize>) {
    if machine.basis(namespace).is_some() {
        return (Whose::Machine, Vec::new());
    }
    let mut outer = around(drafts, at).skip(1);
    if let Some(outer) = outer.find(|outer| in_it.contains(outer)) {
        return (Whose::Outer, vec![outer]);
    }
    // Of those that stand in each other, the outermost.
    let is_outermost = |other: &usize| {
        let mut around = around(drafts, *other).skip(1);
        !around.any(|outer| outer == at || in_it.contains(&outer))
    };
    let others = in_it.iter().copied().filter(|other| *other != at);
    let others: Vec<usize> = others.filter(is_outermost).collect();
    match others.is_empty() {
        true => (Whose::Own, others),
        false => (Whose::Shared, others),
    }
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
