//! `exec`: a further process in a container.

use std::os::fd::AsFd as _;

use rustix::process::Pid;

use super::create::TerminalSize;
use super::state::Container;
use super::{Containers, Error, Recipients, Status, create, machine};
use crate::cgroups::SubPaths;
use crate::plan::Process;
use crate::process::{Own, Started, enter_as_child};
use crate::spec::{self, Config};

/// How a process is to be run in a container.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// Who hears of the process.
    pub recipients: Recipients,
    /// cgroups below the container's, as `[CONTROLLER[,CONTROLLER]:]PATH`.
    pub cgroups: Vec<String>,
    /// How many descriptors, from 3 on, the program keeps.
    pub preserved_descriptors: u32,
    /// Also in a container that is paused: it runs when that is resumed.
    pub ignore_paused: bool,
    /// Tells the size of its terminal, if it gets one and is described without a size.
    pub terminal_size: Option<TerminalSize>,
}

/// Makes the process of the container's configuration.
pub type ProcessChoice<'a> = dyn Fn(&Config) -> Result<oci_spec::runtime::Process, Error> + 'a;

impl Containers {
    /// Runs a process in the container `id`, as a child of the caller with the caller's standard files, unless it gets a
    /// terminal.
    ///
    /// # Errors
    /// The container does not run, or the process cannot be run.
    pub fn exec(&self, id: &str, choose: &ProcessChoice<'_>, how: &Exec) -> Result<Started, Error> {
        // Held for a moment: one that is being made is not entered, for it has not left the machine's mounts yet.
        let (folder, container) = self.hold(id)?;
        drop(folder);
        match container.status {
            Status::Created | Status::Running => {}
            Status::Paused if how.ignore_paused => {}
            Status::Paused => {
                return Err(Error::State {
                    id: id.to_owned(),
                    operation: "exec in",
                    is: Status::Paused,
                    needs: "running (--ignore-paused: the process waits for the resume)",
                });
            }
            is => {
                return Err(Error::NotRunning {
                    id: id.to_owned(),
                    is,
                });
            }
        }
        let config = container.config()?;
        let machine = machine::look(container.layout()?)?;
        let mut process = spec::process(&config, &choose(&config)?, &machine)?;
        create::preserve(&mut process, how.preserved_descriptors)?;
        create::size_terminal(&mut process, how.terminal_size);
        let started = self.enter(&container, &process, &SubPaths::parse(&how.cgroups)?)?;
        how.recipients.tell(started, || Ok(()))
    }

    fn enter(
        &self,
        container: &Container,
        process: &Process,
        below: &SubPaths,
    ) -> Result<Started, Error> {
        let not_running = || Error::NotRunning {
            id: container.state.id.clone(),
            is: container.status,
        };
        let target = container.process()?;
        let first = container
            .pid
            .and_then(Pid::from_raw)
            .ok_or_else(not_running)?;
        let own = Own::of(first.as_raw_nonzero().get())?;
        let mut cgroup = container.cgroup()?.ok_or_else(not_running)?;
        if below.is_empty() {
            cgroup.prepare_join()?;
            cgroup.join_beside(first)?;
        } else {
            cgroup = cgroup.sub(below)?;
            cgroup.prepare_join()?;
        }
        let state = container.state.for_hooks();
        let known = (&state, first);
        Ok(enter_as_child(
            target.as_fd(),
            own,
            process,
            &cgroup,
            known,
        )?)
    }
}
