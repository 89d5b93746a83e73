//! The namespaces that are in each other, user or pid, as a tree: `soute ns tree`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::branches::branches;
use super::table::{Align, Table};
use super::{Survey, kept_by};
use crate::text::{lossy, visible};
use crate::{Basis, Error, Kind, Namespace, NamespaceId};

/// All namespaces of a kind that has parents (ioctl_nsfs(2), NS_GET_PARENT).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// `user` or `pid`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// In the order of the tree: each before those that are in it, by inode.
    pub namespaces: Vec<TreeRow>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeRow {
    /// Its inode.
    pub ns: u64,
    /// The one that it is in, if that is known.
    pub pns: Option<u64>,
    /// How many of its ancestors are in the tree.
    pub depth: usize,
    /// How many processes are in it, and in none that is in it.
    pub nprocs: usize,
    /// The lowest process number in it.
    pub pid: Option<u32>,
    /// The user namespace that owns it; of a user namespace, its parent.
    pub ons: Option<u64>,
    /// Of a user namespace: who made it, as numbered here.
    pub owner_uid: Option<u32>,
    /// The name of that user; of a pid namespace, of the user that its first process is of.
    pub user: Option<String>,
    /// Of a user namespace: how many namespaces of each other kind it owns.
    pub owns: BTreeMap<String, usize>,
    /// The command line of the process `pid`; without one, what keeps the namespace.
    pub command: String,
    /// Whether it is the machine's, and how that is known.
    pub machine: Option<Basis>,
    /// The branches of the tree before it.
    #[serde(skip)]
    branches: String,
}

impl Survey {
    /// The namespaces of `kind`, which has parents ([`Kind::is_hierarchical`]); of another kind, all are roots.
    pub fn tree(&self, kind: Kind) -> Result<Tree, Error> {
        let found = self.found();
        let parents: BTreeMap<NamespaceId, Option<NamespaceId>> = found
            .of_kind(kind)
            .map(|namespace| (namespace.id, namespace.parent.id()))
            .collect();
        let mut owned: BTreeMap<NamespaceId, BTreeMap<String, usize>> = BTreeMap::new();
        for one in found.namespaces().filter(|one| one.kind != Kind::User) {
            if let Some(owner) = one.owner.id() {
                let owns = owned.entry(owner).or_default();
                *owns.entry(one.kind.to_string()).or_default() += 1;
            }
        }
        let mut namespaces = Vec::new();
        for (id, depth, drawn) in branches(&parents) {
            if let Some(namespace) = found.get(id) {
                let owns = owned.remove(&id).unwrap_or_default();
                namespaces.push(self.tree_row(namespace, depth, drawn, owns)?);
            }
        }
        Ok(Tree {
            kind,
            namespaces,
            notes: self.notes(),
        })
    }

    fn tree_row(
        &self,
        namespace: &Namespace,
        depth: usize,
        branches: String,
        owns: BTreeMap<String, usize>,
    ) -> Result<TreeRow, Error> {
        let first = self.first_in(namespace)?;
        let of_first = first.as_ref().map(|process| process.status.uid.effective);
        let uid = match namespace.kind {
            Kind::User => namespace.owner_uid,
            _ => of_first,
        };
        Ok(TreeRow {
            ns: namespace.id.inode,
            pns: namespace.parent.id().map(|id| id.inode),
            depth,
            nprocs: namespace.processes.len(),
            pid: first.as_ref().map(|process| process.pid()),
            ons: namespace.owner.id().map(|id| id.inode),
            owner_uid: namespace.owner_uid,
            user: uid.map(|uid| self.users.name(uid)),
            owns,
            command: match &first {
                Some(process) => lossy(&process.command()),
                None => kept_by(namespace, self.found()),
            },
            machine: self.machine().basis(namespace),
            branches,
        })
    }
}

impl Tree {
    /// As text.
    pub fn table(&self) -> Table {
        let user = self.kind == Kind::User;
        let mut heads = vec![
            (format!("{}NS", self.kind).to_uppercase(), Align::Left),
            ("NPROCS".to_owned(), Align::Right),
            ("PID".to_owned(), Align::Right),
        ];
        heads.extend(
            match user {
                true => [("MADE BY", Align::Left), ("OWNS", Align::Left)],
                false => [("USER", Align::Left), ("ONS", Align::Right)],
            }
            .map(|(head, align)| (head.to_owned(), align)),
        );
        heads.push(("COMMAND".to_owned(), Align::Left));
        let mut table = Table::new(heads);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        for row in &self.namespaces {
            let owns: Vec<String> = row
                .owns
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            let name = row.user.as_ref().map(|name| visible(name.as_bytes()));
            table.row(vec![
                format!("{}{}", row.branches, row.ns),
                row.nprocs.to_string(),
                or_none(row.pid.map(|pid| pid.to_string())),
                or_none(name),
                match user {
                    true => or_none((!owns.is_empty()).then(|| owns.join(", "))),
                    false => or_none(row.ons.map(|ons| ons.to_string())),
                },
                visible(row.command.as_bytes()),
            ]);
        }
        table
    }
}
