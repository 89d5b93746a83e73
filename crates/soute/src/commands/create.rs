//! `soute create`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;

use super::cidfile::CidFile;
use crate::args::{CreateArgs, Machine};
use crate::cli::CommandLine;
use crate::images;
use crate::output::print;

/// Everything but the start.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    container: CreateArgs,
}

impl CommandLine for Create {
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND [ARG]...]";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let creation = self.container.into_request(&Machine)?;
        let cidfile = creation.cidfile.map(CidFile::reserve).transpose()?;
        let engine = super::open(places)?;
        images::ensure(&engine, &creation.request, creation.pull, creation.quiet)?;
        let record = engine.create(creation.request)?;
        if let Some(cidfile) = cidfile {
            cidfile.fill(&record.id)?;
        }
        print(&(record.id + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
