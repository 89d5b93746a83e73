//! `create` and `run`: from a bundle to a container.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rustix::process::Pid;

use super::error::io;
use super::prepare::{Made, Prepared};
use super::state::{has_been_made, write_init};
use super::{Containers, Error, Late, Recipients};
use crate::plan::Process;
use crate::process::gate::Gate;
use crate::process::{Birth, Failure, Started, spawn};
use crate::spec::{Config, Planned};

/// How a container is to be made.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Who hears of the first process.
    pub recipients: Recipients,
    /// How many descriptors, from 3 on, the program keeps.
    pub preserved_descriptors: u32,
    /// How many of them are sockets of systemd's (sd_listen_fds(3)); they come first.
    pub listen_descriptors: u32,
    /// The caller's session keyring stays in use.
    pub keep_keyring: bool,
    /// cgroupsPath names a slice and a scope of systemd.
    pub systemd: bool,
    /// The program starts at once, and need not be waited for at the gate.
    pub start: bool,
    /// Tells the size of its terminal, if it gets one and the bundle names no size.
    pub terminal_size: Option<TerminalSize>,
}

/// Rows and columns of the caller's terminal: asked for only where the program has one.
pub type TerminalSize = fn() -> Option<(u16, u16)>;

impl Containers {
    /// Makes the container `id`, if its configuration passes `check`. Its first process gets the caller's standard
    /// files, unless it has a terminal.
    ///
    /// # Errors
    /// On any, nothing is left of it.
    pub fn create(
        &self,
        id: &str,
        how: &Create,
        check: impl FnOnce(&Config) -> Result<(), Error>,
    ) -> Result<(Started, Late), Error> {
        let path = self.folder(id)?;
        let mut bundle = Prepared::read(id, &how.bundle, how.systemd, check)?;
        let process = &mut bundle.planned.plan.process;
        preserve(process, how.preserved_descriptors)?;
        size_terminal(process, how.terminal_size);
        if how.listen_descriptors > 0 {
            let env = &mut process.env;
            env.push(format!("LISTEN_FDS={}", how.listen_descriptors));
            env.push("LISTEN_PID=1".to_owned());
        }

        // From here on something is made, and found by its folder if we are killed.
        let mut made = bundle.make(self)?;
        let populated = populate(&made, &bundle.planned, how);
        made.let_go_of_the_scope();
        match populated {
            Ok(started) => Ok((started, bundle.into_late(path, made.cgroup))),
            Err(e) => Err(bundle.undo(made, e)),
        }
    }
}

/// The process, and all that its caller is told of it. On failure the process is dead.
fn populate(made: &Made, planned: &Planned, how: &Create) -> Result<Started, Error> {
    let Made { folder, cgroup, .. } = made;
    let gate = match how.start {
        true => None,
        false => Some(Gate::make(folder.path())?),
    };
    let birth = Birth {
        cgroup,
        stdio: None,
        lock: folder.as_fd(),
        tied: false,
        keep_keyring: how.keep_keyring,
        gate: gate.as_ref(),
    };
    let started = spawn(&planned.plan, birth, &mut |pid: Pid| {
        write_init(folder, pid).map_err(|e| Failure::setup("keeping the container's state", e))?;
        // Long before its program; what it costs (0.2 ms on v2) costs no time here.
        let restricted = made.restrict_devices(planned);
        restricted.map_err(|e| Failure::setup("the device rules", e))
    })?;
    how.recipients.tell(started, || has_been_made(folder))
}

/// A terminal without a size of its own has this one, from before its program looks.
pub(super) fn size_terminal(process: &mut Process, size: Option<TerminalSize>) {
    if let (Some(own @ (0, 0)), Some(size)) = (&mut process.terminal, size) {
        *own = size().unwrap_or((0, 0));
    }
}

/// The program keeps the caller's first descriptors, which must be open.
pub(super) fn preserve(process: &mut Process, count: u32) -> Result<(), Error> {
    for number in (3..).take(count as usize) {
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        io("the descriptor to be kept", &path, path.symlink_metadata())?;
    }
    process.preserved_descriptors = count;
    Ok(())
}
