//! What a hook writes: the end of it, for the message that tells of its failure.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// How much of it is kept, in bytes. A failure in a container's first process travels in one message of 8 KiB.
const KEPT: usize = 2048;
/// What a pipe holds at most by default, in bytes (pipe(7), "Pipe capacity"): more cannot have been written by a hook
/// that has ended. A process that it left behind may go on for ever.
const CAPACITY: usize = 65_536;

/// The last bytes of what was written.
#[derive(Debug, Default)]
pub(super) struct Output {
    last: Vec<u8>,
    cut: bool,
    closed: bool,
}

impl Output {
    /// Whether somebody may still write.
    pub(super) fn is_open(&self) -> bool {
        !self.closed
    }

    /// Takes what is there, as far as one read gets, and returns how many bytes came.
    pub(super) fn take_once(&mut self, pipe: &OwnedFd) -> usize {
        let mut bytes = [0; 4096];
        match rustix::io::read(pipe, &mut bytes) {
            Ok(n) if n > 0 => {
                self.add(&bytes[..n]);
                n
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // The end; or an error, after which nothing can be had either.
            _ => {
                self.closed = true;
                0
            }
        }
    }

    /// Takes what is left once the hook has ended.
    pub(super) fn take_rest(&mut self, pipe: &OwnedFd) {
        let mut taken = 0;
        while taken < CAPACITY {
            match self.take_once(pipe) {
                0 => return,
                n => taken += n,
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
        if let Some(surplus) = self.last.len().checked_sub(KEPT).filter(|&n| n > 0) {
            self.last.drain(..surplus);
            self.cut = true;
        }
    }

    /// As text, marked where its beginning is missing.
    pub(super) fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.last);
        let dots = if self.cut { "…" } else { "" };
        format!("{dots}{}", text.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut output = Output::default();
        output.add(b" short\n");
        assert_eq!(output.into_text(), "short");
        let mut output = Output::default();
        for _ in 0..100 {
            output.add(&[b'x'; 1000]);
        }
        output.add(b"reason\n");
        let text = output.into_text();
        assert!(text.starts_with('…') && text.ends_with("xreason"), "{text}");
        assert!(text.len() <= KEPT + '…'.len_utf8());
    }
}
