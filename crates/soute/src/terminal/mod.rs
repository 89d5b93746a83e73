//! The caller's terminal: raw mode that is always undone, its size, and the keys that detach.

mod detach;
mod raw;

use std::os::fd::AsFd;

pub use detach::DetachKeys;
pub use raw::RawMode;

/// [`window_size`] of the terminal that this command is used from.
pub fn own_size() -> Option<(u16, u16)> {
    window_size(rustix::stdio::stdin()).or_else(|| window_size(rustix::stdio::stdout()))
}

/// Rows and columns of the terminal at `fd`; `None`: no terminal, or one without a size.
pub fn window_size(fd: impl AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
