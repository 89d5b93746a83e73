//! The console socket: where the caller of the runtime takes a container's terminal.

use std::os::fd::AsFd;
use std::path::Path;

use soute_sys::CallError;

use crate::socket;

/// What goes with the descriptor: the name of what it is, in the container.
const NAME: &[u8] = b"/dev/pts/ptmx";

/// Sends the terminal's master: one message with one descriptor, as callers expect.
pub(super) fn send(path: &Path, master: impl AsFd) -> Result<(), CallError> {
    socket::send_descriptor(socket::connected(path)?, NAME, master)
}
