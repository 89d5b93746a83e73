//! The mounts of a process, or of a mount namespace: `soute ns mounts`.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use soute_sys::inside;
use soute_sys::{CallError, Called as _};

use super::branches::branches;
use super::table::{Align, Table};
use super::{ContainerName, Survey};
use crate::proc::{Look, MountEntry, mountinfo};
use crate::text::{lossy, visible};
use crate::{Error, Kind, Namespace, NamespaceId};

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
    /// How mounts on it spread (mount_namespaces(7)).
    pub propagation: Propagation,
    /// The mounts that it shares them with, here and in other namespaces.
    pub peers: Vec<Peer>,
    /// The mounts that receive what is mounted on it, and give nothing back.
    pub slaves: Vec<Peer>,
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

impl Survey {
    /// The mounts that process `pid` sees; with `container`, as the first process of that.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Hidden`]
    pub fn mounts_of(&self, pid: u32, container: Option<ContainerName>) -> Result<Mounts, Error> {
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let (ns, text) = match (
            folder.namespace(Kind::Mnt.name())?,
            folder.read("mountinfo")?,
        ) {
            (Look::Seen(ns), Look::Seen(text)) => (ns, text),
            (Look::Hidden, _) | (_, Look::Hidden) => return Err(Error::Hidden(pid)),
            _ => return Err(Error::NoSuchProcess(pid)),
        };
        Ok(Mounts {
            pid: Some(pid),
            container,
            ns: ns.inode,
            mounts: self.rows(ns, mountinfo(&text)?)?,
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
        let text = self.seen_from_inside(namespace)?;
        Ok(Mounts {
            pid: None,
            container: None,
            ns: id.inode,
            mounts: self.rows(id, mountinfo(&text)?)?,
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

    fn rows(&self, ns: NamespaceId, entries: Vec<MountEntry>) -> Result<Vec<MountRow>, Error> {
        let ties = match entries.iter().any(|entry| !entry.propagation.is_empty()) {
            true => self.ties(ns, &entries)?,
            false => Ties::default(),
        };
        let hidden = hidden(&entries);
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
                let tied = |to: &HashMap<u32, Vec<Peer>>| {
                    let group = propagation.shared.and_then(|group| to.get(&group));
                    let all = group.into_iter().flatten();
                    all.filter(|peer| **peer != this).cloned().collect()
                };
                Some(MountRow {
                    id,
                    parent: entry.parent,
                    depth,
                    source: lossy(&entry.source),
                    fsroot: lossy(&entry.root),
                    fstype: lossy(&entry.file_system),
                    vfs_options: lossy(&entry.options),
                    fs_options: lossy(&entry.super_options),
                    propagation,
                    peers: tied(&ties.peers),
                    slaves: tied(&ties.slaves),
                    covered_by: covered(&entries, entry),
                    hidden_by: hidden.get(&id).copied(),
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
            if let Some(text) = self.mountinfo_of(namespace)? {
                ties.add(namespace.id, &mountinfo(&text)?);
            }
        }
        Ok(ties)
    }

    /// By the first process in it that is still there.
    fn mountinfo_of(&self, namespace: &Namespace) -> Result<Option<Vec<u8>>, Error> {
        for pid in &namespace.processes {
            let Look::Seen(folder) = self.proc.process(*pid)? else {
                continue;
            };
            if folder.namespace(Kind::Mnt.name())? == Look::Seen(namespace.id)
                && let Look::Seen(text) = folder.read("mountinfo")?
            {
                return Ok(Some(text));
            }
        }
        Ok(None)
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

/// The mount on the root of `entry`, if there is one.
fn covered(entries: &[MountEntry], entry: &MountEntry) -> Option<u32> {
    let mut on_it = entries
        .iter()
        .filter(|other| other.parent == entry.id && other.id != entry.id);
    let cover = on_it.find(|other| other.mount_point == entry.mount_point)?;
    Some(cover.id)
}

/// Those that no path leads to, each with the mount that is in the way.
///
/// A path enters every mount that it comes by. So a mount is out of reach if another, on the same mount, is at a folder that
/// its own is in; and with it all that is on it.
fn hidden(entries: &[MountEntry]) -> HashMap<u32, u32> {
    let mut on: HashMap<u32, BTreeMap<&Path, u32>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.parent != entry.id) {
        let places = on.entry(entry.parent).or_default();
        places.insert(&entry.mount_point, entry.id);
    }
    let direct: HashMap<u32, u32> = entries
        .iter()
        .filter_map(|entry| {
            let places = on.get(&entry.parent)?;
            let mut above = entry.mount_point.ancestors().skip(1);
            above.find_map(|folder| Some((entry.id, *places.get(folder)?)))
        })
        .collect();
    let parents: HashMap<u32, u32> = entries
        .iter()
        .map(|entry| (entry.id, entry.parent))
        .collect();
    let mut hidden = HashMap::new();
    for entry in entries {
        // Up to the root, or as far as any tree goes: a kernel's has no circles, what is read meanwhile may.
        let mut at = entry.id;
        for _ in 0..entries.len() {
            if let Some(by) = direct.get(&at) {
                hidden.insert(entry.id, *by);
                break;
            }
            match parents.get(&at) {
                Some(parent) if *parent != at => at = *parent,
                _ => break,
            }
        }
    }
    hidden
}

/// What a process finds at each place: of several mounts there the one on top, of those out of reach none.
pub(super) fn visible_by_target(entries: &[MountEntry]) -> BTreeMap<String, String> {
    let hidden = hidden(entries);
    let seen = entries
        .iter()
        .filter(|entry| !hidden.contains_key(&entry.id) && covered(entries, entry).is_none());
    let text = |entry: &MountEntry| {
        let root = match entry.root.as_slice() {
            b"/" => String::new(),
            root => format!("[{}]", lossy(root)),
        };
        let (source, kind) = (lossy(&entry.source), lossy(&entry.file_system));
        format!("{source}{root} {kind} {}", lossy(&entry.options))
    };
    seen.map(|entry| (text_of(&entry.mount_point), text(entry)))
        .collect()
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
            let source = match row.fsroot.as_str() {
                "/" => row.source.clone(),
                root => format!("{}[{root}]", row.source),
            };
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
            let count = |what: &str, tied: &[Peer]| match tied.len() {
                0 => String::new(),
                1 => format!(", 1 {what}"),
                n => format!(", {n} {what}s"),
            };
            let (peers, slaves) = (count("peer", &self.peers), count("slave", &self.slaves));
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
        let hidden = hidden(&entries);
        let expected: HashMap<u32, u32> = [(3, 4), (6, 7), (8, 7)].into();
        assert_eq!(hidden, expected);
        let by_id = |id| entries.iter().find(|entry| entry.id == id).unwrap();
        assert_eq!(covered(&entries, by_id(2)), Some(4));
        assert_eq!(covered(&entries, by_id(1)), None);
    }

    #[test]
    fn a_covered_root_hides_all_that_is_on_it() {
        let entries = entries(&[(1, 1, "/"), (2, 1, "/proc"), (3, 1, "/"), (4, 3, "/proc")]);
        assert_eq!(hidden(&entries), [(2, 3)].into());
        assert_eq!(covered(&entries, &entries[0]), Some(3));
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
