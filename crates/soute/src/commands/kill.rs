//! `soute kill`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;

use super::each::each_named;
use crate::args::process::signal;
use crate::cli::CommandLine;

/// A signal for a container's first process.
#[derive(Debug, Args)]
pub struct Kill {
    /// Which
    #[arg(short, long, value_parser = signal, default_value = "KILL")]
    signal: i32,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl CommandLine for Kill {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        each_named(&self.containers, |name| Ok(engine.kill(name, self.signal)?))
    }
}
