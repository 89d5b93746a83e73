//! Raw mode: every key goes to the container, none is acted upon here.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once};

use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use soute_sys::{CallError, Called as _};

/// What to give back to the terminal, where a panic finds it too: soute aborts
/// on panic, and an abort drops nothing.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    terminal: OwnedFd,
    mode: Termios,
}

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
        let terminal = rustix::io::fcntl_dupfd_cloexec(&fd, 3)
            .called(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned())?;
        let mut raw = mode.clone();
        raw.make_raw();
        *before = Some(Before { terminal, mode });
        drop(before);
        restore_on_panic();
        // From here on whatever goes wrong restores it: setting may succeed in part.
        let guard = Self(());
        tcsetattr(&fd, OptionalActions::Now, &raw).called(|| "tcsetattr(raw)".to_owned())?;
        Ok(Some(guard))
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
        let _ = tcsetattr(&before.terminal, OptionalActions::Now, &before.mode);
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
        let (_controller, terminal) = pty();
        assert!(echoes(&terminal));

        let raw = RawMode::enter(&terminal).unwrap().expect("a terminal");
        assert!(!echoes(&terminal));
        assert_eq!(RawMode::enter(&terminal).unwrap_err().errno(), Errno::BUSY);
        drop(raw);
        assert!(echoes(&terminal));

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
