//! `exec`: a further process in a container that runs.
//!
//! The same last steps as a container's first process ([`super::privileges`]).
//! The process in between enters the namespaces in one setns on the pidfd and
//! clones its sibling, which is then in the PID namespace and a child of the
//! caller (CLONE_PARENT).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::ThreadNameSpaceType;
use soute_sys::Called;
use soute_sys::process::{Cloned, clone3, exit_now, flags};

use super::channel::Channel;
use super::failure::{Failure, Step};
use super::program::Program;
use super::spawn::{Started, Stdio};
use super::{console, directory, privileges, user};
use crate::cgroups::Cgroup;
use crate::mounts::mask;
use crate::plan::Process;

/// Which of its namespaces a container does not share with the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own {
    /// user_namespaces(7)
    pub user: bool,
    /// pid_namespaces(7)
    pub pid: bool,
    /// network_namespaces(7)
    pub net: bool,
    /// ipc_namespaces(7)
    pub ipc: bool,
    /// uts_namespaces(7)
    pub uts: bool,
    /// cgroup_namespaces(7)
    pub cgroup: bool,
}

impl Own {
    fn flags(self) -> ThreadNameSpaceType {
        let mut flags = ThreadNameSpaceType::MOUNT;
        for (own, flag) in [
            (self.user, ThreadNameSpaceType::USER),
            (self.pid, ThreadNameSpaceType::PROCESS_ID),
            (self.net, ThreadNameSpaceType::NETWORK),
            (self.ipc, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
            (self.uts, ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
            (self.cgroup, ThreadNameSpaceType::CONTROL_GROUP),
        ] {
            if own {
                flags |= flag;
            }
        }
        flags
    }
}

/// Runs `process` in the container whose first process `target` refers to. `cgroup` must be prepared to be joined.
///
/// `stdio`: what the program gets instead of the caller's own standard files, unless it gets a terminal.
pub fn enter(
    target: BorrowedFd<'_>,
    own: Own,
    process: &Process,
    cgroup: &Cgroup,
    stdio: Option<Stdio>,
) -> Result<Started, Failure> {
    let (ours, theirs) = Channel::pair().step("the setup channel")?;
    let cloned = clone3(0, cgroup.v2_fd()).step("making the process")?;
    let Cloned::Parent { pidfd: between, .. } = cloned else {
        drop(ours);
        in_between(target, own, process, cgroup, &theirs, stdio)
    };
    drop(theirs);
    drop(stdio);
    let result = answers(&ours);
    let _ = rustix::process::waitid(
        rustix::process::WaitId::PidFd(between.as_fd()),
        rustix::process::WaitIdOptions::EXITED,
    );
    result
}

/// The process that enters; it is never seen inside.
fn in_between(
    target: BorrowedFd<'_>,
    own: Own,
    process: &Process,
    cgroup: &Cgroup,
    channel: &Channel,
    stdio: Option<Stdio>,
) -> ! {
    let entered = (|| {
        // Before the first thing in there can look at us.
        privileges::leave_caller()?;
        cgroup
            .join_self_v1()
            .map_err(|e| Failure::setup("joining the container's cgroups", e))?;
        // In the container's user namespace nobody may.
        privileges::raise_hard_limits(&process.rlimits)?;
        rustix::thread::move_into_thread_name_spaces(target, own.flags()).map_err(|e| match e {
            rustix::io::Errno::SRCH => {
                Failure::setup("entering the container", "it has just ended")
            }
            e => Failure::setup(
                "entering the container's namespaces",
                format_args!("setns(pidfd, {:?}): {e}", own.flags()),
            ),
        })?;
        clone3(flags::PARENT, None).step("making the process in the container")
    })();
    match entered {
        Ok(Cloned::Child) => {
            let failure = match set_up(process, own, channel, stdio) {
                Ok((identity, program)) => {
                    privileges::become_program(process, &identity, program, channel.as_fd(), false)
                }
                Err(failure) => failure,
            };
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
        Ok(Cloned::Parent { pidfd, .. }) => {
            let _ = channel.send(b"P", &[pidfd.as_fd()]);
            exit_now(0)
        }
        Err(failure) => {
            let _ = channel.send(&failure.encode(), &[]);
            exit_now(1)
        }
    }
}

fn set_up(
    process: &Process,
    own: Own,
    channel: &Channel,
    stdio: Option<Stdio>,
) -> Result<(user::Identity, Program), Failure> {
    rustix::process::setsid()
        .called(|| "setsid()".to_owned())
        .step("a new session")?;
    if own.user {
        super::init::become_root()?;
    }
    let root = mask::open_root().step("the container's root")?;
    if let Some((rows, columns)) = process.terminal {
        let (master, terminal) = console::pair(&root, rows, columns).step("the terminal")?;
        console::own(&terminal).step("the terminal")?;
        channel
            .send(b"T", &[master.as_fd()])
            .step("handing out the terminal")?;
    } else if let Some(stdio) = stdio {
        super::init::use_stdio(&stdio)?;
    }
    let identity = user::resolve(&root, &process.user)?;
    let program = Program::new(&process.args, &process.env)?;
    directory::enter(&root, &process.working_directory, false)?;
    if identity.uid != 0 {
        super::init::own_stdio(&identity)?;
    }
    Ok((identity, program))
}

/// The process, perhaps a terminal, and the end of file that says that the program runs.
fn answers(channel: &Channel) -> Result<Started, Failure> {
    let lost = || Failure::setup("entering the container", "the process ended early");
    let mut pidfd: Option<OwnedFd> = None;
    let mut terminal = None;
    while let Some(message) = channel.receive().step("waiting for the program to start")? {
        let descriptor = message.descriptors.into_iter().next();
        match message.bytes.as_slice() {
            b"P" => pidfd = descriptor,
            b"T" => terminal = descriptor,
            other => return Err(Failure::decode(other).unwrap_or_else(lost)),
        }
    }
    let pidfd = pidfd.ok_or_else(lost)?;
    let pid = super::join::own_number(&pidfd).ok_or_else(lost)?;
    Ok(Started {
        pid,
        pidfd,
        terminal,
    })
}
