//! The caller's terminal: raw mode that is always undone, its size, and the keys that detach.

mod detach;
mod raw;

use std::os::fd::AsFd;

pub use detach::DetachKeys;
pub use raw::RawMode;

/// Rows and columns of the terminal at `fd`; `None`: no terminal, or one without a size.
pub fn window_size(fd: impl AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
