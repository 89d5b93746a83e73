//! One namespace: `soute ns show PATH|INODE`.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use serde::Serialize;
use soute_sys::nsfs;

use super::table::{Align, Table};
use super::{Survey, kept_by, of_machine};
use crate::relations::{Related, owner, owner_uid, parent};
use crate::text::{lossy, visible};
use crate::{Basis, Error, Kind, Namespace, NamespaceId};

/// A namespace and who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct One {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its inode.
    pub ns: u64,
    /// The device of its inode.
    pub dev: u64,
    /// The user namespace that owns it.
    pub ons: Option<u64>,
    /// The parent of a user or pid namespace.
    pub pns: Option<u64>,
    /// Who made it, if it is a user namespace, or else its owner.
    pub owner_uid: Option<u32>,
    /// Of a mount namespace: its 64-bit number, which is never used again (Linux 6.10).
    pub mount_namespace_id: Option<u64>,
    /// Whether it is the machine's, and how that is known.
    pub machine: Option<Basis>,
    /// The processes in it, ascending.
    pub processes: Vec<Inhabitant>,
    /// What keeps it where that is no process.
    pub kept_by: Option<String>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// A process in the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inhabitant {
    /// Its number here.
    pub pid: u32,
    /// Its effective user here.
    pub uid: u32,
    /// That user's name.
    pub user: String,
    /// Its command line.
    pub command: String,
}

impl Survey {
    /// A descriptor of the namespace with this inode, by way of whoever keeps it.
    ///
    /// # Errors
    /// [`Error::NoSuchNamespace`]
    pub fn open(&self, inode: u64) -> Result<(Kind, NamespaceId, OwnedFd), Error> {
        let mut found = self.found.namespaces();
        let namespace = found.find(|namespace| namespace.id.inode == inode);
        let namespace = namespace.ok_or(Error::NoSuchNamespace(inode))?;
        match crate::discover::open(&self.proc, namespace)? {
            Some(fd) => Ok((namespace.kind, namespace.id, fd)),
            None => Err(Error::NoSuchNamespace(inode)),
        }
    }

    /// The namespace that the descriptor is of, as [`open`](crate::relations::open) and [`Survey::open`] give it.
    pub fn one(&self, (kind, id, fd): (Kind, NamespaceId, OwnedFd)) -> Result<One, Error> {
        // Kept by nothing but this path perhaps, and made since the survey.
        let unseen = Namespace::new(kind, id);
        let namespace = self.found.get(id).unwrap_or(&unseen);
        let owner = owner(&fd, kind, id)?;
        let maker = match (&owner, kind) {
            (_, Kind::User) => owner_uid(&fd)?,
            (Related::Is(_, owner), _) => owner_uid(owner)?,
            _ => None,
        };
        let mut processes: Vec<_> = self
            .processes(namespace.processes.iter().copied())?
            .into_values()
            .collect();
        processes.sort_by_key(|process| process.pid());
        let inhabitants = processes.iter().map(|process| Inhabitant {
            pid: process.pid(),
            uid: process.status.uid.effective,
            user: self.users.name(process.status.uid.effective),
            command: lossy(&process.command()),
        });
        Ok(One {
            kind,
            ns: id.inode,
            dev: id.dev,
            ons: owner.relation().id().map(|id| id.inode),
            pns: parent(&fd, kind, id)?.relation().id().map(|id| id.inode),
            owner_uid: maker,
            mount_namespace_id: match kind {
                Kind::Mnt => match nsfs::mount_namespace_id(&fd) {
                    Ok(id) => Some(id),
                    Err(error) if error.errno() == Errno::NOTTY => None,
                    Err(error) => return Err(Error::Call(error)),
                },
                _ => None,
            },
            machine: self.machine.basis(namespace),
            kept_by: processes
                .is_empty()
                .then(|| kept_by(namespace, &self.found)),
            processes: inhabitants.collect(),
            notes: self.notes(),
        })
    }
}

impl One {
    /// What is known of it, one line each: a label and a text fit for a terminal.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<u64>| {
            number.map_or_else(|| "out of sight".to_owned(), |n| n.to_string())
        };
        let mut facts = vec![("namespace", format!("{}:[{}]", self.kind, self.ns))];
        if let Some(basis) = self.machine {
            let text = match basis {
                Basis::Initial => "the machine's initial one".to_owned(),
                _ => format!("that of {}", of_machine(basis)),
            };
            facts.push(("whose", text));
        }
        let initial = self.machine == Some(Basis::Initial);
        if !(initial && self.kind == Kind::User) {
            facts.push(("owner", number(self.ons)));
        }
        if let Some(uid) = self.owner_uid {
            facts.push(("made by", format!("user {uid}")));
        }
        if self.kind.is_hierarchical() && !initial {
            facts.push(("parent", number(self.pns)));
        }
        if let Some(id) = self.mount_namespace_id {
            facts.push(("mount id", id.to_string()));
        }
        if let Some(keeper) = &self.kept_by {
            facts.push(("kept by", keeper.clone()));
        }
        facts
    }

    /// The processes in it as text.
    pub fn table(&self) -> Table {
        let heads = [
            ("PID", Align::Right),
            ("USER", Align::Left),
            ("COMMAND", Align::Left),
        ];
        let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
        for process in &self.processes {
            table.row(vec![
                process.pid.to_string(),
                visible(process.user.as_bytes()),
                visible(process.command.as_bytes()),
            ]);
        }
        table
    }
}
