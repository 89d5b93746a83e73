//! A program whose caller waits for it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use soute_runtime::containers::Late;
use soute_runtime::process::{Entered, Exit, Started};
use soute_sys::Called as _;

use crate::relay::{Attachment, Ending, Signals, relay};

/// Before there is a container: signals are for it, and its orphans come to this process, unless they are left to others.
pub fn begin(no_subreaper: bool) -> Result<Signals> {
    let signals = Signals::take()?;
    if !no_subreaper {
        rustix::process::set_child_subreaper(Some(Pid::INIT))
            .called(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())?;
    }
    Ok(signals)
}

/// Nothing is left of a container that has ended; hooks that fail by now are told of.
pub fn remove(container: Late) -> Result<()> {
    for hook in container.remove()? {
        crate::error::warn(&hook.to_string());
    }
    Ok(())
}

/// Passes signals on, and the terminal's bytes if the program has one, until it ends; its exit status.
pub fn follow(program: Started, signals: &Signals) -> Result<ExitCode> {
    // As `soute run` does.
    soute_sys::memory::trim();
    let pidfd = program.pidfd.try_clone().context("dup(pidfd)")?;
    let mut program = Entered {
        pidfd: program.pidfd,
        exit: Exit::of_child(pidfd),
        terminal: program.terminal,
        pipes: [None, None, None],
    };
    loop {
        let terminal = program.terminal.is_some();
        let attachment = Attachment {
            stdin: terminal,
            stdout: true,
            stderr: true,
            terminal,
            keys: None,
            forward_signals: true,
        };
        match relay(&mut program, &attachment, signals)? {
            Ending::Exited(code) => return Ok(ExitCode::from(code as u8)),
            // Nobody reads what it writes: it is told (SIGHUP), and its end is waited for.
            _ => program.terminal = None,
        }
    }
}
