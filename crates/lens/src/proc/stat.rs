//! /proc/PID/stat (proc_pid_stat(5)).

use super::number;
use crate::Error;

/// The fields of /proc/PID/stat that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStat {
    /// Field 1.
    pub pid: u32,
    /// Field 2: the name that the program's first thread gave itself; any bytes.
    pub comm: Vec<u8>,
    /// Field 3: `R`, `S`, `D`, `Z`, …
    pub state: char,
    /// Field 4; 0: the parent is in no namespace that is visible here, or there is none.
    pub parent: u32,
    /// Field 9, `PF_KTHREAD`: the kernel's own.
    pub kernel_thread: bool,
    /// Field 9, `PF_EXITING`, or a state from which there is no return: it is about to be gone, and has given up part of
    /// what it had.
    pub exiting: bool,
    /// Field 22: when it started, in clock ticks after boot; with the number it names a process for good.
    pub start_time: u64,
}

/// include/linux/sched.h
const PF_KTHREAD: u32 = 0x0020_0000;
const PF_EXITING: u32 = 0x0000_0004;

impl ProcessStat {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what no kernel writes.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Self::try_parse(text).ok_or_else(|| Error::malformed("/proc/PID/stat", text))
    }

    fn try_parse(text: &[u8]) -> Option<Self> {
        // The name may hold blanks, newlines and parentheses: it ends at the last one.
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let comm = text.get(open + 1..close)?;
        let pid = number(text[..open].strip_suffix(b" ")?)?;
        let rest: Vec<&[u8]> = text[close + 1..]
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty())
            .collect();
        // The first of `rest` is field 3.
        let field = |n: usize| rest.get(n - 3).copied();
        let [state] = *field(3)? else { return None };
        if !state.is_ascii_alphabetic() {
            return None;
        }
        let flags: u32 = number(field(9)?)?;
        Some(Self {
            pid,
            comm: comm.to_vec(),
            state: char::from(state),
            parent: number(field(4)?)?,
            kernel_thread: flags & PF_KTHREAD != 0,
            exiting: flags & PF_EXITING != 0 || matches!(state, b'Z' | b'X'),
            start_time: number(field(22)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(comm: &[u8]) -> Vec<u8> {
        let mut text = b"4613 (".to_vec();
        text.extend_from_slice(comm);
        text.extend_from_slice(
            b") S 4590 4613 4613 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 74512 9 10 11\n",
        );
        text
    }

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = ProcessStat::parse(&text(b"python3")).unwrap();
        let expected = ProcessStat {
            pid: 4613,
            comm: b"python3".to_vec(),
            state: 'S',
            parent: 4590,
            kernel_thread: false,
            exiting: false,
            start_time: 74512,
        };
        assert_eq!(stat, expected);
        let kernel = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n";
        let kernel = ProcessStat::parse(kernel).unwrap();
        assert!(kernel.kernel_thread);
        assert_eq!(kernel.parent, 0);
    }

    #[test]
    fn a_name_cannot_forge_the_fields_after_it() {
        for name in [
            &b") R 1 1 1"[..],
            b"a) Z 1 (b",
            b"((",
            b"))",
            b"",
            b"\n\xff\0",
            b"x\n1 (y) S 0",
        ] {
            let stat = ProcessStat::parse(&text(name)).unwrap();
            assert_eq!(stat.comm, name);
            assert_eq!((stat.pid, stat.state, stat.parent), (4613, 'S', 4590));
        }
    }

    #[test]
    fn what_no_kernel_writes_is_refused() {
        for text in [
            &b""[..],
            b"1",
            b"1 (x",
            b")1 (",
            b"1 (x) S",
            b"x (x) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        ] {
            assert!(
                matches!(ProcessStat::parse(text), Err(Error::Malformed { .. })),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            let stat = ProcessStat::parse(&text(&name)).unwrap();
            prop_assert_eq!(stat.comm, name);
            prop_assert_eq!(stat.parent, 4590);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ProcessStat::parse(&bytes);
        }
    }
}
