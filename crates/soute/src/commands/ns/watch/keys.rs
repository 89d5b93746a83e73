//! What a terminal sends for keys (ctlseqs, "PC-Style Function Keys").

use std::time::Duration;

/// How long the rest of a key may be on its way, over a slow connection: that nothing follows is what tells Escape from the
/// beginning of another.
pub const REST: Duration = Duration::from_millis(50);

/// No key that is known is longer, bytes.
const LONGEST: usize = 16;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Redraw,
    Character(char),
}

/// Keys, as their bytes come.
#[derive(Debug, Default)]
pub struct Keys {
    /// The beginning of a key.
    begun: Vec<u8>,
}

impl Keys {
    /// The keys that are complete with `bytes`. What is none that is known is left out.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.begun.extend(bytes);
        let bytes = std::mem::take(&mut self.begun);
        let mut keys = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((key, length)) = first(rest) {
            keys.extend(key);
            rest = rest.get(length..).unwrap_or_default();
        }
        self.begun = rest.to_vec();
        keys
    }

    /// Whether a key has begun, the rest of which is to be waited for, [`REST`] at most.
    pub fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// What has begun is all of it.
    pub fn end(&mut self) -> Option<Key> {
        let begun = std::mem::take(&mut self.begun);
        (begun == [0x1b]).then_some(Key::Escape)
    }
}

/// The first key, if it is known, and how many bytes it has; `None`: it is not complete.
fn first(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let (first, after) = bytes.split_first()?;
    let key = match (first, after) {
        (0x1b, []) => return None,
        (0x1b, [b'[', sequence @ ..]) => {
            let last = |byte: &u8| (0x40..=0x7e).contains(byte);
            let length = match sequence.iter().position(last) {
                Some(at) => at + 1,
                None if sequence.len() < LONGEST => return None,
                None => sequence.len(),
            };
            return Some((sequence.get(..length).and_then(named), 2 + length));
        }
        (0x1b, [b'O', sequence @ ..]) => {
            return Some((named(sequence.get(..1)?), 3));
        }
        (0x1b, _) => Some(Key::Escape),
        (0x0c, _) => Some(Key::Redraw),
        (b'\r' | b'\n', _) => Some(Key::Enter),
        (byte, _) if (0x20..0x7f).contains(byte) => Some(Key::Character(char::from(*byte))),
        _ => None,
    };
    Some((key, 1))
}

/// What follows `ESC [` or `ESC O`.
fn named(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Keys::default().feed(bytes)
    }

    #[test]
    fn keys_come_one_by_one_or_together() {
        use Key::*;
        assert_eq!(keys(b"q\x1b[A\x1bOB\r"), [Character('q'), Up, Down, Enter]);
        assert_eq!(
            keys(b"\x1b[5~\x1b[6~\x1b[H\x1b[4~"),
            [PageUp, PageDown, Home, End]
        );
        assert_eq!(keys(b"\x1bq\x0c"), [Escape, Character('q'), Redraw]);
        // A key with a modifier, another encoding.
        assert_eq!(keys(b"\x1b[1;5A\xc3\xa9"), []);
    }

    #[test]
    fn a_key_may_come_in_pieces() {
        for sequence in [&b"\x1b[5~"[..], b"\x1bOH"] {
            let mut keys = Keys::default();
            let (last, begun) = sequence.split_last().unwrap();
            for byte in begun {
                assert_eq!(keys.feed(&[*byte]), []);
                assert!(keys.has_begun());
            }
            assert_eq!(keys.feed(&[*last]).len(), 1, "{sequence:?}");
            assert!(!keys.has_begun());
            assert_eq!(keys.end(), None);
        }
    }

    #[test]
    fn what_has_no_rest_is_escape_or_nothing() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b"), []);
        assert_eq!(keys.end(), Some(Key::Escape));
        assert_eq!(keys.feed(b"\x1b[1;"), []);
        assert_eq!(keys.end(), None);
        assert_eq!(keys.feed(b"q"), [Key::Character('q')]);
        // However long it goes on.
        assert_eq!(keys.feed(b"\x1b["), []);
        keys.feed(&[b'1'; 1000]);
        assert!(!keys.has_begun());
    }
}
