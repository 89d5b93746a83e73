//! `kill`

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;

use super::{Context, Operation};
use crate::args::process::signal;

/// Send a signal to a container.
#[derive(Debug, Args)]
pub struct Kill {
    /// To all its processes
    #[arg(short, long)]
    all: bool,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// Name or number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    signal: String,
}

impl Operation for Kill {
    const USAGE: &'static str = "[OPTIONS] ID [SIGNAL]";

    fn run(self, context: &Context) -> Result<ExitCode> {
        // 0 asks whether there is a process, and sends nothing (kill(2)).
        let number = match self.signal.as_str() {
            "0" => 0,
            word => signal(word).map_err(|e| anyhow!("unknown signal {word:?}: {e}"))?,
        };
        context.containers.kill(&self.id, number, self.all)?;
        Ok(ExitCode::SUCCESS)
    }
}
