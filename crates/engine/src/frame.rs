//! What a monitor and its clients say to each other.
//!
//! Over a sequenced-packet socket (`/run/soute/containers/ID/attach`, root's
//! alone): each packet is one frame, a kind byte and its content. A client is
//! `soute run`, `attach`, `wait` or `logs`; it may die at any time.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use soute_runtime::process::{Failure, FailureKind};
use soute_sys::CallError;

/// Most bytes of a stream in one frame.
pub const CHUNK: usize = 32 * 1024;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Client: I want the output; from now on I am sent it.
    Attach,
    /// Client: bytes for standard input. Before the next such frame it waits for [`Frame::InputTaken`], so that what the
    /// program does not read never stands in the way of the client's other frames.
    Input(Vec<u8>),
    /// Client: standard input has ended.
    InputEnd,
    /// Client: the terminal has this many rows and columns.
    Resize(u16, u16),
    /// Client: send this signal to the program.
    Signal(i32),
    /// Client: the networks that the container is in, or its ports, are others now: [`Frame::Settled`] or
    /// [`Frame::Failed`] says what came of it.
    Networks,
    /// Client: carry an interface into the container, and back when it ends: [`Frame::Settled`] or [`Frame::Failed`].
    Carry(Vec<u8>),
    /// Monitor: what was asked is done.
    Settled,
    /// Monitor: standard output, or all that the terminal shows.
    Output(Vec<u8>),
    /// Monitor: standard error.
    Error(Vec<u8>),
    /// Monitor: there is room for more input.
    InputTaken,
    /// Monitor: the program runs, its process number being this.
    Started(i32),
    /// Monitor: the container could not be started, or what was asked could not be done.
    Failed(Failure),
    /// Monitor: it has ended with this status; the last frame.
    Exited(i32),
}

impl Frame {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        fn bytes(kind: u8, content: &[u8]) -> Vec<u8> {
            let mut packet = Vec::with_capacity(1 + content.len());
            packet.push(kind);
            packet.extend_from_slice(content);
            packet
        }
        match self {
            Self::Attach => bytes(b'A', &[]),
            Self::Input(data) => bytes(b'i', data),
            Self::InputEnd => bytes(b'e', &[]),
            Self::Resize(rows, columns) => {
                let [a, b] = rows.to_be_bytes();
                let [c, d] = columns.to_be_bytes();
                bytes(b'w', &[a, b, c, d])
            }
            Self::Signal(number) => bytes(b's', &number.to_be_bytes()),
            Self::Networks => bytes(b'n', &[]),
            Self::Carry(order) => bytes(b'c', order),
            Self::Settled => bytes(b'd', &[]),
            Self::Output(data) => bytes(b'1', data),
            Self::Error(data) => bytes(b'2', data),
            Self::InputTaken => bytes(b't', &[]),
            Self::Started(pid) => bytes(b'S', &pid.to_be_bytes()),
            Self::Failed(failure) => {
                let kind = match failure.kind {
                    FailureKind::Setup => b's',
                    FailureKind::NotFound => b'f',
                    FailureKind::NotExecutable => b'x',
                };
                let mut content = vec![kind];
                content.extend_from_slice(failure.message.as_bytes());
                bytes(b'F', &content)
            }
            Self::Exited(code) => bytes(b'X', &code.to_be_bytes()),
        }
    }

    /// The frame in `packet`; `None` for one that no frame looks like.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let (kind, content) = packet.split_first()?;
        let number = || Some(i32::from_be_bytes(content.try_into().ok()?));
        Some(match kind {
            b'A' => Self::Attach,
            b'i' => Self::Input(content.to_vec()),
            b'e' => Self::InputEnd,
            b'w' => {
                let [a, b, c, d] = content.try_into().ok()?;
                Self::Resize(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
            b's' => Self::Signal(number()?),
            b'n' => Self::Networks,
            b'c' => Self::Carry(content.to_vec()),
            b'd' => Self::Settled,
            b'1' => Self::Output(content.to_vec()),
            b'2' => Self::Error(content.to_vec()),
            b't' => Self::InputTaken,
            b'S' => Self::Started(number()?),
            b'F' => {
                let (kind, message) = content.split_first()?;
                Self::Failed(Failure {
                    kind: match kind {
                        b's' => FailureKind::Setup,
                        b'f' => FailureKind::NotFound,
                        b'x' => FailureKind::NotExecutable,
                        _ => return None,
                    },
                    message: String::from_utf8_lossy(message).into_owned(),
                })
            }
            b'X' => Self::Exited(number()?),
            _ => return None,
        })
    }
}

/// One end of a conversation in frames.
#[derive(Debug)]
pub struct Connection(OwnedFd);

/// What a receive found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// Nothing now (only on a non-blocking socket).
    Nothing,
    /// The other end is gone, or speaks otherwise.
    End,
}

impl Connection {
    /// Takes a connected sequenced-packet socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Sends a frame, waiting as long as it takes (unless the socket is non-blocking).
    pub fn send(&self, frame: &Frame) -> Result<(), CallError> {
        self.send_packet(&frame.encode())
    }

    pub(crate) fn send_packet(&self, packet: &[u8]) -> Result<(), CallError> {
        loop {
            match send(&self.0, packet, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => {
                    return Err(CallError::new(format!("send({} bytes)", packet.len()), e));
                }
            }
        }
    }

    /// Receives the next frame.
    pub fn receive(&self) -> Result<Received, CallError> {
        let mut buffer = vec![0u8; CHUNK + 1];
        loop {
            return match recv(&self.0, &mut buffer[..], RecvFlags::TRUNC) {
                Ok((_, 0)) => Ok(Received::End),
                // The other end went without having read all that we said; what it said comes next, and then the end.
                Err(Errno::CONNRESET) => continue,
                // Longer than any frame: the other end is none of ours.
                Ok((_, length)) if length > buffer.len() => Ok(Received::End),
                Ok((_, length)) => Ok(match Frame::decode(&buffer[..length]) {
                    Some(frame) => Received::Frame(frame),
                    None => Received::End,
                }),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(Received::Nothing),
                Err(e) => Err(CallError::new("recv()", e)),
            };
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_way() {
        for frame in [
            Frame::Attach,
            Frame::Input(b"abc".to_vec()),
            Frame::InputEnd,
            Frame::Resize(24, 80),
            Frame::Signal(15),
            Frame::Networks,
            Frame::Carry(b"{}".to_vec()),
            Frame::Settled,
            Frame::Output(vec![0, 255]),
            Frame::Error(vec![]),
            Frame::InputTaken,
            Frame::Started(4613),
            Frame::Failed(Failure {
                kind: FailureKind::NotFound,
                message: "no".into(),
            }),
            Frame::Exited(137),
        ] {
            assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        }
    }

    #[test]
    fn the_last_words_of_one_that_did_not_listen_are_heard() {
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let (ours, theirs) = (Connection::new(ours), Connection::new(theirs));
        ours.send(&Frame::Attach).unwrap();
        theirs.send(&Frame::Exited(3)).unwrap();
        drop(theirs);
        assert_eq!(ours.receive().unwrap(), Received::Frame(Frame::Exited(3)));
        assert_eq!(ours.receive().unwrap(), Received::End);
    }

    #[test]
    fn strangers_are_not_understood() {
        for packet in [&b""[..], b"?", b"w123", b"X1", b"F", b"Fz"] {
            assert_eq!(Frame::decode(packet), None);
        }
    }
}
