//! The kinds of namespaces, and what the kernel fixes about each.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use soute_sys::process::flags;

/// A kind of namespace (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// mount_namespaces(7)
    Mnt,
    /// uts_namespaces(7)
    Uts,
    /// ipc_namespaces(7)
    Ipc,
    /// pid_namespaces(7)
    Pid,
    /// network_namespaces(7)
    Net,
    /// user_namespaces(7)
    User,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7), Linux 5.6
    Time,
}

/// `CLONE_NEWTIME`: not among clone3's flags of [`flags`], since it is only unshare(2)'s.
const NEWTIME: u64 = 0x80;

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Mnt,
        Self::Uts,
        Self::Ipc,
        Self::Pid,
        Self::Net,
        Self::User,
        Self::Cgroup,
        Self::Time,
    ];

    /// The name below /proc/PID/ns, and before `:[INODE]` in the link there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The `CLONE_NEW*` flag, as clone(2) takes it and NS_GET_NSTYPE gives it.
    pub fn clone_flag(self) -> u64 {
        match self {
            Self::Mnt => flags::NEWNS,
            Self::Uts => flags::NEWUTS,
            Self::Ipc => flags::NEWIPC,
            Self::Pid => flags::NEWPID,
            Self::Net => flags::NEWNET,
            Self::User => flags::NEWUSER,
            Self::Cgroup => flags::NEWCGROUP,
            Self::Time => NEWTIME,
        }
    }

    /// The kind of a `CLONE_NEW*` flag; `None`: a kind that this program does not know.
    pub fn of_clone_flag(flag: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.clone_flag() == flag)
    }

    /// The inode of the machine's initial namespace of this kind (`enum init_ns_ino` of linux/nsfs.h). The kernel gives
    /// these numbers to nothing else: dynamic ones begin at 0xf0000000. Kernels before 6.18 number the initial mount and
    /// network namespaces dynamically.
    pub fn initial_inode(self) -> u64 {
        match self {
            Self::Ipc => 0xefff_ffff,
            Self::Uts => 0xefff_fffe,
            Self::User => 0xefff_fffd,
            Self::Pid => 0xefff_fffc,
            Self::Cgroup => 0xefff_fffb,
            Self::Time => 0xefff_fffa,
            Self::Net => 0xefff_fff9,
            Self::Mnt => 0xefff_fff8,
        }
    }

    /// Whether namespaces of this kind have parents (ioctl_nsfs(2), NS_GET_PARENT).
    pub fn is_hierarchical(self) -> bool {
        matches!(self, Self::User | Self::Pid)
    }

    /// Whether one thread of a process may be in another namespace than the rest: the others are the process's, since
    /// setns(2) and unshare(2) refuse them to a process of several threads, or (pid) act on children alone.
    pub fn is_per_thread(self) -> bool {
        matches!(
            self,
            Self::Mnt | Self::Uts | Self::Ipc | Self::Net | Self::Cgroup
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A word that names no kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no kind of namespace: mnt, uts, ipc, pid, net, user, cgroup, time")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        match Self::ALL.into_iter().find(|kind| kind.name() == word) {
            Some(kind) => Ok(kind),
            // What unshare(1), nsenter(1) and the OCI runtime specification call them.
            None => match word {
                "mount" => Ok(Self::Mnt),
                "network" => Ok(Self::Net),
                _ => Err(UnknownKind(word.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_lead_back_to_their_kind() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(Kind::of_clone_flag(kind.clone_flag()), Some(kind));
        }
        assert_eq!("mount".parse(), Ok(Kind::Mnt));
        assert_eq!("network".parse(), Ok(Kind::Net));
        let error = "Net".parse::<Kind>().unwrap_err();
        assert_eq!(error, UnknownKind("Net".into()));
        assert_eq!(Kind::of_clone_flag(flags::NEWNET | flags::NEWPID), None);
    }

    #[test]
    fn the_kernel_agrees_about_names_and_flags() {
        for kind in Kind::ALL {
            let file = std::fs::File::open(format!("/proc/self/ns/{kind}")).unwrap();
            assert_eq!(
                soute_sys::nsfs::clone_flag(&file).unwrap(),
                kind.clone_flag(),
                "{kind}"
            );
        }
    }
}
