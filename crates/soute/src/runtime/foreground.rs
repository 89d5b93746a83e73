//! A program whose caller waits for it.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::termios::Winsize;
use soute_runtime::containers::Made;
use soute_sys::{CallError, Called as _};

use crate::relay::{Signals, WINCH, write_all};
use crate::terminal::{RawMode, window_size};

/// As much as a terminal holds, and more (tty_buffer.c has 640 KiB for it).
const TERMINAL_HOLDS: u64 = 1 << 20;

/// Orphans of the container come to this process, which is there as long as the container is.
pub fn adopt_orphans() -> Result<(), CallError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .called(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())
}

/// Passes signals on, and the terminal's bytes if the program has one, until it ends; its exit status.
pub fn follow(made: Made, signals: &Signals) -> Result<ExitCode> {
    let raw = match &made.terminal {
        Some(_) => RawMode::enter(rustix::stdio::stdin())?,
        None => None,
    };
    let relay = Relay {
        program: made.pidfd.as_fd(),
        master: made.terminal.as_ref().map(|master| master.as_fd()),
    };
    relay.resize();
    let ended = relay.run(signals);
    drop(raw);
    ended?;
    Ok(ExitCode::from(wait(made.pidfd.as_fd())? as u8))
}

fn wait(pidfd: BorrowedFd<'_>) -> Result<i32, CallError> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or(255));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(e) => return Err(CallError::new("waitid(pidfd)", e)),
        }
    }
}

struct Relay<'a> {
    program: BorrowedFd<'a>,
    master: Option<BorrowedFd<'a>>,
}

impl Relay<'_> {
    /// Until the program has ended, and what it wrote last is passed on.
    fn run(&self, signals: &Signals) -> Result<(), CallError> {
        let stdin = rustix::stdio::stdin();
        let (mut typing, mut written) = (self.master.is_some(), self.master.is_some());
        loop {
            let mut fds = vec![
                PollFd::new(&self.program, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
            ];
            if let Some(master) = &self.master {
                let events = |wanted| {
                    if wanted {
                        PollFlags::IN
                    } else {
                        PollFlags::empty()
                    }
                };
                // One that has hung up is ready for ever.
                if written {
                    fds.push(PollFd::new(master, PollFlags::IN));
                }
                if typing {
                    fds.push(PollFd::from_borrowed_fd(stdin, events(true)));
                }
            }
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                polled => polled.called(|| "poll()".to_owned())?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let mut ready = ready.into_iter();
            let ended = ready.next().unwrap_or(false);
            if ready.next().unwrap_or(false) {
                self.pass_signals(signals)?;
            }
            if let Some(master) = self.master {
                if written && ready.next().unwrap_or(false) {
                    written = pass(master, rustix::stdio::stdout())?.is_some();
                }
                if typing && ready.next().unwrap_or(false) {
                    typing = pass(stdin, master)?.is_some();
                }
            }
            if ended {
                return self.drain();
            }
        }
    }

    /// What is still on its way, and no more: what others write is not waited for.
    fn drain(&self) -> Result<(), CallError> {
        let Some(master) = self.master else {
            return Ok(());
        };
        rustix::io::ioctl_fionbio(master, true).called(|| "ioctl(FIONBIO)".to_owned())?;
        let mut left = TERMINAL_HOLDS;
        while left > 0 {
            match pass(master, rustix::stdio::stdout())? {
                Some(length) if length > 0 => left = left.saturating_sub(length),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn pass_signals(&self, signals: &Signals) -> Result<(), CallError> {
        while let Some(signal) = signals.next()? {
            if signal == WINCH && self.master.is_some() {
                self.resize();
                continue;
            }
            match soute_sys::process::pidfd_send_signal(self.program, signal) {
                Err(e) if e.errno() != Errno::SRCH => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    fn resize(&self) {
        if let (Some(master), Some((rows, columns))) =
            (self.master, window_size(rustix::stdio::stdin()))
        {
            let size = Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // A terminal that has just gone has no size.
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }
}

/// Reads once and writes it on: how much. `None`: there will be no more.
fn pass(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<Option<u64>, CallError> {
    let mut buffer = [0; 16 * 1024];
    match rustix::io::read(from, &mut buffer) {
        Ok(0) => Ok(None),
        Ok(length) => match write_all(to, &buffer[..length])? {
            true => Ok(Some(length as u64)),
            false => Ok(None),
        },
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(0)),
        // A terminal that nobody has open any more.
        Err(Errno::IO) => Ok(None),
        Err(e) => Err(CallError::new("read()", e)),
    }
}
