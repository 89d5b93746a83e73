//! `checkpoint` and `restore`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::{Context, Operation};

/// Not there yet: said before anything is touched.
#[derive(Debug, Args)]
pub struct Checkpoint {
    /// What the command line says
    #[arg(
        value_name = "WORD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

/// Not there yet: said before anything is touched.
#[derive(Debug, Args)]
pub struct Restore {
    /// What the command line says
    #[arg(
        value_name = "WORD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl Operation for Checkpoint {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, _: &Context) -> Result<ExitCode> {
        bail!(
            "checkpoint is not there yet: nothing was done ({})",
            self.words.join(" ")
        )
    }
}

impl Operation for Restore {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, _: &Context) -> Result<ExitCode> {
        bail!(
            "restore is not there yet: nothing was done ({})",
            self.words.join(" ")
        )
    }
}
