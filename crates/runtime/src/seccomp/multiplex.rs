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

/// Numbers of linux/net.h and linux/ipc.h.
static WAYS: [(&str, Way); 32] = [
    ("socket", socketcall(1)),
    ("bind", socketcall(2)),
    ("connect", socketcall(3)),
    ("listen", socketcall(4)),
    ("accept", socketcall(5)),
    ("getsockname", socketcall(6)),
    ("getpeername", socketcall(7)),
    ("socketpair", socketcall(8)),
    ("send", socketcall(9)),
    ("recv", socketcall(10)),
    ("sendto", socketcall(11)),
    ("recvfrom", socketcall(12)),
    ("shutdown", socketcall(13)),
    ("setsockopt", socketcall(14)),
    ("getsockopt", socketcall(15)),
    ("sendmsg", socketcall(16)),
    ("recvmsg", socketcall(17)),
    ("accept4", socketcall(18)),
    ("recvmmsg", socketcall(19)),
    ("sendmmsg", socketcall(20)),
    ("semop", ipc(1)),
    ("semget", ipc(2)),
    ("semctl", ipc(3)),
    ("semtimedop", ipc(4)),
    ("msgsnd", ipc(11)),
    ("msgrcv", ipc(12)),
    ("msgget", ipc(13)),
    ("msgctl", ipc(14)),
    ("shmat", ipc(21)),
    ("shmdt", ipc(22)),
    ("shmget", ipc(23)),
    ("shmctl", ipc(24)),
];

/// How else x86 makes this call.
pub(super) fn way(name: &str) -> Option<&'static Way> {
    WAYS.iter().find(|way| way.0 == name).map(|way| &way.1)
}
