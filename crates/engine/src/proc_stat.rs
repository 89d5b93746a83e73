//! What tells one process from another that has its number later.

/// When the process `pid` started, in clock ticks after boot (proc_pid_stat(5), field 22).
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name, field 2, is in parentheses and may itself contain any of them: the last one ends it.
fn parse(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = "7 (a) S 1 (2) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4613 99 1";
        assert_eq!(super::parse(stat), Some(4613));
        assert_eq!(super::parse("7 (x"), None);
    }
}
