//! A person's terminal, played by the test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{DEADLINE, line, wait};

/// A program in a session of its own, with a pseudo-terminal as its controlling terminal.
#[derive(Debug)]
pub struct Terminal {
    line: String,
    child: Child,
    /// The side where the person sits.
    keyboard: File,
    /// The program's side, kept open to look at its modes.
    peer: File,
    seen: String,
}

impl Terminal {
    /// Starts `command` in a terminal of 24 rows and 80 columns.
    #[track_caller]
    pub fn start(command: &Command) -> Self {
        let keyboard: OwnedFd =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&keyboard)
            .and_then(|()| unlockpt(&keyboard))
            .expect("unlockpt");
        let name = ptsname(&keyboard, Vec::new())
            .expect("ptsname")
            .into_string()
            .expect("ASCII");
        let peer = File::options()
            .read(true)
            .write(true)
            .open(name)
            .expect("the terminal's other side");
        resize(&keyboard, 24, 80);
        // setsid(1) makes the session and takes the terminal: what a login does.
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let stdio = || peer.try_clone().expect("dup");
        session.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = session.spawn().expect("setsid (package util-linux)");
        Self {
            line: line(command),
            child,
            keyboard: keyboard.into(),
            peer,
            seen: String::new(),
        }
    }

    /// The program's process id: setsid(1) has become it (it forks only where it leads a process group).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Who owns it: user and group.
    pub fn owner(&self) -> (u32, u32) {
        let metadata = self.peer.metadata().expect("fstat");
        (metadata.uid(), metadata.gid())
    }

    /// Types `keys`.
    #[track_caller]
    pub fn send(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal takes input");
    }

    /// Changes the window's size.
    pub fn resize(&self, rows: u16, columns: u16) {
        resize(&self.keyboard, rows, columns);
    }

    /// The modes in force on the program's side.
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.peer).expect("tcgetattr")
    }

    /// Waits until `text` shows up after what was waited for before; returns what stands before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let before = self.seen[..at].to_owned();
                self.seen.drain(..at + text.len());
                return before;
            }
            assert!(
                self.read(end),
                "`{}` never showed {text:?}, but:\n{}",
                self.line,
                self.seen
            );
        }
    }

    /// Waits for the program's end; its exit code, and what it showed since the last [`Terminal::expect`].
    #[track_caller]
    pub fn finish(&mut self) -> (i32, String) {
        let end = Instant::now() + DEADLINE;
        // Read while waiting: a full terminal would keep the program from ending.
        let status = loop {
            match wait(&mut self.child, std::time::Duration::from_millis(5)) {
                Some(status) => break status,
                None => assert!(
                    Instant::now() < end,
                    "`{}` did not end; it showed:\n{}",
                    self.line,
                    self.seen
                ),
            }
            self.read(Instant::now());
        };
        while self.read(Instant::now()) {}
        (
            status.code().expect("setsid --wait passes an exit code on"),
            std::mem::take(&mut self.seen),
        )
    }

    /// Reads what is there by `end`; false if nothing is.
    fn read(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let left = rustix::time::Timespec::try_from(left).expect("a short time");
        let mut descriptor = [PollFd::new(&self.keyboard, PollFlags::IN)];
        match poll(&mut descriptor, Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return false,
            Ok(_) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let mut buffer = [0; 16 << 10];
        // EIO: the other side is closed.
        let length = (&self.keyboard).read(&mut buffer).unwrap_or(0);
        self.seen
            .push_str(&String::from_utf8_lossy(&buffer[..length]));
        length > 0
    }
}

fn resize(keyboard: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(keyboard, size).expect("tcsetwinsize");
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_sees_a_terminal_its_size_and_its_keys() {
        let mut shell =
            Terminal::start(Command::new("sh").args(["-c", "tty; read key; stty size; exit 7"]));
        shell.expect("/dev/pts/");
        shell.resize(10, 33);
        shell.send("x\r");
        shell.expect("10 33");
        assert_eq!(shell.finish().0, 7);
    }
}
