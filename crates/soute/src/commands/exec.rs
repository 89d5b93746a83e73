//! `soute exec`.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rustix::fs::{FileType, makedev};
use soute_engine::{Exec as Request, Places};
use soute_runtime::process::Standard;

use crate::args::process::working_directory;
use crate::args::{Machine, env};
use crate::cli::CommandLine;
use crate::relay::{self, Attachment, Ending, Signals};
use crate::terminal::{self, DetachKeys};

/// A further process in a container that runs.
#[derive(Debug, Args)]
pub struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,

    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,

    /// Do not wait for it
    #[arg(short, long)]
    detach: bool,

    /// Set a variable; a bare NAME is passed on from the caller
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Read variables from a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Working directory
    #[arg(short, long, value_name = "DIR", value_parser = working_directory)]
    workdir: Option<String>,

    /// User, and perhaps group, by name (as the image has it) or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// All capabilities, no system call filter
    #[arg(long)]
    privileged: bool,

    /// The keys that leave the process running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,

    /// Name or id, and the command with its arguments
    #[arg(value_name = "CONTAINER COMMAND [ARG]...", trailing_var_arg = true)]
    words: Vec<String>,
}

impl CommandLine for Exec {
    const USAGE: &'static str = "[OPTIONS] CONTAINER COMMAND [ARG]...";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let [container, command @ ..] = &self.words[..] else {
            bail!("a container and a command are needed");
        };
        if command.is_empty() {
            bail!("a command is needed");
        }
        let engine = super::open_in_a_hurry(places)?;
        engine.shield_in(container)?;
        let request = Request {
            command: command.to_vec(),
            environment: env::environment(&self.env_file, self.env, &Machine)?,
            working_directory: self.workdir,
            user: self.user.filter(|user| !user.is_empty()),
            privileged: self.privileged,
            terminal: self
                .tty
                .then(|| terminal::window_size(rustix::stdio::stdin()).unwrap_or((24, 80))),
        };
        let attachment = Attachment {
            stdin: self.interactive && !self.detach,
            stdout: true,
            stderr: true,
            terminal: self.tty,
            keys: Some(self.detach_keys),
            forward_signals: !self.tty,
        };
        attachment.check_terminal()?;
        let stdio = match self.tty {
            true => None,
            false => Some(standard_files(attachment.stdin, !self.detach)?),
        };
        if self.detach {
            let started = engine.exec(container, &request, stdio)?;
            if let Some(master) = started.terminal {
                relay::hold(master)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        // A signal from here on is for the process.
        let signals = Signals::take()?;
        let mut started = engine.exec(container, &request, stdio)?;
        let ending = relay::relay(&mut started, &attachment, &signals)?;
        Ok(match (ending, started.terminal) {
            (Ending::Detached, Some(master)) => {
                relay::hold(master)?;
                ExitCode::SUCCESS
            }
            // Its terminal goes with us, and it is told so (SIGHUP).
            (Ending::Unread, _) => ExitCode::from(128 + 13),
            (ending, _) => ending.conclude(container),
        })
    }
}

/// What the process gets for standard files.
pub(super) fn standard_files(input: bool, output: bool) -> Result<[Standard; 3]> {
    let standard = |wanted: bool, fd: BorrowedFd<'_>| -> Result<Standard> {
        Ok(match wanted {
            false => {
                let null = File::options().read(true).write(true).open("/dev/null");
                Standard::Given(null.context("/dev/null")?.into())
            }
            true if may_be_given(fd)? => Standard::Given(fd.try_clone_to_owned()?),
            true => Standard::Pipe,
        })
    };
    Ok([
        standard(input, rustix::stdio::stdin())?,
        standard(output, rustix::stdio::stdout())?,
        standard(output, rustix::stdio::stderr())?,
    ])
}

/// Whether a program in the container, which is hostile and may keep it for good, gets no more by it than the bytes that
/// it is to read or write: so it is with a file and a pipe. Who has a terminal reads what is typed there later, and
/// changes its modes; a folder leads into the machine (CVE-2024-21626), and by a socket descriptors may come.
fn may_be_given(fd: BorrowedFd<'_>) -> Result<bool> {
    let stat = rustix::fs::fstat(fd).context("fstat(standard file)")?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Fifo => true,
        // /dev/null
        FileType::CharacterDevice => stat.st_rdev == makedev(1, 3),
        _ => false,
    })
}
