//! `--since` and `--until`.

use anyhow::{Context as _, Result};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A point in time, as Docker takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This.
    At(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

impl Moment {
    /// The point in time, seen from `now`.
    pub fn before(self, now: Timestamp) -> Result<Timestamp> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(length) => now.checked_sub(length).context("a time before all time"),
        }
    }
}

/// RFC 3339 (`2026-11-05T10:00:00Z`); the same without zone, or a date alone,
/// in the machine's zone; seconds since 1970, perhaps with a fraction; or a
/// length of time before now (`1h30m`, `10m`, `1.5s`).
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Some(time) = unix_time(text) {
        return Ok(Moment::At(time));
    }
    if let Some(length) = length(text) {
        return Ok(Moment::Ago(length));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Moment::At(time));
    }
    let here = TimeZone::system();
    let local = match text.parse::<Date>() {
        Ok(date) if !text.contains(['T', ' ']) => Ok(date.at(0, 0, 0, 0)),
        _ => text.parse::<DateTime>(),
    };
    local
        .and_then(|local| here.to_timestamp(local))
        .map(Moment::At)
        .map_err(|_| "a time (2026-11-05T10:00:00Z), a date, seconds since 1970, or how long ago (1h30m) is expected".to_owned())
}

fn unix_time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

/// Go's `time.ParseDuration`, without a sign: numbers, each with a unit.
fn length(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut length = SignedDuration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = SignedDuration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        length = length.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let at = |text: &str| Moment::At(text.parse().unwrap());
        for (text, expected) in [
            ("2026-11-05T10:00:00Z", at("2026-11-05T10:00:00Z")),
            ("2026-11-05T10:00:00.5+02:00", at("2026-11-05T08:00:00.5Z")),
            ("0", at("1970-01-01T00:00:00Z")),
            ("1136073600.25", at("2006-01-01T00:00:00.25Z")),
            ("42m", Moment::Ago(SignedDuration::from_mins(42))),
            ("1h30m", Moment::Ago(SignedDuration::from_mins(90))),
            ("1.5s", Moment::Ago(SignedDuration::from_millis(1500))),
            ("10ms", Moment::Ago(SignedDuration::from_millis(10))),
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        for text in ["2026-11-05", "2026-11-05T10:00:00", "2026-11-05T10:00"] {
            assert!(matches!(moment(text), Ok(Moment::At(_))), "{text}");
        }
        for text in ["", "yesterday", "10", "10x", "-5m", "m", "1e3", "."] {
            assert_eq!(moment(text).is_ok(), text == "10", "{text}");
        }
        let now: Timestamp = "2026-11-05T10:00:00Z".parse().unwrap();
        let before = Moment::Ago(SignedDuration::from_mins(10))
            .before(now)
            .unwrap();
        assert_eq!(before, "2026-11-05T09:50:00Z".parse().unwrap());
        assert!(Moment::Ago(SignedDuration::MAX).before(now).is_err());
    }
}
