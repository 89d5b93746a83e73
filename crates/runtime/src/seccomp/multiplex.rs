//! socketcall(2) and ipc(2): how 32-bit x86 made the calls of sockets and System V IPC before Linux 4.3.
//!
//! A rule for one of those calls would mean nothing if it could be made by its
//! number there. So the rule goes for that way, too. Its arguments are then
//! behind a pointer, where a filter cannot look: what a rule allows under
//! conditions is not allowed this way, and what it refuses under conditions is refused.

use super::compile::{Condition, Op};

/// The call that makes another, and the condition on its arguments.
pub(super) struct Way {
    pub through: &'static str,
    pub condition: [Condition; 1],
}

const fn socketcall(number: u64) -> Way {
    Way {
        through: "socketcall",
        condition: [Condition {
            arg: 0,
            op: Op::Eq(number),
        }],
    }
}

const fn ipc(number: u64) -> Way {
    Way {
        through: "ipc",
        condition: [Condition {
            arg: 0,
            // Above is a version, of no matter to which call it is (ipc/syscall.c).
            op: Op::MaskedEq {
                mask: 0xffff,
                value: number,
            },
        }],
    }
}

/// Numbers of linux/net.h and linux/ipc.h, in the order of the names.
static WAYS: [(&str, Way); 32] = [
    ("accept", socketcall(5)),
    ("accept4", socketcall(18)),
    ("bind", socketcall(2)),
    ("connect", socketcall(3)),
    ("getpeername", socketcall(7)),
    ("getsockname", socketcall(6)),
    ("getsockopt", socketcall(15)),
    ("listen", socketcall(4)),
    ("msgctl", ipc(14)),
    ("msgget", ipc(13)),
    ("msgrcv", ipc(12)),
    ("msgsnd", ipc(11)),
    ("recv", socketcall(10)),
    ("recvfrom", socketcall(12)),
    ("recvmmsg", socketcall(19)),
    ("recvmsg", socketcall(17)),
    ("semctl", ipc(3)),
    ("semget", ipc(2)),
    ("semop", ipc(1)),
    ("semtimedop", ipc(4)),
    ("send", socketcall(9)),
    ("sendmmsg", socketcall(20)),
    ("sendmsg", socketcall(16)),
    ("sendto", socketcall(11)),
    ("setsockopt", socketcall(14)),
    ("shmat", ipc(21)),
    ("shmctl", ipc(24)),
    ("shmdt", ipc(22)),
    ("shmget", ipc(23)),
    ("shutdown", socketcall(13)),
    ("socket", socketcall(1)),
    ("socketpair", socketcall(8)),
];

/// How else x86 makes this call.
pub(super) fn way(name: &str) -> Option<&'static Way> {
    let found = WAYS.binary_search_by(|(known, _)| (*known).cmp(name));
    found.ok().map(|place| &WAYS[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_found() {
        assert!(WAYS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(way("semctl").map(|way| way.through), Some("ipc"));
        assert!(way("semaphore").is_none());
    }
}
