//! Descriptors that are opened in other namespaces, by a process in between.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Cloned, exit_now, fork};
use crate::{CallError, Called};

/// Longest error that comes back; the rest is cut.
const LONGEST: usize = 1024;
const RECEIVING: &str = "recvmsg(descriptors opened in another namespace)";
/// Most descriptors that come of one namespace.
const MOST: usize = 4;

/// What `open` opens with `namespace` as its network namespace, up to four descriptors. The caller stays in its own, and
/// has one thread ([`fork`]).
///
/// # Errors
/// Of setns(2); of `open`; the process in between was killed (ECHILD).
pub fn network<const N: usize>(
    namespace: BorrowedFd<'_>,
    open: impl Fn() -> Result<[OwnedFd; N], CallError>,
) -> Result<[OwnedFd; N], CallError> {
    one(LinkNameSpaceType::Network, namespace, open)
}

/// [`network`] of a mount namespace: `open` finds the root folder of that, and nothing of the caller's but what is open.
///
/// # Errors
/// As of [`network`].
pub fn mounts<const N: usize>(
    namespace: BorrowedFd<'_>,
    open: impl Fn() -> Result<[OwnedFd; N], CallError>,
) -> Result<[OwnedFd; N], CallError> {
    one(LinkNameSpaceType::Mount, namespace, open)
}

fn one<const N: usize>(
    kind: LinkNameSpaceType,
    namespace: BorrowedFd<'_>,
    open: impl Fn() -> Result<[OwnedFd; N], CallError>,
) -> Result<[OwnedFd; N], CallError> {
    let mut told = Err(CallError::new(RECEIVING, Errno::CHILD));
    each(kind, &[namespace], open, |_, opened| told = opened)?;
    told
}

/// [`network`] for each of several, by one process in between: what was opened in the one at that place of `namespaces`, or
/// why it was not. While `hear` has one, the next is opened.
///
/// # Errors
/// There is no such process.
pub fn networks<const N: usize>(
    namespaces: &[BorrowedFd<'_>],
    open: impl Fn() -> Result<[OwnedFd; N], CallError>,
    hear: impl FnMut(usize, Result<[OwnedFd; N], CallError>),
) -> Result<(), CallError> {
    each(LinkNameSpaceType::Network, namespaces, open, hear)
}

fn each<const N: usize>(
    kind: LinkNameSpaceType,
    namespaces: &[BorrowedFd<'_>],
    open: impl Fn() -> Result<[OwnedFd; N], CallError>,
    mut hear: impl FnMut(usize, Result<[OwnedFd; N], CallError>),
) -> Result<(), CallError> {
    const { assert!(1 <= N && N <= MOST) };
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .called(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".to_owned())?;
    match fork()? {
        Cloned::Child => {
            // It would wait for ever for a caller that is gone, if it held the caller's end itself.
            drop(ours);
            for namespace in namespaces {
                let opened = move_into_link_name_space(*namespace, Some(kind))
                    .called(|| {
                        let flag = match kind {
                            LinkNameSpaceType::Network => "CLONE_NEWNET",
                            _ => "CLONE_NEWNS",
                        };
                        format!("setns({flag})")
                    })
                    .and_then(|()| open());
                tell(theirs.as_fd(), opened);
            }
            exit_now(0)
        }
        Cloned::Parent { pidfd, .. } => {
            drop(theirs);
            for number in 0..namespaces.len() {
                hear(number, heard(ours.as_fd()));
            }
            while let Err(Errno::INTR) = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
            {
            }
            Ok(())
        }
    }
}

/// The descriptors beside an empty text; or the number of an error and its call. That nobody hears it is nothing to tell.
fn tell<const N: usize>(to: BorrowedFd<'_>, opened: Result<[OwnedFd; N], CallError>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let mut text = Vec::new();
    let descriptors: Vec<_> = match &opened {
        Ok(fds) => {
            text.extend(0i32.to_ne_bytes());
            fds.iter().map(AsFd::as_fd).collect()
        }
        Err(e) => {
            text.extend(e.errno().raw_os_error().to_ne_bytes());
            text.extend(e.call().as_bytes());
            text.truncate(LONGEST);
            Vec::new()
        }
    };
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let _ = sendmsg(
        to,
        &[IoSlice::new(&text)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
}

fn heard<const N: usize>(from: BorrowedFd<'_>) -> Result<[OwnedFd; N], CallError> {
    let call = || RECEIVING.to_owned();
    let mut text = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        let mut into = [IoSliceMut::new(&mut text)];
        recvmsg(from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })
    .called(call)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message
            && let Ok(all) = <[OwnedFd; N]>::try_from(rights.collect::<Vec<_>>())
        {
            return Ok(all);
        }
    }
    let text = text.get(..received.bytes).unwrap_or_default();
    match text.split_first_chunk() {
        // They were sent, and have no room in this process.
        Some((number, _)) if *number == [0; 4] => Err(CallError::new(call(), Errno::MFILE)),
        Some((number, told)) => Err(CallError::new(
            String::from_utf8_lossy(told),
            Errno::from_raw_os_error(i32::from_ne_bytes(*number)),
        )),
        None => Err(CallError::new(call(), Errno::CHILD)),
    }
}
