//! D-Bus messages (dbus.freedesktop.org/doc/dbus-specification.html, "Message Protocol"): their heads, around bodies
//! that `zbus` encodes.

use zbus::wire::serialized::{Context, Data};
use zbus::wire::{BE, Endian, LE};
use zbus::{Signature, Variant};

/// systemd's own answers are some hundred bytes; the specification's limit is 128 MiB.
const MAX: usize = 1 << 20;

/// The fixed part of a head, up to and with the length of the fields.
pub(super) const FIXED: usize = 16;

const METHOD_CALL: u8 = 1;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A method to be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    /// Of the body: the types of the arguments, one after the other.
    pub signature: &'a str,
}

impl Call<'_> {
    /// The whole message, in little-endian order, with a body in the same.
    pub(super) fn encode(&self, serial: u32, body: &[u8]) -> Vec<u8> {
        let mut fields = Vec::with_capacity(256);
        let mut field = |code: u8, kind: u8, text: &str| {
            // Each is a structure, and so begins at a multiple of 8; the first is at 16.
            fields.resize(fields.len().next_multiple_of(8), 0);
            // A variant: the length of its signature, that, 0.
            fields.extend([code, 1, kind, 0]);
            if kind == b'g' {
                fields.push(text.len() as u8);
            } else {
                fields.extend((text.len() as u32).to_le_bytes());
            }
            fields.extend(text.as_bytes());
            fields.push(0);
        };
        field(PATH, b'o', self.path);
        field(DESTINATION, b's', self.destination);
        field(INTERFACE, b's', self.interface);
        field(MEMBER, b's', self.member);
        if !self.signature.is_empty() {
            field(SIGNATURE, b'g', self.signature);
        }
        // Little-endian, a call, no flags, version 1.
        let mut message = vec![b'l', METHOD_CALL, 0, 1];
        for number in [body.len() as u32, serial, fields.len() as u32] {
            message.extend(number.to_le_bytes());
        }
        message.extend(fields);
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend(body);
        message
    }
}

/// A message that came.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Which call it answers.
    pub reply_to: Option<u32>,
    /// The error that it is, if it is one.
    pub error: Option<String>,
    /// The signal's name.
    pub member: Option<String>,
    /// Of the body, as its field has it.
    signature: String,
    body: Vec<u8>,
    big_endian: bool,
}

/// How many bytes follow the fixed part `head`. None: it is no message's.
pub(super) fn rest(head: &[u8; FIXED]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let number = match head[0] {
            b'l' => u32::from_le_bytes(bytes),
            b'B' => u32::from_be_bytes(bytes),
            _ => return None,
        };
        usize::try_from(number).ok().filter(|&n| n <= MAX)
    };
    let (body, fields) = (number(4)?, number(12)?);
    Some(fields.next_multiple_of(8) + body)
}

impl Received {
    /// Decodes a whole message. None: it is none.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let head: &[u8; FIXED] = message.first_chunk()?;
        if message.len() != FIXED + rest(head)? {
            return None;
        }
        let big_endian = head[0] == b'B';
        // The array of fields begins with its length, which belongs to the fixed part.
        let at = FIXED - 4;
        let data = Data::new(&message[at..], Context::new(endian(big_endian), at));
        let (fields, used) = data.deserialize::<Vec<(u8, Variant<'_>)>>().ok()?;
        let mut received = Self {
            big_endian,
            body: message
                .get((at + used).next_multiple_of(8)..)
                .unwrap_or_default()
                .to_owned(),
            ..Self::default()
        };
        for (code, value) in fields {
            let text = || value.downcast_ref::<&str>().ok().map(str::to_owned);
            match code {
                REPLY_SERIAL => received.reply_to = value.downcast_ref().ok(),
                ERROR_NAME => received.error = text(),
                MEMBER => received.member = text(),
                SIGNATURE => {
                    let signature = value.downcast_ref::<&Signature>().ok()?;
                    received.signature = signature.to_string_no_parens();
                }
                _ => {}
            }
        }
        Some(received)
    }

    /// The arguments. None: they are of other types.
    pub(super) fn body<T: serde::de::DeserializeOwned + zbus::Type>(&self) -> Option<T> {
        if T::SIGNATURE.to_string_no_parens() != self.signature {
            return None;
        }
        let data = Data::new(&self.body[..], Context::new(endian(self.big_endian), 0));
        data.deserialize::<T>().ok().map(|(value, _)| value)
    }
}

fn endian(big: bool) -> Endian {
    if big { BE } else { LE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::wire::to_bytes;

    #[test]
    fn a_call_reads_as_it_was_written() {
        let call = Call {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member: "StopUnit",
            signature: "ss",
        };
        let body = to_bytes(Context::new(LE, 0), &("a.scope", "replace")).unwrap();
        let message = call.encode(7, body.bytes());
        let head = message.first_chunk().unwrap();
        assert_eq!(rest(head), Some(message.len() - FIXED));
        let read = Received::decode(&message).unwrap();
        assert_eq!(read.member.as_deref(), Some("StopUnit"));
        let (unit, mode): (String, String) = read.body().unwrap();
        assert_eq!((unit.as_str(), mode.as_str()), ("a.scope", "replace"));
        assert_eq!(read.body::<(String, u64)>(), None);
        for cut in [0, 3, FIXED, message.len() - 1] {
            assert!(Received::decode(&message[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn lengths_that_lie() {
        let mut head = [0u8; FIXED];
        assert_eq!(rest(&head), None);
        head[0] = b'l';
        assert_eq!(rest(&head), Some(0));
        head[12] = 1;
        assert_eq!(rest(&head), Some(8));
        head[7] = 0xff;
        assert_eq!(rest(&head), None);
        head[0] = b'B';
        assert_eq!(rest(&head), None);
    }
}
