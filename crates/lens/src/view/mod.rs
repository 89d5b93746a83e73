//! What `soute ns` shows: tables as data (which serialise to JSON), and as text.

mod branches;
mod caps;
mod changes;
mod differ;
mod graph;
mod list;
mod mounts;
mod one;
mod pids;
mod show;
mod table;
mod told;
mod tree;

pub use caps::{Because, Caps, CapsRow};
pub use changes::Changes;
pub use differ::{Differ, Difference, Section, Subject};
pub use graph::{Asked, Graph, Other, Whose, World, WorldNamespace, WorldProcess};
pub use list::{Column, List, Row, UnknownColumn};
pub use mounts::{MountRow, Mounts, Peer, Propagation};
pub use one::{Inhabitant, One};
pub use pids::{Level, PidRow, Pids};
pub use show::{Capabilities, GroupView, Inside, Show, ShowRow};
pub use table::{Align, Table, cut};
pub use tree::{Tree, TreeRow};

use std::collections::HashMap;

use serde::Serialize;

use crate::containers::Names;
use crate::proc::{Look, Proc, Users};
use crate::sharing::Sharing;
use crate::{Basis, Container, Discovery, Error, Kind, Machine, Namespace, Process, Scope};

/// Everything that was seen, from which each view is made.
#[derive(Debug)]
pub struct Survey {
    pub(crate) proc: Proc,
    found: Discovery,
    machine: Machine,
    users: Users,
    names: Names,
}

/// The container that a process was found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerName {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

impl Survey {
    /// Looks at everything that `scope` says.
    pub fn new(scope: Scope) -> Result<Self, Error> {
        let proc = Proc::open()?;
        let found = Discovery::new(&proc, scope)?;
        let machine = Machine::new(&proc, &found)?;
        Ok(Self {
            proc,
            found,
            machine,
            users: Users::of_machine(),
            names: Names::default(),
        })
    }

    /// The namespaces.
    pub fn found(&self) -> &Discovery {
        &self.found
    }

    /// Which of them are the machine's.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The container that process `pid` is in, of whatever engine; none of a process that has ended.
    pub fn container_of(&self, pid: u32) -> Result<Option<Container>, Error> {
        match self.proc.process(pid)? {
            Look::Seen(folder) => crate::containers::of_process(&self.proc, &folder, &self.names),
            Look::Gone | Look::Hidden => Ok(None),
        }
    }

    pub(crate) fn process(&self, pid: u32) -> Result<Look<Process>, Error> {
        match self.proc.process(pid)? {
            Look::Seen(folder) => Process::read(&folder),
            Look::Gone => Ok(Look::Gone),
            Look::Hidden => Ok(Look::Hidden),
        }
    }

    /// The process with the lowest number in `namespace`. The first may have ended since: then the next one is.
    fn first_in(&self, namespace: &Namespace) -> Result<Option<Process>, Error> {
        for pid in &namespace.processes {
            if let Look::Seen(process) = self.process(*pid)? {
                return Ok(Some(process));
            }
        }
        Ok(None)
    }

    /// The processes `pids`, each read once; those that have ended are missing.
    fn processes(
        &self,
        pids: impl IntoIterator<Item = u32>,
    ) -> Result<HashMap<u32, Process>, Error> {
        let mut processes = HashMap::new();
        for pid in pids {
            if let Look::Seen(process) = self.process(pid)? {
                processes.insert(pid, process);
            }
        }
        Ok(processes)
    }

    /// How the machine itself is called from here: it may be a container's inside.
    fn name_of_machine(&self) -> &'static str {
        match self.machine.namespace(Kind::Pid) {
            Some((_, Basis::Initial)) => "MACHINE",
            _ => "HERE",
        }
    }

    /// One line for each thing that is not shown, and why.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Discovery {
            hidden, processes, ..
        } = &self.found;
        if !hidden.is_empty() {
            let these = match hidden.len() {
                1 => format!("process {} hides its namespaces", hidden[0]),
                n => format!("{n} of {processes} processes hide their namespaces"),
            };
            notes.push(format!(
                "{these} from this user, who may not trace them (ptrace(2)): namespaces and sharing through them are missing here"
            ));
        }
        if !self.found.closed.is_empty() {
            let these = match self.found.closed.len() {
                1 => "1 process hides its".to_owned(),
                n => format!("{n} processes hide their"),
            };
            notes.push(format!(
                "{these} descriptors from this user: namespaces that only these keep are missing here"
            ));
        }
        if let Some((number, why)) = &self.found.unasked {
            let these = match number {
                1 => "1 socket was".to_owned(),
                n => format!("{n} sockets were"),
            };
            notes.push(format!(
                "{these} not asked for the network namespace ({why}): namespaces that only sockets keep may be missing here"
            ));
        }
        if let Some(option) = &self.found.unlisted {
            notes.push(format!(
                "/proc is mounted with {option}: processes of other users may be missing here"
            ));
        }
        if !self.found.unknown.is_empty() {
            let list = self.found.unknown.join(", ");
            notes.push(format!("of kinds that this program does not know: {list}"));
        }
        notes
    }

    fn describe(&self, sharing: Sharing) -> Result<String, Error> {
        Ok(match sharing {
            Sharing::Own => "own".to_owned(),
            Sharing::Machine { basis } => format!("shared with {}", of_machine(basis)),
            Sharing::Others { pid, count } => {
                let name = match self.process(pid)? {
                    Look::Seen(process) => {
                        format!(" ({})", crate::text::visible(&process.stat.comm))
                    }
                    Look::Gone | Look::Hidden => String::new(),
                };
                let more = match count {
                    1 => String::new(),
                    _ => format!(" and {} more", count - 1),
                };
                format!("shared with {pid}{name}{more}")
            }
        })
    }
}

fn of_machine(basis: Basis) -> &'static str {
    match basis {
        Basis::Initial => "the machine",
        Basis::FirstProcess => "process 1 (the machine as seen from here)",
        Basis::Caller => "soute itself (process 1 is hidden)",
    }
}

/// What keeps a namespace that no process is in, in words.
pub(crate) fn kept_by(namespace: &Namespace, found: &Discovery) -> String {
    use crate::text::visible;
    use std::os::unix::ffi::OsStrExt;
    if let Some(thread) = namespace.threads.first() {
        return format!("(thread {} of process {})", thread.tid, thread.pid);
    }
    if let Some(bound) = namespace.bound.first() {
        let path = visible(bound.path.as_os_str().as_bytes());
        return match bound.seen_by {
            None => format!("(mounted at {path})"),
            Some(pid) => format!("(mounted at {path} for process {pid})"),
        };
    }
    if let Some(pid) = namespace.for_children_of.first() {
        return format!("(for children of process {pid})");
    }
    if let Some(descriptor) = namespace.descriptors.first() {
        return format!(
            "(descriptor {} of process {})",
            descriptor.fd, descriptor.pid
        );
    }
    if let Some(socket) = namespace.sockets.first() {
        return format!("(socket {} of process {})", socket.fd, socket.pid);
    }
    let id = Some(namespace.id);
    if let Some(child) = found.namespaces().find(|child| child.parent.id() == id) {
        return format!("(parent of {})", child.id.inode);
    }
    match found.namespaces().find(|owned| owned.owner.id() == id) {
        Some(owned) => format!("(owner of {})", owned.id.inode),
        None => "(nobody is left in it)".to_owned(),
    }
}
