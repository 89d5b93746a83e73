//! DNS (RFC 1035): who asks for what, and the first answers.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Bytes, CUT};

const HEADER: usize = 12;
/// Answers that are shown.
const MOST: u16 = 6;
/// A name has 255 bytes at most, and a pointer leads back: no more labels than that, whatever it says.
const LONGEST: usize = 255;

/// `4711+ A? example.org.`, `4711 1/0/0 A 192.0.2.1`.
pub(super) fn message(line: &mut String, bytes: Bytes<'_>) {
    let word = |at| bytes.u16(at);
    let (Some(id), Some(flags), Some([questions, answers, authorities, additions])) =
        (word(0), word(2), counts(bytes))
    else {
        _ = write!(line, "DNS {CUT}");
        return;
    };
    let is_answer = flags & 0x8000 != 0;
    let wants_recursion = flags & 0x0100 != 0;
    let operation = flags >> 11 & 0xf;
    _ = write!(line, "{id}");
    if !is_answer && wants_recursion {
        line.push('+');
    }
    if operation != 0 {
        _ = write!(line, " operation {operation}");
    }
    if is_answer {
        line.push_str(outcome(flags & 0xf));
        if flags & 0x0400 != 0 {
            line.push('*');
        }
        if flags & 0x0200 != 0 {
            line.push('|');
        }
        _ = write!(line, " {answers}/{authorities}/{additions}");
    }
    let mut at = HEADER;
    for number in 0..questions {
        let mut name = String::new();
        let Some(end) = self::name(&mut name, bytes, at) else {
            _ = write!(line, " {CUT}");
            return;
        };
        let Some(kind) = word(end) else {
            _ = write!(line, " {CUT}");
            return;
        };
        // An answer repeats the question: it is told with the question.
        if number < MOST && !is_answer {
            _ = write!(line, " {}? {name}", kind_name(kind));
        }
        at = end + 4;
    }
    for _ in 0..answers.min(MOST) {
        match record(line, bytes, at) {
            Some(next) => at = next,
            None => {
                _ = write!(line, " {CUT}");
                return;
            }
        }
    }
    if answers > MOST {
        line.push_str(" ...");
    }
}

fn counts(bytes: Bytes<'_>) -> Option<[u16; 4]> {
    Some([bytes.u16(4)?, bytes.u16(6)?, bytes.u16(8)?, bytes.u16(10)?])
}

/// A record of an answer; where the next begins.
fn record(line: &mut String, bytes: Bytes<'_>, at: usize) -> Option<usize> {
    let at = name(&mut String::new(), bytes, at)?;
    // Type, class, time to live, length.
    let (kind, length) = (bytes.u16(at)?, usize::from(bytes.u16(at + 8)?));
    let data = at + 10;
    _ = write!(line, " {}", kind_name(kind));
    match (kind, length) {
        (1, 4) => _ = write!(line, " {}", Ipv4Addr::from(bytes.array::<4>(data)?)),
        (28, 16) => _ = write!(line, " {}", Ipv6Addr::from(bytes.array::<16>(data)?)),
        // Those that are names: NS, CNAME, PTR.
        (2 | 5 | 12, _) => {
            line.push(' ');
            name(line, bytes, data)?;
        }
        _ => {}
    }
    Some(data + length)
}

/// Appends the name at `at`; what follows it begins where this says. A name may go on elsewhere, at a place before.
fn name(line: &mut String, bytes: Bytes<'_>, at: usize) -> Option<usize> {
    let (mut here, mut end, mut written) = (at, None, 0);
    loop {
        let length = usize::from(bytes.u8(here)?);
        match length {
            0 => {
                if written == 0 {
                    line.push('.');
                }
                return Some(end.unwrap_or(here + 1));
            }
            1..=0x3f => {
                let label = bytes.from(here + 1).0.get(..length)?;
                written += length + 1;
                if written > LONGEST {
                    return None;
                }
                for byte in label {
                    match byte {
                        b'.' | b'\\' => _ = write!(line, "\\{}", char::from(*byte)),
                        0x21..=0x7e => line.push(char::from(*byte)),
                        other => _ = write!(line, "\\{other:03}"),
                    }
                }
                line.push('.');
                here += length + 1;
            }
            0xc0.. => {
                let place = usize::from(bytes.u16(here)? & 0x3fff);
                end = end.or(Some(here + 2));
                // Always further back, so that there is an end.
                here = Some(place).filter(|place| *place < here)?;
            }
            _ => return None,
        }
    }
}

/// RFC 1035 and RFC 6895: how it went.
fn outcome(code: u16) -> &'static str {
    match code {
        0 => "",
        1 => " FormErr",
        2 => " ServFail",
        3 => " NXDomain",
        4 => " NotImp",
        5 => " Refused",
        _ => " error",
    }
}

/// IANA's registry of resource record types.
fn kind_name(kind: u16) -> String {
    let name = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}
