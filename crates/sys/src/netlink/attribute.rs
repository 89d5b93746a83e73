//! Attributes (`struct nlattr` of linux/netlink.h): a length, a type, a value, padded to 4 bytes.

use rustix::io::Errno;

use crate::CallError;

/// Bits of a type that are not its number: `NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`.
const NESTED: u16 = 0x8000;
const NUMBER: u16 = 0x3fff;
const HEADER: usize = 4;

/// What the kernel sent is not as its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not as long as it should be")]
pub struct Malformed {
    what: &'static str,
}

impl Malformed {
    /// What it is that cannot be read.
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }

    /// As an error of `call`.
    pub fn of(self, call: &str) -> CallError {
        CallError::new(format!("{call}: {self}"), Errno::BADMSG)
    }
}

/// Puts a message's body together.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Writer {
    /// Behind a protocol's own header, of a multiple of 4 bytes.
    pub fn new(header: &[u8]) -> Self {
        Self {
            bytes: header.to_vec(),
            too_long: false,
        }
    }

    /// An attribute with this value.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.put(kind, |bytes| bytes.extend(value))
    }

    /// One byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// 16 bits in the machine's order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// 32 bits in the machine's order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// 32 bits in the network's order.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// 64 bits in the network's order.
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text, ended by a NUL.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.put(kind, |bytes| {
            bytes.extend(value.as_bytes());
            bytes.push(0);
        })
    }

    /// Attributes within an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.too_long |= inner.too_long;
        self.nested(kind, &inner.bytes)
    }

    /// Attributes within an attribute, as they were read ([`Attribute::value`]).
    pub fn nested(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NESTED, value)
    }

    /// A value that begins with a header of its protocol's (a multiple of 4 bytes), and attributes behind that, in an
    /// attribute that is not marked as nested.
    pub fn headed(&mut self, kind: u16, header: &[u8], fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::new(header);
        fill(&mut inner);
        self.too_long |= inner.too_long;
        self.bytes(kind, &inner.bytes)
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was put yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body.
    ///
    /// # Errors
    /// EMSGSIZE: an attribute's length had no room in its 16 bits.
    pub fn finish(self) -> rustix::io::Result<Vec<u8>> {
        if self.too_long {
            return Err(Errno::MSGSIZE);
        }
        Ok(self.bytes)
    }

    fn put(&mut self, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(&mut self.bytes);
        match u16::try_from(self.bytes.len() - at) {
            Ok(length) => self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// The attributes that a body or a value holds, in their order. After the first that is malformed nothing follows.
#[derive(Debug, Clone)]
pub struct Attributes<'b>(&'b [u8]);

impl<'b> Attributes<'b> {
    /// Of these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// The first of this type.
    ///
    /// # Errors
    /// One before it is malformed.
    pub fn find(mut self, kind: u16) -> Result<Option<Attribute<'b>>, Malformed> {
        self.find_map(|attribute| match attribute {
            Ok(attribute) if attribute.kind != kind => None,
            other => Some(other),
        })
        .transpose()
    }
}

impl<'b> Iterator for Attributes<'b> {
    type Item = Result<Attribute<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Less than a header is padding.
        let &[a, b, c, d, ..] = self.0 else {
            return None;
        };
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = self.0.get(HEADER..length) else {
            self.0 = &[];
            return Some(Err(Malformed::new("an attribute")));
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Attribute {
            kind: u16::from_ne_bytes([c, d]) & NUMBER,
            value,
        }))
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'b> {
    /// Its type.
    pub kind: u16,
    /// Its value.
    pub value: &'b [u8],
}

impl<'b> Attribute<'b> {
    /// One byte.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.exactly().map(u8::from_ne_bytes)
    }

    /// 16 bits in the machine's order.
    pub fn u16(&self) -> Result<u16, Malformed> {
        self.exactly().map(u16::from_ne_bytes)
    }

    /// 32 bits in the machine's order.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.exactly().map(u32::from_ne_bytes)
    }

    /// 32 bits in the network's order.
    pub fn be32(&self) -> Result<u32, Malformed> {
        self.exactly().map(u32::from_be_bytes)
    }

    /// 64 bits in the network's order.
    pub fn be64(&self) -> Result<u64, Malformed> {
        self.exactly().map(u64::from_be_bytes)
    }

    /// A text, without the NUL that may end it. What is not UTF-8 of it is replaced: such names can be made, and are to
    /// be shown.
    pub fn text(&self) -> Result<String, Malformed> {
        let text = self.value.split(|byte| *byte == 0).next();
        Ok(String::from_utf8_lossy(text.unwrap_or_default()).into_owned())
    }

    /// The attributes within.
    pub fn nested(&self) -> Attributes<'b> {
        Attributes(self.value)
    }

    /// A value of this length.
    pub fn exactly<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.value
            .try_into()
            .map_err(|_| Malformed::new("an attribute's value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_put() {
        let mut writer = Writer::new(&[9, 9, 9, 9]);
        writer.text(3, "lo").u16(4, 7).nest(5, |w| {
            w.be32(1, 0x0102_0304).u8(2, 1);
        });
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let attributes = Attributes::new(&bytes[4..]);
        let find = |kind| attributes.clone().find(kind).unwrap().unwrap();
        assert_eq!(find(3).text().unwrap(), "lo");
        assert_eq!(find(4).u16().unwrap(), 7);
        assert!(find(4).u32().is_err());
        let inner = find(5).nested();
        let inner: Vec<_> = inner.map(Result::unwrap).collect();
        assert_eq!((inner[0].value, inner.len()), (&[1, 2, 3, 4][..], 2));
        assert!(attributes.find(6).unwrap().is_none());
    }

    #[test]
    fn what_is_too_long_is_told_at_the_end() {
        let mut writer = Writer::default();
        writer.nest(1, |w| {
            w.bytes(1, &[0; 0xfff8]);
        });
        assert!(writer.clone().finish().is_err());
        let mut writer = Writer::default();
        assert!(writer.bytes(1, &[0; 0xfffb]).clone().finish().is_ok());
        assert!(writer.bytes(1, &[0; 0xfffc]).clone().finish().is_err());
    }

    #[test]
    fn broken_attributes_are_errors() {
        for bytes in [
            [3, 0, 1, 0].as_slice(),
            &[0; 4],
            &[9, 0, 1, 0, 0, 0, 0, 0],
            &[0xff; 5],
        ] {
            let read: Vec<_> = Attributes::new(bytes).collect();
            assert!(matches!(read[..], [Err(_)]), "{bytes:?}");
        }
    }
}
