//! `start`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{Context, Operation};

/// Start the program of a container that was created.
#[derive(Debug, Args)]
pub struct Start {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Operation for Start {
    const USAGE: &'static str = "ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        context.containers.start(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}
