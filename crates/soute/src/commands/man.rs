//! `soute man DIR`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use soute_engine::Places;

use crate::cli::{self, CommandLine, Purpose};

/// For packagers: one page per command, `soute-run.1` and so on.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder, made if missing
    dir: PathBuf,
}

impl CommandLine for Man {
    const USAGE: &'static str = "DIR";

    fn run(self, _: &Places) -> Result<ExitCode> {
        let place = || self.dir.display().to_string();
        std::fs::create_dir_all(&self.dir).with_context(place)?;
        clap_mangen::generate_to(cli::tree(Purpose::Documentation), &self.dir)
            .with_context(place)?;
        Ok(ExitCode::SUCCESS)
    }
}
