//! What a container is, and what it is doing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use soute_sys::{CallError, Called as _};

use super::error::io;
use super::folder::Folder;
use super::{Containers, Error, Status};
use crate::cgroups::systemd::Unit;
use crate::cgroups::{Cgroup, CgroupError, Layout, Place};
use crate::proc_stat;
use crate::process::gate;
use crate::spec::{CONFIG, Config};

pub(super) const STATE: &str = "state.json";
/// The first process: its number and when it started.
pub(super) const INIT: &str = "init";
/// The same, as long as the container is being made.
const CREATING: &str = "creating";

/// What stays the same as long as it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its id.
    pub id: String,
    /// `ociVersion` of its configuration.
    pub oci_version: String,
    /// The bundle's folder, absolute.
    pub bundle: PathBuf,
    /// The root file system's folder, absolute.
    pub rootfs: PathBuf,
    /// When, by RFC 3339.
    pub created: String,
    /// The user who made it.
    pub owner: u32,
    /// Where its cgroup is.
    pub cgroup: Place,
    /// The scope that systemd made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Whether it has a PID namespace of its own, whose end ends all its processes.
    pub own_pids: bool,
    /// The configuration's.
    pub annotations: BTreeMap<String, String>,
}

/// A container as it is found.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it is.
    pub state: State,
    /// What it is doing.
    pub status: Status,
    /// Its first process, unless it is stopped.
    pub pid: Option<i32>,
    pub(super) folder: PathBuf,
    pub(super) start_time: u64,
    /// The cgroup hierarchies, if they have been looked for already.
    layout: Option<Layout>,
}

/// Its first process.
#[derive(Debug, Clone, Copy)]
struct Init {
    pid: i32,
    start_time: u64,
}

/// A folder, and the container that it holds.
pub type Listed = (String, Result<Container, Error>);

impl Containers {
    /// One container.
    ///
    /// # Errors
    /// There is none, or its state cannot be read.
    pub fn container(&self, id: &str) -> Result<Container, Error> {
        find(&self.folder(id)?, id)
    }

    /// All of them, in the order of their ids; those whose state cannot be read, with the reason.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let look = |id: String| match self.container(&id) {
            // Removed meanwhile.
            Err(Error::NoSuch { .. }) => None,
            found => Some((id, found)),
        };
        Ok(self.names()?.into_iter().filter_map(look).collect())
    }
}

impl State {
    pub(super) fn write(&self, folder: &Folder) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|e| Error::Impossible(e.to_string()))?;
        let file = folder.path().join(STATE);
        io("writing", &file, write(&file, &text))
    }
}

/// Keeps who the first process is of a container that is being made.
pub(super) fn write_init(folder: &Folder, pid: Pid) -> Result<(), Error> {
    let pid = pid.as_raw_nonzero().get();
    let start_time = proc_stat::start_time(pid).unwrap_or(0);
    let file = folder.path().join(CREATING);
    let text = format!("{pid} {start_time}\n");
    io("writing", &file, write(&file, text.as_bytes()))
}

/// The container is made.
pub(super) fn has_been_made(folder: &Folder) -> Result<(), Error> {
    let file = folder.path().join(INIT);
    let renamed = std::fs::rename(folder.path().join(CREATING), &file);
    io("renaming to", &file, renamed)
}

fn find(folder: &Path, id: &str) -> Result<Container, Error> {
    let file = folder.join(STATE);
    let text = match std::fs::read(&file) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound) => {
            return Err(Error::NoSuch { id: id.to_owned() });
        }
        text => io("reading", &file, text)?,
    };
    // One that is cut short, too: whoever wrote it was killed, and only `delete --force` knows what to do with that.
    let state: State = serde_json::from_slice(&text).map_err(|e| broken(&file, e))?;
    let mut container = Container {
        state,
        status: Status::Stopped,
        pid: None,
        folder: folder.to_owned(),
        start_time: 0,
        layout: None,
    };
    let (init, made) = match read_init(&folder.join(INIT))? {
        Some(init) => (Some(init), true),
        None => (read_init(&folder.join(CREATING))?, false),
    };
    let alive = init.filter(|init| proc_stat::runs_since(init.pid, init.start_time));
    if let Some(init) = alive {
        container.pid = Some(init.pid);
        container.start_time = init.start_time;
    }
    if alive.is_some() && made {
        container.layout = Some(Layout::discover()?);
    }
    container.status = match (alive, made) {
        (Some(_), true) if container.is_frozen()? => Status::Paused,
        (Some(_), true) if gate::is_waiting(folder) => Status::Created,
        (Some(_), true) => Status::Running,
        (None, true) => Status::Stopped,
        // If nobody holds it, whoever was making it has died.
        (_, false) if is_held(folder) => Status::Creating,
        (_, false) => Status::Stopped,
    };
    Ok(container)
}

/// The first process that the folder tells of, if it is still there.
pub(super) fn first_process(folder: &Path) -> Result<Option<OwnedFd>, Error> {
    for name in [INIT, CREATING] {
        let Some(init) = read_init(&folder.join(name)).ok().flatten() else {
            continue;
        };
        let Some(pid) = Pid::from_raw(init.pid) else {
            continue;
        };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) if proc_stat::runs_since(init.pid, init.start_time) => {
                return Ok(Some(pidfd));
            }
            Ok(_) | Err(Errno::SRCH) => {}
            Err(e) => return Err(CallError::new(format!("pidfd_open({})", init.pid), e).into()),
        }
    }
    Ok(None)
}

fn read_init(file: &Path) -> Result<Option<Init>, Error> {
    let text = match std::fs::read_to_string(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => io("reading", file, text)?,
    };
    // Whoever was about to write it was killed; the process had got nothing from it yet, and ends by itself.
    if text.is_empty() {
        return Ok(None);
    }
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok());
    let start_time = words.next().and_then(|word| word.parse().ok());
    match (pid, start_time) {
        (Some(pid), Some(start_time)) => Ok(Some(Init { pid, start_time })),
        _ => Err(broken(file, "not a process and its start")),
    }
}

fn broken(file: &Path, why: impl fmt::Display) -> Error {
    Error::Broken {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

/// Whether somebody holds the folder.
fn is_held(folder: &Path) -> bool {
    let Ok(file) = std::fs::File::open(folder) else {
        return false;
    };
    let shared = rustix::fs::FlockOperation::NonBlockingLockShared;
    matches!(rustix::fs::flock(&file, shared), Err(Errno::WOULDBLOCK))
}

impl Container {
    /// Refuses an operation that takes another state: `needs`, and in words.
    pub(super) fn must_be(
        &self,
        needs: Status,
        operation: &'static str,
        in_words: &'static str,
    ) -> Result<(), Error> {
        let id = self.state.id.clone();
        match self.status {
            is if is == needs => Ok(()),
            is @ Status::Stopped => Err(Error::NotRunning { id, is }),
            is => Err(Error::State {
                id,
                operation,
                is,
                needs: in_words,
            }),
        }
    }

    /// A descriptor of its first process.
    ///
    /// # Errors
    /// [`Error::NotRunning`]
    pub fn process(&self) -> Result<OwnedFd, Error> {
        let gone = || Error::NotRunning {
            id: self.state.id.clone(),
            is: self.status,
        };
        let number = self.pid.ok_or_else(gone)?;
        let pid = Pid::from_raw(number).ok_or_else(gone)?;
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Err(gone()),
            opened => opened.called(|| format!("pidfd_open({number})"))?,
        };
        // Opened first, looked at then: the descriptor is of the process that was looked at.
        match proc_stat::runs_since(number, self.start_time) {
            true => Ok(pidfd),
            false => Err(gone()),
        }
    }

    /// Its cgroup, if there still is one.
    ///
    /// # Errors
    /// The hierarchies cannot be found.
    pub fn cgroup(&self) -> Result<Option<Cgroup>, Error> {
        match self.state.cgroup.open(&self.layout()?) {
            Ok(cgroup) => Ok(Some(cgroup)),
            Err(CgroupError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The machine's cgroup hierarchies, looked for once.
    pub(super) fn layout(&self) -> Result<Layout, Error> {
        match &self.layout {
            Some(layout) => Ok(layout.clone()),
            None => Ok(Layout::discover()?),
        }
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        match self.cgroup()? {
            Some(cgroup) => Ok(cgroup.is_frozen().unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// Its configuration, as it was when it was made.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn config(&self) -> Result<Config, Error> {
        let file = self.folder.join(CONFIG);
        let text = io("reading", &file, std::fs::read(&file))?;
        Ok(Config::parse(&text, self.state.bundle.clone())?)
    }
}

/// Keeps a copy of the configuration.
pub(super) fn write_config(folder: &Folder, text: &[u8]) -> Result<(), Error> {
    let file = folder.path().join(CONFIG);
    io("writing", &file, write(&file, text))
}

/// As std::fs::write, one system call less: musl's open(3) sets O_CLOEXEC a second time.
fn write(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(file, flags, Mode::from_raw_mode(0o666))?;
    File::from(file).write_all(text)
}
