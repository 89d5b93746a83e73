//! `exec`: a further process in a container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::process::Pid;

use super::state::{Container, Status};
use super::{Containers, Error, console, create, machine};
use crate::cgroups::SubPaths;
use crate::plan::Process;
use crate::process::{Inside, Own, enter_as_child};
use crate::socket;
use crate::spec::{self, Config};

/// How a process is to be run in a container.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// Where the terminal's master goes. Without, [`Made`](super::Made) has it.
    pub console_socket: Option<PathBuf>,
    /// Where a descriptor of the process goes, besides.
    pub pidfd_socket: Option<PathBuf>,
    /// cgroups below the container's, as `[CONTROLLER[,CONTROLLER]:]PATH`.
    pub cgroups: Vec<String>,
    /// A file for the number of the process.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors, from 3 on, the program keeps.
    pub preserved_descriptors: u32,
    /// Also in a container that is paused: it runs when that is resumed.
    pub ignore_paused: bool,
}

/// Makes the process of the container's configuration.
pub type ProcessChoice<'a> = dyn Fn(&Config) -> Result<oci_spec::runtime::Process, Error> + 'a;

impl Containers {
    /// Runs a process in the container `id`, as a child of the caller with the caller's standard files, unless it gets a
    /// terminal.
    ///
    /// # Errors
    /// The container does not run, or the process cannot be run.
    pub fn exec(
        &self,
        id: &str,
        choose: &ProcessChoice<'_>,
        how: &Exec,
    ) -> Result<super::Made, Error> {
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
        let machine = machine::look()?;
        let mut process = spec::process(&config, &choose(&config)?, &machine)?;
        create::preserve(&mut process, how.preserved_descriptors)?;
        let inside = self.enter(&container, &process, &SubPaths::parse(&how.cgroups)?)?;
        let mut made = super::Made {
            pid: inside.pid,
            pidfd: inside.pidfd,
            terminal: inside.terminal,
        };
        if let (Some(socket), Some(master)) = (&how.console_socket, made.terminal.take()) {
            console::send(socket, master)?;
        }
        if let Some(path) = &how.pidfd_socket {
            socket::send_descriptor(socket::connected(path)?, b"pidfd", &made.pidfd)?;
        }
        if let Some(file) = &how.pid_file {
            create::write_pid_file(file, made.pid)?;
        }
        Ok(made)
    }

    fn enter(
        &self,
        container: &Container,
        process: &Process,
        below: &SubPaths,
    ) -> Result<Inside, Error> {
        let target: OwnedFd = container.process()?;
        let number = container.pid.unwrap_or_default();
        let own = Own::of(number)?;
        let mut cgroup = container.cgroup()?.ok_or_else(|| Error::NotRunning {
            id: container.state.id.clone(),
            is: container.status,
        })?;
        if below.is_empty() {
            cgroup.prepare_join()?;
            if let Some(first) = Pid::from_raw(number) {
                cgroup.join_beside(first)?;
            }
        } else {
            cgroup = cgroup.sub(below)?;
            cgroup.prepare_join()?;
        }
        let first = Pid::from_raw(number).ok_or_else(|| Error::NotRunning {
            id: container.state.id.clone(),
            is: container.status,
        })?;
        let state = container.state.for_hooks();
        Ok(enter_as_child(
            target.as_fd(),
            own,
            process,
            &cgroup,
            (&state, first),
        )?)
    }
}
