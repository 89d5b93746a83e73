//! Whose network it is.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use soute_engine::{Error, Places, Status};
use soute_lens::proc::{Look, Proc};

use crate::commands::namespaces::of_others;
use crate::commands::ns::{self, ResolvedContainer};

/// A network namespace, and who it is looked at for.
pub struct Target {
    /// What it is called in messages.
    pub name: String,
    /// The namespace.
    pub namespace: OwnedFd,
    process: Option<OwnedFd>,
}

impl Target {
    /// The process, with whose end the capture ends.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(|process| process.as_fd())
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        self.pidfd().is_some_and(|process| {
            let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
            matches!(poll(&mut fds, Some(&now)), Ok(1))
        })
    }
}

/// What the word names, as `soute ns show` takes it.
pub fn find(word: &str, places: &Places) -> Result<Target> {
    let resolve = |name: &str| -> Result<Option<ResolvedContainer>> {
        let container = match crate::commands::open(places)?.container(name) {
            // Nothing of the engine's is needed for another's: whoever has its namespace hears it.
            Err(missing @ Error::NoSuchContainer(_)) => {
                return of_others(name)?.ok_or(missing.into()).map(Some);
            }
            found => found?,
        };
        match container.status {
            Status::Running(running) => Ok(Some(ResolvedContainer {
                name: container.record.name,
                id: container.record.id,
                init_pid: running.pid.unsigned_abs(),
            })),
            status => bail!(
                "container {} is {}: nothing crosses its interfaces",
                container.record.name,
                status.word()
            ),
        }
    };
    match ns::target(word, &resolve)? {
        ns::Target::Namespace(way) => {
            let (kind, _, namespace) = way.open()?;
            if kind != soute_lens::Kind::Net {
                bail!("{way} is a {kind} namespace: only a network's has interfaces");
            }
            Ok(Target {
                name: way.to_string(),
                namespace,
                process: None,
            })
        }
        ns::Target::Process(pid, container) => {
            let name = match container {
                Some(container) => format!("container {}", container.name),
                None => format!("process {pid}"),
            };
            of_process(pid, name)
        }
    }
}

fn of_process(pid: u32, name: String) -> Result<Target> {
    let ended = || format!("{name} has ended");
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = match number.map(|number| pidfd_open(number, PidfdFlags::empty())) {
        Some(Ok(process)) => process,
        // A thread's number is no process's.
        Some(Err(Errno::INVAL)) => bail!("{pid} is a thread: give its process's number"),
        Some(Err(Errno::SRCH)) | None => bail!(ended()),
        Some(Err(e)) => bail!("pidfd_open({pid}): {e}"),
    };
    let Look::Seen(folder) = Proc::open()?.process(pid)? else {
        bail!(ended());
    };
    let namespace = match folder.open_namespace("net")? {
        Look::Seen(namespace) => namespace,
        Look::Gone => bail!(ended()),
        Look::Hidden => bail!("the network of {name} can be looked into by root alone"),
    };
    let target = Target {
        name,
        namespace,
        process: Some(process),
    };
    // It may have ended before its namespace was opened, and another process may have got its number.
    match target.has_ended() {
        true => bail!("{} has ended", target.name),
        false => Ok(target),
    }
}
