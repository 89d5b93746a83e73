//! Containers as an OCI runtime keeps them (runtime-spec 1.3, runtime.md): made from a bundle, with a folder each for
//! their state, and nobody who waits for them but whoever called.
//!
//! ```text
//! ROOT/ID/   state.json    what it is: written first, so that whatever is made later can be found and removed
//!            config.json   the bundle's, as it was
//!            init          its first process: number and start time (`creating`, as long as it is being made)
//!            start         where it waits for its start; `start-failure` beside
//! ```

mod checkpoint;
mod create;
mod delete;
mod error;
mod exec;
mod folder;
mod late;
mod machine;
mod operate;
mod prepare;
mod recipients;
mod restore;
mod state;

use std::path::PathBuf;

pub use checkpoint::Checkpoint;
pub use create::{Create, TerminalSize};
pub use error::Error;
pub use exec::{Exec, ProcessChoice};
pub use late::Late;
pub use recipients::Recipients;
pub use restore::Restore;
pub use state::{Container, Listed, State};

pub use crate::criu::{CgroupsMode, Flags, Images};
pub use crate::hooks::Status;

/// The containers below one folder.
#[derive(Debug, Clone)]
pub struct Containers {
    root: PathBuf,
}

impl Containers {
    /// Those whose state is below `root`, which need not exist.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }
}
