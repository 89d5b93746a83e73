//! A conversation with a container's monitor.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use soute_engine::{Connection, Frame, Received};
use soute_sys::{CallError, Called as _};

use super::input::{Input, Read};
use super::output::write_all;
use super::signals::{Signals, WINCH};
use super::{Attachment, Ending};
use crate::terminal::own_size;

/// Passes bytes and signals both ways until the container, or the caller's part in it, ends.
///
/// `attachment` was announced to the monitor already ([`Frame::Attach`]).
pub fn follow(
    connection: &Connection,
    attachment: &Attachment,
    signals: &Signals,
) -> Result<Ending> {
    // A monitor that takes no input now must not keep us from reading its output: with both waiting for the other,
    // neither would go on.
    rustix::io::ioctl_fionbio(connection, true).called(|| "ioctl(FIONBIO)".to_owned())?;
    let mut conversation = Conversation {
        connection,
        attachment,
        signals,
        input: Input::take(attachment)?,
        input_wanted: true,
        queue: VecDeque::new(),
    };
    if attachment.terminal {
        // It may have changed since the container was told.
        conversation.say_size();
    }
    loop {
        if let Some(ending) = conversation.round()? {
            return Ok(ending);
        }
    }
}

struct Conversation<'a> {
    connection: &'a Connection,
    attachment: &'a Attachment,
    signals: &'a Signals,
    input: Input,
    /// The monitor has room for it.
    input_wanted: bool,
    /// What the monitor has no room for yet.
    queue: VecDeque<Frame>,
}

impl Conversation<'_> {
    fn round(&mut self) -> Result<Option<Ending>> {
        self.flush()?;
        let mut events = PollFlags::IN;
        if !self.queue.is_empty() {
            events |= PollFlags::OUT;
        }
        // Input is read when there is room for it: what is typed ahead stays where it is.
        let wanted = self.input_wanted && self.queue.is_empty();
        let stdin = self.input.descriptor().filter(|_| wanted);
        let mut fds = vec![
            PollFd::new(self.connection, events),
            PollFd::new(self.signals, PollFlags::IN),
        ];
        fds.extend(stdin.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(None),
            polled => polled.called(|| "poll()".to_owned())?,
        };
        let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (talked, signalled, typed) = (ready(0), ready(1), ready(2));
        if talked && let Some(ending) = self.listen()? {
            return Ok(Some(ending));
        }
        if signalled && let Some(ending) = self.signalled()? {
            return Ok(Some(ending));
        }
        if typed {
            return self.typed();
        }
        Ok(None)
    }

    /// One frame, if there is one.
    fn listen(&mut self) -> Result<Option<Ending>> {
        let streams = self.attachment;
        let read = match self.connection.receive()? {
            Received::Frame(Frame::Output(bytes)) => {
                pass(streams.stdout, rustix::stdio::stdout(), &bytes)?
            }
            Received::Frame(Frame::Error(bytes)) => {
                pass(streams.stderr, rustix::stdio::stderr(), &bytes)?
            }
            Received::Frame(Frame::InputTaken) => {
                self.input_wanted = true;
                true
            }
            Received::Frame(Frame::Exited(code)) => return Ok(Some(Ending::Exited(code))),
            Received::End => return Ok(Some(Ending::MonitorLost)),
            // Not for a client, or nothing.
            Received::Frame(_) | Received::Nothing => true,
        };
        Ok((!read).then_some(Ending::Unread))
    }

    fn signalled(&mut self) -> Result<Option<Ending>> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                WINCH if self.attachment.terminal => self.say_size(),
                signal if self.attachment.forward_signals => {
                    self.queue.push_back(Frame::Signal(signal))
                }
                WINCH => {}
                signal => return Ok(Some(Ending::Signalled(signal))),
            }
        }
        Ok(None)
    }

    fn typed(&mut self) -> Result<Option<Ending>> {
        let (frame, ending) = match self.input.read()? {
            Read::Bytes(bytes) => (Frame::Input(bytes), None),
            Read::Detach(bytes) => (Frame::Input(bytes), Some(Ending::Detached)),
            Read::End => (Frame::InputEnd, None),
        };
        if !matches!(&frame, Frame::Input(bytes) if bytes.is_empty()) {
            self.input_wanted = false;
            self.queue.push_back(frame);
            self.flush()?;
        }
        Ok(ending)
    }

    fn say_size(&mut self) {
        if let Some((rows, columns)) = own_size() {
            self.queue.push_back(Frame::Resize(rows, columns));
        }
    }

    fn flush(&mut self) -> Result<(), CallError> {
        while let Some(frame) = self.queue.front() {
            match self.connection.send(frame) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(e) if e.errno() == Errno::AGAIN => return Ok(()),
                // The monitor is gone; its last words may still be waiting to be read.
                Err(e) if matches!(e.errno(), Errno::PIPE | Errno::CONNRESET) => self.queue.clear(),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// `false`: nobody reads any more.
fn pass(wanted: bool, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<bool, CallError> {
    match wanted {
        true => write_all(fd.as_fd(), bytes),
        false => Ok(true),
    }
}
