//! What is done with a container that is there.

use std::os::fd::AsFd as _;

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::folder::Folder;
use super::late::run_poststart;
use super::state::Container;
use super::{Containers, Error, Status};
use crate::cgroups::report::Report;
use crate::cgroups::{Cgroup, OomWatch, SpecResources};
use crate::process::gate;
use crate::spec;

impl Containers {
    /// Starts the program of a container that was created; returns when it runs, and poststart hooks have run.
    ///
    /// # Errors
    /// It is in another state, its program cannot be run, or a hook failed; then the container is killed.
    pub fn start(&self, id: &str) -> Result<(), Error> {
        let (folder, container) = self.hold(id)?;
        container.must_be(Status::Created, "start", "created")?;
        gate::start(folder.path())?;
        let (poststart, _) = spec::late_hooks(&container.config()?.spec)?;
        let Some(first) = container.pid.and_then(Pid::from_raw) else {
            return Ok(());
        };
        run_poststart(&poststart, &container.state, first).inspect_err(|_| {
            if let Ok(process) = container.process() {
                let _ = soute_sys::process::pidfd_send_signal(process, Signal::KILL.as_raw());
            }
        })
    }

    /// Sends a signal to the first process, or to `all`.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; for all of a stopped one, which are none, nothing.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<(), Error> {
        let container = self.container(id)?;
        let process = match container.process() {
            Err(Error::NotRunning { .. }) if all => {
                // In a PID namespace that it shares, others may have outlived the first.
                return match (container.state.own_pids, container.cgroup()?) {
                    (false, Some(cgroup)) => signal_all(&cgroup, signal),
                    _ => Ok(()),
                };
            }
            process => process?,
        };
        let kills = signal == Signal::KILL.as_raw();
        // Without a namespace that ends with the first process, nothing else would end the others.
        let reached_by_cgroup = all || kills && !container.state.own_pids;
        let frozen = kills && container.status == Status::Paused;
        let cgroup = match reached_by_cgroup || frozen {
            true => container.cgroup()?,
            false => None,
        };
        match &cgroup {
            Some(cgroup) if reached_by_cgroup => signal_all(cgroup, signal)?,
            _ => match soute_sys::process::pidfd_send_signal(&process, signal) {
                Err(e) if e.errno() == Errno::SRCH => {
                    return Err(Error::NotRunning {
                        id: id.to_owned(),
                        is: Status::Stopped,
                    });
                }
                sent => sent?,
            },
        }
        // What is frozen on v1 dies when it thaws.
        match cgroup {
            Some(cgroup) if frozen => Ok(cgroup.thaw()?),
            _ => Ok(()),
        }
    }

    /// The processes in its cgroup, as this PID namespace numbers them.
    ///
    /// # Errors
    /// The cgroup cannot be read.
    pub fn processes(&self, id: &str) -> Result<Vec<Pid>, Error> {
        match self.container(id)?.cgroup()? {
            Some(cgroup) => Ok(cgroup.pids()?),
            None => Ok(Vec::new()),
        }
    }

    /// Freezes all its processes.
    ///
    /// # Errors
    /// It has none, or is frozen already.
    pub fn pause(&self, id: &str) -> Result<(), Error> {
        let (_folder, container) = self.hold(id)?;
        match container.status {
            Status::Created | Status::Running => Ok(self.live_cgroup(&container)?.freeze()?),
            is => Err(Error::NotRunning {
                id: id.to_owned(),
                is,
            }),
        }
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// They are not frozen.
    pub fn resume(&self, id: &str) -> Result<(), Error> {
        let (_folder, container) = self.hold(id)?;
        match container.status {
            Status::Paused => Ok(self.live_cgroup(&container)?.thaw()?),
            is => Err(Error::State {
                id: id.to_owned(),
                operation: "resume",
                is,
                needs: "paused",
            }),
        }
    }

    /// Changes its limits.
    ///
    /// # Errors
    /// It is stopped, or a limit cannot be kept.
    pub fn update(&self, id: &str, wanted: &LinuxResources) -> Result<(), Error> {
        let (_folder, container) = self.hold(id)?;
        let limits = SpecResources::new(wanted)?.resources;
        let cgroup = self.live_cgroup(&container)?;
        match &container.state.unit {
            Some(unit) => unit.update(&cgroup, &limits)?,
            None => drop(cgroup.update(&limits)?),
        }
        Ok(())
    }

    /// What it uses, under runc's names.
    ///
    /// # Errors
    /// It is stopped, or its cgroup cannot be read.
    pub fn report(&self, id: &str) -> Result<Report, Error> {
        Ok(self.live_cgroup(&self.container(id)?)?.report()?)
    }

    /// Hears of its processes that are killed for want of memory.
    ///
    /// # Errors
    /// It is stopped, or its cgroup cannot be watched.
    pub fn watch(&self, id: &str) -> Result<OomWatch, Error> {
        Ok(self.live_cgroup(&self.container(id)?)?.watch_oom()?)
    }

    fn live_cgroup(&self, container: &Container) -> Result<Cgroup, Error> {
        let not_running = || Error::NotRunning {
            id: container.state.id.clone(),
            is: container.status,
        };
        match container.pid {
            Some(_) => container.cgroup()?.ok_or_else(not_running),
            None => Err(not_running()),
        }
    }

    /// The container as it is when nobody else is at it.
    pub(super) fn hold(&self, id: &str) -> Result<(Folder, Container), Error> {
        let folder = self.hold_folder(id)?;
        let container = self.container(id)?;
        Ok((folder, container))
    }
}

fn signal_all(cgroup: &Cgroup, signal: i32) -> Result<(), Error> {
    if signal == Signal::KILL.as_raw() {
        return Ok(cgroup.kill()?);
    }
    for pid in cgroup.pids()? {
        let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        else {
            continue;
        };
        // Of those that have ended meanwhile nothing is wanted.
        match soute_sys::process::pidfd_send_signal(pidfd.as_fd(), signal) {
            Err(e) if e.errno() != Errno::SRCH => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}
