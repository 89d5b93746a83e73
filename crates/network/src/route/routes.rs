//! Routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use soute_sys::CallError;
use soute_sys::netlink::{Attributes, Malformed, Message, Writer, flags};

use super::{AF_INET, AF_INET6, AF_UNSPEC, Link, Rtnetlink, address, family, malformed, octets};
use crate::Subnet;

/// linux/rtnetlink.h
pub(super) const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
pub(super) const RTA_VIA: u16 = 18;

const RT_TABLE_MAIN: u32 = 254;
const RTN_UNICAST: u8 = 1;
/// Of routes that the administrator wants.
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
/// Of a route that is a copy: what was found for one destination.
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_ONLINK: u32 = 4;

/// A way to a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it leads to: `0.0.0.0/0` and `::/0` for all that no other route leads to.
    pub to: Subnet,
    /// The next router, and the interface by which it is reached. Several: packets are shared out among them.
    pub hops: Vec<Hop>,
    /// The routing table that it is in; 254 is the main one.
    pub table: u32,
    /// Its cost: of two routes to the same, the kernel takes the lower one.
    pub metric: u32,
    /// The address that what is sent by it comes from, where none is chosen otherwise.
    pub source: Option<IpAddr>,
    /// Its router is on the link, whatever no route says of it.
    pub onlink: bool,
    /// What is known of the way, such as its MTU: `RTAX_*` attributes, as the kernel has them.
    pub metrics: Vec<u8>,
}

/// The next step on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop {
    /// The router; none: the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface. None where the kernel finds it by the gateway.
    pub link: Option<u32>,
}

impl Route {
    /// From an RTM_NEWROUTE; `None` unless it is one of IPv4 or IPv6 to other machines.
    pub(super) fn read(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        // struct rtmsg: family, prefix, source's prefix, tos, table, protocol, scope, type, flags (32).
        let (header, attributes) = message.split::<12>()?;
        let [family, prefix, _, _, table, _, _, kind, marks @ ..] = *header;
        let any: IpAddr = match family {
            AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return Ok(None),
        };
        let marks = u32::from_ne_bytes(marks);
        if kind != RTN_UNICAST || marks & RTM_F_CLONED != 0 {
            return Ok(None);
        }
        let mut to = any;
        let mut route = Self {
            to: Subnet::of(any, 0).ok_or(Malformed::new("a route"))?,
            hops: Vec::new(),
            table: table.into(),
            metric: 0,
            source: None,
            onlink: marks & RTNH_F_ONLINK != 0,
            metrics: Vec::new(),
        };
        for attribute in attributes.clone() {
            let attribute = attribute?;
            match attribute.kind {
                RTA_DST => to = address(&attribute)?,
                RTA_TABLE => route.table = attribute.u32()?,
                RTA_PRIORITY => route.metric = attribute.u32()?,
                RTA_PREFSRC => route.source = Some(address(&attribute)?),
                RTA_METRICS => route.metrics = attribute.value.to_vec(),
                RTA_MULTIPATH => route.hops = hops(attribute.value)?,
                _ => {}
            }
        }
        let hop = Hop::read(None, attributes)?;
        if hop != Hop::default() {
            route.hops.push(hop);
        }
        route.to = Subnet::of(to, prefix).ok_or(Malformed::new("a route's prefix"))?;
        Ok(Some(route))
    }

    /// Whether it leads to all that no other route leads to.
    pub fn is_default(&self) -> bool {
        self.to.prefix() == 0
    }
}

impl Hop {
    pub(super) fn read(link: Option<u32>, attributes: Attributes<'_>) -> Result<Self, Malformed> {
        let mut hop = Self {
            gateway: None,
            link,
        };
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                RTA_OIF => hop.link = Some(attribute.u32()?),
                RTA_GATEWAY => hop.gateway = Some(address(&attribute)?),
                // struct rtvia, a router of the other family: the family (16), its address.
                RTA_VIA => {
                    let value = attribute.value.get(2..).unwrap_or_default();
                    let value = soute_sys::netlink::Attribute { value, ..attribute };
                    hop.gateway = Some(address(&value)?);
                }
                _ => {}
            }
        }
        Ok(hop)
    }
}

/// Of RTA_MULTIPATH, a row of struct rtnexthop: length (16), flags, weight, interface (32); attributes.
fn hops(mut left: &[u8]) -> Result<Vec<Hop>, Malformed> {
    let bad = Malformed::new("a route's next hop");
    let mut hops = Vec::new();
    while let [a, b, _, _, i0, i1, i2, i3, ..] = *left {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let attributes = left.get(8..length).ok_or(bad)?;
        let link = Some(u32::from_ne_bytes([i0, i1, i2, i3]));
        hops.push(Hop::read(link, Attributes::new(attributes))?);
        left = left.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

fn header(family: u8, prefix: u8, scope: u8, marks: u32) -> [u8; 12] {
    let table = RT_TABLE_MAIN as u8;
    let kind = RTN_UNICAST;
    let [proto, tos, source] = [RTPROT_STATIC, 0, 0];
    let [a, b, c, d] = marks.to_ne_bytes();
    [
        family, prefix, source, tos, table, proto, scope, kind, a, b, c, d,
    ]
}

/// A route of the main table.
fn route(to: Subnet, hop: Hop, marks: u32) -> Writer {
    // What has no router is on the link; IPv6 has no scopes here.
    let scope = match (hop.gateway, to.is_ipv4()) {
        (None, true) => RT_SCOPE_LINK,
        _ => RT_SCOPE_UNIVERSE,
    };
    let mut body = Writer::new(&header(family(to.first()), to.prefix(), scope, marks));
    if to.prefix() != 0 {
        body.bytes(RTA_DST, &octets(to.first()));
    }
    if let Some(gateway) = hop.gateway {
        body.bytes(RTA_GATEWAY, &octets(gateway));
    }
    if let Some(link) = hop.link {
        body.u32(RTA_OIF, link);
    }
    body
}

/// For messages.
fn told(name: &str, to: Subnet, hop: Hop) -> String {
    let via = hop.gateway.map(|gateway| format!(" via {gateway}"));
    let dev = hop.link.map(|link| format!(" dev {link}"));
    let (via, dev) = (via.unwrap_or_default(), dev.unwrap_or_default());
    format!("{name}({to}{via}{dev})")
}

impl Rtnetlink {
    /// The routes to other machines, of IPv4 and IPv6, in all tables.
    pub fn routes(&mut self) -> Result<Vec<Route>, CallError> {
        let call = || "RTM_GETROUTE(all)".to_owned();
        let body = header(AF_UNSPEC, 0, 0, 0);
        self.0
            .dump(RTM_GETROUTE, &body, &call, &|message| match message.kind {
                RTM_NEWROUTE => Route::read(message).map_err(malformed(&call)),
                _ => Ok(None),
            })
    }

    /// Makes a route in the main table.
    ///
    /// # Errors
    /// EEXIST: there is one. ENETUNREACH: the gateway cannot be reached.
    pub fn add_route(&mut self, to: Subnet, hop: Hop) -> Result<(), CallError> {
        let new = flags::CREATE | flags::EXCL;
        self.order(RTM_NEWROUTE, new, route(to, hop, 0), &|| {
            told("RTM_NEWROUTE", to, hop)
        })
    }

    /// Makes a route in the main table as another one is, by `hop`.
    ///
    /// # Errors
    /// Those of [`Self::add_route`].
    pub fn add_route_as(&mut self, like: &Route, hop: Hop) -> Result<(), CallError> {
        let mut body = route(like.to, hop, if like.onlink { RTNH_F_ONLINK } else { 0 });
        if like.metric != 0 {
            body.u32(RTA_PRIORITY, like.metric);
        }
        if let Some(source) = like.source {
            body.bytes(RTA_PREFSRC, &octets(source));
        }
        if !like.metrics.is_empty() {
            body.nested(RTA_METRICS, &like.metrics);
        }
        let new = flags::CREATE | flags::EXCL;
        self.order(RTM_NEWROUTE, new, body, &|| {
            told("RTM_NEWROUTE", like.to, hop)
        })
    }

    /// Takes a route out of the main table.
    ///
    /// # Errors
    /// ESRCH: there is no such one.
    pub fn delete_route(&mut self, to: Subnet, hop: Hop) -> Result<(), CallError> {
        self.order(RTM_DELROUTE, 0, route(to, hop, 0), &|| {
            told("RTM_DELROUTE", to, hop)
        })
    }

    /// The interface by which packets leave that no other route is for: IPv4's, or if there is none, IPv6's. Its MTU is
    /// what networks of containers take for theirs.
    pub fn default_link(&mut self) -> Result<Option<Link>, CallError> {
        let routes = self.routes()?;
        let default = routes
            .iter()
            .filter(|route| route.is_default() && route.table == RT_TABLE_MAIN)
            .min_by_key(|route| (!route.to.is_ipv4(), route.metric));
        let hop = default.and_then(|route| route.hops.iter().find_map(|hop| hop.link));
        match hop {
            Some(index) => self.link_numbered(index),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            attributes in proptest::collection::vec((0u16..40, proptest::collection::vec(any::<u8>(), 0..24)), 0..6),
            mut header: [u8; 12],
            cut in 0usize..16,
        ) {
            // A route of IPv4 or IPv6 to other machines: the rest is not looked into.
            (header[0], header[7]) = (if cut % 2 == 0 { AF_INET } else { AF_INET6 }, RTN_UNICAST);
            header[8..].fill(0);
            let body = crate::route::cut_body(&header, &attributes, cut);
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Route::read(&message);
        }
    }
}
