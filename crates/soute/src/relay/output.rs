//! Writing to the caller's standard output and error.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use soute_sys::CallError;

/// Writes all of `bytes`; `false`: nobody reads any more.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<bool, CallError> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody else made the file non-blocking: it is shared with them.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            Err(Errno::PIPE) => return Ok(false),
            Err(e) => return Err(CallError::new("write(standard output)", e)),
        }
    }
    Ok(true)
}
