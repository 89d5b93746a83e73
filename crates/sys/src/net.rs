//! Network interfaces by ioctl: all that a namespace without a network needs. And what a socket hears of packets of its
//! own that did not arrive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::mount::last_errno;
use crate::process::put_away;
use crate::{CallError, Called};

/// The family of sockets that reach an address.
pub fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    }
}

/// The address of that family that stands for any: 0.0.0.0, `::`.
pub fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A TCP stream, not waited for, to `server`: writable (poll(2)) when it is made, or has failed.
pub fn connecting(server: SocketAddr) -> rustix::io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family(server.ip()), SocketType::STREAM, flags, None)?;
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(e) => Err(e),
    }
}

/// Brings `lo` of this network namespace up (netdevice(7), SIOCSIFFLAGS).
pub fn loopback_up() -> Result<(), CallError> {
    // It may stay open for a while, and hooks are run meanwhile.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        .called(|| "socket(AF_INET, SOCK_DGRAM)".to_owned())?;
    // SAFETY: an all-zero ifreq is a valid value of that plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads a live ifreq.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as libc::Ioctl,
            &raw const request,
        )
    };
    if done != 0 {
        return Err(CallError::new("ioctl(SIOCSIFFLAGS, lo up)", last_errno()));
    }
    put_away(socket);
    Ok(())
}

/// An ICMP message about a packet of a socket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Its type (RFC 792; RFC 4443 for IPv6).
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Who sent it.
    pub from: Option<IpAddr>,
}

/// Has a socket fail at once with what ICMP messages say of its packets, and keep them for [`icmp_error`] (ip(7),
/// IP_RECVERR).
pub fn keep_icmp_errors(socket: BorrowedFd<'_>, ipv4: bool) -> Result<(), CallError> {
    let (level, option) = match ipv4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    let on: libc::c_int = 1;
    // SAFETY: both options read an int, which lives here and whose size is passed.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new("setsockopt(IP_RECVERR, 1)", last_errno()))
}

/// The first ICMP message that was kept, if there is one; it is no longer kept then.
pub fn icmp_error(socket: BorrowedFd<'_>) -> Result<Option<IcmpError>, CallError> {
    // For struct sock_extended_err (16 bytes) and the address behind it, with its header, aligned as that is.
    let mut control = [0u64; 16];
    // SAFETY: an all-zero msghdr is a valid value of that plain C structure: no buffers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header names one buffer, for control messages, which lives here and whose size is told.
    let read = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut message,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if read < 0 {
        return match last_errno() {
            Errno::AGAIN => Ok(None),
            e => Err(CallError::new("recvmsg(MSG_ERRQUEUE)", e)),
        };
    }
    let length = (message.msg_controllen as usize).min(size_of_val(&control));
    let bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(extended_error(bytes.get(..length).unwrap_or_default()))
}

/// From control messages: struct cmsghdr (length, level, type), struct sock_extended_err (errno, origin, type, code, pad,
/// info, data), and a socket address.
fn extended_error(control: &[u8]) -> Option<IcmpError> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    const ICMP: u8 = 2;
    const ICMP6: u8 = 3;
    let length = usize::from_ne_bytes(*control.first_chunk()?);
    let data = control.get(HEADER..length.min(control.len()))?;
    let &[_, _, _, _, origin, kind, code, ..] = data else {
        return None;
    };
    let address = data.get(16..).unwrap_or_default();
    let family = address
        .first_chunk()
        .map(|bytes| i32::from(u16::from_ne_bytes(*bytes)));
    let at = |offset: usize| address.get(offset..);
    let from = match family {
        Some(libc::AF_INET) => at(4)
            .and_then(|bytes| bytes.first_chunk())
            .map(|octets: &[u8; 4]| Ipv4Addr::from(*octets).into()),
        Some(libc::AF_INET6) => at(8)
            .and_then(|bytes| bytes.first_chunk())
            .map(|octets: &[u8; 16]| Ipv6Addr::from(*octets).into()),
        _ => None,
    };
    matches!(origin, ICMP | ICMP6).then_some(IcmpError { kind, code, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_socket_answers_is_heard_of() {
        // A port that was ours a moment ago.
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = free.local_addr().unwrap();
        drop(free);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        use std::os::fd::AsFd as _;
        keep_icmp_errors(socket.as_fd(), true).unwrap();
        assert_eq!(icmp_error(socket.as_fd()).unwrap(), None);
        socket.connect(to).unwrap();
        socket.send(b"").unwrap();
        let told = icmp_error(socket.as_fd()).unwrap();
        let from = Some(Ipv4Addr::LOCALHOST.into());
        let (kind, code) = (3, 3);
        assert_eq!(told, Some(IcmpError { kind, code, from }));
    }

    #[test]
    fn broken_control_messages_are_nothing() {
        for length in 0..40u8 {
            let mut bytes = vec![0xff; usize::from(length)];
            assert_eq!(extended_error(&bytes), None);
            if let Some(first) = bytes.first_mut() {
                *first = length;
                let _ = extended_error(&bytes);
            }
        }
    }
}
