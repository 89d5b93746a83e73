//! `soute attach`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{ArgAction, Args};
use soute_engine::{Frame, Places, Status};

use crate::args::numbers;
use crate::cli::CommandLine;
use crate::relay::{self, Attachment, Signals};
use crate::terminal::{self, DetachKeys};

/// A container that runs.
#[derive(Debug, Args)]
pub struct Attach {
    /// Do not take part in the input
    #[arg(long)]
    no_stdin: bool,

    /// The keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,

    /// Pass signals on to the program (without a terminal)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = numbers::boolean, num_args = 0..=1,
        require_equals = true, default_value = "true", default_missing_value = "true")]
    sig_proxy: bool,

    /// Name or id
    container: String,
}

impl CommandLine for Attach {
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let container = engine.container(&self.container)?;
        let record = container.record;
        if !matches!(container.status, Status::Running(_)) {
            bail!(
                "container {} is {}: there is nothing to attach to",
                record.name,
                container.status.word()
            );
        }
        let terminal = record.request.terminal;
        let attachment = Attachment {
            stdin: record.request.interactive && !self.no_stdin,
            stdout: true,
            stderr: true,
            terminal,
            keys: Some(self.detach_keys),
            forward_signals: self.sig_proxy && !terminal,
        };
        attachment.check_terminal()?;
        let signals = Signals::take()?;
        let connection = engine.connect(&record.id)?;
        connection.send(&Frame::Attach)?;
        if terminal && let Some((rows, columns)) = terminal::window_size(rustix::stdio::stdin()) {
            // A program draws its screen anew when the size changes, and only then.
            connection.send(&Frame::Resize(
                rows.saturating_add(1),
                columns.saturating_add(1),
            ))?;
        }
        let ending = relay::follow(&connection, &attachment, &signals)?;
        Ok(ending.conclude(&record.name))
    }
}
