//! Times and sizes as people read them, in Docker's words.

use jiff::{SignedDuration, Timestamp};

/// `3 minutes ago`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(then)))
}

/// `3 minutes`; what a clock that was set back makes negative is `Less than a second`.
pub fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let minutes = seconds / 60;
    // To the nearest hour, as the words below are for eyes that compare.
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if days < 14 => format!("{days} days"),
        () if days < 60 => format!("{} weeks", days / 7),
        () if days < 730 => format!("{} months", days / 30),
        () => format!("{} years", days / 365),
    }
}

/// Bytes in powers of 1000, three digits: `77.9MB`.
pub fn decimal_size(bytes: u64) -> String {
    // 999.5 would be printed as 1000 with three digits.
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    size(bytes, units, 1000.0, 999.5)
}

/// Bytes in powers of 1024, three digits, or four between 1000 and 1023: `77.9MiB`.
pub fn binary_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    size(bytes, units, 1024.0, 1023.5)
}

fn size(bytes: u64, units: [&'static str; 7], step: f64, most: f64) -> String {
    let mut size = bytes as f64;
    let mut units = units.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while size >= most {
        size /= step;
        unit = units.next().unwrap_or_default();
    }
    let digits = match size {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let mut number = format!("{size:.digits$}");
    if number.contains('.') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
    number + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_dockers() {
        const DAY: i64 = 86_400;
        for (seconds, words) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(
                duration(SignedDuration::from_secs(seconds)),
                words,
                "{seconds}"
            );
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, words) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1044, "1.04kB"),
            (77_900_000, "77.9MB"),
            (117_000_000, "117MB"),
            (999_600_000, "1GB"),
            (1_230_000_000, "1.23GB"),
            (10_000_000, "10MB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(decimal_size(bytes), words, "{bytes}");
        }
        for (bytes, words) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1 << 20, "1MiB"),
            (81_682_000, "77.9MiB"),
            ((1 << 30) - 1, "1GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(binary_size(bytes), words, "{bytes}");
        }
    }
}
