//! Properties of the unit that a bundle names itself: annotations `org.systemd.property.NAME`.
//!
//! CRI-O and Podman set some so (`TimeoutStopUSec`, `CollectMode`, `After`). The values are GVariant's text format
//! (docs.gtk.org/glib/gvariant-text-format.html), of which this reads what properties of a scope are made of: truth
//! values, whole numbers with or without their type, strings, arrays of strings.

use zbus::Variant;

use crate::cgroups::CgroupError;

const PREFIX: &str = "org.systemd.property.";

/// The properties among `annotations`. `TimeoutStopSec` and its like, seconds as in unit files, become `…USec`.
pub(super) fn properties<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, Variant<'static>)>, CgroupError> {
    let mut all = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        let bad = |why| CgroupError::Annotation {
            key: key.to_owned(),
            value: text.to_owned(),
            why,
        };
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(bad("it does not end with a property's name"));
        }
        let value = parse(text.trim()).ok_or_else(|| {
            bad("true, false, 5, uint64 5, 'text' or ['text', 'text'] is expected")
        })?;
        let seconds = name.strip_suffix("Sec").filter(|rest| !rest.ends_with('U'));
        all.push(match seconds {
            None => (name.to_owned(), value),
            Some(rest) => {
                let seconds = match value {
                    Variant::I32(n) => u64::try_from(n).ok(),
                    Variant::I64(n) => u64::try_from(n).ok(),
                    Variant::U32(n) => Some(u64::from(n)),
                    Variant::U64(n) => Some(n),
                    _ => None,
                };
                let micros = seconds.and_then(|s| s.checked_mul(1_000_000));
                let micros = micros.ok_or_else(|| bad("a number of seconds is expected"))?;
                (format!("{rest}USec"), micros.into())
            }
        });
    }
    Ok(all)
}

fn parse(text: &str) -> Option<Variant<'static>> {
    match text {
        "true" => return Some(true.into()),
        "false" => return Some(false.into()),
        _ => {}
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return strings(inside).map(Variant::from);
    }
    if text.starts_with(['\'', '"']) {
        let (string, rest) = string(text)?;
        return rest.is_empty().then(|| string.into());
    }
    match text.split_once(' ') {
        // A number without a type is a signed one of 32 bits.
        None => text.parse::<i32>().ok().map(Variant::from),
        Some((kind, number)) => {
            let number = number.trim();
            match kind {
                "int32" => number.parse::<i32>().ok().map(Variant::from),
                "uint32" => number.parse::<u32>().ok().map(Variant::from),
                "int64" => number.parse::<i64>().ok().map(Variant::from),
                "uint64" => number.parse::<u64>().ok().map(Variant::from),
                _ => None,
            }
        }
    }
}

/// `'a', "b"`
fn strings(mut text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    loop {
        let (one, rest) = string(text.trim_start())?;
        all.push(one);
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Some(all);
        }
        text = rest.strip_prefix(',')?;
    }
}

/// The string that `text` begins with, in either quotes, and what follows.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut string = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => string.push(characters.next()?.1),
            c if c == quote => return Some((string, &text[at + 1..])),
            c => string.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let of = |name: &str, text: &str| {
            let key = format!("{PREFIX}{name}");
            properties([("other", "x"), (key.as_str(), text)])
        };
        let expected: [(&str, &str, &str, Variant<'_>); 8] = [
            (
                "TimeoutStopUSec",
                "uint64 5000",
                "TimeoutStopUSec",
                5000u64.into(),
            ),
            (
                "TimeoutStopSec",
                "uint64 5",
                "TimeoutStopUSec",
                5_000_000u64.into(),
            ),
            (
                "TimeoutStopSec",
                "5",
                "TimeoutStopUSec",
                5_000_000u64.into(),
            ),
            ("SendSIGHUP", "true", "SendSIGHUP", true.into()),
            (
                "CollectMode",
                "'inactive-or-failed'",
                "CollectMode",
                "inactive-or-failed".into(),
            ),
            ("KillSignal", "int32 -3", "KillSignal", (-3i32).into()),
            (
                "After",
                "['a.service', \"b's\"]",
                "After",
                vec!["a.service".to_owned(), "b's".to_owned()].into(),
            ),
            (
                "Description",
                r#""a \"b\"""#,
                "Description",
                r#"a "b""#.into(),
            ),
        ];
        for (name, text, property, value) in expected {
            let all = of(name, text).unwrap();
            assert_eq!(all, [(property.to_owned(), value)], "{name} {text}");
        }
        for (name, bad) in [
            ("Description", "bare"),
            ("Description", "'open"),
            ("After", "['a' 'b']"),
            ("After", "[]"),
            ("TimeoutStopSec", "'5'"),
            ("TimeoutStopSec", "-5"),
            ("TasksMax", "uint64 -1"),
            ("Tasks Max", "5"),
            ("", "5"),
        ] {
            let error = of(name, bad).unwrap_err();
            assert!(matches!(error, CgroupError::Annotation { .. }), "{bad}");
        }
    }
}
