//! The machine as a picture's data: the worlds that processes live in, which stands in which, what they share, how they are
//! wired: `soute ns graph`.
//!
//! - [`worlds`]: processes and namespaces made into worlds, as pure data.
//! - [`places`]: which of them stand in which, and are in which namespace.
//! - [`bounds`]: the part of them that is asked for, and no more than a picture holds, as pure data.

mod bounds;
mod places;
mod worlds;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Survey;
use crate::proc::Look;
use crate::text::lossy;
use crate::wiring::{Interface, Wiring};
use crate::{Container, Error, IdMaps, Kind, NamespaceId};

pub use bounds::Asked;
use places::Places;
use worlds::Inhabitant;

/// The worlds of the machine, or some of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// The machine's own first; each before those that stand in it, and these together: containers, then others.
    pub worlds: Vec<World>,
    /// How many more there are, of those that were asked for.
    pub worlds_left_out: usize,
    /// How many namespaces there are that no process is in, without networks, which are worlds of their own.
    pub idle_namespaces: usize,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// Processes that see the same: those of one container, or of the machine, or others that are in the same set of namespaces.
/// A process of a container that is in other namespaces than its first is in a world of its own, inside the container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct World {
    /// Its place in [`Graph::worlds`].
    pub id: usize,
    /// The world that it stands in: of the same container, of the parent of its PID namespace, of the parent of its first
    /// process, or of the parent of its user namespace, in that order. None: the machine's own.
    pub inside: Option<usize>,
    /// What others call it: a container's name, `sleep (4613)`, `netns blue`.
    pub name: String,
    /// The container that it is.
    pub container: Option<Container>,
    /// Whether it is the machine's own, or, seen from a container, what stands for it.
    pub machine: bool,
    /// Whether it was asked for by name.
    pub asked: bool,
    /// Its first process. None: nobody is in it.
    pub pid: Option<u32>,
    /// The command line of that process; of a world that nobody is in: what keeps it.
    pub command: String,
    /// Who root is here, if that is another user there.
    pub root_uid: Option<u32>,
    /// One of each kind that is seen; of a world that nobody is in, one at all.
    pub namespaces: Vec<WorldNamespace>,
    /// How many processes it has.
    pub nprocs: usize,
    /// Some of them, as a tree.
    pub processes: Vec<WorldProcess>,
    /// The interfaces of its network namespace, without those that every namespace has. Those of a namespace of several
    /// worlds are at that which has it first.
    pub interfaces: Vec<Interface>,
    /// How many more it has.
    pub interfaces_left_out: usize,
    /// How many worlds in it are left out, with those in them.
    pub worlds_left_out: usize,
}

/// A namespace, as one world has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorldNamespace {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its inode.
    pub ns: u64,
    /// The user namespace that owns it; of a user namespace, its parent.
    pub ons: Option<u64>,
    /// Whose it is.
    pub whose: Whose,
    /// Who else is in it: of one that is [`Whose::Outer`] the world around, of one that is [`Whose::Shared`] the others, the
    /// first hundred.
    pub with: Vec<Other>,
    /// How many more there are.
    pub with_left_out: usize,
}

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Nobody is in it who does not stand in this world.
    Own,
    /// The machine's.
    Machine,
    /// That of a world around it.
    Outer,
    /// Also that of others, beside it.
    Shared,
}

/// Another world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its place in [`Graph::worlds`]; None: it is left out there.
    pub world: Option<usize>,
    /// What it is called.
    pub name: String,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorldProcess {
    /// Its number at each level, from here down to its own.
    pub pids: Vec<u32>,
    /// Its parent's number here.
    pub ppid: u32,
    /// The name that it gave itself.
    pub name: String,
    /// Its command line; of one that has none, its name in brackets.
    pub command: String,
    /// Whether it was asked for by number.
    pub asked: bool,
    /// How many of its ancestors are in the tree.
    pub depth: usize,
    /// The branches of the tree before it.
    #[serde(skip)]
    pub branches: String,
}

impl World {
    /// Its namespace of one kind.
    pub fn namespace(&self, kind: Kind) -> Option<&WorldNamespace> {
        self.namespaces.iter().find(|own| own.kind == kind)
    }
}

impl Graph {
    /// Where the interface of this number is in the network namespace of this inode, if it is in the graph.
    pub fn interface(&self, ns: u64, index: u32) -> Option<(&World, &Interface)> {
        self.worlds
            .iter()
            .filter(|world| world.namespace(Kind::Net).is_some_and(|own| own.ns == ns))
            .find_map(|world| {
                let mut all = world.interfaces.iter();
                Some((world, all.find(|link| link.index == index)?))
            })
    }
}

impl Survey {
    /// The worlds of the machine, or of those that are `asked` for only, whom they share something with and what they are
    /// wired to. `name` completes a container whose engine knows more of it. The caller has one thread.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Hidden`], [`Error::NoSuchNamespace`]: of those that are asked for.
    pub fn graph(
        &self,
        asked: &[Asked],
        name: &mut dyn FnMut(&mut Container),
    ) -> Result<Graph, Error> {
        let Wiring { namespaces, notes } = self.wiring()?;
        let inhabitants = self.inhabitants(name)?;
        let drafts = worlds::drafts(&self.found, &self.machine, &inhabitants);
        bounds::check(asked, &drafts, &self.found)?;
        let places = Places::new(&drafts);
        let (found, machine) = (&self.found, &self.machine);
        let mut worlds = worlds::describe(&drafts, found, machine, &inhabitants, &places);
        let links: HashMap<u64, &Vec<Interface>> =
            namespaces.iter().map(|one| (one.ns, &one.links)).collect();
        for (world, draft) in worlds.iter_mut().zip(&drafts) {
            if let Some(id) = draft.namespace(Kind::Net)
                && places.home(id) == Some(world.id)
            {
                let links = links.get(&id.inode).into_iter().copied().flatten();
                let links = links.filter(|link| !link.is_usual()).cloned();
                world.interfaces = links.collect();
            }
        }
        let mut graph = bounds::choose(worlds, &drafts, found, &places, &inhabitants, asked);
        for world in &mut graph.worlds {
            world.root_uid = self.root_of(world.pid)?;
        }
        graph.idle_namespaces = worlds::idle(&self.found);
        graph.notes = notes;
        Ok(graph)
    }

    /// Everybody whose namespaces are seen.
    fn inhabitants(
        &self,
        name: &mut dyn FnMut(&mut Container),
    ) -> Result<BTreeMap<u32, Inhabitant>, Error> {
        let mut all: BTreeMap<u32, Inhabitant> = BTreeMap::new();
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            for namespace in self.found.of_kind(kind) {
                for pid in &namespace.processes {
                    all.entry(*pid).or_default().namespaces[at] = Some(namespace.id);
                }
            }
        }
        let machine = Kind::ALL.map(|kind| self.machine.namespace(kind).map(|(id, _)| id));
        let mut gone = Vec::new();
        for (pid, one) in &mut all {
            // What has ended, waited for or not, has left most of its namespaces.
            let process = self.process(*pid)?.seen();
            let Some(process) = process.filter(|process| !process.stat.exiting) else {
                gone.push(*pid);
                continue;
            };
            one.parent = process.stat.parent;
            one.start_time = process.stat.start_time;
            one.kernel_thread = process.stat.kernel_thread;
            one.name = lossy(&process.stat.comm);
            one.command = lossy(&process.command());
            one.pids = process.status.pids;
            // What has nothing of its own is in no container.
            if one.namespaces != machine {
                one.container = self.container_of(*pid)?;
                if let Some(container) = &mut one.container {
                    name(container);
                }
            }
        }
        for pid in gone {
            all.remove(&pid);
        }
        Ok(all)
    }

    /// Who root of a world is here, by its first process, if that is another user.
    fn root_of(&self, pid: Option<u32>) -> Result<Option<u32>, Error> {
        let Some(pid) = pid else {
            return Ok(None);
        };
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Ok(None);
        };
        let maps = IdMaps::read(&folder)?;
        Ok(maps
            .and_then(|maps| maps.uid.outside(0))
            .filter(|uid| *uid != 0))
    }
}

/// What a namespace is compared by.
type Set = [Option<NamespaceId>; 8];
