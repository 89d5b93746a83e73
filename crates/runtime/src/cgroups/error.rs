//! What can go wrong with a cgroup, with its names and numbers.

use soute_sys::CallError;

use super::{LayoutKind, ResourceError};

/// A failed operation on a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A system call on the cgroup filesystem failed.
    #[error(transparent)]
    Call(#[from] CallError),

    /// No cgroup filesystem is mounted that this process may see.
    #[error(
        "no cgroup file system is mounted (/proc/self/mountinfo lists neither cgroup nor cgroup2)"
    )]
    NoHierarchy,

    /// A cgroup path that leaves its hierarchy or cannot be a path.
    #[error("cgroup path \"{path}\": {why}")]
    Path {
        /// The path as given.
        path: String,
        /// The rule that it breaks.
        why: &'static str,
    },

    /// The cgroup is there already: its members would come under limits that are not theirs.
    #[error("cgroup {dir} exists already")]
    Exists {
        /// The folder.
        dir: String,
    },

    /// The cgroup that is there has processes, which the container's limits and end would reach.
    #[error("cgroup {dir} is not empty: it has {count} process(es)")]
    Inhabited {
        /// The folder.
        dir: String,
        /// Those in it and below it.
        count: usize,
    },

    /// The cgroup that is there is frozen: nothing would start in it.
    #[error("cgroup {dir} is frozen: nothing would run there until it is thawed")]
    Frozen {
        /// The folder.
        dir: String,
    },

    /// The v2 cgroup that is there takes no processes.
    #[error("cgroup {dir}: no process can be put there, since {why}")]
    NoEntry {
        /// The folder.
        dir: String,
        /// What keeps them out.
        why: String,
    },

    /// The cgroup is in no hierarchy.
    #[error("no cgroup \"{path}\" in any hierarchy")]
    NotFound {
        /// The path below the mounts.
        path: String,
    },

    /// A limit needs a controller that this machine does not offer.
    #[error(
        "{limit}: no cgroup controller \"{controller}\" on this machine (layout: {layout}; offered: {offered})"
    )]
    MissingController {
        /// The flag that asked, e.g. `--memory`.
        limit: &'static str,
        /// The kernel's name of the controller.
        controller: String,
        /// What the machine has.
        layout: LayoutKind,
        /// The controllers there are, with their version.
        offered: String,
    },

    /// A v2 controller exists, but an ancestor does not hand it down.
    #[error("{limit}: cannot enable cgroup controller \"{controller}\": {source}")]
    Enable {
        /// The flag that asked.
        limit: &'static str,
        /// The kernel's name of the controller.
        controller: String,
        /// The write to `cgroup.subtree_control`. EBUSY: that folder holds processes itself
        /// (cgroups(7), "no internal processes"), as the root of a cgroup namespace does.
        source: CallError,
    },

    /// The limit has no counterpart in the cgroup version that carries its controller.
    #[error(
        "{limit} exists in cgroup v1 only, and \"{controller}\" is a cgroup v2 controller here"
    )]
    OnlyV1 {
        /// The flag that asked.
        limit: &'static str,
        /// The kernel's name of the controller.
        controller: String,
    },

    /// A file of `unified` that cannot be one, or that no cgroup v2 hierarchy of this machine has.
    #[error("unified \"{file}\": {why}")]
    Unified {
        /// The file as given.
        file: String,
        /// The rule that it breaks.
        why: String,
    },

    /// The limit is below what is in use, and the caller asked for that to be refused.
    #[error("{limit} {asked}: {used} bytes are in use already")]
    BelowUsage {
        /// The flag that asked.
        limit: &'static str,
        /// Bytes.
        asked: u64,
        /// Bytes.
        used: u64,
    },

    /// The controller is there, but the kernel was built or booted without this file of it.
    #[error("{limit}: the kernel offers no {files} in {dir}{why}")]
    MissingFile {
        /// The flag that asked.
        limit: &'static str,
        /// The files that would have served, joined by " or ".
        files: String,
        /// The cgroup's folder.
        dir: String,
        /// The usual reason, or nothing.
        why: &'static str,
    },

    /// The kernel refused a limit's value.
    #[error("{limit}: {source}")]
    Limit {
        /// The flag that asked.
        limit: &'static str,
        /// The write that failed, with file and value.
        source: CallError,
    },

    /// systemd was to make the cgroup, and there is none to ask.
    #[error("systemd cgroups: {why}")]
    NoSystemd {
        /// What is missing.
        why: String,
    },

    /// An annotation that names a property of systemd's unit, with a value that is none.
    #[error("annotation {key}={value}: {why}")]
    Annotation {
        /// The annotation.
        key: String,
        /// As given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },

    /// systemd would not, or could not.
    #[error("systemd unit {unit}: {what}")]
    Systemd {
        /// The unit's name.
        unit: String,
        /// What it said.
        what: String,
    },

    /// Limits that no kernel would take.
    #[error(transparent)]
    Resources(#[from] ResourceError),

    /// A device rule that cannot be expressed.
    #[error("device rule \"{rule}\": {why}")]
    Device {
        /// The rule as the `devices` controller would write it.
        rule: String,
        /// What is wrong with it.
        why: &'static str,
    },

    /// A file of the kernel that does not read as documented.
    #[error("{file}: unexpected text {text:?}")]
    Parse {
        /// The file.
        file: String,
        /// What it said, shortened.
        text: String,
    },

    /// The cgroup did not become what was asked within the time given.
    #[error("cgroup {dir}: {what} after {waited_ms} ms")]
    Timeout {
        /// The folder.
        dir: String,
        /// What is still the case, e.g. "processes remain".
        what: String,
        /// Milliseconds.
        waited_ms: u64,
    },

    /// An operation failed, and so did the undoing of what it had done.
    #[error("{first}; then, undoing it: {}", .undo.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Undo {
        /// What failed first.
        first: Box<CgroupError>,
        /// What failed while undoing it.
        undo: Vec<CgroupError>,
    },
}

impl CgroupError {
    /// `self`, with the failures of undoing what came before it.
    pub(super) fn undone(self, undo: Vec<CgroupError>) -> Self {
        if undo.is_empty() {
            self
        } else {
            Self::Undo {
                first: Box::new(self),
                undo,
            }
        }
    }
}
