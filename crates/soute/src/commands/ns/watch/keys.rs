//! What a terminal sends for keys (ctlseqs, "PC-Style Function Keys").

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
    Interrupt,
    Redraw,
    Character(char),
}

/// The keys in `bytes`, as one read gave them. What is none that is known is left out.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        let key = match (first, after) {
            (0x1b, [b'[' | b'O', sequence @ ..]) => {
                let length = sequence
                    .iter()
                    .position(|byte| (0x40..=0x7e).contains(byte));
                let length = length.map_or(sequence.len(), |last| last + 1);
                let (sequence, after) = sequence.split_at(length);
                rest = after;
                named(sequence)
            }
            (0x1b, _) => Some(Key::Escape),
            (0x03, _) => Some(Key::Interrupt),
            (0x0c, _) => Some(Key::Redraw),
            (b'\r' | b'\n', _) => Some(Key::Enter),
            (byte, _) if (0x20..0x7f).contains(byte) => Some(Key::Character(char::from(*byte))),
            _ => None,
        };
        keys.extend(key);
    }
    keys
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

    #[test]
    fn keys_come_one_by_one_or_together() {
        use Key::*;
        assert_eq!(keys(b"q\x1b[A\x1bOB\r"), [Character('q'), Up, Down, Enter]);
        assert_eq!(
            keys(b"\x1b[5~\x1b[6~\x1b[H\x1b[4~"),
            [PageUp, PageDown, Home, End]
        );
        assert_eq!(keys(b"\x1b"), [Escape]);
        assert_eq!(keys(b"\x03\x0c"), [Interrupt, Redraw]);
        // A key with a modifier, an unfinished sequence, another encoding.
        assert_eq!(keys(b"\x1b[1;5A\x1b[\xc3\xa9"), []);
    }
}
