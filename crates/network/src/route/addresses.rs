//! Addresses of interfaces.

use std::net::IpAddr;

use soute_sys::CallError;
use soute_sys::netlink::{Malformed, Message, Writer, flags};

use super::{AF_UNSPEC, Rtnetlink, address, family, malformed, octets};
use crate::Subnet;

/// linux/rtnetlink.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

/// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub link: u32,
    /// The interface's own address.
    pub address: IpAddr,
    /// Bits that it has in common with its neighbours' addresses.
    pub prefix: u8,
    /// The address of the link's other end, where it has but two; the prefix is of this one then.
    pub peer: Option<IpAddr>,
    /// How far it is known: `RT_SCOPE_*`, 0 everywhere, 253 on the link, 254 on this machine.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
}

impl Address {
    /// The subnet that it is in.
    pub fn subnet(&self) -> Option<Subnet> {
        Subnet::of(self.address, self.prefix)
    }

    /// From an RTM_NEWADDR; `None` for a family other than IPv4 and IPv6.
    pub(super) fn read(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        // struct ifaddrmsg: family, prefix, the first eight flags, scope, index (32).
        let (header, attributes) = message.split::<8>()?;
        let [_, prefix, flags, scope, index @ ..] = *header;
        let (mut own, mut other, mut flags) = (None, None, u32::from(flags));
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                IFA_LOCAL => own = Some(address(&attribute)?),
                // The neighbour's where the link has but two ends; else, and always in IPv6, its own.
                IFA_ADDRESS => other = Some(address(&attribute)?),
                IFA_FLAGS => flags = attribute.u32()?,
                _ => {}
            }
        }
        Ok(own.or(other).map(|address| Self {
            link: u32::from_ne_bytes(index),
            address,
            prefix,
            peer: other.filter(|other| *other != address),
            scope,
            flags,
        }))
    }
}

fn header(family: u8, prefix: u8, link: u32) -> Vec<u8> {
    let mut header = vec![family, prefix, 0, 0];
    header.extend(link.to_ne_bytes());
    header
}

impl Rtnetlink {
    /// The addresses of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<Address>, CallError> {
        let call = || "RTM_GETADDR(all)".to_owned();
        let body = header(AF_UNSPEC, 0, 0);
        self.0
            .dump(RTM_GETADDR, &body, &call, &|message| match message.kind {
                RTM_NEWADDR => Address::read(message).map_err(malformed(&call)),
                _ => Ok(None),
            })
    }

    /// Gives an interface an address. With it comes the route to its subnet.
    ///
    /// An IPv6 address is there at once: that nobody else has it (RFC 4862, 5.4) is its giver's knowledge, and not asked
    /// of the neighbours for a second.
    ///
    /// # Errors
    /// EEXIST: the interface has it already. EACCES: IPv6 is off there.
    pub fn add_address(&mut self, link: u32, own: IpAddr, prefix: u8) -> Result<(), CallError> {
        let mut body = attributes(link, own, prefix);
        match own {
            IpAddr::V4(_) => {
                // As `ip address add … brd +` does; /31 and /32 have none.
                if let Some(subnet) = Subnet::of(own, prefix).filter(|subnet| subnet.prefix() < 31)
                {
                    body.bytes(IFA_BROADCAST, &octets(subnet.last()));
                }
            }
            IpAddr::V6(_) => {
                body.u32(IFA_FLAGS, IFA_F_NODAD);
            }
        }
        let call = || format!("RTM_NEWADDR({link}, {own}/{prefix})");
        self.order(RTM_NEWADDR, flags::CREATE | flags::EXCL, body, &call)
    }

    /// Gives an interface an address that another one has had: with the peer, and without a route of its own if it had none.
    ///
    /// # Errors
    /// Those of [`Self::add_address`].
    pub fn add_address_as(&mut self, link: u32, had: &Address) -> Result<(), CallError> {
        let kept = had.flags & IFA_F_NOPREFIXROUTE;
        if had.peer.is_none() && kept == 0 {
            return self.add_address(link, had.address, had.prefix);
        }
        let mut body = Writer::new(&header(family(had.address), had.prefix, link));
        body.bytes(IFA_LOCAL, &octets(had.address))
            .bytes(IFA_ADDRESS, &octets(had.peer.unwrap_or(had.address)))
            .u32(IFA_FLAGS, kept | IFA_F_NODAD);
        let call = || format!("RTM_NEWADDR({link}, {}/{})", had.address, had.prefix);
        self.order(RTM_NEWADDR, flags::CREATE | flags::EXCL, body, &call)
    }

    /// Takes an address from an interface.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: the interface does not have it.
    pub fn delete_address(&mut self, link: u32, own: IpAddr, prefix: u8) -> Result<(), CallError> {
        let body = attributes(link, own, prefix);
        let call = || format!("RTM_DELADDR({link}, {own}/{prefix})");
        self.order(RTM_DELADDR, 0, body, &call)
    }
}

fn attributes(link: u32, own: IpAddr, prefix: u8) -> Writer {
    let mut body = Writer::new(&header(family(own), prefix, link));
    body.bytes(IFA_LOCAL, &octets(own))
        .bytes(IFA_ADDRESS, &octets(own));
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            attributes in proptest::collection::vec((0u16..40, proptest::collection::vec(any::<u8>(), 0..24)), 0..6),
            header: [u8; 8],
            cut in 0usize..16,
        ) {
            let body = crate::route::cut_body(&header, &attributes, cut);
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Address::read(&message);
        }
    }
}
