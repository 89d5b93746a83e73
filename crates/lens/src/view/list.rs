//! All namespaces: `soute ns ls`.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use rustix::io::Errno;
use serde::Serialize;
use soute_network::route::Rtnetlink;

use super::table::{Align, Table};
use super::{Survey, kept_by};
use crate::proc::Look;
use crate::text::{lossy, visible};
use crate::{Basis, Bound, Container, Descriptor, Error, Kind, Namespace, Process, Thread};

/// All namespaces, or those of some kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct List {
    /// By inode, so that those made together stand together and the machine's initial ones come first.
    pub namespaces: Vec<Row>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One namespace. The fields that lsns(8) has too are named as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its inode.
    pub ns: u64,
    /// The device of its inode.
    pub dev: u64,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// A path to it.
    pub path: Option<String>,
    /// How many processes are in it.
    pub nprocs: usize,
    /// The lowest process number in it.
    pub pid: Option<u32>,
    /// The container that that process is in.
    pub container: Option<Container>,
    /// The parent of that process.
    pub ppid: Option<u32>,
    /// The command line of that process; of a namespace that nobody is in: what keeps it.
    pub command: String,
    /// The effective user of that process.
    pub uid: Option<u32>,
    /// The name of that user here.
    pub user: Option<String>,
    /// Of a network namespace: its number in the caller's.
    pub netnsid: Option<i32>,
    /// Mount points of its file that are visible to the caller.
    pub nsfs: Vec<String>,
    /// The parent of a user or pid namespace.
    pub pns: Option<u64>,
    /// The user namespace that owns it.
    pub ons: Option<u64>,
    /// Of a user namespace: who made it.
    pub owner_uid: Option<u32>,
    /// Whether it is the machine's, and how that is known.
    pub machine: Option<Basis>,
    /// Threads in it whose process is in another.
    pub threads: Vec<Thread>,
    /// Processes elsewhere whose next child will be in it.
    pub for_children_of: Vec<u32>,
    /// All bind mounts of its file.
    pub bound: Vec<Bound>,
    /// Open descriptors of it.
    pub descriptors: Vec<Descriptor>,
    /// Of a network namespace: sockets of it that processes elsewhere have open.
    pub sockets: Vec<Descriptor>,
}

impl Survey {
    /// The namespaces of `kinds`; of all kinds if that is empty.
    pub fn list(&self, kinds: &[Kind]) -> Result<List, Error> {
        let mut asker = Rtnetlink::open().ok();
        let namespaces = self.found.namespaces();
        let chosen =
            namespaces.filter(|namespace| kinds.is_empty() || kinds.contains(&namespace.kind));
        let mut firsts = Firsts::default();
        let mut rows = chosen
            .map(|namespace| self.list_row(namespace, asker.as_mut(), &mut firsts))
            .collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| (row.dev, row.ns));
        Ok(List {
            namespaces: rows,
            notes: self.notes(),
        })
    }

    fn list_row(
        &self,
        namespace: &Namespace,
        asker: Option<&mut Rtnetlink>,
        firsts: &mut Firsts,
    ) -> Result<Row, Error> {
        let first = firsts.of(self, namespace)?;
        let container = first.and_then(|(_, container)| container.clone());
        let first = first.map(|(process, _)| process);
        let here = |bound: &&Bound| bound.seen_by.is_none();
        let mounts: Vec<String> = namespace
            .bound
            .iter()
            .filter(here)
            .map(|bound| lossy(bound.path.as_os_str().as_bytes()))
            .collect();
        let kind = namespace.kind;
        let path = match first {
            Some(process) => Some(format!("/proc/{}/ns/{kind}", process.pid())),
            None => mounts.first().cloned().or_else(|| {
                let thread = namespace.threads.first()?;
                Some(format!(
                    "/proc/{}/task/{}/ns/{kind}",
                    thread.pid, thread.tid
                ))
            }),
        };
        let netnsid = match (kind, asker) {
            (Kind::Net, Some(asker)) => netnsid_of(asker, namespace, path.as_deref())?,
            _ => None,
        };
        Ok(Row {
            ns: namespace.id.inode,
            dev: namespace.id.dev,
            kind,
            nprocs: namespace.processes.len(),
            pid: first.map(Process::pid),
            container,
            ppid: first.map(|process| process.status.parent),
            command: match first {
                Some(process) => lossy(&process.command()),
                None => kept_by(namespace, &self.found),
            },
            uid: first.map(|process| process.status.uid.effective),
            user: first.map(|process| self.users.name(process.status.uid.effective)),
            path,
            netnsid,
            nsfs: mounts,
            pns: namespace.parent.id().map(|id| id.inode),
            ons: namespace.owner.id().map(|id| id.inode),
            owner_uid: namespace.owner_uid,
            machine: self.machine.basis(namespace),
            threads: namespace.threads.clone(),
            for_children_of: namespace.for_children_of.clone(),
            bound: namespace.bound.clone(),
            descriptors: namespace.descriptors.clone(),
            sockets: namespace.sockets.clone(),
        })
    }
}

/// The processes that are the first in some namespace, most of them in one of each kind, and the containers that they are
/// in: each is looked at once. `None`: it has ended.
#[derive(Default)]
struct Firsts(HashMap<u32, Option<(Process, Option<Container>)>>);

impl Firsts {
    /// [`Survey::first_in`]
    fn of(
        &mut self,
        survey: &Survey,
        namespace: &Namespace,
    ) -> Result<Option<&(Process, Option<Container>)>, Error> {
        for pid in &namespace.processes {
            if !self.0.contains_key(pid) {
                let seen = match survey.process(*pid)? {
                    Look::Seen(process) => Some((process, survey.container_of(*pid)?)),
                    Look::Gone | Look::Hidden => None,
                };
                self.0.insert(*pid, seen);
            }
            if let Some(Some(_)) = self.0.get(pid) {
                return Ok(self.0.get(pid).and_then(Option::as_ref));
            }
        }
        Ok(None)
    }
}

/// Nothing where the namespace has gone, is hidden, or netlink is refused: the number is an extra.
fn netnsid_of(
    asker: &mut Rtnetlink,
    namespace: &Namespace,
    path: Option<&str>,
) -> Result<Option<i32>, Error> {
    let Some(path) = path else { return Ok(None) };
    let Ok((_, id, fd)) = crate::relations::open(path.as_ref()) else {
        return Ok(None);
    };
    if id != namespace.id {
        return Ok(None);
    }
    match asker.netnsid(fd.as_fd()) {
        // The caller may not use netlink at all (a filter of system calls), or the kernel cannot be asked.
        Err(e)
            if matches!(
                e.errno(),
                Errno::ACCESS | Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP
            ) =>
        {
            Ok(None)
        }
        answer => Ok(answer?),
    }
}

/// A column of the list. Those of lsns(8) are named as there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// [`Row::ns`]
    Ns,
    /// [`Row::kind`]
    Type,
    /// [`Row::path`]
    Path,
    /// [`Row::nprocs`]
    Nprocs,
    /// How many of [`Row::threads`]
    Threads,
    /// [`Row::pid`]
    Pid,
    /// [`Row::ppid`]
    Ppid,
    /// [`Row::container`]
    Container,
    /// [`Row::command`]
    Command,
    /// [`Row::uid`]
    Uid,
    /// [`Row::user`]
    User,
    /// [`Row::netnsid`]
    Netnsid,
    /// [`Row::nsfs`]
    Nsfs,
    /// [`Row::pns`]
    Pns,
    /// [`Row::ons`]
    Ons,
    /// [`Row::owner_uid`]
    OwnerUid,
    /// [`Row::machine`]
    Whose,
}

impl Column {
    /// All columns, as `--output-all` shows them.
    pub const ALL: [Self; 17] = [
        Self::Ns,
        Self::Type,
        Self::Path,
        Self::Nprocs,
        Self::Threads,
        Self::Pid,
        Self::Ppid,
        Self::Uid,
        Self::User,
        Self::Netnsid,
        Self::Nsfs,
        Self::Pns,
        Self::Ons,
        Self::OwnerUid,
        Self::Whose,
        Self::Container,
        Self::Command,
    ];

    /// What is shown unless something else is asked for.
    pub const DEFAULT: [Self; 9] = [
        Self::Ns,
        Self::Type,
        Self::Nprocs,
        Self::Pid,
        Self::User,
        Self::Ons,
        Self::Whose,
        Self::Container,
        Self::Command,
    ];

    /// Its head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ns => "NS",
            Self::Type => "TYPE",
            Self::Path => "PATH",
            Self::Nprocs => "NPROCS",
            Self::Threads => "THREADS",
            Self::Pid => "PID",
            Self::Ppid => "PPID",
            Self::Container => "CONTAINER",
            Self::Command => "COMMAND",
            Self::Uid => "UID",
            Self::User => "USER",
            Self::Netnsid => "NETNSID",
            Self::Nsfs => "NSFS",
            Self::Pns => "PNS",
            Self::Ons => "ONS",
            Self::OwnerUid => "OWNERUID",
            Self::Whose => "WHOSE",
        }
    }

    /// Where its text stands.
    pub fn align(self) -> Align {
        match self {
            Self::Container
            | Self::Type
            | Self::Path
            | Self::Command
            | Self::User
            | Self::Nsfs
            | Self::Whose => Align::Left,
            _ => Align::Right,
        }
    }

    /// The cell of `row` in it, fit for a terminal.
    pub fn cell(self, row: &Row) -> String {
        fn number<T: fmt::Display>(number: Option<T>) -> String {
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        }
        fn text(text: Option<&str>) -> String {
            text.map_or_else(|| "-".to_owned(), |text| visible(text.as_bytes()))
        }
        match self {
            Self::Ns => row.ns.to_string(),
            Self::Type => row.kind.to_string(),
            Self::Path => text(row.path.as_deref()),
            Self::Nprocs => row.nprocs.to_string(),
            Self::Threads => row.threads.len().to_string(),
            Self::Pid => number(row.pid),
            Self::Ppid => number(row.ppid),
            Self::Container => text(row.container.as_ref().map(ToString::to_string).as_deref()),
            Self::Command => visible(row.command.as_bytes()),
            Self::Uid => number(row.uid),
            Self::User => text(row.user.as_deref()),
            Self::Netnsid => number(row.netnsid),
            Self::Nsfs if row.nsfs.is_empty() => "-".to_owned(),
            Self::Nsfs => visible(row.nsfs.join(",").as_bytes()),
            Self::Pns => number(row.pns),
            Self::Ons => number(row.ons),
            Self::OwnerUid => number(row.owner_uid),
            Self::Whose => match row.machine {
                Some(Basis::Initial) => "machine".to_owned(),
                Some(Basis::FirstProcess) => "process 1".to_owned(),
                Some(Basis::Caller) => "soute".to_owned(),
                None => "-".to_owned(),
            },
        }
    }
}

/// A word that names no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no column: {all}", all = Column::ALL.map(Column::name).join(", "))]
pub struct UnknownColumn(pub String);

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(word: &str) -> Result<Self, UnknownColumn> {
        Self::ALL
            .into_iter()
            .find(|column| column.name().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownColumn(word.to_owned()))
    }
}

impl List {
    /// The columns `columns` as text.
    pub fn table(&self, columns: &[Column]) -> Table {
        let heads = columns
            .iter()
            .map(|column| (column.name().to_owned(), column.align()));
        let mut table = Table::new(heads);
        for row in &self.namespaces {
            table.row(columns.iter().map(|column| column.cell(row)).collect());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            ns: 4_026_532_300,
            dev: 4,
            kind: Kind::Net,
            path: None,
            nprocs: 0,
            pid: None,
            container: None,
            ppid: None,
            command: "x\u{1b}[31m\ny\u{fffd}".into(),
            uid: None,
            user: None,
            netnsid: Some(0),
            nsfs: vec!["/run/netns/a".into(), "/run/netns/b\n".into()],
            pns: None,
            ons: Some(1),
            owner_uid: None,
            machine: Some(Basis::FirstProcess),
            threads: Vec::new(),
            for_children_of: Vec::new(),
            bound: Vec::new(),
            descriptors: Vec::new(),
            sockets: Vec::new(),
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        for column in Column::ALL {
            assert_eq!(column.name().to_lowercase().parse(), Ok(column));
        }
        let error = "what".parse::<Column>().unwrap_err();
        assert!(error.to_string().contains("NETNSID"), "{error}");
    }

    #[test]
    fn every_column_of_lsns_is_there() {
        let lsns = "NS TYPE PATH NPROCS PID PPID COMMAND UID USER NETNSID NSFS PNS ONS";
        for name in lsns.split(' ') {
            assert!(name.parse::<Column>().is_ok(), "{name}");
        }
    }

    #[test]
    fn hostile_names_stay_on_their_line_and_json_is_valid() {
        let list = List {
            namespaces: vec![row()],
            notes: Vec::new(),
        };
        let text = list.table(&Column::ALL).render(None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("/run/netns/a,/run/netns/b\\n"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(json["namespaces"][0]["command"], "x\u{1b}[31m\ny\u{fffd}");
        assert_eq!(json["namespaces"][0]["type"], "net");
        assert_eq!(json["namespaces"][0]["machine"], "first_process");
    }
}
