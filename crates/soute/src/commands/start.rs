//! `soute start`.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use soute_engine::{Engine, Error, Places, Start as How};

use super::each::each_named;
use crate::cli::CommandLine;
use crate::error::warn_all;
use crate::relay::{self, Attachment, Signals};
use crate::terminal::{self, DetachKeys};

/// Containers that were made, or have ended.
#[derive(Debug, Args)]
pub struct Start {
    /// Take part in the output, and pass signals on
    #[arg(short, long)]
    attach: bool,

    /// Take part in the input, too
    #[arg(short, long)]
    interactive: bool,

    /// The keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Before any of them is started: the command may begin anew here.
pub(super) fn shield(engine: &Engine, containers: &[String]) -> Result<()> {
    for name in containers {
        match engine.shield_in(name) {
            // Told of in its turn.
            Err(Error::NoSuchContainer(_) | Error::AmbiguousId { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

impl CommandLine for Start {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        shield(&engine, &self.containers)?;
        if !self.attach && !self.interactive {
            return each_named(&self.containers, |name| {
                match engine.start(name, How::default()) {
                    // It does what was wanted.
                    Err(Error::Runs { .. }) => Ok(()),
                    other => {
                        warn_all(&other?.notices);
                        Ok(())
                    }
                }
            });
        }
        let [name] = &self.containers[..] else {
            anyhow::bail!("one container at a time can be attached to");
        };
        let request = engine.find(name)?.request;
        ensure!(
            !self.interactive || request.interactive,
            "container {name} was made without --interactive: it has no standard input"
        );
        let attachment = Attachment {
            stdin: self.interactive,
            stdout: true,
            stderr: true,
            terminal: request.terminal,
            keys: Some(self.detach_keys),
            forward_signals: !request.terminal,
        };
        attachment.check_terminal()?;
        let signals = Signals::take()?;
        let started = engine.start(
            name,
            How {
                attach: true,
                terminal_size: terminal::window_size(rustix::stdio::stdin()),
            },
        )?;
        warn_all(&started.notices);
        let ending = relay::follow(&started.connection, &attachment, &signals)?;
        Ok(ending.conclude(&started.name))
    }
}
