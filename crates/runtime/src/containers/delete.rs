//! `delete`: nothing is left of a container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use soute_sys::CallError;

use super::folder::Folder;
use super::late::run_poststop;
use super::state::Container;
use super::{Containers, Error, Status};
use crate::cgroups::{CgroupError, Layout, Place, remove_if_empty};
use crate::hooks::HookError;
use crate::spec::{self, Config};

/// A killed process may be in the middle of something that the kernel finishes first.
const PATIENCE: Duration = Duration::from_secs(10);

impl Containers {
    /// Removes a container that is stopped or was not started; `force`: also one that runs, and of one that was never
    /// there nothing is said. Returns what poststop hooks failed with: by then the container is gone, and the others
    /// have run (runtime-spec, "Lifecycle").
    ///
    /// # Errors
    /// It is in another state, or something could not be removed.
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<HookError>, Error> {
        let folder = match self.hold_folder(id) {
            Err(Error::NoSuch { .. }) if force => return Ok(Vec::new()),
            folder => folder?,
        };
        let container = match self.container(id) {
            // Whoever was making it was killed before there was anything but the folder.
            Err(Error::NoSuch { .. }) if force => {
                return folder.remove().map(|()| Vec::new());
            }
            Err(Error::Broken { .. }) if force => {
                return remove_wreck(&folder, id)
                    .and_then(|()| folder.remove())
                    .map(|()| Vec::new());
            }
            container => container?,
        };
        match container.status {
            Status::Stopped | Status::Created | Status::Creating => {}
            _ if force => {}
            is => {
                return Err(Error::State {
                    id: id.to_owned(),
                    operation: "delete",
                    is,
                    needs: "stopped, unless by --force",
                });
            }
        }
        end(&container)?;
        // A configuration that cannot be read any more names no hooks.
        let hooks = container
            .config()
            .and_then(|config| Ok(spec::late_hooks(&config.spec)?));
        let (_, poststop) = hooks.unwrap_or_default();
        folder.remove()?;
        Ok(run_poststop(&poststop, &container.state))
    }
}

/// Of a container whose state cannot be read, the process and the cgroup that the rest of its folder tells of.
fn remove_wreck(folder: &Folder, id: &str) -> Result<(), Error> {
    if let Some(process) = super::state::first_process(folder.path())? {
        let _ = soute_sys::process::pidfd_send_signal(&process, Signal::KILL.as_raw());
        wait(id, &process)?;
    }
    let layout = Layout::discover()?;
    let Ok(config) = Config::read(folder.path()) else {
        // Where it is, if the configuration said nothing else; and if so, nobody is left in it.
        let usual = Place::from_spec(&layout, "", id)?;
        return Ok(remove_if_empty(&usual.layout(&layout), usual.path())?);
    };
    let linux = config.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref());
    let path = path.map(|path| path.to_string_lossy()).unwrap_or_default();
    match Place::from_spec(&layout, &path, id).and_then(|place| place.open(&layout)) {
        Ok(cgroup) => Ok(cgroup.remove()?),
        // A place that no path leads to has nothing of it.
        Err(CgroupError::NotFound { .. } | CgroupError::Path { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Ends all its processes, and removes its cgroup.
fn end(container: &Container) -> Result<(), Error> {
    let process = container.process();
    let cgroup = container.cgroup()?;
    if let Ok(process) = &process {
        let _ = soute_sys::process::pidfd_send_signal(process, Signal::KILL.as_raw());
    }
    if let Some(cgroup) = &cgroup {
        if container.status == Status::Paused {
            cgroup.thaw()?;
        }
        // All that is in there, wherever its first process is by now.
        cgroup.kill()?;
    }
    if let Ok(process) = &process {
        wait(&container.state.id, process)?;
    }
    if let Some(unit) = &container.state.unit {
        unit.stop()?;
    }
    match cgroup {
        Some(cgroup) => Ok(cgroup.remove()?),
        None => Ok(()),
    }
}

/// Ended is readable (pidfd_open(2)), also if nobody has waited for it yet.
pub(super) fn wait(id: &str, process: &OwnedFd) -> Result<(), Error> {
    let process = process.as_fd();
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience))) {
        Ok(0) => Err(Error::Impossible(format!(
            "container {id:?}: its first process was killed and has not ended in {} s; try again later",
            PATIENCE.as_secs()
        ))),
        Ok(_) => Ok(()),
        Err(e) => Err(CallError::new("poll(pidfd)", e).into()),
    }
}
