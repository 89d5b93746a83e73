//! `soute wait`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;

use super::each::each;
use crate::cli::CommandLine;

/// Until containers end; their exit codes are printed.
#[derive(Debug, Args)]
pub struct Wait {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl CommandLine for Wait {
    const USAGE: &'static str = "CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        each(&self.containers, |name| Ok(engine.wait(name)?.to_string()))
    }
}
