//! `soute ns`: the namespaces of the machine, of any process, of a container.

pub mod caps;
pub mod differ;
pub mod graph;
pub mod ls;
pub mod mounts;
pub mod pids;
pub mod show;
pub mod tree;
pub mod watch;

use std::collections::HashMap;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use soute_lens::view::{ContainerName, List, Survey, Table, cut};
use soute_lens::{Container, Kind, Maker, NamespaceId, Scope};

use crate::output::complain;

/// A running container, as its name or id led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedContainer {
    /// Its name.
    pub name: String,
    /// Its full id.
    pub id: String,
    /// Its first process, as numbered here.
    pub init_pid: u32,
}

/// Finds a running container by name, id or beginning of an id.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Result<Option<ResolvedContainer>>;

/// Names a container of this engine's by its id.
pub type NameOf<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The names that the engine has for its containers, each asked for once.
struct Names<'a> {
    name_of: NameOf<'a>,
    known: HashMap<String, Option<String>>,
}

impl<'a> Names<'a> {
    fn new(name_of: NameOf<'a>) -> Self {
        Self {
            name_of,
            known: HashMap::new(),
        }
    }

    /// Names a container of soute's. Of another soute, with folders elsewhere, or one that may not be asked, it has but its id.
    fn complete(&mut self, container: &mut Container) {
        if container.engine != Maker::Soute {
            return;
        }
        let known = self.known.get(&container.id).cloned();
        container.name = known.unwrap_or_else(|| {
            let name = (self.name_of)(&container.id).filter(|name| *name != container.id);
            self.known.insert(container.id.clone(), name.clone());
            name
        });
    }
}

/// Names the containers of a list. It asks anew each time: one that has only just begun to run may have no name yet.
fn complete(list: &mut List, name_of: NameOf<'_>) {
    let mut names = Names::new(name_of);
    let containers = list.namespaces.iter_mut();
    for own in containers.filter_map(|row| row.container.as_mut()) {
        names.complete(own);
    }
}

/// What a word on the command line names.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A process, by the machine's number: a container's first one, if the word is a container's.
    Process(u32, Option<ContainerName>),
    /// A namespace by itself.
    Namespace(Way),
}

/// A way to a namespace.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// Its file.
    Path(PathBuf),
    /// Its inode, and what kind it is said to be of.
    Inode(u64, Option<Kind>),
}

impl Way {
    /// Goes there. `survey`, of everything, is asked who keeps the namespace of an inode.
    ///
    /// # Errors
    /// There is no namespace.
    pub fn open_by(&self, survey: &Survey) -> Result<(Kind, NamespaceId, OwnedFd)> {
        Ok(match self {
            Self::Path(path) => soute_lens::relations::open(path)?,
            Self::Inode(inode, said) => {
                let found = survey.open(*inode)?;
                if let Some(said) = said.filter(|said| *said != found.0) {
                    bail!(
                        "{inode} is a {} namespace, and no {said} namespace",
                        found.0
                    );
                }
                found
            }
        })
    }

    /// [`Way::open_by`] a survey of its own, if need be.
    pub fn open(&self) -> Result<(Kind, NamespaceId, OwnedFd)> {
        match self {
            Self::Path(path) => Ok(soute_lens::relations::open(path)?),
            Self::Inode(..) => self.open_by(&Survey::new(Scope::ALL)?),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path:?}"),
            Self::Inode(inode, _) => write!(f, "namespace {inode}"),
        }
    }
}

/// A number is a process, a word with a slash a path, any other a container; `ctr:WORD` is always a container, as is a
/// number that no process has. A number that no process can have is a namespace's, as is `net:[INODE]`.
pub fn target(word: &str, resolve: Resolve<'_>) -> Result<Target> {
    if let Some(name) = word.strip_prefix("ctr:") {
        return match container(name, resolve)? {
            Some(target) => Ok(target),
            None => bail!("there is no running container {name:?}"),
        };
    }
    if word.contains('/') {
        return Ok(Target::Namespace(Way::Path(PathBuf::from(word))));
    }
    if let Some((kind, inode)) = bracketed(word) {
        return Ok(Target::Namespace(Way::Inode(inode, Some(kind))));
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Some(pid) = word.parse().ok().filter(|pid| exists(*pid)) {
            return Ok(Target::Process(pid, None));
        }
        return match container(word, resolve) {
            Ok(Some(target)) => Ok(target),
            Ok(None) if word.parse().is_ok_and(|inode: u64| inode >= FIRST_INODE) => {
                Ok(Target::Namespace(Way::Inode(word.parse()?, None)))
            }
            Ok(None) => bail!("there is neither a process nor a running container {word}"),
            Err(error) => Err(error.context(format!("there is no process {word}"))),
        };
    }
    match container(word, resolve)? {
        Some(target) => Ok(target),
        None => bail!(
            "there is no running container {word:?} (a process is given by its number, a namespace's file by a path with a slash)"
        ),
    }
}

/// Below, no namespace has its inode (`PROC_DYNAMIC_FIRST` and `enum init_ns_ino` of the kernel); no process has such a
/// number.
const FIRST_INODE: u64 = 0xe000_0000;

/// The inode of `net:[4026532300]`, as links in /proc/PID/ns have it.
fn bracketed(word: &str) -> Option<(Kind, u64)> {
    let (kind, inode) = word.split_once(":[")?;
    Some((kind.parse().ok()?, inode.strip_suffix(']')?.parse().ok()?))
}

fn container(name: &str, resolve: Resolve<'_>) -> Result<Option<Target>> {
    let found = resolve(name).with_context(|| format!("container {name:?}"))?;
    Ok(found.map(|container| {
        let ResolvedContainer { name, id, init_pid } = container;
        Target::Process(init_pid, Some(ContainerName { name, id }))
    }))
}

/// Whether there is such a process.
pub fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

pub(super) fn json(value: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    Ok(out.write_all(crate::output::json(value)?.as_bytes())?)
}

/// Writes `table`, in lines no longer than the terminal's if there is one.
pub(super) fn table(table: &Table, out: &mut dyn Write) -> Result<()> {
    out.write_all(table.render(terminal_width()).as_bytes())?;
    Ok(())
}

pub(super) fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Writes lines of a label and a text.
fn facts(facts: &[(&str, String)], out: &mut dyn Write) -> Result<()> {
    let labels = facts
        .iter()
        .map(|(label, _)| label.len())
        .max()
        .unwrap_or(0);
    for (label, text) in facts {
        let line = format!("{label:<labels$}  {text}");
        match terminal_width() {
            Some(columns) => writeln!(out, "{}", cut(&line, columns))?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// Says what is missing in what was written: to standard error, so that the table stays a table.
pub(super) fn notes(notes: &[String]) {
    for note in notes {
        complain(&format!("soute: {note}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(name: &str) -> Result<Option<ResolvedContainer>> {
        match name {
            "web" | "99999999" => Ok(Some(ResolvedContainer {
                name: name.to_owned(),
                id: "1f3e".to_owned(),
                init_pid: 4613,
            })),
            "two" => bail!("several containers are called so"),
            _ => Ok(None),
        }
    }

    #[test]
    fn a_container_gets_its_name_as_soon_as_it_has_one() {
        let mut list = Survey::new(Scope::default()).unwrap().list(&[Kind::Uts]);
        let list = list.as_mut().unwrap();
        list.namespaces.truncate(1);
        list.namespaces[0].container = Some(Container {
            engine: Maker::Soute,
            id: "1f3e".to_owned(),
            name: None,
        });
        let name = |list: &List| list.namespaces[0].container.clone().unwrap().name;
        complete(list, &|_| None);
        assert_eq!(name(list), None);
        complete(list, &|id| Some(format!("web of {id}")));
        assert_eq!(name(list).as_deref(), Some("web of 1f3e"));
    }

    #[test]
    fn words_are_processes_paths_and_containers() {
        let target = |word: &str| target(word, &containers);
        let myself = std::process::id();
        assert_eq!(
            target(&myself.to_string()).unwrap(),
            Target::Process(myself, None)
        );
        let name = |name: &str| {
            let (name, id) = (name.to_owned(), "1f3e".to_owned());
            Target::Process(4613, Some(ContainerName { name, id }))
        };
        assert_eq!(target("web").unwrap(), name("web"));
        assert_eq!(target("ctr:web").unwrap(), name("web"));
        // No process has a number beyond 2^22.
        assert_eq!(target("99999999").unwrap(), name("99999999"));
        assert_eq!(
            target("./net").unwrap(),
            Target::Namespace(Way::Path("./net".into()))
        );
        for (word, kind) in [("4026532300", None), ("net:[4026532300]", Some(Kind::Net))] {
            let way = Way::Inode(4_026_532_300, kind);
            assert_eq!(target(word).unwrap(), Target::Namespace(way));
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = |word: &str| format!("{:#}", target(word, &containers).unwrap_err());
        assert!(error("nobody").contains("no running container \"nobody\""));
        assert!(error("ctr:1").contains("no running container \"1\""));
        assert!(error("88888888").contains("neither a process nor a running container"));
        assert!(error("two").contains("several containers"));
        assert!(error("").contains("no running container \"\""));
    }
}
