//! What the mount API of `rustix` lacks: mount_setattr(2).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use linux_raw_sys::general as raw;
use rustix::io::Errno;

use crate::CallError;

/// A change to a mount's attributes (mount_setattr(2)).
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttr<'fd> {
    /// `MOUNT_ATTR_*` flags to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` flags to clear.
    pub clear: u64,
    /// One of the `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` values, or 0 to leave the propagation as it is.
    pub propagation: u64,
    /// The user namespace whose mapping the mount applies; the mount must be detached or new.
    pub idmap: Option<BorrowedFd<'fd>>,
}

/// `MOUNT_ATTR_RDONLY`
pub const RDONLY: u64 = raw::MOUNT_ATTR_RDONLY as u64;
/// `MOUNT_ATTR_NOSUID`
pub const NOSUID: u64 = raw::MOUNT_ATTR_NOSUID as u64;
/// `MOUNT_ATTR_NODEV`
pub const NODEV: u64 = raw::MOUNT_ATTR_NODEV as u64;
/// `MOUNT_ATTR_NOEXEC`
pub const NOEXEC: u64 = raw::MOUNT_ATTR_NOEXEC as u64;
/// `MOUNT_ATTR__ATIME`: the field of the three access-time modes; cleared whenever one of them is set.
pub const ATIME_MASK: u64 = raw::MOUNT_ATTR__ATIME as u64;
/// `MOUNT_ATTR_NOATIME`
pub const NOATIME: u64 = raw::MOUNT_ATTR_NOATIME as u64;
/// `MOUNT_ATTR_STRICTATIME`
pub const STRICTATIME: u64 = raw::MOUNT_ATTR_STRICTATIME as u64;
/// `MOUNT_ATTR_NODIRATIME`
pub const NODIRATIME: u64 = raw::MOUNT_ATTR_NODIRATIME as u64;
/// `MOUNT_ATTR_NOSYMFOLLOW`
pub const NOSYMFOLLOW: u64 = raw::MOUNT_ATTR_NOSYMFOLLOW as u64;
/// MOUNT_ATTR_IDMAP: shows other owners than the file system has.
pub const IDMAP: u64 = raw::MOUNT_ATTR_IDMAP as u64;

/// `MS_SHARED`
pub const SHARED: u64 = libc::MS_SHARED;
/// `MS_SLAVE`
pub const SLAVE: u64 = libc::MS_SLAVE;
/// `MS_PRIVATE`
pub const PRIVATE: u64 = libc::MS_PRIVATE;
/// `MS_UNBINDABLE`
pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;

/// Changes the mount that `mount` refers to (any descriptor on it), and with `recursive` those below it.
pub fn mount_setattr(
    mount: impl AsFd,
    recursive: bool,
    attr: &MountAttr<'_>,
) -> Result<(), CallError> {
    let fd = mount.as_fd().as_raw_fd();
    let request = raw::mount_attr {
        attr_set: attr.set
            | if attr.idmap.is_some() {
                u64::from(raw::MOUNT_ATTR_IDMAP)
            } else {
                0
            },
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: attr.idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated constant and `request` is a live
    // structure whose true size is passed; the kernel only reads both.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            c"".as_ptr(),
            flags,
            &raw const request,
            size_of::<raw::mount_attr>(),
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new(
        format!(
            "mount_setattr({fd}, \"\", {flags:#x}, {{set={:#x}, clr={:#x}, propagation={:#x}, userns={:?}}})",
            attr.set,
            attr.clear,
            attr.propagation,
            attr.idmap.map(|fd| fd.as_raw_fd())
        ),
        last_errno(),
    ))
}

pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
