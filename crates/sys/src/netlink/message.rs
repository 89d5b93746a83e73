//! A netlink message: its header (`struct nlmsghdr` of linux/netlink.h) and what stands behind it.

use rustix::io::Errno;

use super::Refusal;
use super::attribute::{Attributes, Malformed};

/// `NLM_F_*` (linux/netlink.h).
pub mod flags {
    /// A message to the kernel. [`super::super::Socket::ask`] sets it.
    pub const REQUEST: u16 = 0x1;
    /// The kernel is to say so when it has done what is asked.
    pub const ACK: u16 = 0x4;
    /// Of an answer: the dump changed while it was made.
    pub const DUMP_INTR: u16 = 0x10;
    /// All there are (`NLM_F_ROOT | NLM_F_MATCH`).
    pub const DUMP: u16 = 0x300;
    /// Not if it is there already.
    pub const EXCL: u16 = 0x200;
    /// Also if it is not there yet.
    pub const CREATE: u16 = 0x400;
    /// Behind those that are there.
    pub const APPEND: u16 = 0x800;
    /// Of an acknowledgement: attributes follow (`NLM_F_ACK_TLVS`).
    pub(super) const ACK_TLVS: u16 = 0x200;
    /// Of an acknowledgement: it lacks the body of the message that it is about (`NLM_F_CAPPED`).
    pub(super) const CAPPED: u16 = 0x100;
}

/// Types of message that no protocol uses for its own.
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;

/// `NLMSGERR_ATTR_*` (linux/netlink.h).
const TEXT: u16 = 1;
const OFFSET: u16 = 2;

const HEADER: usize = 16;

/// A message that was heard.
#[derive(Debug, Clone, Copy)]
pub struct Message<'b> {
    /// Its type, in its protocol's numbers.
    pub kind: u16,
    /// See [`flags`].
    pub flags: u16,
    /// The number of the request that it answers, or 0.
    pub sequence: u32,
    /// What stands behind the header: the protocol's own header, and attributes.
    pub body: &'b [u8],
}

impl<'b> Message<'b> {
    /// The protocol's own header of `N` bytes, and the attributes behind it.
    ///
    /// # Errors
    /// It is shorter.
    pub fn split<const N: usize>(&self) -> Result<(&'b [u8; N], Attributes<'b>), Malformed> {
        match self.body.split_first_chunk() {
            Some((header, attributes)) => Ok((header, Attributes::new(attributes))),
            None => Err(Malformed::new("a message's header")),
        }
    }
}

/// What a message says of the request that it answers.
pub(super) enum Answer {
    /// Something of its protocol.
    Data,
    /// It is done, or the dump is at its end.
    Done,
    Refused(Refusal),
    /// Messages were lost.
    Overrun,
    Nothing,
}

/// Puts a message behind those that are in `bytes`.
///
/// # Errors
/// EMSGSIZE: its length has no room in 32 bits.
pub fn put(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &[u8],
) -> rustix::io::Result<()> {
    let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?;
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The port of the sender, which the kernel knows.
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(())
}

/// The messages of a datagram.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let one = first(left);
        left = match &one {
            Ok(message) => left
                .get((HEADER + message.body.len()).next_multiple_of(4)..)
                .unwrap_or_default(),
            Err(_) => &[],
        };
        Some(one)
    })
}

fn first(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let bad = Malformed::new("a netlink message");
    let (length, rest) = bytes.split_first_chunk().ok_or(bad)?;
    let (kind, rest) = rest.split_first_chunk().ok_or(bad)?;
    let (flags, rest) = rest.split_first_chunk().ok_or(bad)?;
    let (sequence, _) = rest.split_first_chunk().ok_or(bad)?;
    let length = u32::from_ne_bytes(*length) as usize;
    Ok(Message {
        kind: u16::from_ne_bytes(*kind),
        flags: u16::from_ne_bytes(*flags),
        sequence: u32::from_ne_bytes(*sequence),
        body: bytes.get(HEADER..length).ok_or(bad)?,
    })
}

pub(super) fn answer(message: &Message<'_>) -> Result<Answer, Malformed> {
    match message.kind {
        NOOP => Ok(Answer::Nothing),
        ERROR => acknowledgement(message),
        // A dump that failed half-way says so at its end.
        DONE => match message.body.first_chunk() {
            Some(code) => Ok(verdict(message, i32::from_ne_bytes(*code), &[])),
            None => Ok(Answer::Done),
        },
        OVERRUN => Ok(Answer::Overrun),
        _ => Ok(Answer::Data),
    }
}

/// `struct nlmsgerr`: a negative error number or 0, the header of the message that it is about, and, unless capped, that
/// message's body; then attributes.
fn acknowledgement(message: &Message<'_>) -> Result<Answer, Malformed> {
    let bad = Malformed::new("an acknowledgement");
    let (code, rest) = message.body.split_first_chunk().ok_or(bad)?;
    let (length, _) = rest.split_first_chunk().ok_or(bad)?;
    let attributes = if message.flags & flags::ACK_TLVS == 0 {
        &[]
    } else if message.flags & flags::CAPPED != 0 {
        rest.get(HEADER..).ok_or(bad)?
    } else {
        let length = u32::from_ne_bytes(*length) as usize;
        length
            .checked_next_multiple_of(4)
            .and_then(|length| rest.get(length..))
            .ok_or(bad)?
    };
    Ok(verdict(message, i32::from_ne_bytes(*code), attributes))
}

fn verdict(message: &Message<'_>, code: i32, attributes: &[u8]) -> Answer {
    if code >= 0 {
        return Answer::Done;
    }
    let mut refusal = Refusal {
        sequence: message.sequence,
        // The kernel's numbers end at MAX_ERRNO (linux/err.h), and so do those that rustix takes.
        errno: match code.saturating_neg() {
            number @ 1..=4095 => Errno::from_raw_os_error(number),
            _ => Errno::BADMSG,
        },
        text: None,
        offset: None,
    };
    // Words beside the error: what cannot be read of them is not worth a second one.
    for attribute in Attributes::new(attributes).flatten() {
        match attribute.kind {
            TEXT => refusal.text = attribute.text().ok(),
            OFFSET => refusal.offset = attribute.u32().ok(),
            _ => {}
        }
    }
    Answer::Refused(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Writer;

    fn one(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, flags, 7, body).unwrap();
        bytes
    }

    #[test]
    fn messages_come_back_as_they_were_put() {
        let mut bytes = one(20, flags::ACK, b"abcde");
        bytes.extend(one(21, 0, b""));
        let heard: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
        assert_eq!(bytes.len(), 24 + 16);
        assert_eq!((heard[0].kind, heard[0].body), (20, &b"abcde"[..]));
        assert_eq!((heard[1].kind, heard[1].sequence), (21, 7));
        assert_eq!(heard.len(), 2);
    }

    #[test]
    fn broken_messages_end_the_datagram() {
        let whole = one(20, 0, b"abcd");
        for length in 1..whole.len() {
            let heard: Vec<_> = messages(&whole[..length]).collect();
            assert!(matches!(heard[..], [Err(_)]), "{length}");
        }
        let mut short = whole;
        short[0] = 15;
        assert!(messages(&short).next().unwrap().is_err());
    }

    #[test]
    fn an_errors_words_are_read_behind_the_message_that_it_is_about() {
        let mut words = Writer::default();
        words.text(TEXT, "no such thing").u32(OFFSET, 20);
        let words = words.finish().unwrap();
        let about = one(99, 0, b"0123456789");
        for (capped, echoed) in [(flags::CAPPED, HEADER), (0, about.len())] {
            let mut body = (-2i32).to_ne_bytes().to_vec();
            body.extend(&about[..echoed]);
            body.extend(&words);
            let bytes = one(ERROR, flags::ACK_TLVS | capped, &body);
            let heard = messages(&bytes).next().unwrap().unwrap();
            let Ok(Answer::Refused(refusal)) = answer(&heard) else {
                panic!("not an error")
            };
            assert_eq!(refusal.text.as_deref(), Some("no such thing"));
            assert_eq!((refusal.errno, refusal.offset), (Errno::NOENT, Some(20)));
        }
    }

    #[test]
    fn a_number_that_is_no_error_is_a_bad_message() {
        for (code, errno) in [
            (-4095, Errno::from_raw_os_error(4095)),
            (-4096, Errno::BADMSG),
            (-0xfffb, Errno::BADMSG),
            (i32::MIN, Errno::BADMSG),
        ] {
            let bytes = one(DONE, 0, &i32::to_ne_bytes(code));
            let heard = messages(&bytes).next().unwrap().unwrap();
            let Ok(Answer::Refused(refusal)) = answer(&heard) else {
                panic!("not an error: {code}")
            };
            assert_eq!(refusal.errno, errno, "{code}");
        }
    }

    #[test]
    fn hostile_acknowledgements_are_errors() {
        for body in [
            &b""[..],
            b"abc",
            b"\xff\xff\xff\xff",
            &[0xff; 8],
            &[0xff; 19],
        ] {
            let bytes = one(ERROR, flags::ACK_TLVS, body);
            let heard = messages(&bytes).next().unwrap().unwrap();
            assert!(answer(&heard).is_err(), "{body:?}");
        }
    }
}
