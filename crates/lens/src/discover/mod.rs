//! All namespaces that can be found from here, one source per file.

mod bound;
mod descriptors;
mod processes;
mod related;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};

use crate::proc::{Look, Proc, ProcessFolder};
use crate::{Error, Kind, Namespace, NamespaceId};

pub(crate) use bound::mountinfo_in;
pub(crate) use related::open;

/// Where to look beside processes, threads and the relations of what is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Bind mounts, in every mount namespace.
    pub bound: bool,
    /// The open descriptors of every process: slower where there are many.
    pub descriptors: bool,
    /// The sockets of every process. Their owners may feel it: what they close at that moment stays open until it is over.
    pub sockets: bool,
}

impl Scope {
    /// Wherever one can look by reading /proc alone, as everybody does.
    pub const ALL: Self = Self {
        bound: true,
        descriptors: true,
        sockets: false,
    };
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    namespaces: BTreeMap<NamespaceId, Namespace>,
    /// Processes that were there, whether or not their namespaces are hidden.
    pub processes: usize,
    /// Processes whose namespaces the kernel hides from the caller.
    pub hidden: Vec<u32>,
    /// Processes whose namespaces are seen, and whose descriptors the kernel hides; only looked for when asked to.
    pub closed: BTreeSet<u32>,
    /// How many sockets could not be asked for their network namespace, and why the first of them could not.
    pub unasked: Option<(usize, String)>,
    /// Files of namespaces of a kind that this program does not know, as `kind:[inode]`.
    pub unknown: Vec<String>,
    /// The option by which procfs leaves out the processes of others, if it does (`hidepid=2`, proc(5)).
    pub unlisted: Option<String>,
}

impl Discovery {
    /// Looks at all processes of `proc`, and where `scope` says.
    pub fn new(proc: &Proc, scope: Scope) -> Result<Self, Error> {
        let mut found = Self::default();
        processes::discover(proc, &mut found)?;
        if scope.bound {
            bound::discover(proc, &mut found)?;
        }
        if scope.descriptors {
            descriptors::discover(proc, &mut found)?;
        }
        if scope.sockets {
            sockets::discover(proc, &mut found)?;
        }
        related::discover(proc, &mut found)?;
        Ok(found)
    }

    /// All namespaces, by inode.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// Those of one kind, by inode.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Namespace> {
        self.namespaces()
            .filter(move |namespace| namespace.kind == kind)
    }

    /// One of them.
    pub fn get(&self, id: NamespaceId) -> Option<&Namespace> {
        self.namespaces.get(&id)
    }

    /// The namespace of `kind` that process `pid` is in, if that was seen.
    pub fn of_process(&self, pid: u32, kind: Kind) -> Option<&Namespace> {
        self.of_kind(kind)
            .find(|namespace| namespace.processes.binary_search(&pid).is_ok())
    }

    /// `id` and all its descendants by [`Namespace::parent`].
    pub fn below(&self, id: NamespaceId) -> Vec<NamespaceId> {
        let mut family = vec![id];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = self
                .namespaces()
                .filter(|child| child.parent.id() == Some(parent));
            family.extend(children.map(|child| child.id));
            next += 1;
        }
        family
    }

    #[cfg(test)]
    pub(crate) fn insert(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.id, namespace);
    }

    /// The descriptors of process `pid`, if they are seen.
    fn descriptors_of(
        &mut self,
        folder: &ProcessFolder,
        pid: u32,
    ) -> Result<Option<Vec<u32>>, Error> {
        let descriptors = folder.descriptors()?;
        // Not so one that is hidden as a whole, or ends.
        if descriptors == Look::Hidden
            && let Look::Seen(_) = folder.namespace(Kind::User.name())?
        {
            self.closed.insert(pid);
        }
        Ok(descriptors.seen())
    }

    pub(crate) fn entry(&mut self, kind: Kind, id: NamespaceId) -> &mut Namespace {
        self.namespaces
            .entry(id)
            .or_insert_with(|| Namespace::new(kind, id))
    }
}
