//! Names as others wrote them, made fit for a terminal.
//!
//! Command lines, paths and host names are arbitrary bytes of possibly hostile
//! processes. A terminal obeys control characters, and a reader is misled by
//! characters that reorder or hide text.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serializer;

/// `bytes` on one line with everything visible: what steers a terminal, breaks the line, reorders or hides text is
/// written `\xNN` (bytes that are not UTF-8, controls) or `\u{N}`.
pub fn visible(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                c if (c as u32) < 0x20 || c == '\u{7f}' => drop(write!(out, "\\x{:02x}", c as u32)),
                c if misleads(c) => drop(write!(out, "\\u{{{:x}}}", c as u32)),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, marks of direction, line and paragraph separators, overrides and isolates.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags: invisible.
            | '\u{e0000}'..='\u{e007f}')
}

/// Bytes as a string for JSON, which escapes controls by itself: what is not UTF-8 becomes U+FFFD.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&lossy(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(visible(b"a\x1b[31m\nb\tc\x7f"), "a\\x1b[31m\\nb\\tc\\x7f");
        assert_eq!(visible(b"caf\xc3\xa9 \xff\xfe"), "caf\u{e9} \\xff\\xfe");
        assert_eq!(visible("gpj.\u{202e}exe".as_bytes()), "gpj.\\u{202e}exe");
        assert_eq!(visible(b"\xc2\x9b31m"), "\\u{9b}31m");
    }

    proptest! {
        #[test]
        fn nothing_invisible_is_left(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!visible(&bytes).chars().any(misleads));
        }

        #[test]
        fn plain_text_is_untouched(text in "[ -~\u{a1}-\u{ac}\u{4e00}-\u{4fff}]{0,80}") {
            prop_assert_eq!(visible(text.as_bytes()), text);
        }
    }
}
