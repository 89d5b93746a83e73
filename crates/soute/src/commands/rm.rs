//! `soute rm`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{Error, Places};

use crate::cli::CommandLine;
use crate::error;
use crate::output::print;

/// Containers, with their changes and logs.
#[derive(Debug, Args)]
pub struct Rm {
    /// Also one that runs (it is killed); one that is not there is no failure
    #[arg(short, long)]
    force: bool,

    /// Their anonymous volumes, too
    #[arg(short, long)]
    volumes: bool,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl CommandLine for Rm {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let mut code = ExitCode::SUCCESS;
        for name in &self.containers {
            match engine.remove(name, self.force, self.volumes) {
                Ok(()) => print(&format!("{name}\n"))?,
                // Said to be removed is only what was: it may be another engine's, and runs on.
                Err(missing @ Error::NoSuchContainer(_)) if self.force => {
                    error::warn(&missing.to_string());
                }
                Err(failure) => code = error::report(&failure.into(), 1),
            }
        }
        Ok(code)
    }
}
