//! Neighbours on a link: who has an address there, as ARP (IPv4) or neighbour discovery (IPv6) found out.

use std::net::IpAddr;

use soute_sys::CallError;
use soute_sys::netlink::{Malformed, Message};

use super::{Rtnetlink, address, family, malformed};

/// linux/rtnetlink.h
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;

/// linux/neighbour.h
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// A neighbour, or the want of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface.
    pub link: u32,
    /// The address that is looked for there.
    pub address: IpAddr,
    /// Who has it; empty if nobody has said so.
    pub hardware: Vec<u8>,
    /// What is known of it.
    pub reached: Reached,
}

/// `NUD_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It has been asked for, and nobody has answered yet.
    Incomplete,
    /// It has answered lately.
    Reachable,
    /// It has answered some time ago, and will be asked when it is needed.
    Known,
    /// Nobody has answered.
    Failed,
    /// It is not asked for: it was told so, or the link needs none.
    Fixed,
    /// None of these.
    Unknown,
}

impl Neighbour {
    /// From an RTM_NEWNEIGH; `None` for what is no address.
    pub(super) fn read(message: &Message<'_>) -> Result<Option<Self>, Malformed> {
        // struct ndmsg: family, padding (3), interface (32), state (16), flags, type.
        let (header, attributes) = message.split::<12>()?;
        let [_, _, _, _, i0, i1, i2, i3, s0, s1, _, _] = *header;
        let (mut own, mut hardware) = (None, Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                NDA_DST => own = Some(address(&attribute)?),
                NDA_LLADDR => hardware = attribute.value.to_vec(),
                _ => {}
            }
        }
        Ok(own.map(|address| Self {
            link: u32::from_ne_bytes([i0, i1, i2, i3]),
            address,
            hardware,
            reached: match u16::from_ne_bytes([s0, s1]) {
                0x01 => Reached::Incomplete,
                0x02 => Reached::Reachable,
                // NUD_STALE, NUD_DELAY, NUD_PROBE
                0x04 | 0x08 | 0x10 => Reached::Known,
                0x20 => Reached::Failed,
                // NUD_NOARP, NUD_PERMANENT
                0x40 | 0x80 => Reached::Fixed,
                _ => Reached::Unknown,
            },
        }))
    }
}

impl Rtnetlink {
    /// What is known of an address on a link. `None`: nobody has asked for it lately.
    pub fn neighbour(&mut self, link: u32, wanted: IpAddr) -> Result<Option<Neighbour>, CallError> {
        let call = || "RTM_GETNEIGH(all)".to_owned();
        let mut header = [0; 12];
        header[0] = family(wanted);
        let all = self.0.dump(
            RTM_GETNEIGH,
            &header,
            &call,
            &|message| match message.kind {
                RTM_NEWNEIGH => Neighbour::read(message).map_err(malformed(&call)),
                _ => Ok(None),
            },
        )?;
        Ok(all
            .into_iter()
            .find(|one| one.link == link && one.address == wanted))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soute_sys::netlink::Writer;

    use super::*;

    #[test]
    fn a_neighbour_is_read() {
        let mut header = [0; 12];
        (header[0], header[4], header[8]) = (2, 3, 0x02);
        let mut writer = Writer::new(&header);
        writer
            .bytes(NDA_DST, &[10, 0, 0, 1])
            .bytes(NDA_LLADDR, &[2; 6]);
        let body = writer.finish().unwrap();
        let (kind, flags, sequence) = (RTM_NEWNEIGH, 0, 0);
        let message = Message {
            kind,
            flags,
            sequence,
            body: &body,
        };
        let neighbour = Neighbour::read(&message).unwrap().unwrap();
        assert_eq!((neighbour.link, neighbour.reached), (3, Reached::Reachable));
        assert_eq!(neighbour.address.to_string(), "10.0.0.1");
        assert_eq!(neighbour.hardware, [2; 6]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(body in proptest::collection::vec(0u8..20, 0..80)) {
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = Neighbour::read(&message);
        }
    }
}
