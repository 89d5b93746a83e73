//! Signal names and numbers, as `kill --signal` and `--stop-signal` take them.

/// signal(7), x86 and ARM; a name that has two spellings stands twice.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first real-time signal that programs may use: glibc keeps 32 and 33.
const RTMIN: i32 = 34;
/// The last real-time signal.
const RTMAX: i32 = 64;

/// A signal by number (1 to 64) or name, with or without `SIG`, in any case;
/// real-time signals as `RTMIN+n` and `RTMAX-n`.
pub fn signal(text: &str) -> Result<i32, String> {
    let unknown = || format!("unknown signal '{text}'");
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i32 = text.parse().map_err(|_| unknown())?;
        return (1..=RTMAX)
            .contains(&number)
            .then_some(number)
            .ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let offset = |rest: &str, sign: char| -> Option<i32> {
        if rest.is_empty() {
            return Some(0);
        }
        let digits = rest.strip_prefix(sign)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => offset(rest, '+').and_then(|n| RTMIN.checked_add(n)),
        (_, Some(rest)) => offset(rest, '-').map(|n| RTMAX - n),
        _ => None,
    };
    number
        .filter(|n| (RTMIN..=RTMAX).contains(n))
        .ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_real_time_signals() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGWINCH", 28),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("RTMAX", 64),
        ] {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for text in [
            "",
            "0",
            "65",
            "-9",
            "SIG",
            "FOO",
            "RTMIN-1",
            "RTMIN+31",
            "RTMAX+1",
            "RTMAX-31",
            "RTMIN+",
            "99999999999",
            "+9",
        ] {
            assert!(signal(text).is_err(), "{text}");
        }
    }
}
