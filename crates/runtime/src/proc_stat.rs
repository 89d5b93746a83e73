//! What tells one process from another that has its number later.

use rustix::fs::{Mode, OFlags};

/// When the process `pid` started, in clock ticks after boot (proc_pid_stat(5), field 22).
pub fn start_time(pid: i32) -> Option<u64> {
    read(pid).map(|stat| stat.start_time)
}

/// Whether the process `pid` is the one that started at this time, and has not ended.
pub fn runs_since(pid: i32, start_time: u64) -> bool {
    read(pid).is_some_and(|stat| stat.start_time == start_time && !matches!(stat.state, 'Z' | 'X'))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start_time: u64,
}

fn read(pid: i32) -> Option<Stat> {
    let file = rustix::fs::open(
        format!("/proc/{pid}/stat"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    // Some 50 numbers and a name of 15 bytes: one read has them all.
    let mut text = [0; 2048];
    let length = rustix::io::read(file.ok()?, &mut text).ok()?;
    parse(&String::from_utf8_lossy(&text[..length]))
}

/// The name, field 2, is in parentheses and may itself contain any of them: the last one ends it.
fn parse(stat: &str) -> Option<Stat> {
    let mut after_name = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some(Stat {
        state: after_name.next()?.chars().next()?,
        start_time: after_name.nth(18)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = "7 (a) S 1 (2) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4613 99 1";
        let expected = Stat {
            state: 'R',
            start_time: 4613,
        };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("7 (x"), None);
    }
}
