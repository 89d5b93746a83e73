//! A container as it is kept on disk: what was asked for, and what it became.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_runtime::idmap::IdMaps;

use crate::error::{Error, io};
use crate::lock::Lock;
use crate::places::{Places, remove_if_there};
use crate::request::Request;

/// What `create` settled; it does not change afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `run --rm`: the record lives in /run, and nothing of the container survives its process.
    pub ephemeral: bool,
    /// When it was made.
    pub created: Timestamp,
    /// What was asked for.
    pub request: Request,
    /// The image's id, if it is of one.
    pub image: Option<String>,
    /// The read-only layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// The program with its arguments.
    pub args: Vec<String>,
    /// The environment, complete.
    pub env: Vec<String>,
    /// The working directory.
    pub working_directory: String,
    /// The user, as `--user` or the image says.
    pub user: String,
    /// Image labels, overridden by `--label`.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The host name, unless the machine's is shared.
    pub hostname: Option<String>,
    /// The signal that `stop` sends first.
    pub stop_signal: i32,
    /// Its user namespace's maps; `None`: the machine's.
    pub id_maps: Option<IdMaps>,
    /// Its cgroup, below the mount of each hierarchy.
    pub cgroup: String,
    /// Volumes that were made for it without a name, and go with it.
    pub anonymous_volumes: Vec<String>,
    /// Mount target and volume name.
    pub volumes: Vec<(String, String)>,
}

/// A run that has ended, or (without `finished`) one that the machine's end cut short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// When the program started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its exit status, or 128 + the signal.
    pub exit_code: i32,
    /// The kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Why it could not start, or what ended it from outside.
    pub error: Option<String>,
}

/// A container that runs: kept in /run while it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its first process.
    pub pid: i32,
    /// That process's start time (proc(5), field 22 of stat): with the number it names one process for good.
    pub start_time: u64,
    /// Its monitor.
    pub monitor: i32,
    /// When the program started.
    pub started: Timestamp,
}

/// Where a file of a container is.
fn record_path(places: &Places, id: &str, ephemeral: bool) -> PathBuf {
    // Nothing but the changes goes to disk then.
    if ephemeral {
        places.running(id)
    } else {
        places.container(id)
    }
    .join("config.json")
}

impl Record {
    /// What is left of a record that cannot be read.
    pub(crate) fn lost(id: String, name: String, created: Timestamp) -> Self {
        Self {
            id,
            name,
            ephemeral: false,
            created,
            request: Request::default(),
            image: None,
            layers: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            working_directory: String::new(),
            user: String::new(),
            labels: Default::default(),
            hostname: None,
            stop_signal: 0,
            id_maps: None,
            cgroup: String::new(),
            anonymous_volumes: Vec::new(),
            volumes: Vec::new(),
        }
    }

    /// Writes the record; the folder must be there.
    pub(crate) fn write(&self, places: &Places) -> Result<(), Error> {
        let path = record_path(places, &self.id, self.ephemeral);
        write_json(&path, self, !self.ephemeral)
    }

    /// Removes the record of `id`; that there is none is fine.
    pub(crate) fn remove(places: &Places, id: &str, ephemeral: bool) -> Result<(), Error> {
        let record = record_path(places, id, ephemeral);
        remove_if_there("removing", &record)
    }

    /// Reads the record of `id`.
    pub(crate) fn read(places: &Places, id: &str) -> Result<Self, Error> {
        match read_json(&record_path(places, id, false))? {
            Some(record) => Ok(record),
            None => read_json(&record_path(places, id, true))?
                .ok_or_else(|| Error::NoSuchContainer(id.to_owned())),
        }
    }
}

impl LastRun {
    fn path(places: &Places, id: &str) -> PathBuf {
        places.container(id).join("last.json")
    }

    fn path_in_run(places: &Places, id: &str) -> PathBuf {
        places.running(id).join("last.json")
    }

    pub(crate) fn write(&self, places: &Places, id: &str) -> Result<(), Error> {
        write_json(&Self::path(places, id), self, self.finished.is_some())
    }

    /// Writes it down for good and gives the container's folder in /run up. Where the disk is full the folder stays,
    /// with this in it, until a later command finds room.
    pub(crate) fn settle(&self, places: &Places, id: &str, lock: Lock) -> Result<(), Error> {
        if self.write(places, id).is_ok() {
            return lock.remove_folder();
        }
        self.leave(places, id)
    }

    /// Writes it down where the next command finds it, and settles it once it has cleaned up.
    pub(crate) fn leave(&self, places: &Places, id: &str) -> Result<(), Error> {
        write_json(&Self::path_in_run(places, id), self, false)
    }

    /// The last run that is known.
    pub(crate) fn read(places: &Places, id: &str) -> Result<Option<Self>, Error> {
        if let Some(last) = Self::read_unsettled(places, id)? {
            return Ok(Some(last));
        }
        let path = Self::path(places, id);
        match read_json(&path) {
            // A start writes it without waiting for the disk: a power cut soon after leaves it empty, or half. That
            // it is there tells what it would have.
            Err(Error::Corrupt { .. }) => Self::cut_short(&path).map(Some),
            other => other,
        }
    }

    /// A run of which nothing is known but that it was begun: at the time of the file that should tell.
    fn cut_short(path: &Path) -> Result<Self, Error> {
        let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        let written = io("reading the time of", path, written)?;
        Ok(Self {
            started: Timestamp::try_from(written).unwrap_or_default(),
            finished: None,
            exit_code: 137,
            oom_killed: false,
            error: None,
        })
    }

    /// One that could not be written down for good.
    pub(crate) fn read_unsettled(places: &Places, id: &str) -> Result<Option<Self>, Error> {
        read_json(&Self::path_in_run(places, id))
    }
}

impl Running {
    fn path(places: &Places, id: &str) -> PathBuf {
        places.running(id).join("state.json")
    }

    fn path_at_start(places: &Places, id: &str) -> PathBuf {
        places.running(id).join("starting.json")
    }

    /// The first process is there and sets itself up: known to whoever must end it, and to nobody else. It is still
    /// among the machine's files and in its network, where no other process may follow it.
    pub(crate) fn write_at_start(&self, places: &Places, id: &str) -> Result<(), Error> {
        write_json(&Self::path_at_start(places, id), self, false)
    }

    /// The program runs.
    pub(crate) fn has_started(places: &Places, id: &str) -> Result<(), Error> {
        let path = Self::path_at_start(places, id);
        io(
            "renaming",
            &path,
            std::fs::rename(&path, Self::path(places, id)),
        )
    }

    /// A container that runs; `None`: it does not, or not yet.
    pub(crate) fn read(places: &Places, id: &str) -> Result<Option<Self>, Error> {
        read_json(&Self::path(places, id))
    }

    /// A container of which there is a first process, whether its program runs yet or not.
    pub(crate) fn read_at_any_time(places: &Places, id: &str) -> Result<Option<Self>, Error> {
        match Self::read(places, id)? {
            Some(running) => Ok(Some(running)),
            None => Self::read_at_start(places, id),
        }
    }

    /// One that does not run yet.
    pub(crate) fn read_at_start(places: &Places, id: &str) -> Result<Option<Self>, Error> {
        read_json(&Self::path_at_start(places, id))
    }
}

/// Replaces `path` at once: readers see the old or the new content, never half. `durable`: also after a power cut.
pub(crate) fn write_json(path: &Path, value: &impl Serialize, durable: bool) -> Result<(), Error> {
    let text = serde_json::to_vec(value).map_err(|e| Error::Corrupt {
        path: path.to_owned(),
        why: e.to_string(),
    })?;
    let temporary = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    };
    write().or_else(|e| {
        let _ = std::fs::remove_file(&temporary);
        io("writing", path, Err(e))
    })
}

pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return io("reading", path, Err(e)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| Error::Corrupt {
            path: path.to_owned(),
            why: e.to_string(),
        })
}
