//! `soute rm`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{Error, Places};

use super::each::each_named;
use crate::cli::CommandLine;

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
        each_named(&self.containers, |name| {
            match engine.remove(name, self.force, self.volumes) {
                Err(Error::NoSuchContainer(_)) if self.force => Ok(()),
                done => Ok(done?),
            }
        })
    }
}
