//! The channel between a container's parent and its first process while it is set up.
//!
//! A pair of sequenced-packet sockets: messages keep their bounds, carry
//! descriptors (SCM_RIGHTS), and the end of file that execve causes
//! (close-on-exec) is the child's word that the program runs.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use soute_sys::{CallError, Called};

/// The kernel's limit on descriptors in one message (SCM_MAX_FD).
const MOST_DESCRIPTORS: usize = 253;
/// Longest message: an error with its chain of causes.
const LONGEST: usize = 8192;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What came: the text and its descriptors.
#[derive(Debug)]
pub struct Message {
    /// The first byte tells the kind.
    pub bytes: Vec<u8>,
    /// In the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Two connected ends, both close-on-exec.
    pub fn pair() -> Result<(Self, Self), CallError> {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .called(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".to_owned())?;
        Ok((Self(a), Self(b)))
    }

    /// Sends one message, cut at [`LONGEST`] bytes; descriptors past the kernel's limit go in further, empty messages
    /// that [`Self::receive_descriptors`] gathers.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), CallError> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let mut chunks = descriptors.chunks(MOST_DESCRIPTORS);
        self.send_one(bytes, chunks.next().unwrap_or(&[]))?;
        chunks.try_for_each(|chunk| self.send_one(&bytes[..1], chunk))
    }

    fn send_one(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), CallError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        // NOSIGNAL: a peer that was killed is an error here, not a SIGPIPE.
        sendmsg(
            &self.0,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
        .called(|| {
            format!(
                "sendmsg({} bytes, {} descriptors)",
                bytes.len(),
                descriptors.len()
            )
        })
        .map(drop)
    }

    /// The next message; `None` when the other end is closed.
    pub fn receive(&self) -> Result<Option<Message>, CallError> {
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                // A peer that has ended with our messages unread: that is said once, before what it had sent itself, and
                // before the end.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
                other => break other.called(|| "recvmsg()".to_owned())?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        // This process may open no more of them. Waited for, they would never come.
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(CallError::new(
                "recvmsg(descriptors)",
                rustix::io::Errno::MFILE,
            ));
        }
        bytes.truncate(received.bytes);
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(Some(Message { bytes, descriptors }))
    }

    /// Completes a message that came with fewer than `count` descriptors by those that follow.
    pub fn receive_descriptors(
        &self,
        message: &mut Message,
        count: usize,
    ) -> Result<(), CallError> {
        while message.descriptors.len() < count {
            match self.receive()? {
                Some(more) if !more.descriptors.is_empty() => {
                    message.descriptors.extend(more.descriptors);
                }
                _ => {
                    return Err(CallError::new(
                        format!(
                            "recvmsg(): {} of {count} descriptors",
                            message.descriptors.len()
                        ),
                        rustix::io::Errno::BADMSG,
                    ));
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_heard_though_ours_were_not() {
        let (a, b) = Channel::pair().unwrap();
        a.send(b"to nobody", &[]).unwrap();
        b.send(b"last words", &[]).unwrap();
        drop(b);
        assert_eq!(a.receive().unwrap().unwrap().bytes, b"last words");
        assert!(a.receive().unwrap().is_none());
    }

    #[test]
    fn many_descriptors_arrive_in_order() {
        let (a, b) = Channel::pair().unwrap();
        let files: Vec<OwnedFd> = (0..300)
            .map(|_| std::fs::File::open("/dev/null").unwrap().into())
            .collect();
        let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        a.send(b"m", &borrowed).unwrap();
        let mut message = b.receive().unwrap().unwrap();
        b.receive_descriptors(&mut message, 300).unwrap();
        assert_eq!(message.bytes, b"m");
        assert_eq!(message.descriptors.len(), 300);
        drop(a);
        assert!(b.receive().unwrap().is_none());
    }
}
