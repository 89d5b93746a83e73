//! Raw mode: every key goes to the container, none is acted upon here; and a page, which takes the whole screen.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once};

use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use soute_sys::{CallError, Called as _};

use crate::relay::write_all;

/// What to give back to the terminal, where a panic finds it too: soute aborts
/// on panic, and an abort drops nothing.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    terminal: OwnedFd,
    mode: Termios,
    /// Where the other screen is shown.
    screen: Option<OwnedFd>,
}

/// The other screen, without a cursor (ctlseqs, "DEC Private Mode Set"); and back.
const OTHER_SCREEN: &[u8] = b"\x1b[?1049h\x1b[?25l";
const FIRST_SCREEN: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The terminal is raw while this lives.
///
/// Signals that would end soute must be blocked and read (signalfd) before
/// [`RawMode::enter`], so that their end comes by way of this one's.
#[derive(Debug)]
#[must_use = "the terminal is raw only while this lives"]
pub struct RawMode(());

impl RawMode {
    /// Makes the terminal at `fd` raw (cfmakeraw(3)); `None`: it is no terminal.
    ///
    /// # Errors
    /// The terminal's mode cannot be set, or a terminal is raw already.
    pub fn enter(fd: impl AsFd) -> Result<Option<Self>, CallError> {
        Self::take(fd, None)
    }

    /// Makes the terminal at `keys` raw but for the keys that send signals (`intr`, `quit` and `susp` of stty(1)), and
    /// turns to the other screen of the one at `screen`; `None`: `keys` is no terminal.
    ///
    /// # Errors
    /// As [`RawMode::enter`].
    pub fn page(keys: impl AsFd, screen: impl AsFd) -> Result<Option<Self>, CallError> {
        Self::take(keys, Some(screen.as_fd()))
    }

    fn take(fd: impl AsFd, screen: Option<BorrowedFd<'_>>) -> Result<Option<Self>, CallError> {
        let duplicate = |fd: BorrowedFd<'_>| {
            rustix::io::fcntl_dupfd_cloexec(fd, 3).called(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned())
        };
        let mode = match tcgetattr(&fd) {
            Err(Errno::NOTTY | Errno::INVAL) => return Ok(None),
            mode => mode.called(|| "tcgetattr()".to_owned())?,
        };
        let mut before = BEFORE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if before.is_some() {
            return Err(CallError::new(
                "tcsetattr() of a second terminal",
                Errno::BUSY,
            ));
        }
        *before = Some(Before {
            terminal: duplicate(fd.as_fd())?,
            mode,
            screen: screen.map(duplicate).transpose()?,
        });
        drop(before);
        restore_on_panic();
        // From here on whatever goes wrong restores it: setting may succeed in part.
        let guard = Self(());
        guard.renew()?;
        Ok(Some(guard))
    }

    /// Makes it so again, whatever others have made of it since.
    pub fn renew(&self) -> Result<(), CallError> {
        let before = BEFORE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(before) = before.as_ref() else {
            return Ok(());
        };
        let mut raw = before.mode.clone();
        raw.make_raw();
        if before.screen.is_some() {
            raw.local_modes |= LocalModes::ISIG;
        }
        tcsetattr(&before.terminal, OptionalActions::Now, &raw)
            .called(|| "tcsetattr(raw)".to_owned())?;
        if let Some(screen) = &before.screen {
            write_all(screen.as_fd(), OTHER_SCREEN)?;
        }
        Ok(())
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Best effort: a terminal that has gone needs nothing back.
fn restore() {
    // A panic while the lock is held must not wait for it.
    let Ok(mut before) = BEFORE.try_lock() else {
        return;
    };
    if let Some(before) = before.take() {
        // First, as this is where a process in the background is stopped.
        let _ = tcsetattr(&before.terminal, OptionalActions::Now, &before.mode);
        if let Some(screen) = &before.screen {
            let _ = write_all(screen.as_fd(), FIRST_SCREEN);
        }
    }
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            previous(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::LocalModes;

    use super::*;

    fn pty() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let terminal = ioctl_tiocgptpeer(&controller, flags).unwrap();
        (controller, terminal)
    }

    fn echoes(terminal: &OwnedFd) -> bool {
        tcgetattr(terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    // One test, as there is one terminal to be raw at a time.
    #[test]
    fn raw_mode_is_undone() {
        let (controller, terminal) = pty();
        assert!(echoes(&terminal));

        let raw = RawMode::enter(&terminal).unwrap().expect("a terminal");
        assert!(!echoes(&terminal));
        assert_eq!(RawMode::enter(&terminal).unwrap_err().errno(), Errno::BUSY);
        drop(raw);
        assert!(echoes(&terminal));

        // A page: the keys that send signals still do, and the other screen goes with it.
        let shown = |text: &[u8]| {
            let a_while = Timespec {
                tv_sec: 10,
                tv_nsec: 0,
            };
            let mut fds = [PollFd::new(&controller, PollFlags::IN)];
            assert_eq!(poll(&mut fds, Some(&a_while)), Ok(1));
            let mut bytes = [0; 64];
            let length = rustix::io::read(&controller, &mut bytes).unwrap();
            assert_eq!(
                bytes[..length].escape_ascii().to_string(),
                text.escape_ascii().to_string()
            );
        };
        let page = RawMode::page(&terminal, &terminal)
            .unwrap()
            .expect("a terminal");
        let modes = tcgetattr(&terminal).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ISIG) && !modes.contains(LocalModes::ECHO));
        shown(OTHER_SCREEN);
        let panicking = std::thread::spawn(|| panic!("on purpose"));
        assert!(panicking.join().is_err());
        assert!(echoes(&terminal));
        shown(FIRST_SCREEN);
        drop(page);

        // A panic's hook runs before anything is dropped: with abort, nothing is.
        let raw = RawMode::enter(&terminal).unwrap();
        let panicking = std::thread::spawn(|| panic!("on purpose"));
        assert!(panicking.join().is_err());
        assert!(echoes(&terminal));
        drop(raw);

        assert!(
            RawMode::enter(File::open("/dev/null").unwrap())
                .unwrap()
                .is_none()
        );
        assert_eq!(
            super::super::window_size(File::open("/dev/null").unwrap()),
            None
        );
    }
}
