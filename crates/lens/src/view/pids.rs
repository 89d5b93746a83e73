//! The processes of a container with their number at every level: `soute ns pids`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::branches::branches;
use super::table::{Align, Table};
use super::{ContainerName, Survey};
use crate::proc::{IdMap, Look};
use crate::sharing::{Bond, Group};
use crate::text::{lossy, visible};
use crate::{Error, IdMaps, Kind, NamespaceId, Process};

/// A tree of processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// The process that was asked for.
    pub pid: u32,
    /// The container that it was asked for as.
    pub container: Option<ContainerName>,
    /// What makes the processes belong together.
    pub bond: Bond,
    /// The pid namespaces from here down, one for each number of [`PidRow::pids`].
    pub levels: Vec<Level>,
    /// In the order of the tree: each process before its children, by number.
    pub processes: Vec<PidRow>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One level of pid namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// What the column is called.
    pub name: String,
    /// The inode of the namespace, down to that of the process asked for; below, there may be several.
    pub ns: Option<u64>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PidRow {
    /// Its number at each level, from here down to its own.
    pub pids: Vec<u32>,
    /// The inode of its pid namespace; `None`: hidden.
    pub ns: Option<u64>,
    /// Its parent's number here.
    pub ppid: u32,
    /// How many of its ancestors are in the tree.
    pub depth: usize,
    /// `R`, `S`, `D`, `Z`, …
    pub state: char,
    /// Its effective user here.
    pub uid: u32,
    /// The name of that user here.
    pub user: String,
    /// What that user is in its own user namespace; `None`: nobody, or hidden.
    pub inside_uid: Option<u32>,
    /// The name that it gave itself.
    pub name: String,
    /// Its command line.
    pub command: Vec<String>,
    /// The branches of the tree before it.
    #[serde(skip)]
    branches: String,
}

impl Survey {
    /// The processes that belong together with `pid`; with `container`, those of that container, whose first process it is.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]
    pub fn pids(&self, pid: u32, container: Option<ContainerName>) -> Result<Pids, Error> {
        let Look::Seen(subject) = self.process(pid)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let group = Group::of(
            &self.proc,
            &self.found,
            &self.machine,
            pid,
            container.is_some(),
        )?;
        let mut processes = self.processes(group.members.iter().copied())?;
        processes.entry(pid).or_insert_with(|| subject.clone());

        let own = subject.status.pids.len();
        let count = processes
            .values()
            .map(|process| process.status.pids.len())
            .max()
            .unwrap_or(1);
        let chain = self.chain(pid, own);
        let levels = (0..count)
            .map(|level| Level {
                name: match &container {
                    _ if level == 0 => self.name_of_machine().to_owned(),
                    Some(container) if level == own - 1 => container.name.clone(),
                    _ => format!("LEVEL {level}"),
                },
                ns: chain.get(level).copied().flatten().map(|id| id.inode),
            })
            .collect();

        let maps = self.maps(processes.keys().copied())?;
        let mut rows = Vec::new();
        let parents: BTreeMap<u32, Option<u32>> = processes
            .iter()
            .map(|(pid, process)| (*pid, Some(process.status.parent)))
            .collect();
        for (pid, depth, drawn) in branches(&parents) {
            rows.push(self.pid_row(&processes[&pid], depth, drawn, maps.get(&pid)));
        }
        Ok(Pids {
            pid,
            container,
            bond: group.bond,
            levels,
            processes: rows,
            notes: self.notes_on_group(pid, group.bond),
        })
    }

    /// The pid namespace of `pid` and its ancestors, from the top; `None` where they are hidden.
    fn chain(&self, pid: u32, length: usize) -> Vec<Option<NamespaceId>> {
        let mut chain = vec![None; length];
        let mut next = self.found.of_process(pid, Kind::Pid);
        for place in chain.iter_mut().rev() {
            *place = next.map(|namespace| namespace.id);
            next = next.and_then(|namespace| self.found.get(namespace.parent.id()?));
        }
        chain
    }

    /// The user map of each process, read once for each user namespace.
    fn maps(&self, pids: impl IntoIterator<Item = u32>) -> Result<HashMap<u32, IdMap>, Error> {
        let mut by_namespace: HashMap<NamespaceId, Option<IdMap>> = HashMap::new();
        let mut maps = HashMap::new();
        for pid in pids {
            let Some(namespace) = self.found.of_process(pid, Kind::User) else {
                continue;
            };
            let map = match by_namespace.entry(namespace.id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(match self.proc.process(pid)? {
                    Look::Seen(folder) => IdMaps::read(&folder)?.map(|maps| maps.uid),
                    Look::Gone | Look::Hidden => None,
                }),
            };
            if let Some(map) = map {
                maps.insert(pid, map.clone());
            }
        }
        Ok(maps)
    }

    fn pid_row(
        &self,
        process: &Process,
        depth: usize,
        branches: String,
        map: Option<&IdMap>,
    ) -> PidRow {
        let status = &process.status;
        let uid = status.uid.effective;
        PidRow {
            pids: status.pids.clone(),
            ns: self
                .found
                .of_process(process.pid(), Kind::Pid)
                .map(|namespace| namespace.id.inode),
            ppid: status.parent,
            depth,
            state: status.state,
            uid,
            user: self.users.name(uid),
            inside_uid: map.and_then(|map| map.inside(uid)),
            name: lossy(&process.stat.comm),
            command: process.words.iter().map(|word| lossy(word)).collect(),
            branches,
        }
    }

    fn notes_on_group(&self, pid: u32, bond: Bond) -> Vec<String> {
        let mut notes = Vec::new();
        if bond != Bond::PidNamespace {
            let why = match self.found.hidden.contains(&pid) {
                true => "is in a pid namespace that is hidden from this user",
                false => "has no pid namespace of its own",
            };
            let these = match bond {
                Bond::ControlGroup => "its descendants and the processes in its control group",
                _ => "its descendants",
            };
            notes.push(format!("process {pid} {why}: shown are {these}"));
        }
        notes.extend(self.notes());
        notes
    }
}

impl Pids {
    /// As text, with the tree drawn before the commands.
    pub fn table(&self) -> Table {
        let mut heads: Vec<(String, Align)> = self
            .levels
            .iter()
            .map(|level| (visible(level.name.as_bytes()), Align::Right))
            .collect();
        heads.push(("USER".to_owned(), Align::Left));
        // Only where somebody is another user inside than here.
        let inside = self
            .processes
            .iter()
            .any(|row| row.inside_uid.is_some_and(|inside| inside != row.uid));
        if inside {
            heads.push(("AS UID".to_owned(), Align::Right));
        }
        heads.push(("COMMAND".to_owned(), Align::Left));
        let mut table = Table::new(heads);
        for row in &self.processes {
            let number =
                |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let mut cells: Vec<String> = (0..self.levels.len())
                .map(|level| number(row.pids.get(level).copied()))
                .collect();
            cells.push(visible(row.user.as_bytes()));
            if inside {
                cells.push(number(row.inside_uid));
            }
            cells.push(format!("{}{}", row.branches, row.command()));
            table.row(cells);
        }
        table
    }
}

impl PidRow {
    fn command(&self) -> String {
        match (self.command.is_empty(), self.state) {
            (true, 'Z' | 'X') => format!(
                "[{}] (ended, not waited for)",
                visible(self.name.as_bytes())
            ),
            (true, _) => format!("[{}]", visible(self.name.as_bytes())),
            (false, _) => visible(self.command.join(" ").as_bytes()),
        }
    }
}
