//! The sockets of one network namespace that have a port and wait for whoever comes: sock_diag(7), linux/inet_diag.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use soute_sys::netlink::{Malformed, Message, Socket, Writer};
use soute_sys::{CallError, Called};

use crate::Protocol;

/// linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// linux/inet_diag.h
const INET_DIAG_SKV6ONLY: u16 = 11;

/// linux/socket.h
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `TCP_*` of linux/tcp_states.h, which all three protocols have.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
/// Bound, and neither listening nor connected: what TCP has of those since Linux 6.8. Older kernels name none.
const BOUND_INACTIVE: u8 = 13;

/// What a socket with a port does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It takes connections.
    Listens,
    /// It takes whatever is sent to its port: UDP.
    Receives,
    /// It keeps the port, and takes nothing.
    Keeps,
}

/// A socket that has a port and no partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundSocket {
    /// Its protocol.
    pub protocol: Protocol,
    /// What it does.
    pub doing: Doing,
    /// Its address: unspecified for all.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The number of the interface that it is bound to, if it is to one.
    pub link: Option<u32>,
    /// Of an IPv6 socket: whether it leaves IPv4 alone.
    pub only_ipv6: bool,
    /// Its owner, as numbered in the asker's user namespace.
    pub uid: u32,
    /// Its number in sockfs, which the links in /proc/PID/fd show; 0 of one that no process has.
    pub inode: u64,
}

impl BoundSocket {
    /// Whether it is what a packet to that address and port of its network namespace comes to.
    pub fn takes(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        let same = match (self.address, address) {
            (IpAddr::V6(any), IpAddr::V4(_)) if any.is_unspecified() => !self.only_ipv6,
            (own, address) if own.is_unspecified() => own.is_ipv4() == address.is_ipv4(),
            (own, address) => own.to_canonical() == address,
        };
        self.protocol == protocol && self.port == port && same
    }

    /// From an answer; `None`: it has no port.
    fn read(protocol: Protocol, message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        // struct inet_diag_msg: family, state, timer, retrans; of the socket's id the ports (16 each, in the network's order),
        // the addresses (16 bytes each), the interface (32), a cookie (64); expires, two queues, uid, inode (32 each).
        let (header, attributes) = message.split::<72>()?;
        let &[
            family,
            state,
            _,
            _,
            port_high,
            port_low,
            _,
            _,
            ref rest @ ..,
        ] = header;
        let word = |at: usize| {
            let bytes = rest.get(at..at + 4).and_then(|word| word.try_into().ok());
            bytes.map(u32::from_ne_bytes).unwrap_or_default()
        };
        let (octets, _) = rest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let address: IpAddr = match family {
            AF_INET => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
            AF_INET6 => Ipv6Addr::from(*octets).into(),
            _ => return Ok(None),
        };
        let port = u16::from_be_bytes([port_high, port_low]);
        let doing = match (state, protocol) {
            (LISTEN, _) => Doing::Listens,
            (CLOSE, Protocol::Udp) => Doing::Receives,
            _ => Doing::Keeps,
        };
        let only_ipv6 = attributes.find(INET_DIAG_SKV6ONLY)?;
        let only_ipv6 = only_ipv6.map(|only| only.u8()).transpose()?;
        Ok((port != 0).then(|| Self {
            protocol,
            doing,
            address,
            port,
            link: Some(word(32)).filter(|index| *index != 0),
            only_ipv6: family == AF_INET6 && only_ipv6.unwrap_or(0) != 0,
            uid: word(56),
            inode: word(60).into(),
        }))
    }
}

/// What is asked of the kernel about the sockets of one network namespace.
#[derive(Debug)]
pub struct SockDiag(Socket);

impl SockDiag {
    /// The caller's network namespace.
    pub fn open() -> Result<Self, CallError> {
        Socket::open(soute_sys::netlink::Protocol::SockDiag).map(Self)
    }

    /// Several others, one after the other ([`Socket::open_in_each`]). The caller has one thread.
    pub fn open_in_each(
        namespaces: &[BorrowedFd<'_>],
        mut hear: impl FnMut(usize, Result<Self, CallError>),
    ) -> Result<(), CallError> {
        let protocol = soute_sys::netlink::Protocol::SockDiag;
        Socket::open_in_each(protocol, namespaces, |number, opened| {
            hear(number, opened.map(Self));
        })
    }

    /// The sockets of a protocol that have a port and no partner. `None`: the kernel does not have the protocol, or nothing
    /// that tells of its sockets.
    pub fn bound(&mut self, protocol: Protocol) -> Result<Option<Vec<BoundSocket>>, CallError> {
        let mut all = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let body = request(family, protocol);
            let call = || format!("SOCK_DIAG_BY_FAMILY({protocol}, family {family})");
            let body = body.finish().called(call)?;
            let read = |message: &Message<'_>| match message.kind {
                SOCK_DIAG_BY_FAMILY => {
                    BoundSocket::read(protocol, message).map_err(|e| e.of(&call()))
                }
                _ => Ok(None),
            };
            match self.0.dump(SOCK_DIAG_BY_FAMILY, &body, &call, &read) {
                Ok(sockets) => all.extend(sockets),
                Err(e) if matches!(e.errno(), Errno::NOENT | Errno::PROTONOSUPPORT) => {
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Some(all))
    }
}

/// struct inet_diag_req_v2: family, protocol, which extras, padding, states (32), a socket's id (48) that a dump leaves
/// empty.
fn request(family: u8, protocol: Protocol) -> Writer {
    let states = 1u32 << CLOSE | 1 << LISTEN | 1 << BOUND_INACTIVE;
    let mut header = vec![family, protocol.number(), 0, 0];
    header.extend(states.to_ne_bytes());
    header.extend([0; 48]);
    Writer::new(&header)
}

/// For fuzz/: reads a message as a socket.
#[cfg(fuzzing)]
pub fn fuzz(message: &Message<'_>) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        _ = BoundSocket::read(protocol, message);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use proptest::prelude::*;

    use super::*;

    fn socket(address: &str, only_ipv6: bool) -> BoundSocket {
        BoundSocket {
            protocol: Protocol::Tcp,
            doing: Doing::Listens,
            address: address.parse().unwrap(),
            port: 80,
            link: None,
            only_ipv6,
            uid: 0,
            inode: 1,
        }
    }

    #[test]
    fn an_unspecified_address_takes_its_family_and_ipv6_takes_both_unless_told() {
        for (own, only_ipv6, to, taken) in [
            ("0.0.0.0", false, "10.0.0.2", true),
            ("0.0.0.0", false, "fd00::2", false),
            ("::", false, "10.0.0.2", true),
            ("::", true, "10.0.0.2", false),
            ("::", true, "fd00::2", true),
            ("10.0.0.2", false, "10.0.0.2", true),
            ("10.0.0.3", false, "10.0.0.2", false),
            ("::ffff:10.0.0.2", false, "10.0.0.2", true),
        ] {
            let socket = socket(own, only_ipv6);
            let to = to.parse().unwrap();
            assert_eq!(socket.takes(Protocol::Tcp, to, 80), taken, "{own} {to}");
            assert!(!socket.takes(Protocol::Tcp, to, 81));
            assert!(!socket.takes(Protocol::Udp, to, 80));
        }
    }

    #[test]
    fn own_sockets_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut diag = SockDiag::open().unwrap();
        let tcp = diag.bound(Protocol::Tcp).unwrap().unwrap();
        let found = tcp.iter().find(|socket| socket.port == port).unwrap();
        assert_eq!(found.doing, Doing::Listens);
        assert_eq!(found.address, listener.local_addr().unwrap().ip());
        assert_ne!(found.inode, 0);
        // Where IPv6 is off, the kernel's answer to this is the test's.
        if let Ok(receiver) = UdpSocket::bind("[::]:0") {
            let port = receiver.local_addr().unwrap().port();
            let udp = diag.bound(Protocol::Udp).unwrap().unwrap();
            let found = udp.iter().find(|socket| socket.port == port).unwrap();
            assert_eq!(
                (found.doing, found.only_ipv6, found.link),
                (Doing::Receives, false, None)
            );
            assert!(found.address.is_ipv6());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(mut body in proptest::collection::vec(any::<u8>(), 0..96), family in 0..3usize) {
            if let Some(first) = body.first_mut() {
                *first = [AF_INET, AF_INET6, 1][family];
            }
            let message = Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, sequence: 0, body: &body };
            let _ = BoundSocket::read(Protocol::Tcp, &message);
        }
    }
}
