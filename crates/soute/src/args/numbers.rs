//! Sizes, rates and fractions, in the spellings that Docker takes.

/// The largest size taken: Docker keeps sizes in a signed 64-bit integer.
const LARGEST: f64 = i64::MAX as f64;

/// Bytes: a decimal number, perhaps with a fraction, a unit `b`, `k`, `m`, `g`,
/// `t` or `p` (powers of 1024, any case) and a `b` or `ib` after it.
pub fn bytes(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size '{text}': a number with b, k, m, g, t or p is expected");
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    // What is left is digits and dots alone, so that neither `inf`, `1e9` nor a sign gets through.
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(invalid());
    }
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let power = match unit.as_str() {
        "" | "b" => 0,
        unit => {
            let (letter, rest) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
            if !matches!(rest, "" | "b" | "ib") {
                return Err(invalid());
            }
            "kmgtp".find(letter).ok_or_else(invalid)? as i32 + 1
        }
    };
    let size = number * 1024f64.powi(power);
    if size >= LARGEST {
        return Err(format!("size '{text}' is too large"));
    }
    Ok(size as u64)
}

/// As [`bytes`], or -1 for "no limit".
pub fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    match text {
        "-1" => Ok(-1),
        text => Ok(bytes(text)? as i64),
    }
}

/// `--cpus`: CPUs as a decimal fraction, in billionths of a CPU.
pub fn cpus(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid number of CPUs '{text}': a number such as 1.5 is expected");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err(format!(
            "'{text}' is too precise: nine decimal places are taken"
        ));
    }
    format!("{whole}{fraction:0<9}")
        .parse()
        .map_err(|_| invalid())
}

/// A boolean as Docker's flags take it after `=`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// A list of CPUs or memory nodes: numbers and ranges with commas between, such as `0-2,4`.
pub fn set_list(text: &str) -> Result<String, String> {
    let number = |part: &str| -> Option<u32> {
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let sound = text.split(',').all(|part| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), Some(last)) => first <= last,
            _ => false,
        },
    });
    match sound {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a list such as 0-2,4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_dockers_units() {
        for (text, size) in [
            ("0", 0),
            ("42", 42),
            ("42b", 42),
            ("42B", 42),
            ("1k", 1 << 10),
            ("1kb", 1 << 10),
            ("1KiB", 1 << 10),
            ("32 MB", 32 << 20),
            ("1.5g", 3 << 29),
            ("64m", 64 << 20),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "+1",
            "1e9",
            "inf",
            "nan",
            "0x10",
            "12q",
            "1kib2",
            "1 k b",
            "1..5",
            ".5",
            "1 ",
            "9000p",
            "1é",
            "99999999999999999999",
        ] {
            // A trailing blank is "no unit" to Docker, and so it is here.
            assert_eq!(bytes(text).is_err(), text != "1 ", "{text}");
        }
        assert_eq!(bytes_or_unlimited("-1"), Ok(-1));
        assert_eq!(bytes_or_unlimited("1k"), Ok(1024));
        assert!(bytes_or_unlimited("-2").is_err());
    }

    #[test]
    fn cpus_are_exact_decimals() {
        for (text, nano) in [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("1.000000001", 1_000_000_001),
            ("2.0000000000", 2_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(cpus(text), Ok(nano), "{text}");
        }
        for text in [
            "",
            ".",
            "-1",
            "1.5.5",
            "1e3",
            "0.0000000001",
            "one",
            "99999999999999999999",
        ] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_cpus_are_checked() {
        for text in ["0", "0-3", "0,2", "0-1,3,5-7"] {
            assert_eq!(set_list(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            ",",
            "0,",
            "3-1",
            "a",
            "0--1",
            "-1",
            "+1",
            "0 1",
            "1-",
            "99999999999",
        ] {
            assert!(set_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_gos() {
        assert_eq!(boolean("t"), Ok(true));
        assert_eq!(boolean("False"), Ok(false));
        assert!(boolean("yes").is_err());
    }
}
