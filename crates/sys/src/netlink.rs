//! Netlink at the level of bytes (netlink(7)): one blocking socket, messages put together and taken apart.
//!
//! What the messages mean is their readers' knowledge. Here is what all protocols have in common: numbered requests and
//! their answers up to the acknowledgement or the end of a dump, dumps that changed while they were made, and errors
//! with the kernel's own words (`NETLINK_EXT_ACK`).

mod attribute;
mod message;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};

use crate::mount::last_errno;
use crate::{CallError, Called};

pub use attribute::{Attribute, Attributes, Malformed, Writer};
pub use message::{Message, flags, put};

use message::{Answer, answer, messages};

/// Longer than any datagram that the kernel makes for a dump (32 KiB), or for one link with many virtual functions.
const LONGEST: usize = 1 << 17;
/// How often a dump is asked for that changed while it was made.
const MOST_DUMPS: usize = 16;
/// What a socket's send buffer holds without being asked to, less what the kernel keeps of it for itself: a longer
/// datagram is refused (`net.core.wmem_default`, netlink_sendmsg).
const SENT_AS_IT_IS: usize = 200 << 10;

/// A netlink protocol (linux/netlink.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes (rtnetlink(7)).
    Route,
    /// `NETLINK_NETFILTER`: nf_tables among others (linux/netfilter/nfnetlink.h).
    Netfilter,
    /// `NETLINK_SOCK_DIAG`: sockets (sock_diag(7)).
    SockDiag,
}

impl Protocol {
    fn open(self, flags: SocketFlags) -> Result<OwnedFd, CallError> {
        // NETLINK_ROUTE is 0.
        let protocol = match self {
            Self::Route => None,
            Self::Netfilter => Some(netlink::NETFILTER),
            Self::SockDiag => Some(netlink::SOCK_DIAG),
        };
        let flags = flags | SocketFlags::CLOEXEC;
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)
            .called(|| format!("socket(AF_NETLINK, SOCK_RAW, {self})"))
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Route => "NETLINK_ROUTE",
            Self::Netfilter => "NETLINK_NETFILTER",
            Self::SockDiag => "NETLINK_SOCK_DIAG",
        })
    }
}

/// A request that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the message that it is about.
    pub sequence: u32,
    /// The kernel's answer.
    pub errno: Errno,
    /// The kernel's words, where it has some.
    pub text: Option<String>,
    /// The place, in bytes from the beginning of the message's header, of the attribute at fault, where it is known.
    pub offset: Option<u32>,
}

impl Refusal {
    /// As an error of `call`, with the kernel's words.
    pub fn of(&self, call: &str) -> CallError {
        match &self.text {
            Some(text) => CallError::new(format!("{call}: {text}"), self.errno),
            None => CallError::new(call, self.errno),
        }
    }
}

/// Why [`Socket::converse`] failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// A system call, or an answer that cannot be read.
    Call(CallError),
    /// The kernel refused a message.
    Refused(Refusal),
}

impl From<CallError> for Failed {
    fn from(e: CallError) -> Self {
        Self::Call(e)
    }
}

/// A netlink socket in one network namespace, in which it stays whatever becomes of the process's own.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// In the caller's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, CallError> {
        Self::new(protocol.open(SocketFlags::empty())?)
    }

    /// One that another process has opened by [`Self::open`], in its own network namespace, and sent.
    pub fn sent(fd: OwnedFd) -> Self {
        Self {
            fd,
            sequence: 0,
            buffer: Vec::new(),
        }
    }

    /// In another network namespace. A process in between enters it and hands the socket out: whoever may enter a
    /// namespace may not always come back.
    ///
    /// The caller has one thread ([`crate::process::fork`]).
    ///
    /// # Errors
    /// setns(2): no namespace, or not a network's; no CAP_SYS_ADMIN in its user namespace.
    pub fn open_in(protocol: Protocol, namespace: BorrowedFd<'_>) -> Result<Self, CallError> {
        let [socket] =
            crate::inside::network(namespace, || Ok([protocol.open(SocketFlags::empty())?]))?;
        Self::new(socket)
    }

    /// [`Self::open_in`] for each of several, by one process in between: `hear` is given its place in `namespaces`, and the
    /// socket or why there is none.
    ///
    /// # Errors
    /// There is no such process.
    pub fn open_in_each(
        protocol: Protocol,
        namespaces: &[BorrowedFd<'_>],
        mut hear: impl FnMut(usize, Result<Self, CallError>),
    ) -> Result<(), CallError> {
        let open = || Ok([protocol.open(SocketFlags::empty())?]);
        crate::inside::networks(namespaces, open, |number, opened| {
            hear(number, opened.and_then(|[socket]| Self::new(socket)));
        })
    }

    /// In the caller's network namespace, hearing what is told to the multicast `groups`: bit n - 1 for group n.
    ///
    /// # Errors
    /// bind(2): no CAP_NET_ADMIN, for protocols that want it.
    pub fn listen(protocol: Protocol, groups: u32) -> Result<Self, CallError> {
        Self::hearing(protocol.open(SocketFlags::NONBLOCK)?, groups)
    }

    /// As [`Self::listen`], in another network namespace ([`Self::open_in`]).
    pub fn listen_in(
        protocol: Protocol,
        groups: u32,
        namespace: BorrowedFd<'_>,
    ) -> Result<Self, CallError> {
        let [socket] =
            crate::inside::network(namespace, || Ok([protocol.open(SocketFlags::NONBLOCK)?]))?;
        Self::hearing(socket, groups)
    }

    fn hearing(fd: OwnedFd, groups: u32) -> Result<Self, CallError> {
        let socket = Self::new(fd)?;
        // Port 0: the kernel gives a number that is free.
        bind(&socket.fd, &SocketAddrNetlink::new(0, groups))
            .called(|| format!("bind({{AF_NETLINK, groups={groups:#x}}})"))?;
        Ok(socket)
    }

    fn new(fd: OwnedFd) -> Result<Self, CallError> {
        // Words instead of numbers alone, and no refused message sent back whole.
        for (option, name) in [
            (libc::NETLINK_EXT_ACK, "NETLINK_EXT_ACK"),
            (libc::NETLINK_CAP_ACK, "NETLINK_CAP_ACK"),
        ] {
            turn_on(fd.as_fd(), option, name)?;
        }
        Ok(Self::sent(fd))
    }

    /// `count` numbers, of which this is the first, for messages that the caller puts together.
    pub fn numbers(&mut self, count: u32) -> u32 {
        // Never 0, by which the kernel marks what nobody asked for.
        if self.sequence.checked_add(count).is_none() {
            self.sequence = 0;
        }
        let first = self.sequence + 1;
        self.sequence += count;
        first
    }

    /// Sends one message of type `kind` and hears all that the kernel answers, up to its acknowledgement or the end of a
    /// dump: `flags` has [`flags::ACK`] or [`flags::DUMP`].
    ///
    /// # Errors
    /// What the kernel answers, with its words; EINTR for a dump that changed while it was made ([`Self::dump`] asks
    /// again); EBADMSG for an answer that cannot be read; the first error of `hear`.
    pub fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        call: &dyn Fn() -> String,
        hear: &mut dyn FnMut(&Message<'_>) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let sequence = self.numbers(1);
        let mut bytes = Vec::new();
        put(&mut bytes, kind, flags | flags::REQUEST, sequence, body)
            .called(|| format!("{}, {} bytes", call(), body.len()))?;
        self.converse(&bytes, sequence, sequence, call, hear)
            .map_err(|e| match e {
                Failed::Call(e) => e,
                Failed::Refused(refusal) => refusal.of(&call()),
            })
    }

    /// All that a dump holds, each message as `read` makes it; those that it makes nothing of are left out.
    ///
    /// # Errors
    /// As [`Self::ask`]; EINTR if it changed each of sixteen times while it was made.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        call: &dyn Fn() -> String,
        read: &dyn Fn(&Message<'_>) -> Result<Option<T>, CallError>,
    ) -> Result<Vec<T>, CallError> {
        for _ in 0..MOST_DUMPS {
            let mut all = Vec::new();
            let asked = self.ask(kind, flags::DUMP, body, call, &mut |message| {
                all.extend(read(message)?);
                Ok(())
            });
            match asked {
                // It changed meanwhile, and may lack some.
                Err(e) if e.errno() == Errno::INTR => {}
                other => return other.map(|()| all),
            }
        }
        Err(CallError::new(call(), Errno::INTR))
    }

    /// Sends `bytes`, which are messages numbered from `first` to `last` by [`Self::numbers`], in one datagram, and hears
    /// the answers up to the acknowledgement of `last`.
    ///
    /// What is left of the answers after an error is passed over later.
    ///
    /// # Errors
    /// As [`Self::ask`], but a refusal tells the number of its message.
    pub fn converse(
        &mut self,
        bytes: &[u8],
        first: u32,
        last: u32,
        call: &dyn Fn() -> String,
        hear: &mut dyn FnMut(&Message<'_>) -> Result<(), CallError>,
    ) -> Result<(), Failed> {
        if bytes.len() > SENT_AS_IT_IS {
            self.room_for(bytes.len())?;
        }
        // A socket that was never connected talks with the kernel.
        let sending = || send(&self.fd, bytes, SendFlags::empty());
        rustix::io::retry_on_intr(sending).called(call)?;
        let mut interrupted = false;
        loop {
            for heard in messages(receive(&self.fd, &mut self.buffer, call)?) {
                let heard = heard.map_err(|e| e.of(&call()))?;
                // An answer to something earlier that failed half-way.
                if !(first..=last).contains(&heard.sequence) {
                    continue;
                }
                interrupted |= heard.flags & flags::DUMP_INTR != 0;
                match answer(&heard).map_err(|e| e.of(&call()))? {
                    Answer::Data => hear(&heard)?,
                    Answer::Refused(refusal) => return Err(Failed::Refused(refusal)),
                    Answer::Done if heard.sequence != last => {}
                    Answer::Done if interrupted => {
                        return Err(CallError::new(call(), Errno::INTR).into());
                    }
                    Answer::Done => return Ok(()),
                    Answer::Overrun => return Err(CallError::new(call(), Errno::NOBUFS).into()),
                    Answer::Nothing => {}
                }
            }
        }
    }

    /// Hears all that waits on a socket that listens ([`Self::listen`]), and does not wait for more: `false` if some of
    /// what was told is lost, as it came faster than it was heard.
    pub fn hear(&mut self, hear: &mut dyn FnMut(&Message<'_>)) -> Result<bool, CallError> {
        let call = || "recv(netlink)".to_owned();
        let mut whole = true;
        loop {
            let bytes = match receive(&self.fd, &mut self.buffer, &call) {
                Ok(bytes) => bytes,
                Err(e) if e.errno() == Errno::AGAIN => return Ok(whole),
                Err(e) if matches!(e.errno(), Errno::NOBUFS | Errno::MSGSIZE) => {
                    whole = false;
                    continue;
                }
                Err(e) => return Err(e),
            };
            for heard in messages(bytes) {
                hear(&heard.map_err(|e| e.of(&call()))?);
            }
        }
    }

    /// A send buffer in which `length` bytes have room.
    fn room_for(&self, length: usize) -> Result<(), CallError> {
        // The kernel doubles it, for its own keeping of books. Without CAP_NET_ADMIN over the socket's network it stays
        // below net.core.wmem_max, and the sending itself tells if that is too little.
        match sockopt::set_socket_send_buffer_size_force(&self.fd, length) {
            Err(Errno::PERM) => sockopt::set_socket_send_buffer_size(&self.fd, length),
            other => other,
        }
        .called(|| format!("setsockopt(SO_SNDBUFFORCE, {length})"))
    }
}

/// To be waited on with poll(2).
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// For fuzz/: takes a datagram apart as [`Socket::converse`] does; `hear` is given each message.
#[cfg(fuzzing)]
pub fn fuzz(datagram: &[u8], hear: &mut dyn FnMut(&Message<'_>)) {
    for heard in messages(datagram).flatten() {
        _ = answer(&heard);
        hear(&heard);
    }
}

/// One datagram of the kernel's. Only the kernel can send to a port without CAP_NET_ADMIN (netlink_sendmsg).
fn receive<'b>(
    fd: &OwnedFd,
    buffer: &'b mut Vec<u8>,
    call: &dyn Fn() -> String,
) -> Result<&'b [u8], CallError> {
    buffer.resize(LONGEST, 0);
    let receiving = || recv(fd, &mut buffer[..], RecvFlags::TRUNC).map(|r| r.1);
    let length = rustix::io::retry_on_intr(receiving).called(call)?;
    buffer
        .get(..length)
        .ok_or_else(|| CallError::new(call(), Errno::MSGSIZE))
}

fn turn_on(fd: BorrowedFd<'_>, option: libc::c_int, name: &str) -> Result<(), CallError> {
    let on: libc::c_int = 1;
    // SAFETY: these options of SOL_NETLINK read an int, which lives here and whose size is passed.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new(
        format!("setsockopt(SOL_NETLINK, {name}, 1)"),
        last_errno(),
    ))
}
