//! A container that joins namespaces of another: the one case with a process in between.

use std::os::fd::{AsFd, BorrowedFd};

use soute_sys::process::{Cloned, clone3, exit_now, flags};
use soute_sys::{CallError, Called};

use super::channel::Channel;

/// Clones a process that is in the namespaces `joins`.
///
/// Entering a user namespace cannot be undone and takes the machine's privileges away. So a process in between
/// enters, and clones its sibling (CLONE_PARENT): the new process is a child of the caller all the same.
pub(crate) fn clone_inside(
    joins: &[BorrowedFd<'_>],
    clone_flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Cloned, CallError> {
    let (ours, theirs) = Channel::pair()?;
    // In the cgroup from here on: from a cgroup namespace that it joins, no way leads to a cgroup outside (cgroups(7),
    // "nsdelegate").
    match clone3(0, cgroup)? {
        Cloned::Child => {
            drop(ours);
            // Before it can be seen in there: root of that user namespace, given CAP_SYS_PTRACE, may trace whoever is
            // dumpable, and this is still a process of the machine's root. The clone inherits it.
            if super::privileges::leave_caller(true).is_err() {
                exit_now(1)
            }
            match enter_and_clone(joins, clone_flags) {
                Ok(Cloned::Child) => Ok(Cloned::Child),
                Ok(Cloned::Parent { pid, pidfd }) => {
                    let number = pid.as_raw_nonzero().get().to_ne_bytes();
                    let _ = theirs.send(&number, &[pidfd.as_fd()]);
                    exit_now(0)
                }
                Err(e) => {
                    let _ = theirs.send(&encode(&e), &[]);
                    exit_now(1)
                }
            }
        }
        Cloned::Parent { pidfd: between, .. } => {
            drop(theirs);
            let answer = ours.receive();
            super::wait::reap(between);
            decode(answer?)
        }
    }
}

fn enter_and_clone(joins: &[BorrowedFd<'_>], clone_flags: u64) -> Result<Cloned, CallError> {
    for namespace in joins {
        rustix::thread::move_into_link_name_space(*namespace, None)
            .called(|| "setns()".to_owned())?;
    }
    clone3(clone_flags | flags::PARENT, None)
}

fn encode(error: &CallError) -> Vec<u8> {
    let mut bytes = b"!".to_vec();
    bytes.extend_from_slice(&error.errno().raw_os_error().to_ne_bytes());
    bytes.extend_from_slice(error.call().as_bytes());
    bytes
}

fn decode(answer: Option<super::channel::Message>) -> Result<Cloned, CallError> {
    let lost = || {
        CallError::new(
            "the process in between ended early",
            rustix::io::Errno::CHILD,
        )
    };
    let message = answer.ok_or_else(lost)?;
    if let [b'!', a, b, c, d, call @ ..] = message.bytes.as_slice() {
        return Err(CallError::new(
            String::from_utf8_lossy(call),
            rustix::io::Errno::from_raw_os_error(i32::from_ne_bytes([*a, *b, *c, *d])),
        ));
    }
    let pidfd = message.descriptors.into_iter().next().ok_or_else(lost)?;
    // The number that the process in between saw may be one of another PID namespace; the descriptor tells ours.
    let pid = own_number(&pidfd).ok_or_else(lost)?;
    Ok(Cloned::Parent { pid, pidfd })
}

/// The process number of a pidfd in this PID namespace (proc_pid_fdinfo(5), "Pid").
pub(super) fn own_number(pidfd: impl AsFd) -> Option<rustix::process::Pid> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let number = text.lines().find_map(|l| l.strip_prefix("Pid:"))?;
    rustix::process::Pid::from_raw(number.trim().parse().ok()?)
}
