//! The caller's standard input, and the terminal that it may be.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use soute_sys::CallError;

use super::Attachment;
use crate::terminal::{DetachKeys, RawMode};

/// What a read of it gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes for the program; none if all are held back.
    Bytes(Vec<u8>),
    /// These bytes, and then the detach keys.
    Detach(Vec<u8>),
    /// The end.
    End,
}

/// Standard input, as long as it is open; raw if it is a terminal for a terminal.
#[derive(Debug)]
pub struct Input {
    keys: Option<DetachKeys>,
    open: bool,
    _raw: Option<RawMode>,
}

impl Input {
    /// Takes standard input, if `attachment` does.
    pub fn take(attachment: &Attachment) -> Result<Self, CallError> {
        let typed = attachment.stdin && attachment.terminal;
        Ok(Self {
            keys: attachment.keys.clone().filter(|_| typed),
            open: attachment.stdin,
            _raw: match typed {
                true => RawMode::enter(rustix::stdio::stdin())?,
                false => None,
            },
        })
    }

    /// Where more can be expected from.
    pub fn descriptor(&self) -> Option<BorrowedFd<'static>> {
        self.open.then(rustix::stdio::stdin)
    }

    /// Reads once.
    pub fn read(&mut self) -> Result<Read, CallError> {
        let mut buffer = [0u8; 16 * 1024];
        let bytes = match rustix::io::read(rustix::stdio::stdin(), &mut buffer[..]) {
            // EIO: the terminal has hung up, or its foreground is somebody else's.
            Ok(0) | Err(Errno::IO) => {
                self.open = false;
                return Ok(Read::End);
            }
            Ok(length) => &buffer[..length],
            Err(Errno::INTR | Errno::AGAIN) => &[],
            Err(e) => return Err(CallError::new("read(standard input)", e)),
        };
        Ok(match &mut self.keys {
            None => Read::Bytes(bytes.to_vec()),
            Some(keys) => match keys.feed(bytes) {
                (bytes, true) => Read::Detach(bytes),
                (bytes, false) => Read::Bytes(bytes),
            },
        })
    }
}
