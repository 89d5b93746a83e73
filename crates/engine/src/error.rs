//! What can go wrong in the engine.

use std::path::{Path, PathBuf};

use soute_runtime::process::Failure;

use crate::networks::RulesHookError;

/// An engine operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A system call.
    #[error(transparent)]
    Call(#[from] soute_sys::CallError),
    /// A file of the engine's own that does not parse.
    #[error("{}: {why}", path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        why: String,
    },
    /// No container of that name or id.
    #[error("no such container: {0}")]
    NoSuchContainer(String),
    /// No network of that name or id.
    #[error("no such network: {0}")]
    NoSuchNetwork(String),
    /// The name is another network's.
    #[error("there is a network {0} already")]
    NetworkExists(String),
    /// It is not in that network.
    #[error("container {container} is not in network {network}")]
    NotConnected {
        /// The container's name.
        container: String,
        /// The network's.
        network: String,
    },
    /// An id prefix that several containers share.
    #[error("the id prefix {prefix} is ambiguous: {}", ids.join(", "))]
    AmbiguousId {
        /// What was given.
        prefix: String,
        /// Whose it is.
        ids: Vec<String>,
    },
    /// The name is another container's.
    #[error("the name {name} is taken by container {}", short(id))]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// Not a name.
    #[error("{0:?} is not a container name: letters, digits, and (not first) _ . -")]
    InvalidName(String),
    /// The container is not in the state that the operation needs.
    #[error("container {name} is {is}; {operation} needs {needs}")]
    WrongState {
        /// Its name.
        name: String,
        /// Its state.
        is: String,
        /// What was asked.
        operation: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// The container runs already.
    #[error("container {name} is running already")]
    Runs {
        /// Its name.
        name: String,
    },
    /// Not root.
    #[error("soute needs root for now: {0}")]
    NotRoot(&'static str),
    /// No range of ids is left for a user namespace.
    #[error("no free range of user ids is left: {0}")]
    NoIds(String),
    /// `--userns remap:…` cannot be done.
    #[error("--userns remap:{user}: {why}")]
    Remap {
        /// As asked.
        user: String,
        /// Why not.
        why: String,
    },
    /// A request that is impossible, or that contradicts itself or the machine.
    #[error("{0}")]
    Impossible(String),
    /// An image.
    #[error(transparent)]
    Image(#[from] soute_image::Error),
    /// A limit that cannot be set.
    #[error(transparent)]
    Resource(#[from] soute_runtime::cgroups::ResourceError),
    /// The table of nftables.
    #[error(transparent)]
    Ruleset(#[from] soute_network::ruleset::Error),
    /// The user's own rules are not in place.
    #[error("the user's own rules: {0} (rules_hook in the settings)")]
    RulesHook(RulesHookError),
    /// A cgroup.
    #[error(transparent)]
    Cgroup(#[from] soute_runtime::cgroups::CgroupError),
    /// A capability.
    #[error(transparent)]
    Capability(#[from] soute_runtime::capabilities::CapabilityError),
    /// A seccomp profile.
    #[error(transparent)]
    Seccomp(#[from] soute_runtime::seccomp::SeccompError),
    /// A kernel release that does not parse.
    #[error(transparent)]
    Kernel(#[from] soute_runtime::seccomp::VersionError),
    /// The settings file.
    #[error("{}: {why}", path.display())]
    Settings {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The container could not be started.
    #[error("{0}")]
    Start(Failure),
    /// The monitor ended before it said anything.
    #[error("the container's monitor ended unexpectedly")]
    MonitorLost,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Start(failure)
    }
}

impl Error {
    /// With what came of undoing what was done before it.
    pub(crate) fn undone(self, undone: Result<(), Self>) -> Self {
        match undone {
            Ok(()) => self,
            Err(undoing) => Self::Impossible(format!("{self} (and cleaning up failed: {undoing})")),
        }
    }
}

/// The first twelve digits of an id, as people see it.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Names the operation and the path of a failed file operation.
pub(crate) fn io<T>(
    what: &'static str,
    path: &Path,
    result: std::io::Result<T>,
) -> Result<T, Error> {
    result.map_err(|source| Error::Io {
        what,
        path: path.to_owned(),
        source,
    })
}
