//! A container's output on disk: a line of JSON for each line of output, in
//! the form of Docker's `json-file`, so that tools which read those read these.
//! Files rotate: `log.json` is the newest, `log.json.1` the one before, and so on.

mod read;
mod write;

pub use read::{Filter, Follow, read};
pub(crate) use write::{Stream, Writer};

use serde::{Deserialize, Serialize};

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The text, with its newline if it had one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it was written.
    pub time: jiff::Timestamp,
}

fn path(folder: &std::path::Path, number: u32) -> std::path::PathBuf {
    match number {
        0 => folder.join("log.json"),
        n => folder.join(format!("log.json.{n}")),
    }
}
