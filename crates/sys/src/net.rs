//! Network interfaces by ioctl: all that a namespace without a network needs.

use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

use crate::mount::last_errno;
use crate::{CallError, Called};

/// Brings `lo` of this network namespace up (netdevice(7), SIOCSIFFLAGS).
pub fn loopback_up() -> Result<(), CallError> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)
        .called(|| "socket(AF_INET, SOCK_DGRAM)".to_owned())?;
    // SAFETY: an all-zero ifreq is a valid value of that plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads a live ifreq.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 {
        return Ok(());
    }
    Err(CallError::new("ioctl(SIOCSIFFLAGS, lo up)", last_errno()))
}
