//! A terminal from the container's own devpts.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use soute_sys::{CallError, Called};

use super::failure::{Failure, Step};
use crate::mounts::mask::attach;
use crate::mounts::root::{Links, Missing, Root};

/// Opens a pair, makes the terminal this session's and its standard files, and binds it at /dev/console.
/// Returns the master, for the parent.
pub(crate) fn open(root: &Root, (rows, columns): (u16, u16)) -> Result<OwnedFd, Failure> {
    let step = "the terminal";
    let (master, terminal) = pair(root, rows, columns).step(step)?;
    own(&terminal).step(step)?;
    // By descriptor: between TIOCGPTPEER and the mount no path is asked for (CVE-2025-52565).
    let tree = rustix::mount::open_tree(
        &terminal,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .called(|| "open_tree(terminal, CLONE)".to_owned())
    .step(step)?;
    let console = root
        .open_or_make("/dev/console", Missing::File, Links::Refuse)
        .step(step)?;
    attach(&tree, &console, "/dev/console").step(step)?;
    Ok(master)
}

/// A pair from /dev/pts/ptmx of `root`.
pub(crate) fn pair(root: &Root, rows: u16, columns: u16) -> Result<(OwnedFd, OwnedFd), CallError> {
    let ptmx = root.open("/dev/pts/ptmx", Links::Refuse)?;
    // A hostile exec target could have put another device there, which is not even to be opened.
    is_multiplexer(&ptmx)?;
    let master = root.open_with(
        "/dev/pts/ptmx",
        OFlags::RDWR | OFlags::NOCTTY,
        Links::Refuse,
    )?;
    // Nor exchanged it meanwhile.
    is_multiplexer(&master)?;
    rustix::pty::unlockpt(&master).called(|| "unlockpt()".to_owned())?;
    let terminal = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )
    .called(|| "ioctl(TIOCGPTPEER)".to_owned())?;
    rustix::termios::tcsetwinsize(
        &terminal,
        Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .called(|| format!("ioctl(TIOCSWINSZ, {rows}, {columns})"))?;
    Ok((master, terminal))
}

/// Number 5:2 is the multiplexer's alone.
fn is_multiplexer(file: impl AsFd) -> Result<(), CallError> {
    let stat = rustix::fs::fstat(file).called(|| "fstat(/dev/pts/ptmx)".to_owned())?;
    match stat.st_rdev == rustix::fs::makedev(5, 2) {
        true => Ok(()),
        false => Err(CallError::new(
            "/dev/pts/ptmx of the container is no terminal multiplexer",
            Errno::NODEV,
        )),
    }
}

/// Makes `terminal` the controlling terminal of this session and its standard files.
pub(crate) fn own(terminal: impl AsFd) -> Result<(), CallError> {
    rustix::process::ioctl_tiocsctty(&terminal).called(|| "ioctl(TIOCSCTTY)".to_owned())?;
    rustix::stdio::dup2_stdin(&terminal).called(|| "dup2(terminal, 0)".to_owned())?;
    rustix::stdio::dup2_stdout(&terminal).called(|| "dup2(terminal, 1)".to_owned())?;
    rustix::stdio::dup2_stderr(&terminal).called(|| "dup2(terminal, 2)".to_owned())
}
