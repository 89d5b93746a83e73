//! Asking across a network, from inside any network namespace, as a person who looks for a fault does: a connection, a
//! datagram, an echo, a name. No program of the namespace's is used, and whatever answers is not believed more than its
//! bytes say.

mod echo;
pub mod names;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv, send,
    socket_with, sockopt,
};
use soute_sys::net::{IcmpError, icmp_error, keep_icmp_errors, unspecified};
use soute_sys::{CallError, Called, inside};

use crate::Protocol;

pub use echo::{Echoed, echo};

/// A connection or a datagram that is tried.
#[derive(Debug)]
pub struct Probe {
    socket: OwnedFd,
    protocol: Protocol,
    to: SocketAddr,
    port: u16,
    failed: Option<Errno>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a connection; to a datagram, an answer.
    Answered,
    /// A connection is refused (RST).
    Refused,
    /// An ICMP message came back.
    Icmp(IcmpError),
    /// It was not even sent, or did not get out of here.
    Failed(Errno),
    /// Nothing came back in time.
    Silence,
}

impl Probe {
    /// With a port of its own, in another network namespace, or the caller's. Nothing is sent yet. The caller has one
    /// thread ([`soute_sys::process::fork`]).
    ///
    /// # Errors
    /// EPROTONOSUPPORT for anything but TCP and UDP; EAFNOSUPPORT: IPv6 is off.
    pub fn new(
        namespace: Option<BorrowedFd<'_>>,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Result<Self, CallError> {
        let kind = match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
            Protocol::Sctp => {
                return Err(CallError::new("a probe by sctp", Errno::PROTONOSUPPORT));
            }
        };
        let any = unspecified(to.ip());
        let socket = open(namespace, to.ip(), kind, None)?;
        keep_icmp_errors(socket.as_fd(), to.is_ipv4())?;
        bind(&socket, &SocketAddr::new(any, 0)).called(|| format!("bind({any})"))?;
        let own = getsockname(&socket)
            .and_then(|own| SocketAddr::try_from(own).map_err(|_| Errno::AFNOSUPPORT))
            .called(|| format!("getsockname({protocol})"))?;
        Ok(Self {
            socket,
            protocol,
            to,
            port: own.port(),
            failed: None,
        })
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends it.
    pub fn send(&mut self) {
        let sent = connect(&self.socket, &self.to).and_then(|()| match self.protocol {
            // Some programs take an empty one for the end.
            Protocol::Udp => send(&self.socket, b"soute\n", SendFlags::NOSIGNAL).map(drop),
            _ => Ok(()),
        });
        self.failed = sent.err().filter(|e| *e != Errno::INPROGRESS);
    }

    /// The address that it is sent from, once it is.
    pub fn from(&self) -> Option<SocketAddr> {
        let own = getsockname(&self.socket).ok()?;
        SocketAddr::try_from(own).ok()
    }

    /// What became of it by now; `None`: nothing yet.
    pub fn outcome(&self) -> Option<Outcome> {
        let told = |e| match icmp_error(self.socket.as_fd()) {
            Ok(Some(icmp)) => Outcome::Icmp(icmp),
            _ if e == Errno::CONNREFUSED => Outcome::Refused,
            _ => Outcome::Failed(e),
        };
        if let Some(failed) = self.failed {
            return Some(told(failed));
        }
        let mut waited = [PollFd::new(&self.socket, self.wanted())];
        match poll(&mut waited, Some(&Timespec::default())) {
            Ok(1..) => {}
            _ => return None,
        }
        match self.protocol {
            Protocol::Udp => {
                let mut answer = [0; 1];
                match recv(&self.socket, &mut answer[..], RecvFlags::DONTWAIT) {
                    Ok(_) => Some(Outcome::Answered),
                    Err(Errno::AGAIN | Errno::INTR) => icmp_error(self.socket.as_fd())
                        .ok()
                        .flatten()
                        .map(Outcome::Icmp),
                    Err(e) => Some(told(e)),
                }
            }
            _ => Some(match sockopt::socket_error(&self.socket) {
                Ok(Ok(())) => Outcome::Answered,
                Ok(Err(e)) | Err(e) => told(e),
            }),
        }
    }

    /// What is waited for with poll(2).
    pub fn wanted(&self) -> PollFlags {
        match self.protocol {
            Protocol::Udp => PollFlags::IN,
            _ => PollFlags::OUT,
        }
    }

    /// Waits for what becomes of it, until `deadline`.
    pub fn wait(&self, deadline: Instant) -> Outcome {
        loop {
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            if !ready(self.socket.as_fd(), self.wanted(), deadline) {
                return Outcome::Silence;
            }
        }
    }
}

/// To be waited on with poll(2).
impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket of an address's family, in another network namespace, or the caller's.
fn open(
    namespace: Option<BorrowedFd<'_>>,
    to: IpAddr,
    kind: SocketType,
    protocol: Option<rustix::net::Protocol>,
) -> Result<OwnedFd, CallError> {
    let family = soute_sys::net::family(to);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open = || {
        socket_with(family, kind, flags, protocol)
            .called(|| format!("socket({family:?}, {kind:?})"))
    };
    match namespace {
        None => open(),
        Some(other) => inside::network(other, || Ok([open()?])).map(|[socket]| socket),
    }
}

/// Waits until a descriptor is ready; `false`: it is not at `deadline`.
fn ready(fd: BorrowedFd<'_>, wanted: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut waited = [PollFd::from_borrowed_fd(fd, wanted)];
        match poll(&mut waited, Some(&timespec(left))) {
            Err(Errno::INTR) | Ok(0) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// For poll(2).
pub(crate) fn timespec(left: Duration) -> Timespec {
    Timespec {
        tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(protocol: Protocol, to: SocketAddr) -> Outcome {
        let mut probe = Probe::new(None, protocol, to).unwrap();
        assert_ne!(probe.port(), 0);
        probe.send();
        probe.wait(Instant::now() + Duration::from_millis(300))
    }

    #[test]
    fn what_listens_answers_and_what_does_not_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        assert_eq!(tried(Protocol::Tcp, to), Outcome::Answered);
        drop(listener);
        assert_eq!(tried(Protocol::Tcp, to), Outcome::Refused);
        let Outcome::Icmp(told) = tried(Protocol::Udp, to) else {
            panic!("no ICMP message")
        };
        assert_eq!((told.kind, told.code, told.from), (3, 3, Some(to.ip())));
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = silent.local_addr().unwrap();
        assert_eq!(tried(Protocol::Udp, to), Outcome::Silence);
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        // Nobody's address, and by no route: this is a broadcast that the socket may not send.
        let to = "255.255.255.255:9".parse().unwrap();
        assert!(matches!(
            tried(Protocol::Udp, to),
            Outcome::Failed(Errno::ACCESS | Errno::NETUNREACH)
        ));
        let refused = Probe::new(None, Protocol::Sctp, to).unwrap_err();
        assert_eq!(refused.errno(), Errno::PROTONOSUPPORT);
    }
}
