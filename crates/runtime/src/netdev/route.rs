//! Questions and orders to the kernel's routing tables (rtnetlink(7)), each with its answer.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{DefaultNla, Emitable, Parseable};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use rustix::io::Errno;
use soute_sys::CallError;
use soute_sys::netlink::{self, Message, Protocol, flags};

/// linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
/// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

/// A socket in one network namespace.
#[derive(Debug)]
pub(super) struct Socket(netlink::Socket);

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

    fn bytes(&self) -> Vec<u8> {
        let attributes = self.attributes.as_slice();
        let mut bytes = vec![0; self.header.buffer_len() + attributes.buffer_len()];
        let (header, rest) = bytes.split_at_mut(self.header.buffer_len());
        self.header.emit(header);
        attributes.emit(rest);
        bytes
    }
}

impl Socket {
    /// In the caller's network namespace.
    pub(super) fn open() -> Result<Self, CallError> {
        netlink::Socket::open(Protocol::Route).map(Self)
    }

    /// In another.
    pub(super) fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, CallError> {
        netlink::Socket::open_in(Protocol::Route, namespace).map(Self)
    }

    /// Number and flags of the interface `name`, if there is one.
    pub(super) fn link(&mut self, name: &str) -> Result<Option<(u32, LinkFlags)>, CallError> {
        let call = || format!("RTM_GETLINK({name:?})");
        let mut found = None;
        let question = Link::named(name).bytes();
        let asked = self
            .0
            .ask(RTM_GETLINK, flags::ACK, &question, &call, &mut |heard| {
                // Of links only the header is read: the rest differs from kernel to kernel.
                if heard.kind == RTM_NEWLINK {
                    let header = LinkHeader::parse(heard.body).map_err(|e| bad(&call(), &e))?;
                    found = Some((header.index, header.flags));
                }
                Ok(())
            });
        match asked {
            Err(e) if e.errno() == Errno::NODEV => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The addresses of interface `index`.
    pub(super) fn addresses(&mut self, index: u32) -> Result<Vec<AddressMessage>, CallError> {
        let call = || format!("RTM_GETADDR({index})");
        let read = |heard: &Message<'_>| {
            if heard.kind != RTM_NEWADDR {
                return Ok(None);
            }
            let address = AddressMessage::parse(heard.body).map_err(|e| bad(&call(), &e))?;
            Ok(Some(address).filter(|address| address.header.index == index))
        };
        let question = bytes(&AddressMessage::default());
        self.0.dump(RTM_GETADDR, &question, &call, &read)
    }

    /// Changes an interface.
    pub(super) fn set_link(&mut self, link: Link) -> Result<(), CallError> {
        let call = || format!("RTM_SETLINK({}, {})", link.header.index, link.change);
        self.order(RTM_SETLINK, 0, &link.bytes(), &call)
    }

    /// Gives an interface an address that it does not have.
    pub(super) fn add_address(&mut self, message: &AddressMessage) -> Result<(), CallError> {
        let call = || {
            format!(
                "RTM_NEWADDR({}, /{}, {:?})",
                message.header.index, message.header.prefix_len, message.attributes
            )
        };
        let new = flags::CREATE | flags::EXCL;
        self.order(RTM_NEWADDR, new, &bytes(message), &call)
    }

    fn order(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        call: &dyn Fn() -> String,
    ) -> Result<(), CallError> {
        self.0
            .ask(kind, flags | flags::ACK, body, call, &mut |_| Ok(()))
    }
}

fn bytes(message: &AddressMessage) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn bad(call: &str, why: &dyn std::fmt::Display) -> CallError {
    CallError::new(format!("{call}: {why}"), Errno::BADMSG)
}
