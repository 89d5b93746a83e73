//! Notes of what is about to change: a mark that nobody is at work on is what a killed command left, and the next command
//! finishes (rewire.rs). They are made and changed under the networks' lock.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soute_network::plan::ports::Wanted;
use soute_network::ruleset::Published;

use super::Noted;
use crate::error::Error;
use crate::places::{Places, entries, make_folder, remove_if_there};
use crate::record::{Record, read_json, write_json};

/// A file that says of a container what is about to change.
pub(super) struct Mark {
    /// The container's.
    pub(super) id: String,
    pub(super) step: Step,
    path: PathBuf,
}

/// What is left to be done where nobody does it.
#[derive(Serialize, Deserialize)]
pub(super) enum Step {
    /// It is on its way into this network, or out of it: it is taken out.
    Unplug(String),
    /// It is to have other ports, as they were asked for and as they are, and those that are gone are led in no more.
    Publish {
        wanted: Vec<Wanted>,
        published: Vec<Published>,
        gone: Vec<Published>,
    },
    /// The change is made. These ports may still be led in, and its monitor may not know.
    Settle(Vec<Published>),
}

impl Mark {
    pub(super) fn make(places: &Places, id: &str, step: Step) -> Result<Self, Error> {
        make_folder(&places.rewiring(), 0o700)?;
        // One of its own for each command: another one may have changed the container, and not told yet.
        let name = format!("{id}-{}", Timestamp::now().as_nanosecond());
        let mark = Self {
            id: id.to_owned(),
            step,
            path: places.rewiring().join(name),
        };
        write_json(&mark.path, &mark.step, false)?;
        Ok(mark)
    }

    /// The container's ports are about to be those of the record, and no longer `old` but `new`.
    pub(super) fn publish(
        places: &Places,
        record: &Record,
        old: &Noted,
        new: &Noted,
    ) -> Result<Self, Error> {
        let step = Step::Publish {
            wanted: record.request.published.clone(),
            published: new.published.clone(),
            gone: old.published_only(new),
        };
        Self::make(places, &record.id, step)
    }

    /// The container's ports are about to be led in no more.
    pub(super) fn unpublish(places: &Places, id: &str, gone: &[Published]) -> Result<Self, Error> {
        Self::make(places, id, Step::Settle(gone.to_vec()))
    }

    /// The change is made, but for ports that are led in no more.
    pub(super) fn leave(&mut self, gone: &[Published]) -> Result<(), Error> {
        self.step = Step::Settle(gone.to_vec());
        write_json(&self.path, &self.step, false)
    }

    pub(super) fn leave_telling(&mut self) -> Result<(), Error> {
        self.leave(&[])
    }

    pub(super) fn all(places: &Places) -> Result<Vec<Self>, Error> {
        let folder = places.rewiring();
        let mut marks = Vec::new();
        for path in entries(&folder)? {
            let path = path?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let id = name.split('-').next().unwrap_or_default().to_owned();
            let step = match path.extension() {
                // Who wrote it was killed before anything was changed, or after all was.
                Some(_) => Some(Step::Settle(Vec::new())),
                None => read_json(&path)?,
            };
            // One that was removed meanwhile is none.
            marks.extend(step.map(|step| Self { id, step, path }));
        }
        Ok(marks)
    }

    pub(super) fn remove(self) -> Result<(), Error> {
        remove_if_there("removing", &self.path)
    }
}
