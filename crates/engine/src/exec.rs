//! A further process in a container that runs.

use std::os::fd::AsFd;

use rustix::process::Pid;
use soute_runtime::cgroups::{Cgroup, Origin};
use soute_runtime::plan::{Grant, Process, User};
use soute_runtime::process::attributes::Attributes;
use soute_runtime::process::{Entered, Own, Standard, enter, shares_namespace};

use crate::container::Status;
use crate::error::{Error, io};
use crate::record::{Record, Running};
use crate::request::{Network, Share};
use crate::{Engine, plan};

/// `soute exec`, as asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=VALUE` beyond the container's own environment.
    pub environment: Vec<String>,
    /// `--workdir`; `None`: the container's.
    pub working_directory: Option<String>,
    /// `--user`; `None`: the container's.
    pub user: Option<String>,
    /// `--privileged`: all capabilities, no filter.
    pub privileged: bool,
    /// `-t`: rows and columns of a terminal for it.
    pub terminal: Option<(u16, u16)>,
}

impl Engine {
    /// Starts a process in the container `name`. Without a terminal it gets `stdio`.
    pub fn exec(
        &self,
        name: &str,
        exec: &Exec,
        stdio: Option<[Standard; 3]>,
    ) -> Result<Entered, Error> {
        let container = self.container(name)?;
        let target = self.first_process(&container).map_err(|e| match e {
            Error::WrongState { name, is, .. } => Error::WrongState {
                name,
                is,
                operation: "exec",
                needs: "a running one",
            },
            other => other,
        })?;
        let Status::Running(running) = &container.status else {
            return Err(Error::NoSuchContainer(name.to_owned()));
        };
        let record = &container.record;
        crate::sealed::require(record.id_maps.as_ref())?;
        let request = &record.request;
        let mut own = record.clone();
        own.request.privileged |= exec.privileged;
        let capabilities = plan::capabilities(&own, self.last_capability)?;
        let mut env = record.env.clone();
        if exec.terminal.is_some() && !env.iter().any(|e| e.starts_with("TERM=")) {
            env.push("TERM=xterm".to_owned());
        }
        for entry in &exec.environment {
            let name = entry.split('=').next().unwrap_or(entry);
            env.retain(|e| e.split('=').next() != Some(name));
            if entry.contains('=') {
                env.push(entry.clone());
            }
        }
        let process = Process {
            args: exec.command.clone(),
            env,
            working_directory: exec
                .working_directory
                .clone()
                .unwrap_or_else(|| record.working_directory.clone()),
            user: User::Named {
                spec: exec.user.clone().unwrap_or_else(|| record.user.clone()),
                additional_groups: request.additional_groups.clone(),
            },
            umask: plan::UMASK,
            grant: Grant::AtMost(capabilities),
            no_new_privileges: request.security.no_new_privileges,
            seccomp: plan::filter(&own, capabilities, self.kernel)?,
            rlimits: plan::limits_of(request)?,
            oom_score_adj: None,
            terminal: exec.terminal,
            attributes: Attributes::default(),
            preserved_descriptors: 0,
        };
        // One that joins another container, or a file's namespace, may share the machine's by way of it.
        let joined = |kind: &str| shares_namespace(running.pid, kind).map(|us| !us);
        let own_share = |share: &Share, kind: &str| match share {
            Share::Private => Ok(true),
            Share::Host => Ok(false),
            Share::Container(_) => joined(kind),
        };
        let own = Own {
            user: record.id_maps.is_some(),
            pid: own_share(&request.pid, "pid")?,
            net: match &request.network {
                Network::None | Network::Networks(_) => true,
                Network::Host => false,
                Network::Container(_) | Network::Namespace(_) => joined("net")?,
            },
            ipc: own_share(&request.ipc, "ipc")?,
            uts: request.uts != Share::Host,
            cgroup: request.cgroupns != Share::Host,
            time: false,
        };
        let mut cgroup = Cgroup::open(&self.layout, &record.cgroup)?;
        cgroup.prepare_join()?;
        if exec.privileged && !request.privileged {
            // CAP_SYS_ADMIN comes into the container, which may have been started without it and then without rules
            // for devices: nodev could now be taken off the image's own nodes.
            self.restrict_devices(record, running, &cgroup)?;
        }
        beside_first(&mut cgroup, running)?;
        let root = record.id_maps.as_ref().and_then(|maps| maps.root());
        Ok(enter(target.as_fd(), own, &process, &cgroup, stdio, root)?)
    }

    /// The cgroup of a container that runs, prepared to be joined.
    ///
    /// # Errors
    /// There is no such container, or it does not run; it is frozen, and so would be who joins.
    pub fn cgroup_to_join(&self, name: &str) -> Result<Cgroup, Error> {
        let container = self.container(name)?;
        self.first_process(&container)?;
        match &container.status {
            Status::Running(running) => {
                let mut cgroup = Cgroup::open(&self.layout, &container.record.cgroup)?;
                cgroup.prepare_join()?;
                beside_first(&mut cgroup, running)?;
                cgroup.refuse_frozen()?;
                Ok(cgroup)
            }
            _ => Err(Error::NoSuchContainer(name.to_owned())),
        }
    }

    /// Once for each run of the container: rules that are there are not replaced, but added to (v2: at most 64 times)
    /// or taken away for a moment, in which the container has no device at all (v1).
    fn restrict_devices(
        &self,
        record: &Record,
        running: &Running,
        cgroup: &Cgroup,
    ) -> Result<(), Error> {
        let folder = self.places.running(&record.id);
        let done = folder.join(format!("devices-{}", running.start_time));
        if !done.exists() {
            cgroup.restrict_devices(&plan::device_rules(&record.request)?, Origin::Made)?;
            io("writing", &done, std::fs::write(&done, ""))?;
        }
        Ok(())
    }
}

fn beside_first(cgroup: &mut Cgroup, running: &Running) -> Result<(), Error> {
    match Pid::from_raw(running.pid) {
        Some(first) => Ok(cgroup.join_beside(first)?),
        None => Ok(()),
    }
}
