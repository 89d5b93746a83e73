//! Whose a namespace is, from the point of view of one process or container.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::proc::{Look, Proc, ProcessFolder};
use crate::{Basis, Discovery, Error, Kind, Machine, Namespace};

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sharing {
    /// Nobody outside the group was seen in it.
    Own,
    /// It is the machine's.
    Machine {
        /// How that is known.
        basis: Basis,
    },
    /// It is not the machine's, and others are in it too.
    Others {
        /// The first of them.
        pid: u32,
        /// How many they are.
        count: usize,
    },
}

/// What makes processes belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bond {
    /// They are in one pid namespace or its descendants.
    PidNamespace,
    /// They descend from one process, whose pid namespace is also that of others or hidden.
    Descent,
    /// As [`Bond::Descent`], or they are in the control group of a container's first process.
    ControlGroup,
}

/// The processes that belong together with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// By what.
    pub bond: Bond,
    /// Their numbers.
    pub members: BTreeSet<u32>,
}

impl Group {
    /// The group of process `pid`.
    ///
    /// A process in a pid namespace that is not the machine's belongs to what is in that namespace: a container as a
    /// rule. With `container`, `pid` is the first process of one; where it has no pid namespace of its own (`--pid
    /// host`, `--pid container:NAME`), its control group tells which others are of that container.
    pub fn of(
        proc: &Proc,
        found: &Discovery,
        machine: &Machine,
        pid: u32,
        container: bool,
    ) -> Result<Self, Error> {
        let namespace = found.of_process(pid, Kind::Pid);
        if let Some(namespace) = namespace.filter(|namespace| machine.basis(namespace).is_none())
            && (!container || is_first(proc, pid)?)
        {
            return Ok(Self {
                bond: Bond::PidNamespace,
                members: members(found, namespace),
            });
        }
        let mut descent = descendants(&parents(proc)?, pid);
        if !container {
            return Ok(Self {
                bond: Bond::Descent,
                members: descent,
            });
        }
        descent.extend(control_group(proc, pid)?);
        Ok(Self {
            bond: Bond::ControlGroup,
            members: descent,
        })
    }

    /// Whose `namespace` is.
    pub fn sharing(&self, namespace: &Namespace, machine: &Machine) -> Sharing {
        if let Some(basis) = machine.basis(namespace) {
            return Sharing::Machine { basis };
        }
        let threads = namespace.threads.iter().map(|thread| thread.pid);
        let inhabitants: BTreeSet<u32> =
            namespace.processes.iter().copied().chain(threads).collect();
        let mut others = inhabitants.difference(&self.members);
        match others.next() {
            None => Sharing::Own,
            Some(pid) => Sharing::Others {
                pid: *pid,
                count: 1 + others.count(),
            },
        }
    }
}

/// Whether it is process 1 of its pid namespace.
fn is_first(proc: &Proc, pid: u32) -> Result<bool, Error> {
    let Look::Seen(folder) = proc.process(pid)? else {
        return Ok(false);
    };
    Ok(folder
        .status()?
        .seen()
        .is_some_and(|status| status.innermost_pid() == 1))
}

/// The processes in a pid namespace or its descendants.
fn members(found: &Discovery, namespace: &Namespace) -> BTreeSet<u32> {
    let below = found.below(namespace.id);
    let family = below.iter().filter_map(|id| found.get(*id));
    family
        .flat_map(|namespace| namespace.processes.iter().copied())
        .collect()
}

/// The parent of every process; readable whatever else is hidden.
fn parents(proc: &Proc) -> Result<BTreeMap<u32, u32>, Error> {
    let mut parents = BTreeMap::new();
    for pid in proc.pids()? {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        if let Look::Seen(stat) = folder.stat()? {
            parents.insert(pid, stat.parent);
        }
    }
    Ok(parents)
}

/// `pid` and all that descend from it.
fn descendants(parents: &BTreeMap<u32, u32>, pid: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (child, parent) in parents {
        children.entry(*parent).or_default().push(*child);
    }
    let mut family = BTreeSet::new();
    let mut next = vec![pid];
    while let Some(pid) = next.pop() {
        // Numbers are read one by one and may be used again meanwhile: a ring is possible.
        if family.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    family
}

/// The processes in the control group of `pid` or below it, in the hierarchies where it has one of its own.
fn control_group(proc: &Proc, pid: u32) -> Result<BTreeSet<u32>, Error> {
    let Look::Seen(folder) = proc.process(pid)? else {
        return Ok(BTreeSet::new());
    };
    let mine = control_groups(&proc.myself()?)?;
    // A group that the caller is in too, as the root, is no container's.
    let own: Vec<_> = control_groups(&folder)?
        .into_iter()
        .filter(|(hierarchy, path)| !mine.get(hierarchy).is_some_and(|mine| is_below(mine, path)))
        .collect();
    let mut members = BTreeSet::new();
    for pid in proc.pids()? {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        let theirs = control_groups(&folder)?;
        let is_member = |(hierarchy, path): &(Vec<u8>, Vec<u8>)| {
            theirs
                .get(hierarchy)
                .is_some_and(|theirs| is_below(theirs, path))
        };
        if own.iter().any(is_member) {
            members.insert(pid);
        }
    }
    Ok(members)
}

/// The path of a process in each hierarchy (cgroups(7), /proc/PID/cgroup); none when it has ended.
fn control_groups(folder: &ProcessFolder) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let text = folder.read("cgroup")?.seen().unwrap_or_default();
    parse_control_groups(&text)
}

fn parse_control_groups(text: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (number, _, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((number.to_vec(), path.to_vec()))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Error::malformed("/proc/PID/cgroup", text))
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    match path.strip_prefix(above) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || above.ends_with(b"/"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NamespaceId, Thread};

    fn namespace(kind: Kind, inode: u64, processes: &[u32]) -> Namespace {
        let mut namespace = Namespace::new(kind, NamespaceId { dev: 4, inode });
        namespace.processes = processes.to_vec();
        namespace
    }

    #[test]
    fn a_namespace_is_own_the_machines_or_somebody_elses_too() {
        let initial = namespace(Kind::Net, Kind::Net.initial_inode(), &[1, 5]);
        let mut known = [None; 8];
        known[4] = Some((initial.id, Basis::Initial));
        let machine = Machine::of(known);
        let group = Group {
            bond: Bond::PidNamespace,
            members: [5, 6].into(),
        };
        let sharing = |namespace: &Namespace| group.sharing(namespace, &machine);
        assert_eq!(
            sharing(&initial),
            Sharing::Machine {
                basis: Basis::Initial
            }
        );
        assert_eq!(sharing(&namespace(Kind::Net, 7, &[5, 6])), Sharing::Own);
        let others = |pid, count| Sharing::Others { pid, count };
        assert_eq!(
            sharing(&namespace(Kind::Net, 7, &[3, 5, 6, 9])),
            others(3, 2)
        );
        let mut threads = namespace(Kind::Net, 7, &[5]);
        threads.threads = vec![Thread { pid: 8, tid: 81 }, Thread { pid: 8, tid: 82 }];
        assert_eq!(sharing(&threads), others(8, 1));
    }

    #[test]
    fn descent_ends_even_in_a_ring() {
        let parents = [(2, 1), (3, 2), (4, 3), (2, 4), (9, 1)].into();
        assert_eq!(descendants(&parents, 3), [2, 3, 4].into());
        assert_eq!(descendants(&parents, 9), [9].into());
    }

    #[test]
    fn a_control_group_has_those_below_it() {
        assert!(is_below(b"/soute/a", b"/soute/a"));
        assert!(is_below(b"/soute/a/x", b"/soute/a"));
        assert!(!is_below(b"/soute/ab", b"/soute/a"));
        assert!(is_below(b"/soute", b"/"));
        let groups = parse_control_groups(b"4:memory:/a:b\n0::/\n").unwrap();
        assert_eq!(groups.get(&b"4"[..]).unwrap(), b"/a:b");
        assert!(parse_control_groups(b"nonsense\n").is_err());
    }
}
