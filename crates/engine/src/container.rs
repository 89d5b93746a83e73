//! Containers as they are now: the record, and what the kernel says of it.

use std::time::{Duration, Instant};

use crate::Engine;
use crate::error::Error;
use crate::ids;
use crate::lock::{Attempt, Lock};
use crate::record::{LastRun, Record, Running};
use soute_runtime::proc_stat;

/// A start takes milliseconds, or as long as a file system that a bind is on does not answer.
const START: Duration = Duration::from_secs(10);

/// What a container is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Made, never started.
    Created,
    /// Its program runs.
    Running(Running),
    /// Its program has ended.
    Exited(LastRun),
    /// What it does cannot be told, or what is left of its last run cannot be removed. Whoever names it is told why.
    Dead,
}

impl Status {
    /// Docker's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running(_) => "running",
            Self::Exited(_) => "exited",
            Self::Dead => "dead",
        }
    }
}

/// A container and its status.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// What it is.
    pub record: Record,
    /// What it does.
    pub status: Status,
}

impl Engine {
    /// The record of the container that `name` names: by name, by id, or by the beginning of an id that no other has.
    pub fn find(&self, name: &str) -> Result<Record, Error> {
        Record::read(&self.places, &self.id_of(name)?).map_err(|e| match e {
            // Just being made, or removed: what the user called it is what it is called.
            Error::NoSuchContainer(_) => Error::NoSuchContainer(name.to_owned()),
            other => other,
        })
    }

    /// The id that `name` stands for. With all its digits it need not be any container's.
    pub(crate) fn id_of(&self, name: &str) -> Result<String, Error> {
        if let Some(id) = ids::find_name(&self.places, name)? {
            return Ok(id);
        }
        if ids::is_id(name) {
            return Ok(name.to_owned());
        }
        let hexadecimal = !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !hexadecimal {
            return Err(Error::NoSuchContainer(name.to_owned()));
        }
        let mut matching: Vec<String> = ids::all(&self.places)?
            .into_iter()
            .filter(|id| id.starts_with(name))
            .collect();
        match matching.len() {
            0 => Err(Error::NoSuchContainer(name.to_owned())),
            1 => Ok(matching.remove(0)),
            _ => {
                matching.sort_unstable();
                Err(Error::AmbiguousId {
                    prefix: name.to_owned(),
                    ids: matching
                        .iter()
                        .map(|id| crate::error::short(id).to_owned())
                        .collect(),
                })
            }
        }
    }

    /// The container that `name` names, with its status.
    pub fn container(&self, name: &str) -> Result<Container, Error> {
        let record = self.find(name)?;
        self.await_start(&record.id)?;
        let status = self.status(&record)?;
        Ok(Container { record, status })
    }

    /// A container that is being started is neither stopped nor running: whoever means it waits until it is one.
    fn await_start(&self, id: &str) -> Result<(), Error> {
        let folder = self.places.running(id);
        let deadline = Instant::now() + START;
        while Instant::now() < deadline
            && Running::read_at_start(&self.places, id)?.is_some()
            && matches!(Lock::try_existing(&folder)?, Attempt::Held)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// All containers, the newest first.
    pub fn containers(&self) -> Result<Vec<Container>, Error> {
        let mut all = Vec::new();
        for id in ids::all(&self.places)? {
            match Record::read(&self.places, &id) {
                Ok(record) => {
                    // What has failed a moment ago is not tried again.
                    let dead = self.is_in_trouble(&id);
                    let status = if dead {
                        None
                    } else {
                        self.status(&record).ok()
                    };
                    let status = status.unwrap_or(Status::Dead);
                    all.push(Container { record, status });
                }
                // Removed, or not finished, since the folder was read.
                Err(Error::NoSuchContainer(_)) => {}
                Err(_) => all.push(self.wreck(id)?),
            }
        }
        all.sort_by_key(|c: &Container| std::cmp::Reverse(c.record.created));
        Ok(all)
    }

    /// Stands in a list for a container whose record cannot be read.
    fn wreck(&self, id: String) -> Result<Container, Error> {
        let name = ids::name_of(&self.places, &id)?;
        let made = std::fs::metadata(self.places.container(&id)).and_then(|data| data.modified());
        let made = made.map(|made| made.try_into().unwrap_or_default());
        Ok(Container {
            record: Record::lost(id, name.unwrap_or_default(), made.unwrap_or_default()),
            status: Status::Dead,
        })
    }

    /// What the container does; one whose monitor is gone is cleaned up on the way.
    pub fn status(&self, record: &Record) -> Result<Status, Error> {
        let folder = self.places.running(&record.id);
        if let Some(running) = Running::read(&self.places, &record.id)? {
            if self.first_process_lives(&running)
                && matches!(Lock::try_existing(&folder)?, Attempt::Held)
            {
                return Ok(Status::Running(running));
            }
            // The program has ended: its monitor is writing that down, or was killed and never will.
            match Lock::take_soon(&folder)? {
                Some(lock) => {
                    crate::reconcile::clean(&self.places, &self.layout, &record.id, lock)?;
                }
                None => return Ok(Status::Running(running)),
            }
        }
        Ok(match LastRun::read(&self.places, &record.id)? {
            Some(last) => Status::Exited(last),
            None => Status::Created,
        })
    }

    fn first_process_lives(&self, running: &Running) -> bool {
        proc_stat::start_time(running.pid) == Some(running.start_time)
    }

    /// The first process of a container that runs, as a descriptor that is certainly of it.
    pub fn first_process(&self, container: &Container) -> Result<std::os::fd::OwnedFd, Error> {
        let not_running = || Error::WrongState {
            name: container.record.name.clone(),
            is: container.status.word().to_owned(),
            operation: "this",
            needs: "a running container",
        };
        let Status::Running(running) = &container.status else {
            return Err(not_running());
        };
        proc_stat::hold(running.pid, running.start_time).ok_or_else(not_running)
    }
}
