//! Between the caller's standard files and a program in a container.
//!
//! A started container is talked to in frames, through its monitor
//! ([`monitor`]); a process that `exec` started has us at the other end of its
//! terminal or pipes ([`exec`]).

mod exec;
mod hold;
mod input;
mod monitor;
mod output;
mod signals;

pub use exec::relay;
pub use hold::hold;
pub use monitor::follow;
pub use output::write_all;
pub use signals::{Signals, WINCH};

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::output::complain;
use crate::terminal::DetachKeys;

/// A standard file, for `--attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How the caller takes part.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Standard input goes to the program.
    pub stdin: bool,
    /// Its output comes to standard output.
    pub stdout: bool,
    /// Its errors come to standard error.
    pub stderr: bool,
    /// The program has a terminal.
    pub terminal: bool,
    /// The keys that leave, if there are any; only typed at a terminal.
    pub keys: Option<DetachKeys>,
    /// Signals go to the program, instead of ending soute.
    pub forward_signals: bool,
}

impl Attachment {
    /// Refuses, as Docker does, to make a terminal of an input that is none.
    pub fn check_terminal(&self) -> Result<()> {
        if self.terminal && self.stdin && !std::io::stdin().is_terminal() {
            anyhow::bail!("-t with -i needs a terminal, and standard input is none");
        }
        Ok(())
    }
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The program did, with this exit code (128 + n by signal n).
    Exited(i32),
    /// The detach keys were typed.
    Detached,
    /// soute was told to end by this signal.
    Signalled(i32),
    /// Nobody reads the output any more.
    Unread,
    /// The monitor was killed, and the container with it.
    MonitorLost,
}

impl Ending {
    /// Says what is worth saying of the container `name`, and gives soute's exit code.
    pub fn conclude(self, name: &str) -> ExitCode {
        let code = match self {
            Self::Exited(code) => code,
            Self::Detached => 0,
            Self::Signalled(signal) => 128 + signal,
            Self::Unread => {
                complain(&format!(
                    "soute: nobody reads the output any more; container {name} goes on\n"
                ));
                128 + 13
            }
            Self::MonitorLost => {
                complain(&format!(
                    "soute: error: the monitor of container {name} was killed, and the container with it\n"
                ));
                128 + 9
            }
        };
        // Exit codes of programs have eight bits.
        ExitCode::from(code as u8)
    }
}
