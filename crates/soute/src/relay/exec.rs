//! A process that `exec` started, with a terminal of its own, or with pipes in place of what of ours it may not have.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::Winsize;
use soute_runtime::process::Entered;
use soute_sys::{CallError, Called as _};

use super::input::{Input, Read};
use super::output::write_all;
use super::signals::{Signals, WINCH};
use super::{Attachment, Ending};
use crate::terminal::own_size;

/// As much as a terminal holds, and more (tty_buffer.c has 640 KiB for it).
const TERMINAL_HOLDS: u64 = 1 << 20;

/// Passes bytes and signals both ways until the process ends, or the caller's part in it does.
pub fn relay(process: &mut Entered, attachment: &Attachment, signals: &Signals) -> Result<Ending> {
    if let Some(master) = &process.terminal {
        // What the program does not read must not keep us from reading what it writes.
        rustix::io::ioctl_fionbio(master, true).called(|| "ioctl(FIONBIO)".to_owned())?;
    }
    let mut relay = Relay {
        hung_up: false,
        forward_signals: attachment.forward_signals,
        input: Input::take(attachment)?,
        pending: Vec::new(),
        process,
    };
    relay.resize();
    loop {
        if let Some(ending) = relay.round(signals)? {
            return Ok(ending);
        }
    }
}

struct Relay<'a> {
    process: &'a mut Entered,
    /// Nobody has the terminal open any more: it would be ready for ever.
    hung_up: bool,
    forward_signals: bool,
    input: Input,
    /// What the program has not taken yet.
    pending: Vec<u8>,
}

/// What a poll watches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    End,
    Signals,
    Sink,
    Output(Stream),
    Typed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Relay<'_> {
    fn terminal(&self) -> Option<BorrowedFd<'_>> {
        let open = self.process.terminal.as_ref().filter(|_| !self.hung_up);
        open.map(|master| master.as_fd())
    }

    /// Where input goes.
    fn sink(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.process.pipes[0].as_ref();
        self.terminal().or(pipe.map(|pipe| pipe.as_fd()))
    }

    fn output(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        let [_, stdout, stderr] = &self.process.pipes;
        match stream {
            Stream::Stdout => self.terminal().or(stdout.as_ref().map(|pipe| pipe.as_fd())),
            Stream::Stderr => stderr.as_ref().map(|pipe| pipe.as_fd()),
        }
    }

    fn round(&mut self, signals: &Signals) -> Result<Option<Ending>> {
        for source in self.wait(signals)? {
            let ending = match source {
                Source::End => {
                    // What it wrote last is still on the way; what its children write is not waited for.
                    for stream in [Stream::Stdout, Stream::Stderr] {
                        self.drain(stream)?;
                    }
                    Some(Ending::Exited(self.process.exit.code()))
                }
                Source::Signals => self.signalled(signals)?,
                Source::Sink => {
                    self.flush();
                    None
                }
                Source::Output(stream) => match self.pass(stream)? {
                    Passed::Unread if self.process.terminal.is_some() => Some(Ending::Unread),
                    _ => None,
                },
                Source::Typed => self.typed()?,
            };
            if ending.is_some() {
                return Ok(ending);
            }
        }
        Ok(None)
    }

    fn wait(&self, signals: &Signals) -> Result<Vec<Source>, CallError> {
        let mut sources = vec![Source::End, Source::Signals];
        let mut fds = vec![
            PollFd::new(&self.process.exit, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let mut add = |source, fd: Option<_>, events| {
            if let Some(fd) = fd {
                sources.push(source);
                fds.push(PollFd::from_borrowed_fd(fd, events));
            }
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            add(Source::Output(stream), self.output(stream), PollFlags::IN);
        }
        if !self.pending.is_empty() {
            add(Source::Sink, self.sink(), PollFlags::OUT);
        } else if self.sink().is_some() {
            add(Source::Typed, self.input.descriptor(), PollFlags::IN);
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(Vec::new()),
            polled => polled.called(|| "poll()".to_owned())?,
        };
        let ready = sources.into_iter().zip(&fds);
        let ready = ready.filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(source, _)| source).collect())
    }

    fn signalled(&mut self, signals: &Signals) -> Result<Option<Ending>, CallError> {
        while let Some(signal) = signals.next()? {
            if signal == WINCH && self.process.terminal.is_some() {
                self.resize();
            } else if !self.forward_signals {
                return Ok(Some(Ending::Signalled(signal)));
            } else {
                match soute_sys::process::pidfd_send_signal(&self.process.pidfd, signal) {
                    Err(e) if e.errno() != Errno::SRCH => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    fn typed(&mut self) -> Result<Option<Ending>, CallError> {
        let mut ending = None;
        match self.input.read()? {
            Read::Bytes(bytes) => self.pending.extend(bytes),
            Read::Detach(bytes) => {
                self.pending.extend(bytes);
                ending = Some(Ending::Detached);
            }
            // A terminal has no end of its own to pass on.
            Read::End => self.process.pipes[0] = None,
        }
        self.flush();
        Ok(ending)
    }

    /// Writes what the program takes now.
    fn flush(&mut self) {
        while !self.pending.is_empty() {
            let Some(sink) = self.sink() else {
                return self.pending.clear();
            };
            match rustix::io::write(sink, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads at the other side.
                Err(_) => {
                    self.pending.clear();
                    self.process.pipes[0] = None;
                }
            }
        }
    }

    /// Reads once and passes on. An end that is reached, or that nobody reads any more, is closed; the program is told by
    /// the next write.
    fn pass(&mut self, stream: Stream) -> Result<Passed, CallError> {
        let Some(fd) = self.output(stream) else {
            return Ok(Passed::Nothing);
        };
        let ours = match stream {
            Stream::Stdout => rustix::stdio::stdout(),
            Stream::Stderr => rustix::stdio::stderr(),
        };
        let mut buffer = [0u8; 16 * 1024];
        let passed = match rustix::io::read(fd, &mut buffer[..]) {
            Ok(length) if length > 0 => match write_all(ours, &buffer[..length])? {
                true => return Ok(Passed::Bytes(length as u64)),
                false => Passed::Unread,
            },
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Passed::Nothing),
            _ => Passed::Nothing,
        };
        match stream {
            Stream::Stdout if self.process.terminal.is_some() => self.hung_up = true,
            Stream::Stdout => self.process.pipes[1] = None,
            Stream::Stderr => self.process.pipes[2] = None,
        }
        Ok(passed)
    }

    /// Passes on what is there when the program has ended, and no more: others may go on writing without end.
    fn drain(&mut self, stream: Stream) -> Result<(), CallError> {
        let Some(fd) = self.output(stream) else {
            return Ok(());
        };
        let mut left = match self.process.terminal {
            Some(_) => TERMINAL_HOLDS,
            None => rustix::io::ioctl_fionread(fd).called(|| "ioctl(FIONREAD)".to_owned())?,
        };
        while left > 0
            && let Passed::Bytes(length) = self.pass(stream)?
        {
            left = left.saturating_sub(length);
        }
        Ok(())
    }

    fn resize(&self) {
        if let Some(master) = self.terminal()
            && let Some((ws_row, ws_col)) = own_size()
        {
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
}

enum Passed {
    /// So many bytes, and there may be more.
    Bytes(u64),
    /// None now, or none any more.
    Nothing,
    /// Nobody reads them.
    Unread,
}
