//! `soute completion SHELL`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;
use soute_engine::Places;

use crate::cli::{self, CommandLine, Purpose};

/// For packagers: run at build time, and installed where the shell looks.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CommandLine for Completion {
    const USAGE: &'static str = "SHELL";

    fn run(self, _: &Places) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut cli::tree(Purpose::Documentation),
            "soute",
            &mut script,
        );
        std::io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
