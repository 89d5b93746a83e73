//! Elements of sets and maps.

use std::fmt::Write as _;
use std::net::IpAddr;

use soute_sys::netlink::{Attribute, Malformed, Writer};

use super::expr::Verdict;
use super::types::Type;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;

/// The type that nft(8) gives to a comment in what it keeps with the kernel: of a table, a rule and an element alike
/// (`NFTNL_UDATA_*_COMMENT` of libnftnl, udata.h).
const COMMENT: u8 = 0;
/// Longest comment in bytes, of nft(8) as well.
const LONGEST_COMMENT: usize = 128;

/// What an element leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// In a map.
    Value(Vec<u8>),
    /// In a verdict map.
    Verdict(Verdict),
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Element {
    /// Its key; of an interval, the first.
    pub key: Vec<u8>,
    /// Of an interval of several fields, the last key.
    pub key_end: Option<Vec<u8>>,
    /// In a set of intervals of one field: this key is the first that is no longer in the interval before it.
    pub is_end: bool,
    /// What it leads to.
    pub data: Option<Data>,
    /// For readers: at most 128 bytes.
    pub comment: Option<String>,
}

impl Element {
    /// An element of a set.
    pub fn new(key: Key) -> Self {
        Self {
            key: key.finish(),
            ..Self::default()
        }
    }

    /// An element of a map.
    pub fn to(key: Key, value: Key) -> Self {
        Self {
            data: Some(Data::Value(value.finish())),
            ..Self::new(key)
        }
    }

    /// Says something for readers of it, cut at 128 bytes.
    pub fn set_comment(&mut self, comment: &str) {
        self.comment = Some(cut(comment).to_owned());
    }

    /// As an entry of `NFTA_SET_ELEM_LIST_ELEMENTS`.
    pub(super) fn put(&self, list: &mut Writer) {
        list.nest(NFTA_LIST_ELEM, |element| {
            if self.is_end {
                element.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
            }
            let mut value = |kind, bytes| {
                element.nest(kind, |data| {
                    data.bytes(NFTA_DATA_VALUE, bytes);
                });
            };
            value(NFTA_SET_ELEM_KEY, &self.key);
            if let Some(end) = &self.key_end {
                value(NFTA_SET_ELEM_KEY_END, end);
            }
            match &self.data {
                Some(Data::Value(bytes)) => value(NFTA_SET_ELEM_DATA, bytes),
                Some(Data::Verdict(verdict)) => {
                    element.nest(NFTA_SET_ELEM_DATA, |data| {
                        data.nest(NFTA_DATA_VERDICT, |data| verdict.put(data));
                    });
                }
                None => {}
            }
            if let Some(comment) = &self.comment {
                element.bytes(NFTA_SET_ELEM_USERDATA, &userdata(comment));
            }
        });
    }

    /// From an entry of a dump.
    pub(super) fn read(entry: &Attribute<'_>) -> Result<Self, Malformed> {
        let mut read = Self::default();
        for attribute in entry.nested() {
            let attribute = attribute?;
            match attribute.kind {
                NFTA_SET_ELEM_KEY => read.key = value(&attribute)?,
                NFTA_SET_ELEM_KEY_END => read.key_end = Some(value(&attribute)?),
                NFTA_SET_ELEM_DATA => {
                    read.data = Some(match attribute.nested().find(NFTA_DATA_VERDICT)? {
                        Some(verdict) => Data::Verdict(Verdict::read(&verdict)?),
                        None => Data::Value(value(&attribute)?),
                    });
                }
                NFTA_SET_ELEM_FLAGS => {
                    read.is_end = attribute.be32()? & NFT_SET_ELEM_INTERVAL_END != 0;
                }
                NFTA_SET_ELEM_USERDATA => read.comment = comment(&attribute),
                _ => {}
            }
        }
        Ok(read)
    }
}

fn value(attribute: &Attribute<'_>) -> Result<Vec<u8>, Malformed> {
    let value = attribute.nested().find(NFTA_DATA_VALUE)?;
    let value = value.ok_or(Malformed::new("an element's value"))?;
    Ok(value.value.to_vec())
}

/// What of a comment is kept.
fn cut(comment: &str) -> &str {
    let mut end = comment.len().min(LONGEST_COMMENT);
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    comment.get(..end).unwrap_or_default()
}

/// A comment as nft(8) keeps it: a type, a length, a text with its NUL. What is too long is cut.
pub(super) fn userdata(comment: &str) -> Vec<u8> {
    let text = cut(comment);
    let mut bytes = vec![COMMENT, text.len() as u8 + 1];
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment among what is kept with something.
pub(super) fn comment(kept: &Attribute<'_>) -> Option<String> {
    let mut left = kept.value;
    while let [kind, length, rest @ ..] = left {
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            let text = text.strip_suffix(&[0]).unwrap_or(text);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        left = rest;
    }
    None
}

/// A key or a value, put together field by field.
#[derive(Debug, Clone, Default)]
pub struct Key {
    bytes: Vec<u8>,
    fields: usize,
}

impl Key {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// [`Type::Ipv4Addr`] or [`Type::Ipv6Addr`]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.field(&address.octets()),
            IpAddr::V6(address) => self.field(&address.octets()),
        }
    }

    /// [`Type::InetProto`] or [`Type::NfProto`]
    pub fn protocol(self, number: u8) -> Self {
        self.field(&[number])
    }

    /// [`Type::InetService`]
    pub fn port(self, port: u16) -> Self {
        self.field(&port.to_be_bytes())
    }

    /// [`Type::Ifname`]: a longer name than the kernel has is cut.
    pub fn interface(self, name: &str) -> Self {
        let mut bytes: Vec<u8> = name.bytes().take(15).collect();
        bytes.resize(16, 0);
        self.field(&bytes)
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        // Each field but a lonely one fills whole registers.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(bytes);
        self.fields += 1;
        self
    }

    /// Its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        if self.fields > 1 {
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        self.bytes
    }
}

/// A key or a value as nft(8) shows it: `10.0.0.1 . tcp . 80`. Bytes that do not fit the fields are shown as numbers.
pub fn show(fields: &[Type], bytes: &[u8]) -> String {
    let mut left = bytes;
    let mut text = String::new();
    for field in fields {
        let (Some(value), rest) = (
            left.get(..field.length()),
            left.get(field.length().next_multiple_of(4)..),
        ) else {
            break;
        };
        if !text.is_empty() {
            text += " . ";
        }
        text += &show_one(*field, value);
        left = rest.unwrap_or_default();
    }
    for byte in left {
        let _ = write!(text, " {byte:02x}");
    }
    text
}

fn show_one(field: Type, value: &[u8]) -> String {
    match (field, value) {
        (Type::NfProto, [2]) => "ipv4".into(),
        (Type::NfProto, [10]) => "ipv6".into(),
        (Type::InetProto, [6]) => "tcp".into(),
        (Type::InetProto, [17]) => "udp".into(),
        (Type::InetProto, [132]) => "sctp".into(),
        (Type::InetService, [a, b]) => u16::from_be_bytes([*a, *b]).to_string(),
        (Type::Ipv4Addr, &[a, b, c, d]) => IpAddr::from([a, b, c, d]).to_string(),
        (Type::Ipv6Addr, value) => match <[u8; 16]>::try_from(value) {
            Ok(octets) => IpAddr::from(octets).to_string(),
            Err(_) => format!("{value:02x?}"),
        },
        (Type::Ifname, value) => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            format!("{:?}", String::from_utf8_lossy(name))
        }
        (_, value) => format!("{value:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use soute_sys::netlink::Attributes;

    use super::*;

    fn back(element: &Element) -> Element {
        let mut writer = Writer::default();
        element.put(&mut writer);
        let bytes = writer.finish().unwrap();
        let entry = Attributes::new(&bytes).next().unwrap().unwrap();
        Element::read(&entry).unwrap()
    }

    #[test]
    fn elements_read_back() {
        let key = || {
            Key::new()
                .address([10, 0, 0, 1].into())
                .protocol(6)
                .port(80)
        };
        let value = || Key::new().address([10, 0, 0, 2].into()).port(8080);
        let plain = Element::to(key(), value());
        let ended = Element {
            key_end: Some(key().finish()),
            is_end: true,
            comment: Some("hello".into()),
            data: Some(Data::Verdict(Verdict::Jump("publish".into()))),
            ..Element::new(key())
        };
        for element in [plain, ended, Element::new(Key::new().interface("br0"))] {
            assert_eq!(back(&element), element);
        }
    }

    #[test]
    fn keys_fill_registers_unless_they_are_one_field() {
        assert_eq!(Key::new().protocol(2).finish(), [2]);
        let key = Key::new().protocol(6).port(80).finish();
        assert_eq!(key, [6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(
            show(&[Type::InetProto, Type::InetService], &key),
            "tcp . 80"
        );
        assert_eq!(Key::new().interface("0123456789abcdef").finish()[15], 0);
    }

    #[test]
    fn comments_are_cut_between_characters() {
        let kept = userdata(&"é".repeat(100));
        let attribute = Attribute {
            kind: 0,
            value: &kept,
        };
        assert_eq!(comment(&attribute).unwrap(), "é".repeat(64));
        let other = Attribute {
            kind: 0,
            value: &[1, 2, 7, 7, 0, 3, b'h', b'i', 0],
        };
        assert_eq!(comment(&other).unwrap(), "hi");
        for value in [&[][..], &[0], &[0, 9, 1], &[3, 0]] {
            assert_eq!(comment(&Attribute { kind: 0, value }), None);
        }
    }

    #[test]
    fn what_does_not_fit_is_shown_in_numbers() {
        assert_eq!(show(&[Type::Ipv4Addr], &[1, 2]), " 01 02");
        assert_eq!(show(&[Type::InetProto], &[1, 9, 9, 9, 7]), "[01] 07");
    }
}
