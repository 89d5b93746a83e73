//! How the worlds of two processes differ: `soute ns diff`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::mounts::visible_by_target;
use super::{ContainerName, Survey};
use crate::cgroups::Cgroups;
use crate::proc::{Look, SeccompMode};
use crate::text::{lossy, visible};
use crate::wiring::{Interface, Wiring};
use crate::{Error, IdMaps, Kind, Process};

/// Two processes, and all that is not the same in their worlds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differ {
    /// The one.
    pub one: Subject,
    /// The other.
    pub other: Subject,
    /// What was compared, also where nothing differs.
    pub sections: Vec<Section>,
    /// One line for each thing that is missing, and why.
    pub notes: Vec<String>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Its number here.
    pub pid: u32,
    /// The container that it was asked for as.
    pub container: Option<ContainerName>,
    /// Its command line.
    pub command: String,
}

/// One part of a world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// `namespaces`, `mounts` and so on.
    pub name: &'static str,
    /// How many things are the same in both.
    pub same: usize,
    /// By name.
    pub differences: Vec<Difference>,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub what: String,
    /// As the one has it; `None`: it has none.
    pub one: Option<String>,
    /// As the other has it.
    pub other: Option<String>,
}

/// Things by name.
type Things = BTreeMap<String, String>;

/// What a process is in, by the name of the section, in their order.
struct World {
    subject: Subject,
    sections: Vec<(&'static str, Things)>,
    notes: Vec<String>,
}

impl Survey {
    /// Compares two processes, each perhaps as the first one of a container.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Hidden`]
    pub fn differ(
        &self,
        one: (u32, Option<ContainerName>),
        other: (u32, Option<ContainerName>),
    ) -> Result<Differ, Error> {
        let wiring = self.wiring()?;
        let (one, other) = (self.world(one, &wiring)?, self.world(other, &wiring)?);
        let both = one.sections.iter().zip(&other.sections);
        let sections = both.map(|((name, one), (_, other))| compare(name, one, other));
        let mut notes = self.notes();
        notes.extend([one.notes, other.notes].concat());
        Ok(Differ {
            sections: sections.collect(),
            one: one.subject,
            other: other.subject,
            notes,
        })
    }

    fn world(
        &self,
        (pid, container): (u32, Option<ContainerName>),
        wiring: &Wiring,
    ) -> Result<World, Error> {
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Err(Error::NoSuchProcess(pid));
        };
        let process = match Process::read(&folder)? {
            Look::Seen(process) => process,
            Look::Gone => return Err(Error::NoSuchProcess(pid)),
            Look::Hidden => return Err(Error::Hidden(pid)),
        };
        let spaces = self.namespaces_of(pid)?;
        let network = spaces.iter().find(|(kind, _)| *kind == Kind::Net);
        let network = network.and_then(|(_, id)| wiring.get(id.inode));
        let mut notes = Vec::new();
        if let Some(why) = network.and_then(|network| network.hidden.as_ref()) {
            notes.push(format!("the interfaces of process {pid}: {why}"));
        }
        let mounts = match folder.read("mountinfo")? {
            Look::Seen(text) => visible_by_target(&crate::proc::mountinfo(&text)?),
            Look::Gone | Look::Hidden => Things::new(),
        };
        let environment = match folder.read("environ")? {
            Look::Seen(text) => environment(&text),
            Look::Gone => Things::new(),
            Look::Hidden => {
                notes.push(format!(
                    "the environment of process {pid} is hidden from this user"
                ));
                Things::new()
            }
        };
        let cgroups = Cgroups::of(&self.proc, &folder)?;
        let spaces = spaces
            .iter()
            .map(|(kind, id)| (kind.to_string(), id.inode.to_string()));
        let interfaces = network.into_iter().flat_map(|network| &network.links);
        let interfaces = interfaces.map(|link| (link.name.clone(), interface(link)));
        let sections = vec![
            ("namespaces", spaces.collect()),
            ("ids", ids(&process, IdMaps::read(&folder)?)),
            ("capabilities", capabilities(&process)),
            ("restrictions", restrictions(&process)),
            ("mounts", mounts),
            ("interfaces", interfaces.collect()),
            ("cgroups", cgroups.paths),
            ("limits", cgroups.limits),
            ("environment", environment),
        ];
        Ok(World {
            subject: Subject {
                pid,
                container,
                command: lossy(&process.command()),
            },
            sections,
            notes,
        })
    }
}

fn compare(name: &'static str, one: &Things, other: &Things) -> Section {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let all = names.len();
    let differences: Vec<Difference> = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| Difference {
            what: name.clone(),
            one: one.get(name).cloned(),
            other: other.get(name).cloned(),
        })
        .collect();
    Section {
        name,
        same: all - differences.len(),
        differences,
    }
}

fn things<const N: usize>(things: [(&str, Option<String>); N]) -> Things {
    let there = things.into_iter();
    let there = there.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    there.collect()
}

fn ids(process: &Process, maps: Option<IdMaps>) -> Things {
    let maps = maps.as_ref();
    things([
        ("uid", Some(process.status.uid.effective.to_string())),
        ("gid", Some(process.status.gid.effective.to_string())),
        ("uid map", maps.map(|maps| maps.uid.to_string())),
        ("gid map", maps.map(|maps| maps.gid.to_string())),
    ])
}

fn capabilities(process: &Process) -> Things {
    let status = &process.status;
    things([
        ("effective", Some(status.effective.to_string())),
        ("permitted", Some(status.permitted.to_string())),
        ("inheritable", Some(status.inheritable.to_string())),
        ("bounding", Some(status.bounding.to_string())),
        ("ambient", Some(status.ambient.to_string())),
    ])
}

fn restrictions(process: &Process) -> Things {
    let status = &process.status;
    let mode = status.seccomp.map(|mode| match mode {
        SeccompMode::Disabled => "off",
        SeccompMode::Strict => "strict",
        SeccompMode::Filter => "filter",
    });
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    things([
        ("seccomp", mode.map(str::to_owned)),
        (
            "seccomp filters",
            status.seccomp_filters.map(|n| n.to_string()),
        ),
        ("no_new_privs", status.no_new_privileges.map(on)),
    ])
}

fn interface(link: &Interface) -> String {
    let mut text = format!("{} {} mtu {}", link.kind, link.state, link.mtu);
    for address in &link.addresses {
        let _ = write!(text, " {}/{}", address.address, address.prefix);
    }
    text
}

/// A name that is there twice is what the first says (environ(7), getenv(3)).
fn environment(text: &[u8]) -> Things {
    let mut things = Things::new();
    for entry in text
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
    {
        let equals = entry.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&entry[..at], &entry[at + 1..]),
            None => (entry, &b""[..]),
        };
        things.entry(lossy(name)).or_insert_with(|| lossy(value));
    }
    things
}

impl Differ {
    /// In the form of diff(1)'s unified output: `-` the one's, `+` the other's. Sections without a difference are left out.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (sign, subject) in [("---", &self.one), ("+++", &self.other)] {
            let container = match &subject.container {
                Some(container) => format!(" (container {})", container.name),
                None => String::new(),
            };
            let text = format!("{} {}{container}", subject.pid, subject.command);
            let _ = writeln!(out, "{sign} {}", visible(text.as_bytes()));
        }
        for section in self
            .sections
            .iter()
            .filter(|section| !section.differences.is_empty())
        {
            let same = match section.same {
                0 => String::new(),
                n => format!(" ({n} the same)"),
            };
            let _ = writeln!(out, "@@ {}{same} @@", section.name);
            for difference in &section.differences {
                for (sign, value) in [('-', &difference.one), ('+', &difference.other)] {
                    if let Some(value) = value {
                        let text = format!("{} {value}", difference.what);
                        let _ = writeln!(out, "{sign}{}", visible(text.as_bytes()));
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_same_is_told() {
        let of = |pairs: &[(&str, &str)]| -> Things {
            let owned = pairs.iter();
            let owned = owned.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let one = of(&[("a", "1"), ("b", "2"), ("c\u{1b}[31m", "x\ny")]);
        let other = of(&[("a", "1"), ("b", "3"), ("d", "4")]);
        let section = compare("things", &one, &other);
        assert_eq!(section.same, 1);
        let subject = |pid| Subject {
            pid,
            container: None,
            command: "sh".to_owned(),
        };
        let differ = Differ {
            one: subject(7),
            other: subject(8),
            sections: vec![section, compare("nothing", &one, &one)],
            notes: Vec::new(),
        };
        let expected =
            "--- 7 sh\n+++ 8 sh\n@@ things (1 the same) @@\n-b 2\n+b 3\n-c\\x1b[31m x\\ny\n+d 4\n";
        assert_eq!(differ.text(), expected);
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let things = environment(b"A=1\0A=2\0B\0=odd\0");
        let expected = [("", "odd"), ("A", "1"), ("B", "")];
        let told: Vec<(&str, &str)> = things
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(told, expected);
    }
}
