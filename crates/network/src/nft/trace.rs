//! What becomes of packets, rule by rule, as the kernel tells of those that are marked ([`super::Expr::Trace`]).
//!
//! What legacy iptables (xtables) does with them is not told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::sockopt;
use soute_sys::netlink::{Attribute, Malformed, Message, Protocol, Socket};
use soute_sys::{CallError, Called};

use super::expr::{NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE};
use super::types::Family;
use super::{kind, message};

/// `NFNLGRP_NFTRACE` is group 9.
const GROUP: u32 = 1 << 8;
/// Room for thousands of messages that come faster than they are heard.
const ROOM: usize = 4 << 20;

const NFTA_TRACE_TABLE: u16 = 1;
const NFTA_TRACE_CHAIN: u16 = 2;
const NFTA_TRACE_RULE_HANDLE: u16 = 3;
const NFTA_TRACE_TYPE: u16 = 4;
const NFTA_TRACE_VERDICT: u16 = 5;
const NFTA_TRACE_ID: u16 = 6;
const NFTA_TRACE_NETWORK_HEADER: u16 = 8;
const NFTA_TRACE_TRANSPORT_HEADER: u16 = 9;
const NFTA_TRACE_IIF: u16 = 10;
const NFTA_TRACE_OIF: u16 = 12;
const NFTA_TRACE_POLICY: u16 = 16;

const NFT_TRACETYPE_POLICY: u32 = 1;
const NFT_TRACETYPE_RETURN: u32 = 2;
const NFT_TRACETYPE_RULE: u32 = 3;

/// Hears what becomes of marked packets in one network namespace. It is waited on with poll(2), for POLLIN.
#[derive(Debug)]
pub struct Tracer(Socket);

impl Tracer {
    /// From now on, in another network namespace, or the caller's. The caller has one thread ([`Socket::open_in`]).
    pub fn open(namespace: Option<BorrowedFd<'_>>) -> Result<Self, CallError> {
        let socket = match namespace {
            Some(other) => Socket::listen_in(Protocol::Netfilter, GROUP, other)?,
            None => Socket::listen(Protocol::Netfilter, GROUP)?,
        };
        sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)
            .called(|| format!("setsockopt(SO_RCVBUFFORCE, {ROOM})"))?;
        Ok(Self(socket))
    }

    /// All that was told since it was last asked, `most` at most, put behind `events`; `false` if there was more, or some
    /// of it is lost or cannot be read. It does not wait.
    pub fn hear(&mut self, most: usize, events: &mut Vec<Event>) -> Result<bool, CallError> {
        let mut all = true;
        let whole = self.0.hear(&mut |heard| {
            if heard.kind != kind(message::TRACE) {
                return;
            }
            match Event::read(heard) {
                Ok(event) if events.len() < most => events.push(event),
                _ => all = false,
            }
        })?;
        Ok(whole && all)
    }
}

impl AsFd for Tracer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A rule that a packet has met, or the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The table's family.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// What it met there.
    pub met: Met,
    /// A number for the packet, for as long as it is on its way through this network namespace.
    pub id: u32,
    /// The packet, in the first event of a base chain.
    pub packet: Option<Packet>,
    /// The interface by which it came, there as well.
    pub iif: Option<u32>,
    /// The interface by which it is to leave, there as well.
    pub oif: Option<u32>,
}

/// What a packet has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// A rule all of whose conditions hold: its number in the table, and what it says.
    Rule(u64, Said),
    /// The end of a chain's rules: none has decided.
    Last,
    /// The end of a chain that it was sent to, or a rule that sends it back.
    Return,
    /// The end of a base chain, and whether its policy drops.
    Policy {
        /// It does.
        drops: bool,
    },
}

/// What a rule says of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// On to the next rule.
    Continue,
    /// Out of this base chain.
    Accept,
    /// Not passed on. A rule that refuses says this, too, when it has sent its answer.
    Drop,
    /// Somebody else goes on with it.
    Stolen,
    /// A program of this machine decides.
    Queue,
    /// Back.
    Return,
    /// To another chain.
    Jump(String),
    /// To another chain, not back.
    Goto(String),
    /// None of these.
    Other(i32),
}

impl Said {
    fn read(attribute: &Attribute<'_>) -> Result<Self, Malformed> {
        let bad = Malformed::new("a traced verdict");
        let code = attribute.nested().find(NFTA_VERDICT_CODE)?.ok_or(bad)?;
        let code = code.exactly().map(i32::from_be_bytes)?;
        let chain = || {
            let chain = attribute.nested().find(NFTA_VERDICT_CHAIN)?.ok_or(bad)?;
            chain.text()
        };
        Ok(match code {
            -1 | -2 => Self::Continue,
            -3 => Self::Jump(chain()?),
            -4 => Self::Goto(chain()?),
            -5 => Self::Return,
            // Behind the verdict stands an error's number, or a queue's.
            code if code < 0 => Self::Other(code),
            code => match code & 0xff {
                0 => Self::Drop,
                1 => Self::Accept,
                2 => Self::Stolen,
                3 => Self::Queue,
                _ => Self::Other(code),
            },
        })
    }
}

/// What of a packet's headers is of interest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from, as far as it says.
    pub source: IpAddr,
    /// Where it goes to.
    pub destination: IpAddr,
    /// Its protocol above IP, by its number.
    pub protocol: u8,
    /// What stands above IP.
    pub header: Header,
}

/// A header above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// TCP's: ports and flags (RFC 9293: 1 FIN, 2 SYN, 4 RST, 16 ACK).
    Tcp {
        /// The sender's.
        source: u16,
        /// The receiver's.
        destination: u16,
        /// Flags.
        flags: u8,
    },
    /// UDP's, or SCTP's.
    Ports {
        /// The sender's.
        source: u16,
        /// The receiver's.
        destination: u16,
    },
    /// ICMP's of either version.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// Something else, or too short.
    Unknown,
}

impl Packet {
    fn read(network: &[u8], transport: &[u8]) -> Option<Self> {
        let (source, destination, protocol): (IpAddr, IpAddr, u8) = match network.first()? >> 4 {
            4 => {
                let at = |offset: usize| network.get(offset..)?.first_chunk::<4>();
                let (source, destination) = (*at(12)?, *at(16)?);
                let both = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
                (both.0.into(), both.1.into(), *network.get(9)?)
            }
            6 => {
                let at = |offset: usize| network.get(offset..)?.first_chunk::<16>();
                let (source, destination) = (*at(8)?, *at(24)?);
                let both = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
                (both.0.into(), both.1.into(), *network.get(6)?)
            }
            _ => return None,
        };
        Some(Self {
            source,
            destination,
            protocol,
            header: Header::read(protocol, transport),
        })
    }

    /// Its source with its port, 0 for what has none.
    pub fn from(&self) -> std::net::SocketAddr {
        (self.source, self.ports().map_or(0, |ports| ports.0)).into()
    }

    /// Its destination with its port, 0 for what has none.
    pub fn to(&self) -> std::net::SocketAddr {
        (self.destination, self.ports().map_or(0, |ports| ports.1)).into()
    }

    /// The sender's port and the receiver's.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.header {
            Header::Tcp {
                source,
                destination,
                ..
            }
            | Header::Ports {
                source,
                destination,
            } => Some((source, destination)),
            _ => None,
        }
    }
}

impl Header {
    fn read(protocol: u8, bytes: &[u8]) -> Self {
        let ports = || match *bytes {
            [a, b, c, d, ..] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => None,
        };
        match (protocol, ports(), bytes) {
            (6, Some((source, destination)), bytes) => match bytes.get(13) {
                Some(&flags) => Self::Tcp {
                    source,
                    destination,
                    flags,
                },
                None => Self::Unknown,
            },
            (17 | 132, Some((source, destination)), _) => Self::Ports {
                source,
                destination,
            },
            (1 | 58, _, &[kind, code, ..]) => Self::Icmp { kind, code },
            _ => Self::Unknown,
        }
    }
}

impl Event {
    /// Whether a base chain is at its end.
    pub fn is_end(&self) -> bool {
        matches!(self.met, Met::Policy { .. })
    }

    /// From an NFT_MSG_TRACE.
    pub(super) fn read(message: &Message<'_>) -> Result<Self, Malformed> {
        let (header, attributes) = message.split::<4>()?;
        let (mut table, mut chain) = (String::new(), String::new());
        let (mut id, mut kind, mut handle) = (0, 0, None);
        let (mut said, mut drops) = (None, None);
        let (mut network, mut transport): (&[u8], &[u8]) = (&[], &[]);
        let (mut iif, mut oif) = (None, None);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                NFTA_TRACE_TABLE => table = attribute.text()?,
                NFTA_TRACE_CHAIN => chain = attribute.text()?,
                NFTA_TRACE_RULE_HANDLE => handle = Some(attribute.be64()?),
                NFTA_TRACE_TYPE => kind = attribute.be32()?,
                NFTA_TRACE_VERDICT => said = Some(Said::read(&attribute)?),
                NFTA_TRACE_ID => id = attribute.be32()?,
                NFTA_TRACE_NETWORK_HEADER => network = attribute.value,
                NFTA_TRACE_TRANSPORT_HEADER => transport = attribute.value,
                NFTA_TRACE_IIF => iif = Some(attribute.be32()?),
                NFTA_TRACE_OIF => oif = Some(attribute.be32()?),
                // NF_DROP is 0.
                NFTA_TRACE_POLICY => drops = Some(attribute.be32()? == 0),
                _ => {}
            }
        }
        let bad = Malformed::new("a trace");
        let met = match kind {
            NFT_TRACETYPE_POLICY => Met::Policy {
                drops: drops.ok_or(bad)?,
            },
            NFT_TRACETYPE_RETURN => Met::Return,
            // Behind the last rule the kernel tells of one that has no number.
            NFT_TRACETYPE_RULE => match handle {
                Some(handle) => Met::Rule(handle, said.ok_or(bad)?),
                None => Met::Last,
            },
            _ => return Err(bad),
        };
        Ok(Self {
            family: Family(header[0]),
            table,
            chain,
            met,
            id,
            packet: Packet::read(network, transport),
            iif,
            oif,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soute_sys::netlink::Writer;

    use super::*;

    #[test]
    fn headers_are_read() {
        let mut ip = [0; 20];
        (ip[0], ip[9]) = (0x45, 6);
        ip[12..16].copy_from_slice(&[192, 0, 2, 1]);
        ip[16..20].copy_from_slice(&[10, 0, 0, 2]);
        let mut tcp = [0; 20];
        (tcp[0], tcp[1], tcp[3], tcp[13]) = (0x90, 0x01, 80, 2);
        let packet = Packet::read(&ip, &tcp).unwrap();
        assert_eq!(packet.from().to_string(), "192.0.2.1:36865");
        assert_eq!(packet.to().to_string(), "10.0.0.2:80");
        assert!(matches!(packet.header, Header::Tcp { flags: 2, .. }));
        // Cut short.
        assert_eq!(Packet::read(&ip[..19], &tcp), None);
        let cut = Packet::read(&ip, &tcp[..13]).unwrap();
        assert_eq!(cut.header, Header::Unknown);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            attributes in proptest::collection::vec((0u16..18, proptest::collection::vec(any::<u8>(), 0..44)), 0..10),
            kind in 0u32..5,
        ) {
            let mut writer = Writer::new(&[1, 0, 0, 0]);
            writer.be32(NFTA_TRACE_TYPE, kind);
            for (kind, value) in &attributes {
                writer.bytes(*kind, value);
            }
            let body = writer.finish().unwrap();
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Event::read(&message);
        }
    }
}
