//! The program's standard files, as the monitor holds them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use soute_runtime::plan::Plan;
use soute_runtime::process::{Stdio, pipe};
use soute_sys::{CallError, Called};

use super::Source;
use super::clients::Clients;
use crate::frame::{CHUNK, Frame};
use crate::log::{Stream, Writer};

/// From so much input that the program does not take, its senders are to wait.
const MOST_INPUT: usize = CHUNK;

/// The monitor's ends of the pipes.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Streams {
    pipes: Pipes,
    terminal: Option<OwnedFd>,
    /// The program's side of the terminal, held open: without it the master would report a hang-up, without end, as
    /// soon as the program has closed its own.
    terminal_peer: Option<OwnedFd>,
    log: Writer,
    log_error: Option<std::io::Error>,
    pending_input: Vec<u8>,
    input_ends: bool,
}

impl Streams {
    /// Makes the pipes, unless the program gets a terminal.
    pub(super) fn prepare(
        plan: &Plan,
        interactive: bool,
    ) -> Result<(Pipes, Option<Stdio>), CallError> {
        if plan.process.terminal.is_some() {
            return Ok((Pipes::default(), None));
        }
        let (stdin, their_stdin) = if interactive {
            let (theirs, ours) = pipe(false)?;
            (Some(ours), theirs)
        } else {
            let null =
                rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .called(|| "open(\"/dev/null\")".to_owned())?;
            (None, null)
        };
        let (stdout, their_stdout) = pipe(true)?;
        let (stderr, their_stderr) = pipe(true)?;
        let pipes = Pipes {
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
        };
        Ok((pipes, Some([their_stdin, their_stdout, their_stderr])))
    }

    pub(super) fn new(pipes: Pipes, terminal: Option<OwnedFd>, log: Writer) -> Self {
        let terminal_peer = terminal.as_ref().and_then(|master| {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            rustix::pty::ioctl_tiocgptpeer(master, flags).ok()
        });
        if let Some(master) = &terminal {
            // Drained without blocking; a flag of the master alone, the program's side is untouched.
            let _ = rustix::io::ioctl_fionbio(master, true);
        }
        Self {
            pipes,
            terminal,
            terminal_peer,
            log,
            log_error: None,
            pending_input: Vec::new(),
            input_ends: false,
        }
    }

    /// Every descriptor that is in use.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [
            &self.terminal,
            &self.terminal_peer,
            &self.pipes.stdin,
            &self.pipes.stdout,
            &self.pipes.stderr,
        ]
        .into_iter()
        .flatten()
        .map(AsRawFd::as_raw_fd)
        .chain(self.log.descriptor())
    }

    fn descriptor(&self, stream: Stream) -> Option<&OwnedFd> {
        match stream {
            Stream::Stdout => self.terminal.as_ref().or(self.pipes.stdout.as_ref()),
            Stream::Stderr => self.pipes.stderr.as_ref(),
        }
    }

    fn input_descriptor(&self) -> Option<&OwnedFd> {
        self.terminal.as_ref().or(self.pipes.stdin.as_ref())
    }

    pub(super) fn poll<'a>(&'a self, wanted: &mut Vec<(Source, PollFd<'a>)>, output: bool) {
        if output {
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(fd) = self.descriptor(stream) {
                    wanted.push((Source::Output(stream), PollFd::new(fd, PollFlags::IN)));
                }
            }
        }
        if !self.pending_input.is_empty()
            && let Some(fd) = self.input_descriptor()
        {
            wanted.push((Source::Input, PollFd::new(fd, PollFlags::OUT)));
        }
    }

    /// Whether there is room for more.
    pub(super) fn accepts_input(&self) -> bool {
        self.pending_input.len() < MOST_INPUT
    }

    /// Reads once and passes on; `false` when there is nothing (any more).
    fn forward_once(&mut self, stream: Stream, clients: &mut Clients) -> bool {
        let Some(fd) = self.descriptor(stream) else {
            return false;
        };
        // Not on the stack, all pages of which would stay with a process that waits for months.
        let mut bytes = Vec::with_capacity(CHUNK);
        match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(n) if n > 0 => {}
            Err(Errno::AGAIN | Errno::INTR) => return false,
            _ => {
                // The end.
                match stream {
                    Stream::Stdout if self.terminal.is_some() => self.terminal = None,
                    Stream::Stdout => self.pipes.stdout = None,
                    Stream::Stderr => self.pipes.stderr = None,
                }
                return false;
            }
        }
        if let Err(e) = self.log.add(stream, &bytes) {
            // A full disk must not stop the program; the end of the container tells.
            self.log_error.get_or_insert(e);
        }
        let frame = match stream {
            Stream::Stdout => Frame::Output(bytes),
            Stream::Stderr => Frame::Error(bytes),
        };
        clients.broadcast(&frame);
        true
    }

    pub(super) fn forward(&mut self, stream: Stream, clients: &mut Clients) {
        self.forward_once(stream, clients);
    }

    /// All that is left in the pipes once nobody writes any more.
    pub(super) fn drain(&mut self, clients: &mut Clients) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.forward_once(stream, clients) {
                clients.wait_for_room();
            }
        }
    }

    pub(super) fn finish_log(&mut self) -> std::io::Result<()> {
        let finished = self.log.finish();
        match self.log_error.take() {
            Some(e) => Err(e),
            None => finished,
        }
    }

    pub(super) fn input(&mut self, bytes: &[u8]) {
        if self.input_descriptor().is_some() && !self.input_ends {
            self.pending_input.extend_from_slice(bytes);
            self.flush_input();
        }
    }

    /// No client will send more: once the rest is written the program reads the end of file. A terminal has no end.
    pub(super) fn end_input(&mut self) {
        self.input_ends = self.terminal.is_none();
        self.flush_input();
    }

    pub(super) fn flush_input(&mut self) {
        let Some(fd) = self.terminal.as_ref().or(self.pipes.stdin.as_ref()) else {
            self.pending_input.clear();
            return;
        };
        let mut closed = false;
        while !self.pending_input.is_empty() {
            match rustix::io::write(fd, &self.pending_input) {
                Ok(n) => drop(self.pending_input.drain(..n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The program has closed its standard input.
                Err(_) => {
                    self.pending_input.clear();
                    closed = true;
                }
            }
        }
        if self.pending_input.capacity() > MOST_INPUT {
            self.pending_input = Vec::new();
        }
        if closed || self.input_ends {
            self.pipes.stdin = None;
        }
    }

    pub(super) fn resize(&mut self, rows: u16, columns: u16) {
        if let Some(master) = &self.terminal {
            let size = Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let _ = rustix::termios::tcsetwinsize(master.as_fd(), size);
        }
    }
}
