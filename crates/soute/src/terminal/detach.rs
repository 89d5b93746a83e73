//! The keys that leave a container running and give the terminal back.

use std::str::FromStr;

/// A sequence of keys, and how far it has been typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    typed: usize,
}

impl Default for DetachKeys {
    /// ctrl-p, ctrl-q.
    fn default() -> Self {
        Self::new(vec![0x10, 0x11])
    }
}

/// Text that names no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey(String);

impl std::fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "'{}' is not a key: a letter, ctrl-a to ctrl-z, ctrl-@, ctrl-[, ctrl-\\, ctrl-], ctrl-^, ctrl-_ or DEL",
            self.0
        )
    }
}

impl std::error::Error for UnknownKey {}

impl FromStr for DetachKeys {
    type Err = UnknownKey;

    /// Keys with commas between, in Docker's spelling; nothing at all is the default.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Ok(Self::default()),
            text => Ok(Self::new(
                text.split(',').map(key).collect::<Result<_, _>>()?,
            )),
        }
    }
}

fn key(text: &str) -> Result<u8, UnknownKey> {
    if let [byte] = text.as_bytes() {
        return Ok(*byte);
    }
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("ctrl-").map(str::as_bytes) {
        // The control key clears the letter's upper bits (ascii(7)).
        Some([byte @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(byte & 0x1f),
        None if lower == "del" => Ok(0x7f),
        _ => Err(UnknownKey(text.to_owned())),
    }
}

impl DetachKeys {
    fn new(sequence: Vec<u8>) -> Self {
        Self { sequence, typed: 0 }
    }

    /// Takes what was typed; gives what to pass on, and whether the sequence is
    /// complete. Keys that may yet become the sequence are held back. After it
    /// is complete nothing more is read.
    pub fn feed(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(self.typed + input.len());
        for byte in input {
            let mut held = self.sequence[..self.typed].to_vec();
            held.push(*byte);
            // The longest end of what was typed that the sequence starts with.
            let keep = (0..=held.len())
                .map(|start| &held[start..])
                .find(|end| self.sequence.starts_with(end))
                .map_or(0, <[u8]>::len);
            passed.extend_from_slice(&held[..held.len() - keep]);
            self.typed = keep;
            if keep == self.sequence.len() {
                self.typed = 0;
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_dockers_names() {
        for (text, bytes) in [
            ("ctrl-p,ctrl-q", &[0x10, 0x11][..]),
            ("Ctrl-A,x,CTRL-@", &[1, b'x', 0]),
            ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[27, 28, 29, 30, 31]),
            ("DEL", &[127]),
            ("", &[0x10, 0x11]),
        ] {
            assert_eq!(
                text.parse::<DetachKeys>().unwrap().sequence,
                bytes,
                "{text}"
            );
        }
        for text in [
            "ctrl-", "ctrl-1", "ctrl-,", "foo", "a,", ",a", "ctrl-ab", "é",
        ] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn sequences_are_found_wherever_they_are_cut() {
        for (keys, inputs, passed, detached) in [
            ("ctrl-p,ctrl-q", &[&b"abc"[..]][..], &b"abc"[..], false),
            ("ctrl-p,ctrl-q", &[b"a\x10\x11"], b"a", true),
            ("ctrl-p,ctrl-q", &[b"a\x10", b"\x11b"], b"a", true),
            ("ctrl-p,ctrl-q", &[b"\x10", b"x"], b"\x10x", false),
            ("ctrl-p,ctrl-q", &[b"\x10\x10\x11"], b"\x10", true),
            ("ctrl-p,ctrl-q", &[b"\x10"], b"", false),
            ("a,a,b", &[b"aaab"], b"a", true),
            ("a,b,a,c", &[b"abab", b"ac"], b"ab", true),
            ("x", &[b"x"], b"", true),
        ] {
            let mut keys: DetachKeys = keys.parse().unwrap();
            let mut sent = Vec::new();
            let mut done = false;
            for input in inputs {
                let (bytes, detach) = keys.feed(input);
                sent.extend(bytes);
                done |= detach;
            }
            assert_eq!((&sent[..], done), (passed, detached), "{inputs:?}");
        }
    }

    proptest::proptest! {
        /// However input is cut into reads, the same bytes pass and the same end comes.
        #[test]
        fn cuts_make_no_difference(
            sequence in proptest::collection::vec(0u8..3, 1..4),
            input in proptest::collection::vec(0u8..3, 0..24),
            cut in 0usize..24,
        ) {
            let cut = cut.min(input.len());
            let whole = DetachKeys::new(sequence.clone()).feed(&input);
            let mut keys = DetachKeys::new(sequence.clone());
            let (mut passed, mut detached) = keys.feed(&input[..cut]);
            if !detached {
                let (more, end) = keys.feed(&input[cut..]);
                passed.extend(more);
                detached = end;
            }
            proptest::prop_assert_eq!(&(passed, detached), &whole);
            // The plain definition of what is looked for.
            let found = input.windows(sequence.len()).position(|part| part == sequence);
            proptest::prop_assert_eq!(whole.1, found.is_some());
            if let Some(at) = found {
                proptest::prop_assert_eq!(&whole.0[..], &input[..at]);
            }
        }
    }
}
