//! What a process could do in a namespace: `soute ns caps`.

use serde::Serialize;

use super::Survey;
use super::table::{Align, Table};
use crate::proc::Look;
use crate::text::{lossy, visible};
use crate::{CapabilitySet, Discovery, Error, Kind, Namespace, NamespaceId};

/// A process, and its capabilities in other namespaces than its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caps {
    /// The process.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Its effective user here.
    pub uid: u32,
    /// Its user namespace.
    pub user_ns: u64,
    /// What it may do in its own user namespace.
    pub effective: CapabilitySet,
    /// One for each namespace that was asked for.
    pub namespaces: Vec<CapsRow>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapsRow {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its inode.
    pub ns: u64,
    /// The user namespace in which the capabilities are asked for: its owner; a user namespace's is itself.
    pub in_user_ns: Option<u64>,
    /// Why it has them, or has none.
    pub because: Because,
    /// What it may do there; `None`: it is not known.
    pub capabilities: Option<CapabilitySet>,
}

/// The rule of user_namespaces(7), "Capabilities", that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It is in that user namespace.
    Member,
    /// It is in one above: what it may do there, it may do in all below.
    Above,
    /// It is in the one above, and its effective user is who made the namespace: all capabilities.
    Owner,
    /// That user namespace is neither its own nor below it: none.
    Elsewhere,
    /// The way from that user namespace up to the process's is not in sight.
    OutOfSight,
}

impl Survey {
    /// What process `pid` could do in the namespaces `targets`.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Hidden`]
    pub fn caps(&self, pid: u32, targets: &[(Kind, NamespaceId)]) -> Result<Caps, Error> {
        let process = match self.process(pid)? {
            Look::Seen(process) => process,
            Look::Gone => return Err(Error::NoSuchProcess(pid)),
            Look::Hidden => return Err(Error::Hidden(pid)),
        };
        let own = self.found().of_process(pid, Kind::User);
        let own = own.ok_or(Error::Hidden(pid))?.id;
        let (uid, effective) = (process.status.uid.effective, process.status.effective);
        let namespaces = targets.iter().map(|(kind, id)| {
            let namespace = self.found().get(*id);
            let asked = match (kind, namespace) {
                (Kind::User, _) => Some(*id),
                (_, Some(namespace)) => namespace.owner.id(),
                (_, None) => None,
            };
            let because = match asked {
                Some(asked) => because(self.found(), asked, own, uid),
                None => Because::OutOfSight,
            };
            CapsRow {
                kind: *kind,
                ns: id.inode,
                in_user_ns: asked.map(|id| id.inode),
                because,
                capabilities: match because {
                    Because::Member | Because::Above => Some(effective),
                    Because::Owner => Some(CapabilitySet::ALL),
                    Because::Elsewhere => Some(CapabilitySet(0)),
                    Because::OutOfSight => None,
                },
            }
        });
        Ok(Caps {
            pid,
            command: lossy(&process.command()),
            uid,
            user_ns: own.inode,
            effective,
            namespaces: namespaces.collect(),
            notes: self.notes(),
        })
    }

    /// The namespaces of process `pid`, as [`Survey::caps`] takes them.
    ///
    /// # Errors
    /// [`Error::Hidden`], or it has ended.
    pub fn namespaces_of(&self, pid: u32) -> Result<Vec<(Kind, NamespaceId)>, Error> {
        let all: Vec<_> = Kind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, self.found().of_process(pid, kind)?.id)))
            .collect();
        match all.is_empty() {
            true if self.found().hidden.contains(&pid) => Err(Error::Hidden(pid)),
            true => Err(Error::NoSuchProcess(pid)),
            false => Ok(all),
        }
    }
}

/// What stands for all ids that the caller's user namespace does not map (/proc/sys/kernel/overflowuid).
const OVERFLOW: u32 = 65534;

/// As the kernel decides it (`cap_capable`): from the user namespace `asked` upwards, to that of a process which is in `own`
/// and has the effective user `uid`.
fn because(found: &Discovery, asked: NamespaceId, own: NamespaceId, uid: u32) -> Because {
    let get = |id| -> Option<&Namespace> { found.get(id) };
    if asked == own {
        return Because::Member;
    }
    let mut at = asked;
    // No namespace is deeper than 33, so that this ends.
    for _ in 0..64 {
        let Some(namespace) = get(at) else {
            return Because::OutOfSight;
        };
        match namespace.parent.id() {
            Some(parent) if parent == own => {
                return match namespace.owner_uid {
                    // Of nobody that the caller has a number for: any two are alike.
                    Some(OVERFLOW) if uid == OVERFLOW => Because::OutOfSight,
                    Some(owner) if owner == uid => Because::Owner,
                    _ => Because::Above,
                };
            }
            Some(parent) => at = parent,
            None if namespace.parent == crate::Relation::None => return Because::Elsewhere,
            None => break,
        }
    }
    // The last that is in sight is the caller's own or one beside it: whoever is in sight and was not met is below or beside.
    match get(own).is_some_and(|own| own.parent.id().is_some()) {
        true => Because::Elsewhere,
        false => Because::OutOfSight,
    }
}

impl Because {
    /// In words.
    fn words(self) -> &'static str {
        match self {
            Self::Member => "in it",
            Self::Above => "in one above",
            Self::Owner => "made by its user",
            Self::Elsewhere => "neither in it nor above",
            Self::OutOfSight => "out of sight",
        }
    }
}

impl Caps {
    /// What is known of the process, one line each.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "process",
                format!("{} {}", self.pid, visible(self.command.as_bytes())),
            ),
            ("user", self.uid.to_string()),
            (
                "in its own",
                format!("user:[{}]: {}", self.user_ns, self.effective),
            ),
        ]
    }

    /// The namespaces as text.
    pub fn table(&self) -> Table {
        let heads = [
            ("TYPE", Align::Left),
            ("NS", Align::Right),
            ("IN USERNS", Align::Right),
            ("BECAUSE", Align::Left),
            ("CAPABILITIES", Align::Left),
        ];
        let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        for row in &self.namespaces {
            table.row(vec![
                row.kind.to_string(),
                row.ns.to_string(),
                or_none(row.in_user_ns.map(|ns| ns.to_string())),
                row.because.words().to_owned(),
                or_none(row.capabilities.map(|set| set.to_string())),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Relation;

    /// A machine (1) with two user namespaces in it (2 by user 0, 3 by user 7), and one in each (4 in 2, 5 in 3).
    fn found() -> Discovery {
        let id = |inode| NamespaceId { dev: 4, inode };
        let mut found = Discovery::default();
        for (inode, parent, owner) in [
            (1, Relation::None, 0),
            (2, Relation::Is(id(1)), 0),
            (3, Relation::Is(id(1)), 7),
            (4, Relation::Is(id(2)), 100_000),
            (5, Relation::Is(id(3)), 7),
        ] {
            let mut namespace = Namespace::new(Kind::User, id(inode));
            namespace.parent = parent;
            namespace.owner_uid = Some(owner);
            found.insert(namespace);
        }
        found
    }

    #[test]
    fn the_kernels_rules_are_followed() {
        let found = found();
        let id = |inode| NamespaceId { dev: 4, inode };
        for (asked, own, uid, expected) in [
            (1, 1, 7, Because::Member),
            (4, 4, 9, Because::Member),
            (2, 1, 0, Because::Owner),
            (2, 1, 7, Because::Above),
            (3, 1, 7, Because::Owner),
            // Whoever is not in the parent is the owner of nothing there.
            (5, 1, 0, Because::Above),
            (5, 1, 7, Because::Owner),
            (4, 1, 100_000, Because::Above),
            (4, 2, 100_000, Because::Owner),
            (1, 2, 0, Because::Elsewhere),
            (3, 2, 0, Because::Elsewhere),
            (5, 2, 7, Because::Elsewhere),
            (99, 1, 0, Because::OutOfSight),
        ] {
            assert_eq!(
                because(&found, id(asked), id(own), uid),
                expected,
                "in {asked}, user {uid} of {own}"
            );
        }
    }
}
