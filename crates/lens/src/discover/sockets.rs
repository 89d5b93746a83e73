//! Network namespaces kept by a socket of theirs that a process elsewhere has open.
//!
//! /proc does not tell whose a socket is: each is borrowed for a moment, and asked.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use soute_sys::nsfs::of_socket;

use super::Discovery;
use crate::proc::{Look, Proc};
use crate::relations::identity;
use crate::{Descriptor, Error, Kind, NamespaceId};

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    let myself = std::process::id();
    // Many have the same one open.
    let mut asked: HashSet<u64> = HashSet::new();
    for pid in proc.pids()?.into_iter().filter(|pid| *pid != myself) {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        let Look::Seen(descriptors) = folder.descriptors()? else {
            continue;
        };
        let own = folder.namespace(Kind::Net.name())?.seen();
        for fd in descriptors {
            let Look::Seen(Some(socket)) = folder.descriptor_socket(fd)? else {
                continue;
            };
            if !asked.insert(socket) {
                continue;
            }
            if let Some((id, _)) = of(pid, fd)
                && Some(id) != own
            {
                let sockets = &mut found.entry(Kind::Net, id).sockets;
                sockets.push(Descriptor { pid, fd });
            }
        }
    }
    Ok(())
}

/// The network namespace of the socket that `pid` has open as `fd`, and a descriptor of it; `None`: it is none (any more), or the
/// caller may not look (CAP_SYS_PTRACE, CAP_NET_ADMIN).
pub(super) fn of(pid: u32, fd: u32) -> Option<(NamespaceId, OwnedFd)> {
    let pid = Pid::from_raw(pid.cast_signed())?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let socket = pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()?;
    let namespace = of_socket(socket).ok()?;
    Some((identity(&namespace).ok()?, namespace))
}
