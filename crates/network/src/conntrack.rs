//! Connections that the kernel keeps track of (linux/netfilter/nfnetlink_conntrack.h), and forgetting some.
//!
//! A connection is translated as its first packet was, whatever becomes of the table meanwhile. A client that goes on
//! asking from the same UDP port has one connection for as long as it asks: to a container that has gone, or, if it asked
//! before the port was published, to nobody.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use soute_sys::netlink::{Attribute, Malformed, Message, Protocol, Socket, Writer, flags};
use soute_sys::{CallError, Called};

/// `NFNL_SUBSYS_CTNETLINK` is 1; `IPCTNL_MSG_CT_*`.
const NEW: u16 = 0x100;
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// A connection. Without translation, its answers go back from where its packets go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Its protocol above IP, by its number.
    pub protocol: u8,
    /// Who began it, as it was before any translation. The port is 0 for protocols without.
    pub source: SocketAddr,
    /// Whom it was meant for.
    pub destination: SocketAddr,
    /// Where its answers come from: the container, if its destination was translated to one.
    pub answered_by: SocketAddr,
}

/// The connections of one network namespace.
#[derive(Debug)]
pub struct Conntrack(Socket);

impl Conntrack {
    /// Of the caller's network namespace.
    pub fn open() -> Result<Self, CallError> {
        Socket::open(Protocol::Netfilter).map(Self)
    }

    /// Forgets the connections that are `such`: how many there were. The next packet of each begins a new one.
    pub fn forget(&mut self, such: impl Fn(&Connection) -> bool) -> Result<usize, CallError> {
        let call = || "IPCTNL_MSG_CT_GET(all)".to_owned();
        // struct nfgenmsg: of any family.
        let found = self.0.dump(GET, &[0; 4], &call, &|message| {
            if message.kind != NEW {
                return Ok(None);
            }
            match Connection::read(message) {
                Ok(Some((connection, name))) if such(&connection) => Ok(Some((connection, name))),
                Ok(_) => Ok(None),
                Err(e) => Err(e.of(&call())),
            }
        })?;
        let mut forgotten = 0;
        for (connection, name) in found {
            let call = || {
                let Connection {
                    protocol,
                    source,
                    destination,
                    ..
                } = connection;
                format!("IPCTNL_MSG_CT_DELETE({source} to {destination}, protocol {protocol})")
            };
            let name = name.finish().called(call)?;
            match self
                .0
                .ask(DELETE, flags::ACK, &name, &call, &mut |_| Ok(()))
            {
                Ok(()) => forgotten += 1,
                // It ended meanwhile.
                Err(e) if e.errno() == Errno::NOENT => {}
                Err(e) => return Err(e),
            }
        }
        Ok(forgotten)
    }
}

impl Connection {
    /// With the message that names it for the kernel. `None`: of a family other than IPv4 and IPv6.
    fn read(message: &Message<'_>) -> Result<Option<(Self, Writer)>, Malformed> {
        let (header, attributes) = message.split::<4>()?;
        let mut name = Writer::new(header);
        let (mut original, mut reply) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                CTA_TUPLE_ORIG => original = tuple(&attribute)?,
                CTA_TUPLE_REPLY => reply = tuple(&attribute)?,
                _ => {}
            }
            // All three: its number alone is not looked for, and alone may by now be another's.
            match attribute.kind {
                CTA_TUPLE_ORIG => {
                    name.nested(CTA_TUPLE_ORIG, attribute.value);
                }
                CTA_ID | CTA_ZONE => {
                    name.bytes(attribute.kind, attribute.value);
                }
                _ => {}
            }
        }
        Ok(original
            .zip(reply)
            .map(|((protocol, source, destination), (_, answered_by, _))| {
                let connection = Self {
                    protocol,
                    source,
                    destination,
                    answered_by,
                };
                (connection, name)
            }))
    }
}

/// For fuzz/: reads a message as a connection.
#[cfg(fuzzing)]
pub fn fuzz(message: &Message<'_>) {
    _ = Connection::read(message).map(|found| found.map(|(_, name)| name.finish()));
}

/// Protocol, source and destination.
fn tuple(of: &Attribute<'_>) -> Result<Option<(u8, SocketAddr, SocketAddr)>, Malformed> {
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut from, mut to) = (0, 0, 0);
    for part in of.nested() {
        let part = part?;
        for attribute in part.nested() {
            let attribute = attribute?;
            match (part.kind, attribute.kind) {
                (CTA_TUPLE_IP, CTA_IP_V4_SRC) => source = Some(ipv4(&attribute)?),
                (CTA_TUPLE_IP, CTA_IP_V4_DST) => destination = Some(ipv4(&attribute)?),
                (CTA_TUPLE_IP, CTA_IP_V6_SRC) => source = Some(ipv6(&attribute)?),
                (CTA_TUPLE_IP, CTA_IP_V6_DST) => destination = Some(ipv6(&attribute)?),
                (CTA_TUPLE_PROTO, CTA_PROTO_NUM) => protocol = attribute.u8()?,
                (CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT) => from = port(&attribute)?,
                (CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT) => to = port(&attribute)?,
                _ => {}
            }
        }
    }
    let ends = source.zip(destination);
    Ok(ends.map(|(source, destination)| {
        let (source, destination) = (
            SocketAddr::new(source, from),
            SocketAddr::new(destination, to),
        );
        (protocol, source, destination)
    }))
}

fn ipv4(attribute: &Attribute<'_>) -> Result<IpAddr, Malformed> {
    attribute.exactly().map(|octets: [u8; 4]| octets.into())
}

fn ipv6(attribute: &Attribute<'_>) -> Result<IpAddr, Malformed> {
    attribute.exactly().map(|octets: [u8; 16]| octets.into())
}

fn port(attribute: &Attribute<'_>) -> Result<u16, Malformed> {
    attribute.exactly().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(body in proptest::collection::vec(0u8..20, 0..80)) {
            let message = Message { kind: NEW, flags: 0, sequence: 0, body: &body };
            let _ = Connection::read(&message);
        }
    }
}
