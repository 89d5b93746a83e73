//! What an OCI operation fails with.

use std::path::PathBuf;

use soute_sys::CallError;

use super::Status;
use crate::cgroups::CgroupError;
use crate::hooks::HookError;
use crate::process::Failure;
use crate::spec::SpecError;

/// Callers look for some of these words: containerd, Podman and CRI-O for "does not exist" and "container not running".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of that name.
    #[error("container {id:?} does not exist")]
    NoSuch {
        /// As it was asked for.
        id: String,
    },
    /// The name is taken.
    #[error("container {id:?} exists already")]
    Exists {
        /// As it was asked for.
        id: String,
    },
    /// No name for a container.
    #[error("container id {id:?}: {why}")]
    Id {
        /// As it was asked for.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The operation needs a process.
    #[error("container not running: {id:?} is {is}")]
    NotRunning {
        /// Which.
        id: String,
        /// What it is.
        is: Status,
    },
    /// The operation is not for a container in this state.
    #[error("cannot {operation} container {id:?}: it is {is}, and must be {needs}")]
    State {
        /// Which.
        id: String,
        /// What was asked for.
        operation: &'static str,
        /// What it is.
        is: Status,
        /// What it would have to be.
        needs: &'static str,
    },
    /// A file of its state says nothing that can be understood.
    #[error("{}: {why}", file.display())]
    Broken {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The bundle.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The container or a process in it could not be started.
    #[error(transparent)]
    Start(#[from] Failure),
    /// Its cgroup.
    #[error("{}", .0.in_spec_words())]
    Cgroup(#[from] CgroupError),
    /// One of its hooks.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A system call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A file.
    #[error("{what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// criu, for a checkpoint or a restore.
    #[error("criu {operation} failed (exit status {status}): {why} (its log: {})", log.display())]
    Criu {
        /// Its command.
        operation: &'static str,
        /// How it ended.
        status: i32,
        /// Its last word.
        why: String,
        /// Where it tells more.
        log: PathBuf,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Impossible(String),
    /// It failed, and so did the cleaning up.
    #[error("{error} (and cleaning up failed: {undoing})")]
    Undoing {
        /// What failed first.
        error: Box<Error>,
        /// What failed then.
        undoing: Box<Error>,
    },
}

/// Names what was tried with a file.
pub(super) fn io<T>(
    what: &'static str,
    path: &std::path::Path,
    result: std::io::Result<T>,
) -> Result<T, Error> {
    result.map_err(|error| Error::Io {
        what,
        path: path.to_owned(),
        error,
    })
}
