//! Where the packets go, without ever being stuck there: signals are heard while it waits.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use soute_sys::CallError;
use soute_sys::signals::{ignores, read_signal, signalfd};

/// What a pipe that poll(2) says is writable takes without waiting (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 4096;

/// The signals that end a capture in order: the first ends it, a second one gives up what is not written yet.
pub struct Stop {
    signals: OwnedFd,
    heard: u32,
}

impl Stop {
    /// From now on they do not end the process.
    pub fn take() -> Result<Self, CallError> {
        let mut signals = vec![Signal::INT.as_raw(), Signal::TERM.as_raw()];
        // nohup(1)
        if !ignores(Signal::HUP) {
            signals.push(Signal::HUP.as_raw());
        }
        Ok(Self {
            signals: signalfd(signals)?,
            heard: 0,
        })
    }

    fn hear(&mut self) -> Result<(), CallError> {
        while read_signal(&self.signals)?.is_some() {
            self.heard += 1;
        }
        Ok(())
    }
}

/// A file, a pipe, a terminal.
pub struct Writer {
    to: File,
    name: String,
    stop: Stop,
    /// A regular file, for which nobody waits.
    regular: bool,
    /// How much of the file is whole, if it is ours.
    whole: Option<u64>,
    /// Somebody did not want to wait for the reader.
    pub gave_up: bool,
}

impl Writer {
    /// To `to`, which messages call `name`, and which has just been made if `is_new`.
    pub fn new(to: File, name: String, is_new: bool, stop: Stop) -> Result<Self> {
        let regular = to.metadata().context("fstat")?.is_file();
        Ok(Self {
            to,
            name,
            stop,
            regular,
            whole: (is_new && regular).then_some(0),
            gave_up: false,
        })
    }

    /// Where signals can be waited for.
    pub fn signals(&self) -> &OwnedFd {
        &self.stop.signals
    }

    /// Notes the signals that have come.
    pub fn hear(&mut self) -> Result<(), CallError> {
        self.stop.hear()
    }

    /// Whether a signal was heard, here or while something was written.
    pub fn was_interrupted(&self) -> bool {
        self.stop.heard > 0
    }

    /// Writes all of it; `false`: nobody reads any more, or a second signal says not to wait.
    ///
    /// Of a file that cannot take it nothing of it stays: what is there is whole.
    pub fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        let written = self.write_all(bytes);
        if let Some(whole) = &mut self.whole {
            match written {
                Ok(_) => *whole += bytes.len() as u64,
                Err(_) => _ = self.to.set_len(*whole),
            }
        }
        written
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            if !self.regular && !self.writable()? {
                return Ok(false);
            }
            let some = match self.regular {
                true => bytes,
                false => bytes.get(..AT_ONCE).unwrap_or(bytes),
            };
            match rustix::io::write(&self.to, some) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(Errno::PIPE) => return Ok(false),
                Err(e) => {
                    let e = CallError::new("write", e);
                    return Err(e).with_context(|| self.name.clone());
                }
            }
        }
        Ok(true)
    }

    /// Waits until something can be written; `false`: a second signal came first.
    fn writable(&mut self) -> Result<bool> {
        loop {
            let mut fds = [
                PollFd::new(&self.to, PollFlags::OUT),
                PollFd::new(&self.stop.signals, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(CallError::new("poll", e).into()),
            }
            let [writable, signalled] = fds.map(|fd| !fd.revents().is_empty());
            if signalled {
                self.stop.hear()?;
            }
            // What can be written is, all the same.
            if writable {
                return Ok(true);
            }
            if self.stop.heard > 1 {
                self.gave_up = true;
                return Ok(false);
            }
        }
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }
}
