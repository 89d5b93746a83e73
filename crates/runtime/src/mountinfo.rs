//! The text of proc_pid_mountinfo(5).

/// A field as it is: blanks and backslashes are written as a backslash and three octal digits.
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\');
        let code = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_escape_stays() {
        for (field, path) in [
            (&b"/a\\040b\\134c\\x"[..], &b"/a b\\c\\x"[..]),
            (b"\\", b"\\"),
            (b"\\04", b"\\04"),
            (b"/\xff", b"/\xff"),
        ] {
            assert_eq!(unescape(field), path);
        }
    }
}
