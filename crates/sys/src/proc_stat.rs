//! What /proc/PID/stat says of a process (proc_pid_stat(5)).

use rustix::fs::{Mode, OFlags};

use crate::{CallError, Called as _};

/// The line.
#[derive(Debug)]
pub struct ProcStat(String);

impl ProcStat {
    /// Of the process of this number, or of `self`.
    ///
    /// # Errors
    /// It cannot be read; `ENOENT`: there is none.
    pub fn of(process: &str) -> Result<Self, CallError> {
        let called = || format!("read(\"/proc/{process}/stat\")");
        let file = rustix::fs::open(
            format!("/proc/{process}/stat"),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        // Some 50 numbers and a name of 15 bytes: one read has them all.
        let mut text = [0; 2048];
        let length = rustix::io::read(file.called(called)?, &mut text).called(called)?;
        Ok(Self(String::from_utf8_lossy(&text[..length]).into_owned()))
    }

    /// The fields from the third on, numbered as in the manual; `None`: it has no such one.
    ///
    /// The name, field 2, is in parentheses and may itself contain any of them: the last one ends it.
    pub fn field(&self, number: usize) -> Option<&str> {
        let after_name = &self.0[self.0.rfind(')')? + 1..];
        after_name.split_whitespace().nth(number.checked_sub(3)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = "7 (a) S 1 (2) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4613 99 1";
        let stat = ProcStat(stat.to_owned());
        assert_eq!((stat.field(3), stat.field(22)), (Some("R"), Some("4613")));
        assert_eq!((stat.field(2), stat.field(52)), (None, None));
        assert_eq!(ProcStat("7 (x".to_owned()).field(3), None);
    }

    #[test]
    fn of_this_process() {
        let own = ProcStat::of("self").unwrap();
        assert_eq!(
            own.field(4).unwrap(),
            std::os::unix::process::parent_id().to_string()
        );
    }
}
