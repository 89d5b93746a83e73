//! Questions and orders to the kernel's routing tables (rtnetlink(7)), each with its answer.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP,
    NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, Parseable,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use soute_sys::process::{Cloned, exit_now, fork};
use soute_sys::{CallError, Called};

use crate::process::channel::Channel;
use crate::process::failure::{Failure, Step};
use crate::process::wait::reap;

/// linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
/// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

/// Longer than any datagram that the kernel makes for a dump (32 KiB), or for one link with many virtual functions.
const LONGEST: usize = 1 << 17;
/// How often a dump is asked for that changed while it was made.
const MOST_DUMPS: usize = 16;

/// A socket in one network namespace.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

/// What is said and heard. Of links only the header is read: the rest differs from kernel to kernel.
enum Message {
    Link(u16, Link),
    Address(u16, AddressMessage),
    LinkSeen(LinkHeader),
    Other,
}

/// What is said of a link. The crate's own type for it knows every attribute of every kind of link, which makes the
/// program 300 KiB longer; two are needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    header: LinkHeader,
    attributes: Vec<DefaultNla>,
    change: String,
}

impl Link {
    fn named(name: &str) -> Self {
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        Self {
            attributes: vec![DefaultNla::new(IFLA_IFNAME, value)],
            ..Self::default()
        }
    }

    /// The interface `index` is to go to another network namespace and to be called `name` there.
    pub(super) fn to(namespace: BorrowedFd<'_>, index: u32, name: &str) -> Self {
        let mut link = Self::named(name);
        let fd = namespace.as_raw_fd();
        link.header.index = index;
        link.attributes
            .push(DefaultNla::new(IFLA_NET_NS_FD, fd.to_ne_bytes().to_vec()));
        link.change = format!("IFLA_NET_NS_FD {fd}, IFLA_IFNAME {name:?}");
        link
    }

    /// The interface `index` is to be up.
    pub(super) fn up(index: u32) -> Self {
        let mut link = Self::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        link.change = "IFF_UP".to_owned();
        link
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        match self {
            Self::Link(kind, _) | Self::Address(kind, _) => *kind,
            Self::LinkSeen(_) | Self::Other => RTM_NEWLINK,
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Self::Link(_, link) => {
                link.header.buffer_len() + link.attributes.as_slice().buffer_len()
            }
            Self::Address(_, message) => message.buffer_len(),
            Self::LinkSeen(_) | Self::Other => 0,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        match self {
            Self::Link(_, link) => {
                let (header, attributes) = buffer.split_at_mut(link.header.buffer_len());
                link.header.emit(header);
                link.attributes.as_slice().emit(attributes);
            }
            Self::Address(_, message) => message.emit(buffer),
            Self::LinkSeen(_) | Self::Other => {}
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match header.message_type {
            RTM_NEWLINK => LinkHeader::parse(payload).map(Self::LinkSeen),
            RTM_NEWADDR => {
                AddressMessage::parse(payload).map(|message| Self::Address(RTM_NEWADDR, message))
            }
            _ => Ok(Self::Other),
        }
    }
}

impl Socket {
    /// In the caller's network namespace.
    pub(super) fn open() -> Result<Self, CallError> {
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // NETLINK_ROUTE, which is 0.
            None,
        )
        .called(|| "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)".to_owned())?;
        Ok(Self { fd, sequence: 0 })
    }

    /// In another. A process in between enters it and hands the socket out: whoever may enter a namespace may not
    /// always come back.
    pub(super) fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, Failure> {
        let step = "entering the container's network namespace";
        let (ours, theirs) = Channel::pair().step(step)?;
        match fork().step(step)? {
            Cloned::Child => {
                let entered =
                    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
                        .called(|| "setns(CLONE_NEWNET)".to_owned())
                        .and_then(|()| Self::open())
                        .step(step);
                let _ = match entered {
                    Ok(socket) => theirs.send(b"!", &[socket.fd.as_fd()]),
                    Err(failure) => theirs.send(&failure.encode(), &[]),
                };
                exit_now(0)
            }
            Cloned::Parent { pidfd, .. } => {
                drop(theirs);
                let answer = ours.receive();
                reap(pidfd);
                let lost = || Failure::setup(step, "the process in between ended early");
                let message = answer.step(step)?.ok_or_else(lost)?;
                match message.descriptors.into_iter().next() {
                    Some(fd) => Ok(Self { fd, sequence: 0 }),
                    None => Err(Failure::decode(&message.bytes).unwrap_or_else(lost)),
                }
            }
        }
    }

    /// Number and flags of the interface `name`, if there is one.
    pub(super) fn link(&mut self, name: &str) -> Result<Option<(u32, LinkFlags)>, CallError> {
        let call = || format!("RTM_GETLINK({name:?})");
        let mut found = None;
        let asked = self.ask(
            Message::Link(RTM_GETLINK, Link::named(name)),
            NLM_F_ACK,
            &call,
            &mut |heard| {
                if let Message::LinkSeen(header) = heard {
                    found = Some((header.index, header.flags));
                }
            },
        );
        match asked {
            Err(e) if e.errno() == Errno::NODEV => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The addresses of interface `index`.
    pub(super) fn addresses(&mut self, index: u32) -> Result<Vec<AddressMessage>, CallError> {
        let call = || format!("RTM_GETADDR({index})");
        for _ in 0..MOST_DUMPS {
            let mut addresses = Vec::new();
            let message = Message::Address(RTM_GETADDR, AddressMessage::default());
            let asked = self.ask(message, NLM_F_DUMP, &call, &mut |heard| {
                if let Message::Address(_, address) = heard
                    && address.header.index == index
                {
                    addresses.push(address);
                }
            });
            match asked {
                // It changed meanwhile, and may lack one.
                Err(e) if e.errno() == Errno::INTR => {}
                other => return other.map(|()| addresses),
            }
        }
        Err(CallError::new(call(), Errno::INTR))
    }

    /// Changes an interface.
    pub(super) fn set_link(&mut self, link: Link) -> Result<(), CallError> {
        let told = format!("RTM_SETLINK({}, {})", link.header.index, link.change);
        let order = Message::Link(RTM_SETLINK, link);
        let call = || told.clone();
        self.ask(order, NLM_F_ACK, &call, &mut |_| {})
    }

    /// Gives an interface an address that it does not have.
    pub(super) fn add_address(&mut self, message: &AddressMessage) -> Result<(), CallError> {
        let call = || {
            format!(
                "RTM_NEWADDR({}, /{}, {:?})",
                message.header.index, message.header.prefix_len, message.attributes
            )
        };
        let order = Message::Address(RTM_NEWADDR, message.clone());
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(order, flags, &call, &mut |_| {})
    }

    /// Sends one message and hears all that the kernel answers, up to its acknowledgement or the end of a dump.
    fn ask(
        &mut self,
        message: Message,
        flags: u16,
        call: &dyn Fn() -> String,
        hear: &mut dyn FnMut(Message),
    ) -> Result<(), CallError> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        // A socket that was never connected talks with the kernel.
        rustix::net::send(&self.fd, &bytes, SendFlags::empty()).called(call)?;

        let mut interrupted = false;
        let mut buffer = vec![0; LONGEST];
        loop {
            let receive =
                || rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC).map(|r| r.1);
            let length = rustix::io::retry_on_intr(receive).called(call)?;
            let mut left = buffer
                .get(..length)
                .ok_or_else(|| CallError::new(call(), Errno::MSGSIZE))?;
            while !left.is_empty() {
                let heard = NetlinkMessage::<Message>::deserialize(left)
                    .map_err(|e| CallError::new(format!("{}: {e}", call()), Errno::BADMSG))?;
                let aligned = (heard.header.length as usize).next_multiple_of(4);
                left = left.get(aligned.max(1)..).unwrap_or_default();
                // An answer to something earlier that failed half-way.
                if heard.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= heard.header.flags & NLM_F_DUMP_INTR != 0;
                match heard.payload {
                    NetlinkPayload::InnerMessage(message) => hear(message),
                    NetlinkPayload::Error(ErrorMessage {
                        code: Some(code), ..
                    }) => {
                        let errno = Errno::from_raw_os_error(code.get().wrapping_neg());
                        return Err(CallError::new(call(), errno));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) if interrupted => {
                        return Err(CallError::new(call(), Errno::INTR));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Overrun(_) => {
                        return Err(CallError::new(call(), Errno::NOBUFS));
                    }
                    _ => {}
                }
            }
        }
    }
}
