//! A process that `exec` started: our child, with our standard files or a terminal of its own.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::termios::Winsize;
use soute_sys::process::{Cloned, exit_now, fork};
use soute_sys::{CallError, Called as _};

use super::input::{Input, Read};
use super::output::write_all;
use super::signals::{Signals, WINCH};
use super::{Attachment, Ending};
use crate::terminal::window_size;

/// Waits for a process that has our standard files itself, and passes signals on.
pub fn wait(pidfd: &OwnedFd, signals: &Signals) -> Result<Ending> {
    loop {
        let mut fds = [
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            polled => polled.called(|| "poll()".to_owned())?,
        };
        while let Some(signal) = signals.next()? {
            match soute_sys::process::pidfd_send_signal(pidfd, signal) {
                Err(e) if e.errno() != Errno::SRCH => return Err(e.into()),
                _ => {}
            }
        }
        if !fds[0].revents().is_empty() {
            return Ok(Ending::Exited(exit_code(pidfd)?));
        }
    }
}

/// Passes bytes between our standard files and the process's terminal, of which `master` is our side.
pub fn relay(
    pidfd: &OwnedFd,
    master: &OwnedFd,
    attachment: &Attachment,
    signals: &Signals,
) -> Result<Ending> {
    // What the program does not read must not keep us from reading what it writes.
    rustix::io::ioctl_fionbio(master, true).called(|| "ioctl(FIONBIO)".to_owned())?;
    let mut input = Input::take(attachment)?;
    let mut pending: Vec<u8> = Vec::new();
    let mut open = true;
    resize(master);
    loop {
        let mut events = PollFlags::empty();
        if open {
            events |= PollFlags::IN;
        }
        if !pending.is_empty() {
            events |= PollFlags::OUT;
        }
        let mut fds = vec![
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        // A terminal that nobody has open any more would be ready for ever.
        let mut stdin_at = 2;
        if open {
            fds.push(PollFd::new(master, events));
            stdin_at = 3;
        }
        let stdin = input.descriptor().filter(|_| pending.is_empty());
        fds.extend(stdin.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            polled => polled.called(|| "poll()".to_owned())?,
        };
        let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (ended, signalled, typed) = (ready(0), ready(1), ready(stdin_at));
        let talked = open && ready(2);

        if talked {
            flush(master, &mut pending);
            match pass_output(master)? {
                Output::Passed | Output::Nothing => {}
                Output::Closed => open = false,
                Output::Unread => return Ok(Ending::Unread),
            }
        }
        if signalled {
            while let Some(signal) = signals.next()? {
                match signal {
                    WINCH => resize(master),
                    signal => return Ok(Ending::Signalled(signal)),
                }
            }
        }
        if typed {
            match input.read()? {
                Read::Bytes(bytes) => pending.extend(bytes),
                Read::Detach(bytes) => {
                    pending.extend(bytes);
                    flush(master, &mut pending);
                    return Ok(Ending::Detached);
                }
                // A terminal has no end of its own to pass on.
                Read::End => {}
            }
            flush(master, &mut pending);
        }
        if ended {
            // What it wrote last is still in the terminal; what its children write is not waited for.
            while open && matches!(pass_output(master)?, Output::Passed) {}
            return Ok(Ending::Exited(exit_code(pidfd)?));
        }
    }
}

enum Output {
    /// Some, and there may be more.
    Passed,
    /// None now.
    Nothing,
    /// None any more: no program has the terminal open.
    Closed,
    /// Nobody reads it.
    Unread,
}

fn pass_output(master: &OwnedFd) -> Result<Output, CallError> {
    let mut buffer = [0u8; 16 * 1024];
    match rustix::io::read(master, &mut buffer[..]) {
        Ok(length) if length > 0 => match write_all(rustix::stdio::stdout(), &buffer[..length])? {
            true => Ok(Output::Passed),
            false => Ok(Output::Unread),
        },
        Err(Errno::INTR) => Ok(Output::Passed),
        Err(Errno::AGAIN) => Ok(Output::Nothing),
        _ => Ok(Output::Closed),
    }
}

/// Writes what the terminal takes now.
fn flush(master: &OwnedFd, pending: &mut Vec<u8>) {
    while !pending.is_empty() {
        match rustix::io::write(master, pending) {
            Ok(written) => drop(pending.drain(..written)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return,
            // Nobody has the other side open.
            Err(_) => pending.clear(),
        }
    }
}

fn resize(master: &OwnedFd) {
    let size = window_size(rustix::stdio::stdin()).or_else(|| window_size(rustix::stdio::stdout()));
    if let Some((ws_row, ws_col)) = size {
        let size = Winsize {
            ws_row,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // A terminal without its new size still works.
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

fn exit_code(pidfd: &OwnedFd) -> Result<i32, CallError> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(CallError::new("waitid(P_PIDFD)", e)),
            Ok(status) => {
                let exit = status.as_ref().and_then(|status| status.exit_status());
                let signal = status
                    .as_ref()
                    .and_then(|status| status.terminating_signal());
                return Ok(exit.or(signal.map(|signal| 128 + signal)).unwrap_or(255));
            }
        }
    }
}

/// Leaves a process behind that keeps the terminal open: with its last holder the program in it would be hung up.
pub fn hold(master: OwnedFd) -> Result<(), CallError> {
    let Cloned::Child = fork()? else {
        return Ok(());
    };
    // In the child nothing is reported: there is nobody to tell.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    if let Ok(null) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
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
