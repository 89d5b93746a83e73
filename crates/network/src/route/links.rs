//! Links: what there is, and changes to it.

use std::os::fd::{AsRawFd, BorrowedFd};

use soute_sys::netlink::{Malformed, Message, Writer, flags};
use soute_sys::{CallError, Called};

use super::{AF_UNSPEC, Rtnetlink, malformed, unless_missing};
use crate::Mac;

/// linux/rtnetlink.h
pub(super) const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

/// linux/net_namespace.h
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// linux/if_link.h
pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_OPERSTATE: u16 = 16;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
pub(super) const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;

/// linux/socket.h
const AF_BRIDGE: u8 = 7;

/// `IFF_*` (netdevice(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFlags(pub u32);

impl LinkFlags {
    /// The administrator wants it up.
    pub const UP: u32 = 0x1;
    /// `lo`.
    pub const LOOPBACK: u32 = 0x8;
    /// Packets can go: it is up, and so is what it stands on.
    pub const RUNNING: u32 = 0x40;
    /// There is a carrier.
    pub const LOWER_UP: u32 = 0x10000;

    /// Whether these are all set.
    pub fn has(self, flags: u32) -> bool {
        self.0 & flags == flags
    }
}

/// Whether packets pass (RFC 2863, ifOperStatus; `IF_OPER_*` of linux/if.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Its driver does not tell: `lo`, `tun` and others.
    #[default]
    Unknown,
    /// Its device is gone.
    NotPresent,
    /// It is taken down, or has no carrier.
    Down,
    /// What it stands on is down.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits for something, such as a login.
    Dormant,
    /// They pass.
    Up,
}

impl State {
    fn numbered(number: u8) -> Self {
        match number {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }

    /// ip(8)'s word for it, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        }
    }
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, which no other has in its namespace.
    pub index: u32,
    /// Its name. A name that is not UTF-8 is shown with replacements; the number tells which it is.
    pub name: String,
    /// What kind of hardware it is, or plays: `ARPHRD_*` (linux/if_arp.h).
    pub hardware: u16,
    /// What it is like just now.
    pub flags: LinkFlags,
    /// Longest packet in bytes, without the link's own header.
    pub mtu: u32,
    /// The bridge (or bond, or VRF) that it is a port of.
    pub master: Option<u32>,
    /// `bridge`, `veth`, `macvlan` and so on; none for interfaces of hardware and `lo`.
    pub kind: Option<String>,
    /// What it is tied to (`eth0@if142`): of a veth, the other end; of a macvlan, the interface that it shares.
    pub link_index: Option<u32>,
    /// The number that this namespace has for the one that [`Self::link_index`] is in, if that is another
    /// ([`Rtnetlink::netnsid`]).
    pub link_netnsid: Option<i32>,
    /// Its hardware address: six bytes for Ethernet, other lengths for others.
    pub address: Vec<u8>,
    /// Whether packets pass.
    pub state: State,
    /// Of a vlan or vxlan: its number on the wire.
    pub tag: Option<u32>,
}

impl Link {
    /// Its Ethernet address, if it has one.
    pub fn mac(&self) -> Option<Mac> {
        let bytes = self.address.as_slice().try_into().ok()?;
        Mac::new(bytes).ok()
    }

    /// Whether it is up, as its administrator wants it.
    pub fn is_up(&self) -> bool {
        self.flags.has(LinkFlags::UP)
    }

    /// From an RTM_NEWLINK.
    pub(super) fn read(message: &Message<'_>) -> Result<Self, Malformed> {
        // struct ifinfomsg: family, padding, type (16), index (32), flags (32), mask (32).
        let (header, attributes) = message.split::<16>()?;
        let [_, _, t0, t1, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
        let mut link = Self {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            name: String::new(),
            hardware: u16::from_ne_bytes([t0, t1]),
            flags: LinkFlags(u32::from_ne_bytes([f0, f1, f2, f3])),
            mtu: 0,
            master: None,
            kind: None,
            link_index: None,
            link_netnsid: None,
            address: Vec::new(),
            state: State::default(),
            tag: None,
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text()?,
                IFLA_MTU => link.mtu = attribute.u32()?,
                IFLA_MASTER => link.master = Some(attribute.u32()?),
                IFLA_LINKINFO => {
                    let kind = attribute.nested().find(IFLA_INFO_KIND)?;
                    link.kind = kind.map(|kind| kind.text()).transpose()?;
                    let data = attribute.nested().find(IFLA_INFO_DATA)?;
                    link.tag = match (link.kind.as_deref(), data) {
                        (Some("vlan"), Some(data)) => {
                            let id = data.nested().find(IFLA_VLAN_ID)?;
                            id.map(|id| id.u16().map(u32::from)).transpose()?
                        }
                        (Some("vxlan"), Some(data)) => {
                            let id = data.nested().find(IFLA_VXLAN_ID)?;
                            id.map(|id| id.u32()).transpose()?
                        }
                        _ => None,
                    };
                }
                // 0: of a tunnel that stands on no interface.
                IFLA_LINK => link.link_index = Some(attribute.u32()?).filter(|index| *index != 0),
                IFLA_LINK_NETNSID => {
                    link.link_netnsid = Some(attribute.exactly().map(i32::from_ne_bytes)?);
                }
                IFLA_OPERSTATE => link.state = State::numbered(attribute.u8()?),
                IFLA_ADDRESS => link.address = attribute.value.to_vec(),
                _ => {}
            }
        }
        Ok(link)
    }
}

/// struct ifinfomsg, for interface `index`: of its flags, those in `mask` are to be as in `flags`.
pub(super) fn header(family: u8, index: u32, flags: u32, mask: u32) -> Vec<u8> {
    let mut header = vec![family, 0, 0, 0];
    for word in [index, flags, mask] {
        header.extend(word.to_ne_bytes());
    }
    header
}

impl Rtnetlink {
    /// All interfaces.
    pub fn links(&mut self) -> Result<Vec<Link>, CallError> {
        let call = || "RTM_GETLINK(all)".to_owned();
        let body = header(AF_UNSPEC, 0, 0, 0);
        self.0
            .dump(RTM_GETLINK, &body, &call, &|message| match message.kind {
                RTM_NEWLINK => Link::read(message).map(Some).map_err(malformed(&call)),
                _ => Ok(None),
            })
    }

    /// The interface of this name, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, CallError> {
        let mut body = Writer::new(&header(AF_UNSPEC, 0, 0, 0));
        body.text(IFLA_IFNAME, name);
        self.one(body, &|| format!("RTM_GETLINK({name:?})"))
    }

    /// The interface of this number, if there is one.
    pub fn link_numbered(&mut self, index: u32) -> Result<Option<Link>, CallError> {
        let body = Writer::new(&header(AF_UNSPEC, index, 0, 0));
        self.one(body, &|| format!("RTM_GETLINK({index})"))
    }

    fn one(&mut self, body: Writer, call: &dyn Fn() -> String) -> Result<Option<Link>, CallError> {
        let body = body.finish().called(call)?;
        let mut found = None;
        let asked = self
            .0
            .ask(RTM_GETLINK, flags::ACK, &body, call, &mut |message| {
                if message.kind == RTM_NEWLINK {
                    found = Some(Link::read(message).map_err(malformed(call))?);
                }
                Ok(())
            });
        unless_missing(asked.map(|()| found))
    }

    /// The number that the socket's namespace has for another, if it has one: it gets one by the first interface that is
    /// tied to one of there.
    pub fn netnsid(&mut self, other: BorrowedFd<'_>) -> Result<Option<i32>, CallError> {
        let fd = other.as_raw_fd();
        let call = || format!("RTM_GETNSID({fd})");
        // struct rtgenmsg: a family, filled up.
        let mut body = Writer::new(&[AF_UNSPEC, 0, 0, 0]);
        body.bytes(NETNSA_FD, &fd.to_ne_bytes());
        let body = body.finish().called(call)?;
        let mut number = None;
        self.0
            .ask(RTM_GETNSID, flags::ACK, &body, &call, &mut |message| {
                if message.kind == RTM_NEWNSID {
                    let read = message.split::<4>().and_then(|(_, attributes)| {
                        let found = attributes.find(NETNSA_NSID)?;
                        found
                            .map(|found| found.exactly().map(i32::from_ne_bytes))
                            .transpose()
                    });
                    number = read.map_err(malformed(&call))?;
                }
                Ok(())
            })?;
        // NETNSA_NSID_NOT_ASSIGNED is -1.
        Ok(number.filter(|number| *number >= 0))
    }

    /// Brings an interface up, or takes it down.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), CallError> {
        let flags = if up { LinkFlags::UP } else { 0 };
        let body = Writer::new(&header(AF_UNSPEC, index, flags, LinkFlags::UP));
        let word = if up { "up" } else { "down" };
        self.order(RTM_SETLINK, 0, body, &|| {
            format!("RTM_SETLINK({index}, {word})")
        })
    }

    /// Sets an interface's MTU, in bytes.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), CallError> {
        let mut body = Writer::new(&header(AF_UNSPEC, index, 0, 0));
        body.u32(IFLA_MTU, mtu);
        self.order(RTM_SETLINK, 0, body, &|| {
            format!("RTM_SETLINK({index}, IFLA_MTU {mtu})")
        })
    }

    /// Makes an interface a port of a bridge, or, with `None`, of none.
    pub fn set_master(&mut self, index: u32, master: Option<u32>) -> Result<(), CallError> {
        let master = master.unwrap_or(0);
        let mut body = Writer::new(&header(AF_UNSPEC, index, 0, 0));
        body.u32(IFLA_MASTER, master);
        self.order(RTM_SETLINK, 0, body, &|| {
            format!("RTM_SETLINK({index}, IFLA_MASTER {master})")
        })
    }

    /// Whether a bridge may send a packet out of the port by which it came (`IFLA_BRPORT_MODE`). Without that, a container
    /// that reaches itself by a published port waits for ever where bridged packets go through iptables
    /// (`net.bridge.bridge-nf-call-iptables`): they are translated without leaving the bridge.
    pub fn set_hairpin(&mut self, port: u32, on: bool) -> Result<(), CallError> {
        let mut body = Writer::new(&header(AF_BRIDGE, port, 0, 0));
        body.nest(IFLA_PROTINFO, |port| {
            port.u8(IFLA_BRPORT_MODE, on.into());
        });
        self.order(RTM_SETLINK, 0, body, &|| {
            format!("RTM_SETLINK({port}, IFLA_BRPORT_MODE {})", u8::from(on))
        })
    }

    /// Moves an interface to another network namespace, under this name there. It loses its addresses and is down there.
    pub fn move_to(
        &mut self,
        index: u32,
        namespace: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), CallError> {
        let fd = namespace.as_raw_fd();
        let mut body = Writer::new(&header(AF_UNSPEC, index, 0, 0));
        body.text(IFLA_IFNAME, name)
            .bytes(IFLA_NET_NS_FD, &fd.to_ne_bytes());
        self.order(RTM_SETLINK, 0, body, &|| {
            format!("RTM_SETLINK({index}, IFLA_NET_NS_FD {fd}, IFLA_IFNAME {name:?})")
        })
    }

    /// Deletes an interface: `false` if there is none of this number. Of a veth pair both ends go.
    pub fn delete_link(&mut self, index: u32) -> Result<bool, CallError> {
        let body = Writer::new(&header(AF_UNSPEC, index, 0, 0));
        let deleted = self.order(RTM_DELLINK, 0, body, &|| format!("RTM_DELLINK({index})"));
        unless_missing(deleted.map(Some)).map(|done| done.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_is_read_with_its_kind_state_and_number_on_the_wire() {
        let link = |kind: &str, id: &[u8]| {
            let mut writer = Writer::new(&header(AF_UNSPEC, 7, LinkFlags::UP, 0));
            writer
                .text(IFLA_IFNAME, "eth0.5")
                .u32(IFLA_LINK, 2)
                .bytes(IFLA_LINK_NETNSID, &3i32.to_ne_bytes())
                .u8(IFLA_OPERSTATE, 6)
                .nest(IFLA_LINKINFO, |info| {
                    info.text(IFLA_INFO_KIND, kind)
                        .nest(IFLA_INFO_DATA, |data| {
                            data.bytes(1, id);
                        });
                });
            let body = writer.finish().unwrap();
            let message = Message {
                kind: RTM_NEWLINK,
                flags: 0,
                sequence: 0,
                body: &body,
            };
            Link::read(&message)
        };
        let vlan = link("vlan", &5u16.to_ne_bytes()).unwrap();
        assert_eq!((vlan.index, vlan.name.as_str()), (7, "eth0.5"));
        assert_eq!((vlan.link_index, vlan.link_netnsid), (Some(2), Some(3)));
        assert_eq!((vlan.state, vlan.tag), (State::Up, Some(5)));
        let vxlan = link("vxlan", &70_000u32.to_ne_bytes()).unwrap();
        assert_eq!(vxlan.tag, Some(70_000));
        // Of other kinds that attribute means something else.
        assert_eq!(link("macvlan", &[1; 4]).unwrap().tag, None);
        assert!(link("vlan", &[1]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            attributes in proptest::collection::vec((0u16..40, proptest::collection::vec(any::<u8>(), 0..24)), 0..6),
            header: [u8; 16],
            cut in 0usize..16,
        ) {
            let body = crate::route::cut_body(&header, &attributes, cut);
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Link::read(&message);
        }
    }
}
