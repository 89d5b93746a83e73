//! `delete`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{Context, Operation};

/// Remove a container.
#[derive(Debug, Args)]
pub struct Delete {
    /// Also one that runs; of one that is not there nothing is said
    #[arg(short, long)]
    force: bool,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Operation for Delete {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        let failed = context.containers.delete(&self.id, self.force)?;
        // The container is gone, and that was asked for (runtime-spec, "Lifecycle", step 13).
        for hook in failed {
            crate::error::warn(&format!("poststop: {hook}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
