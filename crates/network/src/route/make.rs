//! New links: bridges, veth pairs, macvlan, ipvlan and VLANs. Each is made in one order, in its place and up, so that
//! nothing is left half-way if the caller ends.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use soute_sys::CallError;
use soute_sys::netlink::{Writer, flags};

use super::links::{
    IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
    IFLA_NET_NS_FD, RTM_NEWLINK, header,
};
use super::{AF_UNSPEC, IpvlanFlag, IpvlanMode, LinkFlags, MacvlanMode, Rtnetlink};
use crate::Mac;

/// linux/if_link.h
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
/// linux/veth.h
const VETH_INFO_PEER: u16 = 1;

/// One interface that is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct End<'a> {
    /// Its name: 1 to 15 bytes.
    pub name: &'a str,
    /// The network namespace that it is made in, if not the socket's.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Its Ethernet address, if not one of the kernel's choice.
    pub mac: Option<Mac>,
    /// Longest packet in bytes, if not the kind's default.
    pub mtu: Option<u32>,
}

impl End<'_> {
    fn attributes(&self, to: &mut Writer) {
        to.text(IFLA_IFNAME, self.name);
        if let Some(namespace) = self.namespace {
            to.bytes(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        }
        if let Some(mac) = self.mac {
            to.bytes(IFLA_ADDRESS, &mac.bytes());
        }
        if let Some(mtu) = self.mtu {
            to.u32(IFLA_MTU, mtu);
        }
    }

    /// For an error: as few words as tell which.
    fn told(&self) -> String {
        let mut told = format!("{:?}", self.name);
        if let Some(namespace) = self.namespace {
            told += &format!(" in {}", namespace.as_raw_fd());
        }
        if let Some(mac) = self.mac {
            told += &format!(" {mac}");
        }
        if let Some(mtu) = self.mtu {
            told += &format!(" mtu {mtu}");
        }
        told
    }
}

impl Rtnetlink {
    /// Makes a bridge.
    ///
    /// With no Ethernet address given, the bridge has the lowest one of its ports', and changes it as they come and go.
    ///
    /// # Errors
    /// EEXIST: there is an interface of this name.
    pub fn make_bridge(&mut self, bridge: &End<'_>) -> Result<(), CallError> {
        self.make(bridge, "bridge", &|data| {
            // Without a spanning tree there is nothing to listen for before a new port forwards.
            data.u32(IFLA_BR_FORWARD_DELAY, 0);
        })
    }

    /// Makes a veth pair, of which either end may be in another namespace. The one that is `here` is up, and a port of the
    /// bridge `master`. The other is down: the kernel makes it first, and refuses to bring up an end without its peer
    /// (ENOTCONN of veth_open), as it passes over a bridge given for it.
    ///
    /// # Errors
    /// EEXIST: an end's name is taken where it is to be. Neither is then made.
    pub fn make_veth(
        &mut self,
        here: &End<'_>,
        master: Option<u32>,
        there: &End<'_>,
    ) -> Result<(), CallError> {
        let make = |data: &mut Writer| {
            data.headed(VETH_INFO_PEER, &header(AF_UNSPEC, 0, 0, 0), |peer| {
                there.attributes(peer);
            });
        };
        let call = || {
            let master = master.map(|master| format!(" master {master}"));
            let (here, there) = (here.told(), there.told());
            format!(
                "RTM_NEWLINK(veth {here}{}, peer {there})",
                master.unwrap_or_default()
            )
        };
        self.new_link(
            here,
            "veth",
            master.map(|index| (IFLA_MASTER, index)),
            &make,
            &call,
        )
    }

    /// Makes a macvlan: a second Ethernet address on interface `parent`, which is not in the link's namespace perhaps.
    ///
    /// # Errors
    /// EOPNOTSUPP: the kernel has none. EBUSY: the parent is a port of a bridge, or has ipvlans. EADDRINUSE: the Ethernet
    /// address is another's on the parent. EINVAL: one of mode passthru is not the only one.
    pub fn make_macvlan(
        &mut self,
        parent: u32,
        mode: MacvlanMode,
        link: &End<'_>,
    ) -> Result<(), CallError> {
        let data = |data: &mut Writer| {
            data.u32(IFLA_MACVLAN_MODE, mode as u32);
        };
        let call = || format!("RTM_NEWLINK(macvlan {mode:?} of {parent} {})", link.told());
        self.new_link(link, "macvlan", Some((IFLA_LINK, parent)), &data, &call)
    }

    /// Makes an ipvlan: further IP addresses behind the Ethernet address of interface `parent`. All that are there have
    /// this mode and this flag from now on.
    ///
    /// # Errors
    /// EOPNOTSUPP: the kernel has none. EBUSY: the parent is a port of a bridge, or has macvlans.
    pub fn make_ipvlan(
        &mut self,
        parent: u32,
        mode: IpvlanMode,
        flag: IpvlanFlag,
        link: &End<'_>,
    ) -> Result<(), CallError> {
        let data = |data: &mut Writer| {
            data.u16(IFLA_IPVLAN_MODE, mode as u16)
                .u16(IFLA_IPVLAN_FLAGS, flag as u16);
        };
        let call = || {
            let link = link.told();
            format!("RTM_NEWLINK(ipvlan {mode:?} {flag:?} of {parent} {link})")
        };
        self.new_link(link, "ipvlan", Some((IFLA_LINK, parent)), &data, &call)
    }

    /// Makes a VLAN: what of interface `parent` goes with the tag `id` (IEEE 802.1Q), from 1 to 4094.
    ///
    /// # Errors
    /// EOPNOTSUPP: the kernel has none. EEXIST: the parent has one of this tag, or there is an interface of this name.
    pub fn make_vlan(&mut self, parent: u32, id: u16, link: &End<'_>) -> Result<(), CallError> {
        let data = |data: &mut Writer| {
            data.u16(IFLA_VLAN_ID, id);
        };
        let call = || format!("RTM_NEWLINK(vlan {id} of {parent} {})", link.told());
        self.new_link(link, "vlan", Some((IFLA_LINK, parent)), &data, &call)
    }

    /// Whether the kernel has links of this kind, perhaps by loading a module for it. `kind` is one whose links stand on
    /// another interface: with none, the order is one that only a kernel without that kind finds nothing wrong with.
    pub fn has_kind(&mut self, kind: &str) -> Result<bool, CallError> {
        let mut body = Writer::new(&header(AF_UNSPEC, 0, 0, 0));
        body.nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, kind);
        });
        let call = || format!("RTM_NEWLINK({kind} of no interface)");
        match self.order(RTM_NEWLINK, flags::CREATE | flags::EXCL, body, &call) {
            Err(e) if e.errno() == Errno::OPNOTSUPP => Ok(false),
            Err(e) if e.errno() == Errno::INVAL => Ok(true),
            Err(e) => Err(e),
            // A kind that does without, of which there is one now: the caller's mistake.
            Ok(()) => Err(CallError::new(call(), Errno::EXIST)),
        }
    }

    fn make(
        &mut self,
        link: &End<'_>,
        kind: &str,
        data: &dyn Fn(&mut Writer),
    ) -> Result<(), CallError> {
        let call = || format!("RTM_NEWLINK({kind} {})", link.told());
        self.new_link(link, kind, None, data, &call)
    }

    fn new_link(
        &mut self,
        link: &End<'_>,
        kind: &str,
        tie: Option<(u16, u32)>,
        data: &dyn Fn(&mut Writer),
        call: &dyn Fn() -> String,
    ) -> Result<(), CallError> {
        let mut body = Writer::new(&header(AF_UNSPEC, 0, LinkFlags::UP, LinkFlags::UP));
        link.attributes(&mut body);
        if let Some((kind, index)) = tie {
            body.u32(kind, index);
        }
        body.nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, data);
        });
        self.order(RTM_NEWLINK, flags::CREATE | flags::EXCL, body, call)
    }
}
