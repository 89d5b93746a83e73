//! The numbers by which a network namespace calls others: RTM_GETNSID (rtnetlink(7), linux/net_namespace.h).
//!
//! Interfaces name the namespace of their peer by such a number
//! (`link-netnsid`). It is relative to the namespace of the asking socket.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};
use soute_sys::{CallError, Called};

use crate::Error;

/// linux/rtnetlink.h
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
/// linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const HEADER: usize = 16;
/// linux/net_namespace.h
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg` and its padding.
const GENERIC: usize = 4;

/// A socket that asks on behalf of the caller's network namespace.
#[derive(Debug)]
pub struct Asker(OwnedFd);

impl Asker {
    /// Opens the socket.
    pub fn new() -> Result<Self, Error> {
        // Protocol 0 is NETLINK_ROUTE.
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        );
        Ok(Self(socket.called(|| {
            "socket(AF_NETLINK, NETLINK_ROUTE)".to_owned()
        })?))
    }

    /// The number of `namespace`; `None`: it has none here.
    pub fn ask(&self, namespace: impl AsFd) -> Result<Option<i32>, Error> {
        let call = || "RTM_GETNSID".to_owned();
        let request = request(namespace.as_fd().as_raw_fd());
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &request, SendFlags::empty(), &kernel).called(call)?;
        let mut answer = [0; 1024];
        let (length, _) = recv(&self.0, &mut answer[..], RecvFlags::empty()).called(call)?;
        Ok(parse(&answer[..length]).called(call)?)
    }
}

fn request(fd: i32) -> Vec<u8> {
    let length = HEADER + GENERIC + 8;
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&(length as u32).to_ne_bytes());
    message.extend_from_slice(&RTM_GETNSID.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; GENERIC]);
    message.extend_from_slice(&8u16.to_ne_bytes());
    message.extend_from_slice(&NETNSA_FD.to_ne_bytes());
    message.extend_from_slice(&fd.to_ne_bytes());
    message
}

fn parse(answer: &[u8]) -> rustix::io::Result<Option<i32>> {
    let bytes = |at: usize| <[u8; 4]>::try_from(answer.get(at..at + 4)?).ok();
    let short = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    match short(4).ok_or(Errno::BADMSG)? {
        NLMSG_ERROR => {
            let errno = i32::from_ne_bytes(bytes(HEADER).ok_or(Errno::BADMSG)?);
            Err(Errno::from_raw_os_error(-errno))
        }
        RTM_NEWNSID => {
            let mut at = HEADER + GENERIC;
            while let (Some(length), Some(kind)) = (short(at), short(at + 2)) {
                if kind == NETNSA_NSID {
                    let number = i32::from_ne_bytes(bytes(at + 4).ok_or(Errno::BADMSG)?);
                    // NETNSA_NSID_NOT_ASSIGNED is -1.
                    return Ok(Some(number).filter(|number| *number >= 0));
                }
                at += usize::from(length).next_multiple_of(4).max(4);
            }
            Err(Errno::BADMSG)
        }
        _ => Err(Errno::BADMSG),
    }
}

/// Whether asking failed because the caller may not use netlink at all (a seccomp filter, a kernel without networking).
pub(crate) fn is_refused(error: &Error) -> bool {
    let refused = |error: &CallError| {
        matches!(
            error.errno(),
            Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT | Errno::NOSYS | Errno::OPNOTSUPP
        )
    };
    matches!(error, Error::Call(error) if refused(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_has_no_number_unless_given_one() {
        let own = std::fs::File::open("/proc/self/ns/net").unwrap();
        let number = Asker::new().unwrap().ask(&own).unwrap();
        assert!(number.is_none_or(|number| number >= 0), "{number:?}");
        let error = Asker::new()
            .unwrap()
            .ask(std::fs::File::open("/dev/null").unwrap())
            .unwrap_err();
        assert!(error.to_string().starts_with("RTM_GETNSID: "), "{error}");
    }

    #[test]
    fn answers_are_read() {
        let mut answer = request(7);
        answer[4..6].copy_from_slice(&RTM_NEWNSID.to_ne_bytes());
        assert_eq!(parse(&answer), Err(Errno::BADMSG), "no NETNSA_NSID");
        answer[22..24].copy_from_slice(&NETNSA_NSID.to_ne_bytes());
        assert_eq!(parse(&answer), Ok(Some(7)));
        answer[24..28].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(parse(&answer), Ok(None));
        for cut in 0..answer.len() {
            assert!(parse(&answer[..cut]).is_err(), "{cut}");
        }
    }
}
