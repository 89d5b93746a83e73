//! What the kernel would do with one packet: `ip route get`.

use std::net::IpAddr;

use soute_sys::netlink::{Malformed, Message, Writer, flags};
use soute_sys::{CallError, Called};

use super::routes::{Hop, RTA_DST, RTM_GETROUTE, RTM_NEWROUTE};
use super::{Rtnetlink, address, family, malformed, octets};

/// linux/rtnetlink.h
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_PREFSRC: u16 = 7;
const RTA_UID: u16 = 25;

/// A packet that is to be led somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Where it goes to.
    pub to: IpAddr,
    /// Where it comes from, if that is known.
    pub from: Option<IpAddr>,
    /// The interface by which it comes; none: it is this machine's own.
    pub by: Option<u32>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is sent on, is for this machine, and so on.
    pub kind: Kind,
    /// The router, and the interface by which it leaves; of what is for this machine, `lo` or none.
    pub hop: Hop,
    /// The address that the machine would take for its own packet.
    pub source: Option<IpAddr>,
}

/// `RTN_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To another machine.
    Unicast,
    /// To this one.
    Local,
    /// To all on a link, or to many.
    Many,
    /// Dropped without a word (`blackhole`).
    Blackhole,
    /// Dropped, and the sender told that nobody is there (`unreachable`).
    Unreachable,
    /// Dropped, and the sender told that it is forbidden (`prohibit`).
    Prohibit,
    /// Another.
    Other(u8),
}

impl Decision {
    pub(super) fn read(message: &Message<'_>) -> Result<Self, Malformed> {
        // struct rtmsg: family, prefix, source's prefix, tos, table, protocol, scope, type, flags (32).
        let (header, attributes) = message.split::<12>()?;
        let hop = Hop::read(None, attributes.clone())?;
        let mut source = None;
        for attribute in attributes {
            let attribute = attribute?;
            if attribute.kind == RTA_PREFSRC {
                source = Some(address(&attribute)?);
            }
        }
        Ok(Self {
            kind: match header[7] {
                1 => Kind::Unicast,
                2 => Kind::Local,
                3..=5 => Kind::Many,
                6 => Kind::Blackhole,
                7 => Kind::Unreachable,
                8 => Kind::Prohibit,
                other => Kind::Other(other),
            },
            hop,
            source,
        })
    }
}

impl Rtnetlink {
    /// What would become of a packet. Nothing is sent.
    ///
    /// # Errors
    /// ENETUNREACH: there is no route. EHOSTUNREACH: there is none for what comes in, or this machine does not forward.
    /// EXDEV: by that interface nothing is expected from there (`rp_filter`). EACCES: a route that prohibits.
    pub fn decide(&mut self, question: Question) -> Result<Decision, CallError> {
        let Question { to, from, by } = question;
        let call = || {
            let from = from.map(|from| format!(" from {from}"));
            let by = by.map(|by| format!(" iif {by}"));
            let (from, by) = (from.unwrap_or_default(), by.unwrap_or_default());
            format!("RTM_GETROUTE({to}{from}{by})")
        };
        let bits = octets(to).len() as u8 * 8;
        let from_bits = if from.is_some() { bits } else { 0 };
        let mut header = [0; 12];
        (header[0], header[1], header[2]) = (family(to), bits, from_bits);
        let mut body = Writer::new(&header);
        body.bytes(RTA_DST, &octets(to));
        if let Some(from) = from {
            body.bytes(RTA_SRC, &octets(from));
        }
        match by {
            Some(by) => body.u32(RTA_IIF, by),
            // Rules may be for users: the asker's own.
            None => body.u32(RTA_UID, rustix::process::geteuid().as_raw()),
        };
        let body = body.finish().called(call)?;
        let mut decision = None;
        self.0
            .ask(RTM_GETROUTE, flags::ACK, &body, &call, &mut |message| {
                if message.kind == RTM_NEWROUTE {
                    decision = Some(Decision::read(message).map_err(malformed(&call))?);
                }
                Ok(())
            })?;
        decision.ok_or_else(|| CallError::new(call(), rustix::io::Errno::BADMSG))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loopback_is_this_machine() {
        let to = std::net::Ipv4Addr::LOCALHOST.into();
        let (from, by) = (None, None);
        let mut own = Rtnetlink::open().unwrap();
        let decision = own.decide(Question { to, from, by }).unwrap();
        assert_eq!((decision.kind, decision.source), (Kind::Local, Some(to)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            attributes in proptest::collection::vec((0u16..30, proptest::collection::vec(any::<u8>(), 0..24)), 0..6),
            header: [u8; 12],
            cut in 0usize..16,
        ) {
            let body = crate::route::cut_body(&header, &attributes, cut);
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Decision::read(&message);
        }
    }
}
