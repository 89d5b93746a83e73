//! /proc/PID/status (proc_pid_status(5)).

use serde::Serialize;

use super::number;
use crate::{CapabilitySet, Error};

/// The real, effective, saved and file system id of a process, as numbered in the reader's user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdSet {
    /// Real.
    pub real: u32,
    /// Effective: the one that counts for permissions.
    pub effective: u32,
    /// Saved set-user-id.
    pub saved: u32,
    /// For file access.
    pub fs: u32,
}

/// `Seccomp:` (seccomp(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompMode {
    /// 0: no system call is looked at.
    Disabled,
    /// 1: read, write, exit.
    Strict,
    /// 2: programs decide.
    Filter,
}

/// The lines of /proc/PID/status that are used. What an older kernel does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// `Pid`, as numbered in the pid namespace of the procfs.
    pub pid: u32,
    /// `PPid`; 0: none that is visible here.
    pub parent: u32,
    /// `Tgid`
    pub process: u32,
    /// `State`: `R`, `S`, `D`, `Z`, …
    pub state: char,
    /// `Threads`; 0 of a zombie on some kernels.
    pub threads: u32,
    /// `Uid`
    pub uid: IdSet,
    /// `Gid`
    pub gid: IdSet,
    /// `NSpid`: its number in each pid namespace, from the procfs's down to its own.
    pub pids: Vec<u32>,
    /// `CapInh`
    pub inheritable: CapabilitySet,
    /// `CapPrm`
    pub permitted: CapabilitySet,
    /// `CapEff`
    pub effective: CapabilitySet,
    /// `CapBnd`
    pub bounding: CapabilitySet,
    /// `CapAmb`
    pub ambient: CapabilitySet,
    /// `NoNewPrivs`
    pub no_new_privileges: Option<bool>,
    /// `Seccomp`; `None`: a kernel without it.
    pub seccomp: Option<SeccompMode>,
    /// `Seccomp_filters`: how many programs (Linux 5.9).
    pub seccomp_filters: Option<u32>,
}

impl ProcessStatus {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what no kernel writes, a missing line that every supported kernel has among it.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Self::try_parse(text).ok_or_else(|| Error::malformed("/proc/PID/status", text))
    }

    fn try_parse(text: &[u8]) -> Option<Self> {
        // The name is the first line, and the kernel escapes newlines in it
        // (string_escape_str), so no process can add a line of its own.
        let lines: Vec<(&[u8], &[u8])> = text
            .split(|byte| *byte == b'\n')
            .filter_map(field)
            .collect();
        let get = |name: &[u8]| {
            lines
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| *value)
        };
        let optional = |name: &[u8]| match get(name) {
            None => Some(None),
            Some(value) => number::<u32>(value).map(Some),
        };
        let pid = number(get(b"Pid")?)?;
        let pids = match get(b"NSpid") {
            Some(value) => value
                .split(u8::is_ascii_whitespace)
                .map(number)
                .collect::<Option<_>>()?,
            None => vec![pid],
        };
        Some(Self {
            pid,
            parent: number(get(b"PPid")?)?,
            process: number(get(b"Tgid")?)?,
            state: char::from(*get(b"State")?.first()?),
            threads: number(get(b"Threads")?)?,
            uid: ids(get(b"Uid")?)?,
            gid: ids(get(b"Gid")?)?,
            pids,
            inheritable: capabilities(get(b"CapInh")?)?,
            permitted: capabilities(get(b"CapPrm")?)?,
            effective: capabilities(get(b"CapEff")?)?,
            bounding: capabilities(get(b"CapBnd")?)?,
            ambient: capabilities(get(b"CapAmb")?)?,
            no_new_privileges: optional(b"NoNewPrivs")?.map(|n| n != 0),
            seccomp: match optional(b"Seccomp")? {
                None => None,
                Some(0) => Some(SeccompMode::Disabled),
                Some(1) => Some(SeccompMode::Strict),
                Some(2) => Some(SeccompMode::Filter),
                Some(_) => return None,
            },
            seccomp_filters: optional(b"Seccomp_filters")?,
        })
    }

    /// Its number in its own pid namespace.
    pub fn innermost_pid(&self) -> u32 {
        self.pids.last().copied().unwrap_or(self.pid)
    }

    /// Whether it has ended and waits to be waited for.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn ids(value: &[u8]) -> Option<IdSet> {
    let mut ids = value.split(|byte| *byte == b'\t').map(number);
    Some(IdSet {
        real: ids.next()??,
        effective: ids.next()??,
        saved: ids.next()??,
        fs: ids.next()??,
    })
}

fn capabilities(value: &[u8]) -> Option<CapabilitySet> {
    let hexadecimal = std::str::from_utf8(value).ok()?;
    u64::from_str_radix(hexadecimal, 16).ok().map(CapabilitySet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(name: &str) -> String {
        format!(
            "Name:\t{name}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4613\nNgid:\t0\nPid:\t4613\nPPid:\t4590\n\
             TracerPid:\t0\nUid:\t231072\t231073\t231074\t231075\nGid:\t1\t2\t3\t4\nFDSize:\t64\nGroups:\t \n\
             NStgid:\t4613\t21\t1\nNSpid:\t4613\t21\t1\nThreads:\t3\nCapInh:\t0000000000000000\n\
             CapPrm:\t00000000a80425fb\nCapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\n\
             CapAmb:\t0000000000000001\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
        )
    }

    #[test]
    fn the_lines_are_those_of_the_manual() {
        let status = ProcessStatus::parse(text("python3").as_bytes()).unwrap();
        let ids = |real, effective, saved, fs| IdSet {
            real,
            effective,
            saved,
            fs,
        };
        let expected = ProcessStatus {
            pid: 4613,
            parent: 4590,
            process: 4613,
            state: 'S',
            threads: 3,
            uid: ids(231_072, 231_073, 231_074, 231_075),
            gid: ids(1, 2, 3, 4),
            pids: vec![4613, 21, 1],
            inheritable: CapabilitySet(0),
            permitted: CapabilitySet(0xa804_25fb),
            effective: CapabilitySet(0x400),
            bounding: CapabilitySet(0x1ff_ffff_ffff),
            ambient: CapabilitySet(1),
            no_new_privileges: Some(true),
            seccomp: Some(SeccompMode::Filter),
            seccomp_filters: Some(1),
        };
        assert_eq!(status, expected);
        assert_eq!(status.innermost_pid(), 1);
    }

    #[test]
    fn kernels_without_seccomp_or_nested_pids_are_read() {
        let old: String = text("x")
            .lines()
            .filter(|line| !line.starts_with("Seccomp") && !line.starts_with("NS"))
            .map(|line| format!("{line}\n"))
            .collect();
        let status = ProcessStatus::parse(old.as_bytes()).unwrap();
        assert_eq!(status.seccomp, None);
        assert_eq!(status.pids, [4613]);
    }

    #[test]
    fn what_no_kernel_writes_is_refused() {
        let good = text("x");
        for (from, to) in [
            ("Pid:\t4613", "Pid:\t-1"),
            ("Uid:\t231072\t", "Uid:\t"),
            ("Seccomp:\t2", "Seccomp:\t9"),
            ("CapEff:\t0000000000000400", "CapEff:\tall"),
            ("NSpid:\t4613\t21\t1", "NSpid:\t4613\tx"),
            ("PPid:\t4590\n", ""),
        ] {
            assert!(good.contains(from));
            let bad = good.replace(from, to);
            assert!(
                matches!(
                    ProcessStatus::parse(bad.as_bytes()),
                    Err(Error::Malformed { .. })
                ),
                "{to}"
            );
        }
    }

    proptest! {
        // As the kernel escapes it: no newline inside.
        #[test]
        fn a_name_changes_nothing(name in "[^\n]{0,30}") {
            let status = ProcessStatus::parse(text(&name).as_bytes()).unwrap();
            prop_assert_eq!(status, ProcessStatus::parse(text("python3").as_bytes()).unwrap());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = ProcessStatus::parse(&bytes);
        }
    }
}
