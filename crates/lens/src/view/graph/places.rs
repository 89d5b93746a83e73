//! Which worlds stand in which, and which are in which namespace, told by one walk through all: a machine may have tens of
//! thousands, and all of them in one another.

use std::collections::HashMap;

use super::worlds::Draft;
use crate::NamespaceId;

/// Where all worlds stand.
pub struct Places {
    /// Of each its number in a walk, in which each comes before those in it, and that of the last one in it.
    spans: Vec<(usize, usize)>,
    depths: Vec<usize>,
    namespaces: HashMap<NamespaceId, Sharing>,
    of_processes: HashMap<u32, usize>,
}

/// The worlds that are in a namespace.
#[derive(Default)]
struct Sharing {
    /// In the order of the walk.
    all: Vec<usize>,
    /// Those that stand in no other.
    outermost: Vec<usize>,
    /// Of the others, the nearest around.
    outer: HashMap<usize, usize>,
}

impl Places {
    pub fn new(drafts: &[Draft]) -> Self {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
        for (at, draft) in drafts.iter().enumerate() {
            if let Some(outer) = draft.inside {
                children[outer].push(at);
            }
        }
        let mut spans = vec![(0, 0); drafts.len()];
        let mut depths = vec![0; drafts.len()];
        let mut walk = Vec::new();
        // What is left: to enter, or to leave.
        let mut left = vec![(0, true)];
        while let Some((at, enters)) = left.pop() {
            if enters {
                spans[at].0 = walk.len();
                walk.push(at);
                left.push((at, false));
                for inner in children[at].iter().rev() {
                    depths[*inner] = depths[at] + 1;
                    left.push((*inner, true));
                }
            } else {
                spans[at].1 = walk.len() - 1;
            }
        }
        let mut namespaces: HashMap<NamespaceId, Sharing> = HashMap::new();
        for at in walk {
            for id in drafts[at].namespaces.iter().flatten() {
                namespaces.entry(*id).or_default().all.push(at);
            }
        }
        for sharing in namespaces.values_mut() {
            sharing.nest(&spans);
        }
        let members = drafts.iter().enumerate();
        let members =
            members.flat_map(|(at, draft)| draft.members.iter().map(move |pid| (*pid, at)));
        Self {
            spans,
            depths,
            namespaces,
            of_processes: members.collect(),
        }
    }

    /// Its number in the walk, and that of the last one in it.
    pub fn span(&self, at: usize) -> (usize, usize) {
        self.spans[at]
    }

    /// The world of a process.
    pub fn of_process(&self, pid: u32) -> Option<usize> {
        self.of_processes.get(&pid).copied()
    }

    /// The nearest world around that is in the namespace, too.
    pub fn outer(&self, at: usize, id: NamespaceId) -> Option<usize> {
        self.namespaces.get(&id)?.outer.get(&at).copied()
    }

    /// The worlds in a namespace that stand in no other that is.
    pub fn outermost(&self, id: NamespaceId) -> &[usize] {
        let sharing = self.namespaces.get(&id);
        sharing.map_or(&[], |sharing| &sharing.outermost)
    }

    /// The world at which a namespace of several is shown: the outermost, and of these the first.
    pub fn home(&self, id: NamespaceId) -> Option<usize> {
        let outermost = self.outermost(id).iter().copied();
        outermost.min_by_key(|at| (self.depths[*at], *at))
    }
}

impl Sharing {
    fn nest(&mut self, spans: &[(usize, usize)]) {
        // Those that the walk is in.
        let mut open: Vec<usize> = Vec::new();
        for at in &self.all {
            while open
                .pop_if(|outer| spans[*outer].1 < spans[*at].0)
                .is_some()
            {}
            match open.last() {
                Some(outer) => drop(self.outer.insert(*at, *outer)),
                None => self.outermost.push(*at),
            }
            open.push(*at);
        }
        self.outermost.sort_unstable();
    }
}
