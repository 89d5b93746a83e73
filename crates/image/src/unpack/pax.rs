//! Extended headers (POSIX pax, "pax Header Block"), read strictly.
//!
//! `tar-core` reads them too, but keeps only whole seconds, lets a later
//! record silently replace an earlier one, and stops without a word at a
//! record whose length is no number. Here each byte must belong to a record.

use std::collections::BTreeSet;

/// What an extended header says beyond what `tar-core` takes from it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax<'a> {
    /// `size`.
    pub(super) size: Option<u64>,
    /// `mtime`: seconds and nanoseconds.
    pub(super) mtime: Option<(i64, i64)>,
    /// `SCHILY.xattr.*`: name and value.
    pub(super) xattrs: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Pax<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, String> {
        let mut pax = Self::default();
        let mut seen = BTreeSet::new();
        for record in records(data) {
            let (key, value) = record?;
            // The one pair of keys that is repeated: GNU sparse format 0.0.
            let repeats = matches!(key, "GNU.sparse.offset" | "GNU.sparse.numbytes");
            if !seen.insert(key) && !repeats {
                return Err(format!("{key:?} is there twice"));
            }
            let text = || std::str::from_utf8(value).map_err(|_| format!("{key:?} is not UTF-8"));
            match key {
                "size" => pax.size = Some(number(text()?).ok_or("size is not a number")?),
                "uid" | "gid" => {
                    number(text()?).ok_or_else(|| format!("{key} is not a number"))?;
                }
                "mtime" => pax.mtime = Some(time(text()?).ok_or("mtime is not a time")?),
                // A reader that does not know a sparse format would take its map for content.
                "GNU.sparse.major" if text()? != "1" && text()? != "0" => {
                    return Err("the sparse format is unknown".to_owned());
                }
                "GNU.sparse.name" | "GNU.sparse.map" => {}
                _ => {
                    if key.starts_with("GNU.sparse.") {
                        number(text()?).ok_or_else(|| format!("{key:?} is not a number"))?;
                    } else if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        pax.xattrs.push((name, value));
                    }
                }
            }
        }
        Ok(pax)
    }
}

/// A global header changes every later entry. Git and others put a comment there; nothing else is taken.
pub(super) fn check_global(data: &[u8]) -> Result<(), String> {
    for record in records(data) {
        let (key, _) = record?;
        if !matches!(key, "comment" | "charset" | "hdrcharset") {
            return Err(format!("a global header sets {key:?}"));
        }
    }
    Ok(())
}

/// `LENGTH KEY=VALUE\n`, again and again, to the last byte.
fn records(mut data: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8]), String>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let record = next_record(&mut data);
        if record.is_err() {
            data = &[];
        }
        Some(record)
    })
}

fn next_record<'a>(data: &mut &'a [u8]) -> Result<(&'a str, &'a [u8]), String> {
    let bad = || "a record's length is wrong".to_owned();
    let space = data.iter().position(|&b| b == b' ').ok_or_else(bad)?;
    let length = std::str::from_utf8(&data[..space])
        .ok()
        .and_then(number)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > space + 1 && n <= data.len())
        .ok_or_else(bad)?;
    let (record, rest) = data.split_at(length);
    *data = rest;
    let body = record[space + 1..].strip_suffix(b"\n").ok_or_else(bad)?;
    let equals = body
        .iter()
        .position(|&b| b == b'=')
        .ok_or("a record has no =")?;
    let key = std::str::from_utf8(&body[..equals]).map_err(|_| "a key is not UTF-8")?;
    if key.is_empty() {
        return Err("a key is empty".to_owned());
    }
    Ok((key, &body[equals + 1..]))
}

/// Decimal digits and nothing else: `str::parse` would take a plus sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are cut off.
fn time(text: &str) -> Option<(i64, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(number(whole)?).ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut nanoseconds = 0;
    for digit in 0..9 {
        let value = fraction.as_bytes().get(digit).map_or(0, |b| b - b'0');
        nanoseconds = nanoseconds * 10 + i64::from(value);
    }
    // A negative fraction counts from the second before (utimensat wants nanoseconds ≥ 0).
    match (negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_any_byte() {
        let pax = Pax::parse(b"31 SCHILY.xattr.user.x=a\n=\0\xff b\n").unwrap();
        assert_eq!(pax.xattrs, [("user.x", &b"a\n=\0\xff b"[..])]);
    }

    #[test]
    fn times_have_nanoseconds_and_signs() {
        for (text, meant) in [
            ("12", Some((12, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.0000000019", Some((12, 1))),
            ("-1", Some((-1, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("", None),
            ("1.x", None),
            ("+1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text), meant, "{text}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for data in [
            &b"x"[..],
            b"5 a=b\n",
            b"99 a=b\n",
            b"6 a=b\n6 a=c\n",
            b"5 abc\n",
            b"+6 a=b\n",
            b"6 a=b\ngarbage",
            b"10 size=1x\n",
            b"0 a=b\n",
            b"5 =ab\n",
        ] {
            assert!(
                Pax::parse(data).is_err(),
                "{:?}",
                String::from_utf8_lossy(data)
            );
        }
        assert!(Pax::parse(b"6 a=b\n").is_ok());
    }

    #[test]
    fn a_global_header_may_only_comment() {
        assert!(check_global(b"14 comment=hi\n").is_ok());
        assert!(check_global(b"10 path=x\n").is_err());
    }
}
