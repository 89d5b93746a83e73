//! What is known of one namespace: pure data.

use std::path::PathBuf;

use serde::Serialize;

use crate::Kind;

/// What tells a namespace from all others that exist now: the device and inode of its file in nsfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NamespaceId {
    /// The device number of nsfs; one per machine today.
    pub dev: u64,
    /// The number in `net:[4026531840]`; may be used again when the namespace is gone.
    pub inode: u64,
}

/// A link from a namespace to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Relation {
    /// The namespace could not be opened, so that nobody could be asked.
    #[default]
    Unknown,
    /// There is none: an initial namespace, or a kind without parents.
    None,
    /// The kernel does not tell: it is not below the caller's own namespace.
    OutOfSight,
    /// It is this one.
    Is(NamespaceId),
}

impl Relation {
    /// The other namespace, if it is known.
    pub fn id(self) -> Option<NamespaceId> {
        match self {
            Self::Is(id) => Some(id),
            Self::Unknown | Self::None | Self::OutOfSight => None,
        }
    }
}

/// A thread of a process, both numbers as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Thread {
    /// The process (thread group).
    pub pid: u32,
    /// The thread.
    pub tid: u32,
}

/// An open file of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Descriptor {
    /// The process.
    pub pid: u32,
    /// The descriptor's number in it.
    pub fd: u32,
}

/// A bind mount of a namespace's file, as `ip netns add` makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bound {
    /// A process in whose mount namespace it is; `None`: in the caller's.
    pub seen_by: Option<u32>,
    /// The mount point there.
    #[serde(serialize_with = "crate::text::serialize_path")]
    pub path: PathBuf,
}

/// A namespace with all that was found to keep it alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Which one.
    pub id: NamespaceId,
    /// Of which kind.
    pub kind: Kind,
    /// The processes in it, ascending.
    pub processes: Vec<u32>,
    /// Threads in it whose process as a whole is in another one.
    pub threads: Vec<Thread>,
    /// Processes outside it whose next child will be in it (`pid_for_children`, `time_for_children`).
    pub for_children_of: Vec<u32>,
    /// Bind mounts of it.
    pub bound: Vec<Bound>,
    /// Open descriptors of it; only looked for when asked to.
    pub descriptors: Vec<Descriptor>,
    /// Of a network namespace: sockets of it that processes elsewhere have open; only looked for when asked to.
    pub sockets: Vec<Descriptor>,
    /// The user namespace that owns it; of a user namespace, its parent.
    pub owner: Relation,
    /// The parent of a user or pid namespace.
    pub parent: Relation,
    /// Of a user namespace: who made it, as numbered here.
    pub owner_uid: Option<u32>,
}

impl Namespace {
    /// One of which nothing else is known yet.
    pub(crate) fn new(kind: Kind, id: NamespaceId) -> Self {
        Self {
            id,
            kind,
            processes: Vec::new(),
            threads: Vec::new(),
            for_children_of: Vec::new(),
            bound: Vec::new(),
            descriptors: Vec::new(),
            sockets: Vec::new(),
            owner: Relation::Unknown,
            parent: if kind.is_hierarchical() {
                Relation::Unknown
            } else {
                Relation::None
            },
            owner_uid: None,
        }
    }

    /// The process with the lowest number in it.
    pub fn first_process(&self) -> Option<u32> {
        self.processes.first().copied()
    }

    /// Whether its inode is the one that the kernel fixes for the machine's initial namespace of its kind.
    pub fn has_initial_inode(&self) -> bool {
        self.id.inode == self.kind.initial_inode()
    }
}
