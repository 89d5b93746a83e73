//! An ICMP echo (ping(8)).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, connect, ipproto, recv, send};
use rustix::rand::{GetRandomFlags, getrandom};
use soute_sys::net::{IcmpError, icmp_error, keep_icmp_errors};
use soute_sys::{CallError, Called};

use super::{open, ready};

/// What became of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echoed {
    /// It came back, after so long.
    After(Duration),
    /// An ICMP message came back instead.
    Icmp(IcmpError),
    /// It was not even sent.
    Failed(Errno),
    /// Nothing came back in time.
    Silence,
}

/// What tells our echo from others: a number, and what it carries.
struct Mark {
    number: [u8; 2],
    load: [u8; 16],
}

/// Asks an address for an echo, from another network namespace, or the caller's, and waits until `deadline`. The caller
/// has one thread ([`soute_sys::process::fork`]).
///
/// # Errors
/// EPERM: no CAP_NET_RAW there.
pub fn echo(
    namespace: Option<BorrowedFd<'_>>,
    to: SocketAddr,
    deadline: Instant,
) -> Result<Echoed, CallError> {
    let protocol = match to {
        SocketAddr::V4(_) => ipproto::ICMP,
        SocketAddr::V6(_) => ipproto::ICMPV6,
    };
    let socket = open(namespace, to.ip(), SocketType::RAW, Some(protocol))?;
    keep_icmp_errors(socket.as_fd(), to.is_ipv4())?;
    let mut random = [0; 18];
    getrandom(&mut random, GetRandomFlags::empty()).called(|| "getrandom(18)".to_owned())?;
    let [a, b, load @ ..] = random;
    let mark = Mark {
        number: [a, b],
        load,
    };
    let started = Instant::now();
    // The port means nothing to a raw socket.
    let mut at = to;
    at.set_port(0);
    let sent = connect(&socket, &at)
        .and_then(|()| send(&socket, &request(to.ip(), &mark), SendFlags::NOSIGNAL));
    let told = |e| match icmp_error(socket.as_fd()) {
        Ok(Some(icmp)) => Echoed::Icmp(icmp),
        _ => Echoed::Failed(e),
    };
    if let Err(e) = sent {
        return Ok(told(e));
    }
    let mut packet = [0; 256];
    loop {
        match recv(&socket, &mut packet[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => {
                let packet = packet.get(..length).unwrap_or_default();
                if is_answer(to.ip(), packet, &mark) {
                    return Ok(Echoed::After(started.elapsed()));
                }
                // Others' echoes come here, too, perhaps many.
                if Instant::now() >= deadline {
                    return Ok(Echoed::Silence);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                if let Ok(Some(icmp)) = icmp_error(socket.as_fd()) {
                    return Ok(Echoed::Icmp(icmp));
                }
                if !ready(socket.as_fd(), PollFlags::IN, deadline) {
                    return Ok(Echoed::Silence);
                }
            }
            Err(e) => return Ok(told(e)),
        }
    }
}

/// Type, code, checksum, number, sequence, load (RFC 792; RFC 4443, 4.1).
fn request(to: IpAddr, mark: &Mark) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(mark.number);
    bytes.extend([0, 1]);
    bytes.extend(mark.load);
    if to.is_ipv4() {
        // The kernel does it for IPv6, where the addresses are part of it.
        let sum = checksum(&bytes);
        bytes.splice(2..4, sum);
    }
    bytes
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| match *word {
        [a, b] => u16::from_be_bytes([a, b]),
        [a] => u16::from_be_bytes([a, 0]),
        _ => 0,
    });
    let sum: u32 = words.map(u32::from).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

/// Whether this is the echo that was asked for. IPv4's header stands before it.
fn is_answer(from: IpAddr, packet: &[u8], mark: &Mark) -> bool {
    let (kind, message) = match from {
        IpAddr::V4(_) => {
            let words = packet.first().map_or(0, |first| first & 0xf);
            (0, packet.get(usize::from(words) * 4..))
        }
        IpAddr::V6(_) => (129, Some(packet)),
    };
    let Some([first, 0, _, _, a, b, _, _, load @ ..]) = message else {
        return false;
    };
    *first == kind && [*a, *b] == mark.number && *load == mark.load
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        number: [1, 2],
        load: [7; 16],
    };

    #[test]
    fn a_request_that_comes_back_is_known_again() {
        for to in ["10.0.0.1", "2001:db8::1"] {
            let to: IpAddr = to.parse().unwrap();
            let mut sent = request(to, &MARK);
            if to.is_ipv4() {
                assert_eq!(checksum(&sent), [0, 0]);
            }
            sent[0] = if to.is_ipv4() { 0 } else { 129 };
            let header = if to.is_ipv4() {
                vec![0x45; 20]
            } else {
                Vec::new()
            };
            let packet = [header, sent].concat();
            assert!(is_answer(to, &packet, &MARK));
            let other = Mark {
                number: [1, 3],
                ..MARK
            };
            assert!(!is_answer(to, &packet, &other));
            for length in 0..packet.len() {
                assert!(!is_answer(to, &packet[..length], &MARK));
            }
        }
    }

    #[test]
    fn this_machine_echoes() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let to = "127.0.0.1:0".parse().unwrap();
        match echo(None, to, deadline) {
            Ok(Echoed::After(_)) => {}
            // Not root.
            Err(e) if e.errno() == Errno::PERM => {}
            other => panic!("{other:?}"),
        }
    }
}
