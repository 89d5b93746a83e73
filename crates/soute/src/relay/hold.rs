//! A terminal whose user has left.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use soute_sys::CallError;
use soute_sys::process::{Cloned, detach, exit_now, fork};

/// Leaves a process behind that keeps the terminal open: with its last holder the program in it would be hung up.
pub fn hold(master: OwnedFd) -> Result<(), CallError> {
    let Cloned::Child = fork()? else {
        return Ok(());
    };
    // In the child nothing is reported: there is nobody to tell.
    let _ = detach();
    let _ = rustix::io::ioctl_fionbio(&master, false);
    let mut buffer = [0u8; 4096];
    loop {
        match rustix::io::read(&master, &mut buffer[..]) {
            Ok(length) if length > 0 => {}
            Err(Errno::INTR) => {}
            _ => exit_now(0),
        }
    }
}
