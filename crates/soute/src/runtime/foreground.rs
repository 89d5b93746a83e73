//! A program whose caller waits for it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use soute_runtime::process::{Entered, Exit, Started};
use soute_sys::{CallError, Called as _};

use crate::relay::{Attachment, Ending, Signals, relay};

/// Orphans of the container come to this process, which is there as long as the container is.
pub fn adopt_orphans() -> Result<(), CallError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .called(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())
}

/// Passes signals on, and the terminal's bytes if the program has one, until it ends; its exit status.
pub fn follow(program: Started, signals: &Signals) -> Result<ExitCode> {
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
