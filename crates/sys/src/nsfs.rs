//! Questions to a namespace's descriptor: ioctl_nsfs(2).
//!
//! A descriptor is one opened on `/proc/PID/ns/KIND` or on a bind mount of
//! such a file. The kernel answers only for namespaces in sight of the
//! caller's user and pid namespaces; the rest is `EPERM`.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::CallError;
use crate::mount::last_errno;

/// `NSFS_MAGIC` (linux/magic.h): the file system type, by fstatfs(2), of every namespace's file.
pub const MAGIC: i64 = 0x6e73_6673;

/// The user namespace that owns `namespace` (NS_GET_USERNS); for a user namespace, its parent.
///
/// # Errors
/// `EPERM`: the owner is not in the caller's user namespace or a descendant of it, or `namespace` is the machine's
/// initial user namespace.
pub fn owner(namespace: impl AsFd) -> Result<OwnedFd, CallError> {
    related(namespace, "NS_GET_USERNS", libc::NS_GET_USERNS)
}

/// The parent of a user or pid namespace (NS_GET_PARENT).
///
/// # Errors
/// `EINVAL`: another kind, which has no hierarchy. `EPERM`: the parent is out of the caller's sight, or `namespace` is
/// an initial one.
pub fn parent(namespace: impl AsFd) -> Result<OwnedFd, CallError> {
    related(namespace, "NS_GET_PARENT", libc::NS_GET_PARENT)
}

/// The kind of `namespace` (NS_GET_NSTYPE), as its `CLONE_NEW*` flag.
///
/// # Errors
/// `ENOTTY`: the descriptor is not a namespace's.
pub fn clone_flag(namespace: impl AsFd) -> Result<u64, CallError> {
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let flag = unsafe { libc::ioctl(fd, libc::NS_GET_NSTYPE) };
    if flag < 0 {
        return Err(failed(fd, "NS_GET_NSTYPE"));
    }
    Ok(flag as u64)
}

/// The user who made a user namespace (NS_GET_OWNER_UID), as numbered in the caller's user namespace
/// (the overflow uid, usually 65534, if it has no number there).
///
/// # Errors
/// `EINVAL`: not a user namespace.
pub fn owner_uid(namespace: impl AsFd) -> Result<u32, CallError> {
    let fd = namespace.as_fd().as_raw_fd();
    let mut uid: libc::uid_t = 0;
    // SAFETY: NS_GET_OWNER_UID stores one uid_t in `uid`, which outlives the call.
    if unsafe { libc::ioctl(fd, libc::NS_GET_OWNER_UID, &raw mut uid) } < 0 {
        return Err(failed(fd, "NS_GET_OWNER_UID"));
    }
    Ok(uid)
}

/// The 64-bit number of a mount namespace (NS_GET_MNTNS_ID, Linux 6.10), which is never used again in this boot and which
/// statmount(2) and listmount(2) take.
///
/// # Errors
/// `EINVAL`: not a mount namespace. `ENOTTY`: an older kernel.
pub fn mount_namespace_id(namespace: impl AsFd) -> Result<u64, CallError> {
    let fd = namespace.as_fd().as_raw_fd();
    let mut id: u64 = 0;
    // SAFETY: NS_GET_MNTNS_ID stores one __u64 in `id`, which outlives the call.
    if unsafe { libc::ioctl(fd, libc::NS_GET_MNTNS_ID, &raw mut id) } < 0 {
        return Err(failed(fd, "NS_GET_MNTNS_ID"));
    }
    Ok(id)
}

/// The network namespace of a socket (SIOCGSKNS, Linux 4.10).
///
/// # Errors
/// `EPERM`: the caller has no CAP_NET_ADMIN there. `ENOTTY`: it is no socket.
pub fn of_socket(socket: impl AsFd) -> Result<OwnedFd, CallError> {
    /// linux/sockios.h
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    related(socket, "SIOCGSKNS", SIOCGSKNS)
}

fn related(namespace: impl AsFd, name: &str, request: libc::Ioctl) -> Result<OwnedFd, CallError> {
    let fd = namespace.as_fd().as_raw_fd();
    // SAFETY: these requests take no argument.
    let related = unsafe { libc::ioctl(fd, request) };
    if related < 0 {
        return Err(failed(fd, name));
    }
    // SAFETY: a non-negative answer is a new descriptor (close-on-exec), owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(related) })
}

fn failed(fd: i32, request: &str) -> CallError {
    let errno = last_errno();
    CallError::new(format!("ioctl({fd}, {request})"), errno)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use rustix::io::Errno;

    use super::*;

    fn own(kind: &str) -> File {
        File::open(format!("/proc/self/ns/{kind}")).expect("own namespaces are readable")
    }

    #[test]
    fn kinds_are_those_of_clone() {
        for (kind, flag) in [
            ("mnt", libc::CLONE_NEWNS),
            ("uts", libc::CLONE_NEWUTS),
            ("user", libc::CLONE_NEWUSER),
            ("net", libc::CLONE_NEWNET),
        ] {
            assert_eq!(clone_flag(own(kind)).unwrap(), flag as u64, "{kind}");
        }
    }

    #[test]
    fn the_owner_of_an_own_namespace_is_the_own_user_namespace() {
        // True in the machine's namespaces and in a fresh container alike.
        let owner = File::from(owner(own("uts")).unwrap());
        assert_eq!(
            owner.metadata().unwrap().ino(),
            own("user").metadata().unwrap().ino()
        );
        assert_eq!(clone_flag(&owner).unwrap(), libc::CLONE_NEWUSER as u64);
    }

    #[test]
    fn errors_name_the_request_and_the_reason() {
        let error = parent(own("uts")).unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL);
        assert!(error.to_string().contains("NS_GET_PARENT"), "{error}");
        let error = clone_flag(File::open("/dev/null").unwrap()).unwrap_err();
        assert_eq!(error.errno(), Errno::NOTTY);
        assert_eq!(owner_uid(own("net")).unwrap_err().errno(), Errno::INVAL);
    }

    #[test]
    fn the_number_of_a_mount_namespace_is_stable() {
        match mount_namespace_id(own("mnt")) {
            Ok(id) => {
                assert_ne!(id, 0);
                assert_eq!(mount_namespace_id(own("mnt")).unwrap(), id);
                let other = mount_namespace_id(own("net")).unwrap_err().errno();
                assert_eq!(other, Errno::INVAL);
            }
            Err(error) => assert_eq!(error.errno(), Errno::NOTTY, "before Linux 6.10: {error}"),
        }
    }
}
