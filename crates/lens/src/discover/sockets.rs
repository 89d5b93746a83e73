//! Network namespaces kept by a socket of theirs that a process elsewhere has open.
//!
//! /proc tells of no descriptor in which namespace its socket is. Those that the table of a namespace has ([`tables`]) are known
//! by that. Each of the others is borrowed for a moment and asked. Its owner may feel it: what it closes meanwhile is closed only
//! when the borrowed descriptor is. So this is done only if it is asked for, and not where it changes the socket ([`marks`]).

mod marks;
mod tables;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use soute_sys::nsfs::of_socket;
use soute_sys::{CallError, Called as _};

use super::Discovery;
use crate::proc::{Look, Proc};
use crate::relations::identity;
use crate::{Descriptor, Error, Kind, NamespaceId};

/// What was made only just now, or is about to be closed, is in no table. It is not borrowed: the owner may want its port at
/// once. So what is in no table is looked for again after that time.
const PAUSE: Duration = Duration::from_millis(100);

/// Who was found first to have a socket open.
struct Holder {
    descriptor: Descriptor,
    /// The network namespace that it is in.
    own: Option<NamespaceId>,
}

/// By their numbers in sockfs.
type Open = BTreeMap<u64, Holder>;

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    let mut left = open(proc, found)?;
    // In this order: what is made after a table was read is not in it.
    tell(&mut left, &tables::read(proc, found)?, found);
    if left.is_empty() {
        return Ok(());
    }
    std::thread::sleep(PAUSE);
    tell(&mut left, &tables::read(proc, found)?, found);
    keep_open(proc, &mut left)?;
    if left.is_empty() {
        return Ok(());
    }
    if let Some(why) = marks::of_sockets(proc)? {
        found.unasked = Some((left.len(), why));
        return Ok(());
    }
    for holder in left.values() {
        match of(holder.descriptor.pid, holder.descriptor.fd) {
            Ok(Some((id, _))) => record(holder, id, found),
            Ok(None) => {}
            Err(error) => {
                let unasked = found.unasked.get_or_insert((0, error.to_string()));
                unasked.0 += 1;
            }
        }
    }
    Ok(())
}

/// All sockets of others.
fn open(proc: &Proc, found: &mut Discovery) -> Result<Open, Error> {
    let myself = std::process::id();
    let mut open = Open::new();
    for pid in proc.pids()?.into_iter().filter(|pid| *pid != myself) {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        let Some(descriptors) = found.descriptors_of(&folder, pid)? else {
            continue;
        };
        let own = folder.namespace(Kind::Net.name())?.seen();
        for fd in descriptors {
            if let Look::Seen(Some(socket)) = folder.descriptor_socket(fd)? {
                let descriptor = Descriptor { pid, fd };
                open.entry(socket).or_insert(Holder { descriptor, own });
            }
        }
    }
    Ok(open)
}

/// Without those that their holder has closed.
fn keep_open(proc: &Proc, open: &mut Open) -> Result<(), Error> {
    for (socket, holder) in std::mem::take(open) {
        let Descriptor { pid, fd } = holder.descriptor;
        if let Look::Seen(folder) = proc.process(pid)?
            && folder.descriptor_socket(fd)? == Look::Seen(Some(socket))
        {
            open.insert(socket, holder);
        }
    }
    Ok(())
}

/// Takes away those that are known.
fn tell(left: &mut Open, known: &BTreeMap<u64, NamespaceId>, found: &mut Discovery) {
    left.retain(|socket, holder| match known.get(socket) {
        Some(id) => {
            record(holder, *id, found);
            false
        }
        None => true,
    });
}

fn record(holder: &Holder, id: NamespaceId, found: &mut Discovery) {
    if Some(id) != holder.own {
        let sockets = &mut found.entry(Kind::Net, id).sockets;
        sockets.push(holder.descriptor);
    }
}

/// The network namespace of the socket that `pid` has open as `fd`, and a descriptor of it; `None`: it is none (any more).
///
/// # Errors
/// `EPERM`: the caller may not borrow it (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS), or has no CAP_NET_ADMIN there. `ENOSYS`:
/// before Linux 5.6.
pub(super) fn of(pid: u32, fd: u32) -> Result<Option<(NamespaceId, OwnedFd)>, CallError> {
    let asked = borrow(pid, fd).and_then(of_socket);
    match asked {
        Ok(namespace) => Ok(identity(&namespace).ok().map(|id| (id, namespace))),
        Err(error) => match error.errno() {
            Errno::SRCH | Errno::BADF | Errno::NOTTY | Errno::INVAL => Ok(None),
            _ => Err(error),
        },
    }
}

fn borrow(pid: u32, fd: u32) -> Result<OwnedFd, CallError> {
    let process = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH);
    let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let process = process.called(|| format!("pidfd_open({pid})"))?;
    let socket = pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty());
    socket.called(|| format!("pidfd_getfd(process {pid}, {fd})"))
}
