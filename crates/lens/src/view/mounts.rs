//! The mounts of a process, or of a mount namespace: `soute ns mounts`.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use soute_sys::inside;
use soute_sys::statmount::MountStat;
use soute_sys::{CallError, Called as _};

use super::branches::branches;
use super::table::{Align, Table};
use super::told::Told;
use super::{ContainerName, Survey};
use crate::discover::mountinfo_in;
use crate::proc::{Look, MountEntry, mountinfo};
use crate::relations::identity;
use crate::text::{lossy, visible};
use crate::{Error, Kind, NamespaceId};

/// What is mounted, as a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mounts {
    /// The process whose view it is; `None`: the whole namespace's.
    pub pid: Option<u32>,
    /// The container that it was asked for as.
    pub container: Option<ContainerName>,
    /// The inode of the mount namespace.
    pub ns: u64,
    /// In the order of the tree: each before those that are on it, by number.
    pub mounts: Vec<MountRow>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One mount. The fields that findmnt(8) has too are named as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountRow {
    /// Its number, which is used again after it is gone.
    pub id: u32,
    /// A number that is never used again, if the kernel can be asked (statmount(2)).
    pub unique_id: Option<u64>,
    /// The number of the mount that it is on.
    pub parent: u32,
    /// How many of its ancestors are in the tree.
    pub depth: usize,
    /// Where, as seen from the process's root.
    pub target: String,
    /// What was given as the source.
    pub source: String,
    /// What of the file system is mounted, a path in it.
    pub fsroot: String,
    /// The file system's type.
    pub fstype: String,
    /// Options of the mount.
    pub vfs_options: String,
    /// Options of the file system.
    pub fs_options: String,
    /// Whose files it shows as whose, `INSIDE OUTSIDE COUNT` each; none: as they are, or the kernel does not tell.
    pub uid_map: Vec<String>,
    /// The same of groups.
    pub gid_map: Vec<String>,
    /// How mounts on it spread (mount_namespaces(7)).
    pub propagation: Propagation,
    /// The mounts that it shares them with, here and in other namespaces, the first hundred.
    pub peers: Vec<Peer>,
    /// How many they are.
    pub npeers: usize,
    /// The mounts that receive what is mounted on it, and give nothing back, the first hundred.
    pub slaves: Vec<Peer>,
    /// How many they are.
    pub nslaves: usize,
    /// The number of the mount that lies on the whole of it.
    pub covered_by: Option<u32>,
    /// The number of the mount that no path to it gets past.
    pub hidden_by: Option<u32>,
    /// The branches of the tree before it.
    #[serde(skip)]
    branches: String,
}

/// As the optional fields of mountinfo tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Propagation {
    /// The group of its peers.
    pub shared: Option<u32>,
    /// The group whose slave it is.
    pub master: Option<u32>,
    /// The nearest group above that has a mount in sight, if that is another.
    pub propagate_from: Option<u32>,
    /// It cannot be bound elsewhere.
    pub unbindable: bool,
}

/// A mount that another is tied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The mount namespace that it is in.
    pub ns: u64,
    /// Where, there.
    pub target: String,
}

/// Peers of a mount that are told one by one: a user can make a hundred thousand, of each of which all are peers.
const MOST_PEERS: usize = 100;

impl Survey {
    /// The mounts that process `pid` sees; with `container`, as the first process of that.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Hidden`]
    pub fn mounts_of(&self, pid: u32, container: Option<ContainerName>) -> Result<Mounts, Error> {
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let told = folder.open_namespace(Kind::Mnt.name())?.map(|ns| {
            let told = Told::before(&ns);
            (identity(&ns), told)
        });
        let ((id, told), text) = match (told, folder.read("mountinfo")?) {
            (Look::Seen(told), Look::Seen(text)) => (told, text),
            (Look::Hidden, _) | (_, Look::Hidden) => return Err(Error::Hidden(pid)),
            _ => return Err(Error::NoSuchProcess(pid)),
        };
        let id = id?;
        Ok(Mounts {
            pid: Some(pid),
            container,
            ns: id.inode,
            // As from its own root folder, which may be another than the namespace's.
            mounts: self.rows(id, mountinfo(&text)?, &told.after())?,
            notes: self.notes(),
        })
    }

    /// The mounts in a namespace, whether or not a process is in it.
    ///
    /// # Errors
    /// It cannot be entered.
    pub fn mounts_in(
        &self,
        id: NamespaceId,
        namespace: &impl std::os::fd::AsFd,
    ) -> Result<Mounts, Error> {
        // Only inside is it told from where: the root folder is what lies on top of the first mount.
        let told = Told::before(namespace);
        let entries = mountinfo(&self.seen_from_inside(namespace)?)?;
        Ok(Mounts {
            pid: None,
            container: None,
            ns: id.inode,
            mounts: self.rows(id, entries, &told.after())?,
            notes: self.notes(),
        })
    }

    /// mountinfo of a process in between, which enters. It reads it by the /proc of where it comes from.
    fn seen_from_inside(&self, namespace: &impl std::os::fd::AsFd) -> Result<Vec<u8>, CallError> {
        let [file] = inside::mounts(namespace.as_fd(), || {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&self.proc, "self/mountinfo", flags, Mode::empty());
            Ok([opened.called(|| "openat(/proc, \"self/mountinfo\")".to_owned())?])
        })?;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut text)
            .called(|| "read(mountinfo)".to_owned())?;
        Ok(text)
    }

    /// `told` is what statmount(2) has told of them, if anything, by their numbers.
    fn rows(
        &self,
        ns: NamespaceId,
        entries: Vec<MountEntry>,
        told: &HashMap<u32, MountStat>,
    ) -> Result<Vec<MountRow>, Error> {
        let ties = match entries.iter().any(|entry| !entry.propagation.is_empty()) {
            true => self.ties(ns, &entries)?,
            false => Ties::default(),
        };
        let sight = sight(&entries);
        let parents: BTreeMap<u32, Option<u32>> = entries
            .iter()
            .map(|entry| (entry.id, Some(entry.parent)))
            .collect();
        let by_id: HashMap<u32, &MountEntry> =
            entries.iter().map(|entry| (entry.id, entry)).collect();
        let rows = branches(&parents)
            .into_iter()
            .filter_map(|(id, depth, drawn)| {
                let entry = by_id.get(&id)?;
                let propagation = propagation(entry);
                let target = text_of(&entry.mount_point);
                let this = Peer {
                    ns: ns.inode,
                    target: target.clone(),
                };
                let tied = |to: &HashMap<u32, Vec<Peer>>, own: usize| -> (Vec<Peer>, usize) {
                    let group = propagation.shared.and_then(|group| to.get(&group));
                    let group = group.map_or(&[][..], Vec::as_slice);
                    let is_other = |peer: &&Peer| **peer != this;
                    let some = group.iter().filter(is_other).take(MOST_PEERS);
                    let some: Vec<Peer> = some.cloned().collect();
                    let all = match some.len() < MOST_PEERS {
                        true => some.len(),
                        false => group.len() - own,
                    };
                    (some, all)
                };
                let (peers, npeers) = tied(&ties.peers, 1);
                let (slaves, nslaves) = tied(&ties.slaves, 0);
                let told = told.get(&id);
                let map = |of: fn(&MountStat) -> &Vec<Vec<u8>>| -> Vec<String> {
                    let ranges = told.map(of);
                    ranges
                        .into_iter()
                        .flatten()
                        .map(|range| lossy(range))
                        .collect()
                };
                Some(MountRow {
                    id,
                    unique_id: told.map(|told| told.id),
                    parent: entry.parent,
                    depth,
                    source: lossy(&entry.source),
                    fsroot: lossy(&entry.root),
                    fstype: lossy(&entry.file_system),
                    vfs_options: lossy(&entry.options),
                    fs_options: lossy(&entry.super_options),
                    uid_map: map(|told| &told.uid_map),
                    gid_map: map(|told| &told.gid_map),
                    propagation,
                    peers,
                    npeers,
                    slaves,
                    nslaves,
                    covered_by: sight.covered.get(&id).copied(),
                    hidden_by: sight.hidden.get(&id).copied(),
                    target,
                    branches: drawn,
                })
            });
        Ok(rows.collect())
    }

    /// Who is in which group, over all mount namespaces.
    fn ties(&self, ns: NamespaceId, own: &[MountEntry]) -> Result<Ties, Error> {
        let mut ties = Ties::default();
        ties.add(ns, own);
        for namespace in self.found.of_kind(Kind::Mnt).filter(|other| other.id != ns) {
            let (id, processes) = (namespace.id, &namespace.processes);
            if let Some((_, text)) = mountinfo_in(&self.proc, id, processes)? {
                ties.add(namespace.id, &mountinfo(&text)?);
            }
        }
        Ok(ties)
    }
}

/// The mounts of each group.
#[derive(Debug, Default)]
struct Ties {
    peers: HashMap<u32, Vec<Peer>>,
    slaves: HashMap<u32, Vec<Peer>>,
}

impl Ties {
    fn add(&mut self, ns: NamespaceId, entries: &[MountEntry]) {
        for entry in entries {
            let Propagation { shared, master, .. } = propagation(entry);
            for (groups, group) in [(&mut self.peers, shared), (&mut self.slaves, master)] {
                if let Some(group) = group {
                    groups.entry(group).or_default().push(Peer {
                        ns: ns.inode,
                        target: text_of(&entry.mount_point),
                    });
                }
            }
        }
    }
}

fn text_of(path: &Path) -> String {
    lossy(path.as_os_str().as_bytes())
}

fn propagation(entry: &MountEntry) -> Propagation {
    let mut told = Propagation::default();
    for field in &entry.propagation {
        let number = |prefix: &[u8]| crate::proc::number(field.strip_prefix(prefix)?);
        told.shared = told.shared.or_else(|| number(b"shared:"));
        told.master = told.master.or_else(|| number(b"master:"));
        told.propagate_from = told.propagate_from.or_else(|| number(b"propagate_from:"));
        told.unbindable |= field == b"unbindable";
    }
    told
}

/// What is in the way of what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sight {
    /// Mounts with another on the whole of them, and which.
    covered: HashMap<u32, u32>,
    /// Mounts that no path leads to, and the one that is in the way.
    hidden: HashMap<u32, u32>,
}

/// A path enters every mount that it comes by. So a mount is out of reach if another, on the same mount, is at a folder that
/// its own is in; and with it all that is on it. A path from the root begins beneath what is mounted on the root.
fn sight(entries: &[MountEntry]) -> Sight {
    let by_id: HashMap<u32, &MountEntry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let parent = |entry: &MountEntry| {
        let parent = by_id.get(&entry.parent);
        parent.filter(|parent| parent.id != entry.id).copied()
    };
    let mut sight = Sight::default();
    let mut on: HashMap<(u32, &Path), u32> = HashMap::new();
    for entry in entries {
        let Some(below) = parent(entry) else { continue };
        let covers = below.mount_point == entry.mount_point;
        if covers && parent(below).is_none() {
            sight.hidden.insert(entry.id, below.id);
            continue;
        }
        if covers {
            sight.covered.insert(below.id, entry.id);
        }
        on.insert((below.id, &entry.mount_point), entry.id);
    }
    for entry in entries {
        let mut above = entry.mount_point.ancestors().skip(1);
        if let Some(by) = above.find_map(|folder| on.get(&(entry.parent, folder)))
            && *by != entry.parent
        {
            sight.hidden.entry(entry.id).or_insert(*by);
        }
    }
    // Down from those: each is looked at once.
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.parent != entry.id) {
        children.entry(entry.parent).or_default().push(entry.id);
    }
    let mut left: Vec<(u32, u32)> = sight.hidden.iter().map(|(id, by)| (*id, *by)).collect();
    while let Some((id, by)) = left.pop() {
        for child in children.get(&id).into_iter().flatten() {
            if let std::collections::hash_map::Entry::Vacant(entry) = sight.hidden.entry(*child) {
                entry.insert(by);
                left.push((*child, by));
            }
        }
    }
    sight
}

/// What a process finds at each place: of several mounts there the one on top, of those out of reach none.
pub(super) fn visible_by_target(entries: &[MountEntry]) -> BTreeMap<String, String> {
    let sight = sight(entries);
    let seen = entries.iter().filter(|entry| {
        !sight.hidden.contains_key(&entry.id) && !sight.covered.contains_key(&entry.id)
    });
    let text = |entry: &MountEntry| {
        let source = with_root(&lossy(&entry.source), &lossy(&entry.root));
        let (kind, options) = (lossy(&entry.file_system), lossy(&entry.options));
        format!("{source} {kind} {options}")
    };
    seen.map(|entry| (text_of(&entry.mount_point), text(entry)))
        .collect()
}

/// As findmnt(8) has it: `/dev/vda[/folder]`.
fn with_root(source: &str, root: &str) -> String {
    match root {
        "/" => source.to_owned(),
        root => format!("{source}[{root}]"),
    }
}

impl Mounts {
    /// As text.
    pub fn table(&self) -> Table {
        let heads = [
            ("TARGET", Align::Left),
            ("ID", Align::Right),
            ("SOURCE", Align::Left),
            ("FSTYPE", Align::Left),
            ("PROPAGATION", Align::Left),
            ("IN SIGHT", Align::Left),
            ("OPTIONS", Align::Left),
        ];
        let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
        for row in &self.mounts {
            let source = with_root(&row.source, &row.fsroot);
            table.row(vec![
                format!("{}{}", row.branches, visible(row.target.as_bytes())),
                row.id.to_string(),
                visible(source.as_bytes()),
                visible(row.fstype.as_bytes()),
                row.spreads(),
                match (row.hidden_by, row.covered_by) {
                    (Some(by), _) => format!("no: behind {by}"),
                    (None, Some(by)) => format!("no: under {by}"),
                    (None, None) => "yes".to_owned(),
                },
                visible(row.vfs_options.as_bytes()),
            ]);
        }
        table
    }
}

impl MountRow {
    fn spreads(&self) -> String {
        let Propagation {
            shared,
            master,
            propagate_from: _,
            unbindable,
        } = self.propagation;
        let mut words = Vec::new();
        if let Some(group) = shared {
            let count = |what: &str, tied: usize| match tied {
                0 => String::new(),
                1 => format!(", 1 {what}"),
                n => format!(", {n} {what}s"),
            };
            let (peers, slaves) = (count("peer", self.npeers), count("slave", self.nslaves));
            words.push(format!("shared {group}{peers}{slaves}"));
        }
        if let Some(group) = master {
            words.push(format!("slave of {group}"));
        }
        if unbindable {
            words.push("unbindable".to_owned());
        }
        match words.is_empty() {
            true => "private".to_owned(),
            false => words.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &[(u32, u32, &str)]) -> Vec<MountEntry> {
        let lines = lines.iter().map(|(id, parent, at)| {
            format!("{id} {parent} 0:1 / {at} rw shared:1 master:2 - tmpfs x rw\n")
        });
        mountinfo(lines.collect::<String>().as_bytes()).unwrap()
    }

    #[test]
    fn what_no_path_leads_to_is_hidden() {
        let entries = entries(&[
            (1, 0, "/"),
            (2, 1, "/a"),
            (3, 2, "/a/b"),
            // Over /a, which hides what is on the first.
            (4, 2, "/a"),
            (5, 4, "/a/b"),
            // On the same mount, before and after a folder of its path was mounted over.
            (6, 1, "/m/n"),
            (7, 1, "/m"),
            (8, 6, "/m/n/o"),
            (9, 1, "/mm"),
        ]);
        let expected = Sight {
            covered: [(2, 4)].into(),
            hidden: [(3, 4), (6, 7), (8, 7)].into(),
        };
        assert_eq!(sight(&entries), expected);
    }

    /// Paths begin at the root of the process, beneath what is mounted on it.
    #[test]
    fn what_is_on_the_root_itself_is_out_of_reach() {
        let entries = entries(&[(1, 1, "/"), (2, 1, "/proc"), (3, 1, "/"), (4, 3, "/proc")]);
        let expected = Sight {
            covered: HashMap::new(),
            hidden: [(3, 1), (4, 1)].into(),
        };
        assert_eq!(sight(&entries), expected);
    }

    /// As many as a user can make, in a chain and side by side.
    #[test]
    fn a_hundred_thousand_are_looked_at_once() {
        let line = |id: u32, parent: u32| format!("{id} {parent} 0:1 / /mnt rw - tmpfs x rw\n");
        let chain: String = (1..100_000).map(|id| line(id, id - 1)).collect();
        let entries = mountinfo(chain.as_bytes()).unwrap();
        assert_eq!(sight(&entries).covered.len(), 99_998 - 1);
        let parents = entries.iter().map(|entry| (entry.id, Some(entry.parent)));
        let drawn = branches(&parents.collect());
        assert!(drawn.iter().all(|(_, _, branches)| branches.len() < 500));
    }

    #[test]
    fn the_optional_fields_are_told_apart() {
        let line =
            b"1 1 0:1 / / rw shared:7 master:3 propagate_from:2 unbindable new:9 - tmpfs x rw\n";
        let entry = &mountinfo(line).unwrap()[0];
        let expected = Propagation {
            shared: Some(7),
            master: Some(3),
            propagate_from: Some(2),
            unbindable: true,
        };
        assert_eq!(propagation(entry), expected);
    }
}
