//! One process and its namespaces: `soute ns show PID|CONTAINER`.

use serde::Serialize;

use super::table::{Align, Table};
use super::{ContainerName, Survey, kept_by};
use crate::proc::{IdMap, IdSet, Look, SeccompMode};
use crate::sharing::{Bond, Group, Sharing};
use crate::text::{lossy, visible};
use crate::{CapabilitySet, Container, Error, IdMaps, Kind, Namespace, Process};

/// A process with its namespaces, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Show {
    /// Its number here.
    pub pid: u32,
    /// The container that it was asked for as.
    pub container: Option<ContainerName>,
    /// The container that it is in, as its cgroup and its ancestors tell it.
    pub found_in: Option<Container>,
    /// The name that it gave itself.
    pub name: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Its number in each pid namespace from here down to its own.
    pub pids: Vec<u32>,
    /// Its parent's number here; 0: none.
    pub ppid: u32,
    /// `R`, `S`, `D`, `Z`, …
    pub state: char,
    /// When it started, in clock ticks after boot.
    pub start_time: u64,
    /// Its user ids here.
    pub uid: IdSet,
    /// Its group ids here.
    pub gid: IdSet,
    /// What it takes itself for; `None`: hidden.
    pub inside: Option<Inside>,
    /// Its capabilities, in its user namespace.
    pub capabilities: Capabilities,
    /// How its system calls are filtered.
    pub seccomp: Option<SeccompMode>,
    /// By how many programs.
    pub seccomp_filters: Option<u32>,
    /// Whether set-user-id programs gain it nothing.
    pub no_new_privileges: Option<bool>,
    /// What "own" means: the processes that belong to it.
    pub group: GroupView,
    /// One for each kind; none where they are hidden.
    pub namespaces: Vec<ShowRow>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// The user namespace's view of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inside {
    /// Its effective user id there; `None`: it has none.
    pub uid: Option<u32>,
    /// Its effective group id there; `None`: it has none.
    pub gid: Option<u32>,
    /// The map of user ids.
    pub uid_map: IdMap,
    /// The map of group ids.
    pub gid_map: IdMap,
}

/// The five sets of a process (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// What the kernel checks.
    pub effective: CapabilitySet,
    /// What it may make effective.
    pub permitted: CapabilitySet,
    /// What programs with matching file capabilities keep.
    pub inheritable: CapabilitySet,
    /// The most that a program can ever gain.
    pub bounding: CapabilitySet,
    /// What programs without file capabilities keep.
    pub ambient: CapabilitySet,
}

/// See [`Group`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// What makes them belong together.
    pub bond: Bond,
    /// How many they are.
    pub processes: usize,
}

/// One namespace of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShowRow {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Not the process's own, but that of the next child (`pid_for_children`, `time_for_children`).
    pub for_children: bool,
    /// Its inode.
    pub ns: u64,
    /// The device of its inode.
    pub dev: u64,
    /// The user namespace that owns it.
    pub ons: Option<u64>,
    /// The user who made that one (or, of a user namespace, itself).
    pub owner_uid: Option<u32>,
    /// The parent of a user or pid namespace.
    pub pns: Option<u64>,
    /// How many processes are in it.
    pub nprocs: usize,
    /// The lowest process number in it.
    pub first: Option<u32>,
    /// The command line of that process.
    pub command: String,
    /// Whose it is.
    pub sharing: Sharing,
    /// The same in words.
    pub whose: String,
}

impl Survey {
    /// Process `pid`; with `container`, as the first process of that.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]
    pub fn show(&self, pid: u32, container: Option<ContainerName>) -> Result<Show, Error> {
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let Look::Seen(process) = Process::read(&folder)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let group = Group::of(
            &self.proc,
            &self.found,
            &self.machine,
            pid,
            container.is_some(),
        )?;
        let mut rows = Vec::new();
        for namespace in Kind::ALL
            .into_iter()
            .filter_map(|kind| self.found.of_process(pid, kind))
        {
            rows.push(self.show_row(namespace, &group, false)?);
            let of_children = self.found.of_kind(namespace.kind);
            for other in of_children.filter(|other| other.for_children_of.contains(&pid)) {
                rows.push(self.show_row(other, &group, true)?);
            }
        }
        let Process {
            stat,
            status,
            words,
        } = process;
        let inside = IdMaps::read(&folder)?.map(|maps| Inside {
            uid: maps.uid.inside(status.uid.effective),
            gid: maps.gid.inside(status.gid.effective),
            uid_map: maps.uid,
            gid_map: maps.gid,
        });
        Ok(Show {
            pid,
            container,
            found_in: self.container_of(pid)?,
            name: lossy(&stat.comm),
            command: words.iter().map(|word| lossy(word)).collect(),
            pids: status.pids,
            ppid: status.parent,
            state: status.state,
            start_time: stat.start_time,
            uid: status.uid,
            gid: status.gid,
            inside,
            capabilities: Capabilities {
                effective: status.effective,
                permitted: status.permitted,
                inheritable: status.inheritable,
                bounding: status.bounding,
                ambient: status.ambient,
            },
            seccomp: status.seccomp,
            seccomp_filters: status.seccomp_filters,
            no_new_privileges: status.no_new_privileges,
            group: GroupView {
                bond: group.bond,
                processes: group.members.len(),
            },
            namespaces: rows,
            notes: self.notes_on(pid),
        })
    }

    /// As [`Survey::notes`], where the process's own namespaces being hidden says it all.
    fn notes_on(&self, pid: u32) -> Vec<String> {
        match self.found.hidden.contains(&pid) {
            true => vec![Error::Hidden(pid).to_string()],
            false => self.notes(),
        }
    }

    fn show_row(
        &self,
        namespace: &Namespace,
        group: &Group,
        for_children: bool,
    ) -> Result<ShowRow, Error> {
        let first = match namespace.first_process() {
            Some(pid) => self.process(pid)?.seen(),
            None => None,
        };
        let owner = namespace.owner.id();
        let owner_uid = match namespace.kind {
            Kind::User => namespace.owner_uid,
            _ => owner
                .and_then(|id| self.found.get(id))
                .and_then(|owner| owner.owner_uid),
        };
        let sharing = group.sharing(namespace, &self.machine);
        Ok(ShowRow {
            kind: namespace.kind,
            for_children,
            ns: namespace.id.inode,
            dev: namespace.id.dev,
            ons: owner.map(|id| id.inode),
            owner_uid,
            pns: namespace.parent.id().map(|id| id.inode),
            nprocs: namespace.processes.len(),
            first: namespace.first_process(),
            command: match &first {
                Some(process) => lossy(&process.command()),
                None => kept_by(namespace, &self.found),
            },
            sharing,
            whose: self.describe(sharing)?,
        })
    }
}

impl Show {
    /// What is known of the process itself, one line each: a label and a text fit for a terminal.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let command = match self.command.is_empty() {
            true => format!("[{}]", self.name),
            false => self.command.join(" "),
        };
        facts.push((
            "process",
            format!("{} {}", self.pid, visible(command.as_bytes())),
        ));
        if let Some(container) = &self.container {
            let text = format!("{} ({})", container.name, container.id);
            facts.push(("container", visible(text.as_bytes())));
        } else if let Some(container) = &self.found_in {
            let text = match &container.name {
                Some(_) => format!("{container} ({})", container.id),
                None => format!("{} {}", container.engine, container.id),
            };
            facts.push(("container", visible(text.as_bytes())));
        }
        if let [_, deeper @ ..] = &self.pids[..]
            && !deeper.is_empty()
        {
            let chain: Vec<String> = self.pids.iter().map(u32::to_string).collect();
            facts.push(("pid by level", chain.join(" / ")));
        }
        facts.push(("user, group", self.ids()));
        if let Some(inside) = &self.inside
            && (!inside.uid_map.is_identity() || !inside.gid_map.is_identity())
        {
            facts.push(("uid map", inside.uid_map.to_string()));
            facts.push(("gid map", inside.gid_map.to_string()));
        }
        facts.push(("capabilities", self.capabilities.effective.to_string()));
        if self.capabilities.bounding != self.capabilities.effective {
            facts.push(("  at most", self.capabilities.bounding.to_string()));
        }
        facts.push(("seccomp", self.filters()));
        facts
    }

    fn ids(&self) -> String {
        let here = format!("{}:{}", self.uid.effective, self.gid.effective);
        let id = |id: Option<u32>| id.map_or_else(|| "unmapped".to_owned(), |id| id.to_string());
        match &self.inside {
            Some(inside) => {
                let inside = format!("{}:{}", id(inside.uid), id(inside.gid));
                match inside == here {
                    true => here,
                    false => format!("{here} here, {inside} inside"),
                }
            }
            None => here,
        }
    }

    fn filters(&self) -> String {
        let mode = match (self.seccomp, self.seccomp_filters) {
            (None, _) => "unknown".to_owned(),
            (Some(SeccompMode::Disabled), _) => "off".to_owned(),
            (Some(SeccompMode::Strict), _) => "strict".to_owned(),
            (Some(SeccompMode::Filter), None) => "filter".to_owned(),
            (Some(SeccompMode::Filter), Some(1)) => "1 filter".to_owned(),
            (Some(SeccompMode::Filter), Some(n)) => format!("{n} filters"),
        };
        match self.no_new_privileges {
            Some(true) => format!("{mode}; no_new_privs on"),
            Some(false) => format!("{mode}; no_new_privs off"),
            None => mode,
        }
    }

    /// The namespaces as text.
    pub fn table(&self) -> Table {
        let heads = [
            ("TYPE", Align::Left),
            ("NS", Align::Right),
            ("WHOSE", Align::Left),
            ("ONS", Align::Right),
            ("OWNERUID", Align::Right),
            ("NPROCS", Align::Right),
            ("PID", Align::Right),
            ("COMMAND", Align::Left),
        ];
        let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
        for row in &self.namespaces {
            let number =
                |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
            table.row(vec![
                match row.for_children {
                    false => row.kind.to_string(),
                    true => format!("{} of children", row.kind),
                },
                row.ns.to_string(),
                visible(row.whose.as_bytes()),
                number(row.ons),
                number(row.owner_uid.map(u64::from)),
                row.nprocs.to_string(),
                number(row.first.map(u64::from)),
                visible(row.command.as_bytes()),
            ]);
        }
        table
    }
}
