//! What is still to be done for a container after it has been made, by whoever made it and has not left: `run`.

use std::path::PathBuf;

use rustix::process::{Pid, Signal};

use super::folder::Folder;
use super::{Error, State};
use crate::cgroups::Cgroup;
use crate::hooks::{self, Hook, HookError, Status, Tree};
use crate::process::Started;

/// A container's later life, known without looking.
#[derive(Debug)]
pub struct Late {
    pub(super) path: PathBuf,
    pub(super) state: State,
    pub(super) cgroup: Cgroup,
    pub(super) poststart: Vec<Hook>,
    pub(super) poststop: Vec<Hook>,
}

impl Late {
    /// Its program runs: the poststart hooks are due.
    ///
    /// # Errors
    /// The first that failed; then the container is killed (runtime-spec, "Lifecycle").
    pub fn started(&self, started: &Started) -> Result<(), Error> {
        run_poststart(&self.poststart, &self.state, started.pid).inspect_err(|_| {
            let kill = Signal::KILL.as_raw();
            let _ = soute_sys::process::pidfd_send_signal(&started.pidfd, kill);
        })
    }

    /// Its program has ended and been waited for: nothing is to be left of it. Returns what poststop hooks failed with.
    ///
    /// # Errors
    /// Something could not be removed.
    pub fn remove(self) -> Result<Vec<HookError>, Error> {
        let folder = match Folder::hold(self.path, &self.state.id) {
            // Somebody was faster.
            Err(Error::NoSuch { .. }) => return Ok(Vec::new()),
            folder => folder?,
        };
        // With its PID namespace all its processes have ended; whoever is left in there otherwise is killed.
        if let Some(unit) = &self.state.unit {
            self.cgroup.kill()?;
            unit.stop()?;
        }
        self.cgroup.remove()?;
        folder.remove()?;
        Ok(run_poststop(&self.poststop, &self.state))
    }
}

pub(super) fn run_poststart(list: &[Hook], state: &State, first: Pid) -> Result<(), Error> {
    if list.is_empty() {
        return Ok(());
    }
    let first = first.as_raw_nonzero().get();
    let state = state.for_hooks().json(Status::Running, Some(first));
    Ok(list
        .iter()
        .try_for_each(|hook| hooks::run(hook, &state, Tree::Machine))?)
}

/// All of them run, whatever becomes of the others (runtime-spec, "Lifecycle").
pub(super) fn run_poststop(list: &[Hook], state: &State) -> Vec<HookError> {
    if list.is_empty() {
        return Vec::new();
    }
    let state = state.for_hooks().json(Status::Stopped, None);
    list.iter()
        .filter_map(|hook| hooks::run(hook, &state, Tree::Machine).err())
        .collect()
}
