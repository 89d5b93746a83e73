//! `pause` and `resume`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{Context, Operation};

/// Freeze all processes of a container.
#[derive(Debug, Args)]
pub struct Pause {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// Let them go on.
#[derive(Debug, Args)]
pub struct Resume {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Operation for Pause {
    const USAGE: &'static str = "ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        context.containers.pause(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Operation for Resume {
    const USAGE: &'static str = "ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        context.containers.resume(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}
