//! `soute runtime`, as the other commands see it: in their list. What it does is [`crate::runtime`]'s, which has a command
//! line of its own.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::Places;

use crate::cli::CommandLine;

/// Only met behind flags of the engine: without, the program has gone the other way.
#[derive(Debug, Args)]
pub struct Runtime {
    /// The runtime's flags, command and its arguments: 'soute runtime --help'
    #[arg(
        value_name = "WORD",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl CommandLine for Runtime {
    const USAGE: &'static str = "[OPTIONS] COMMAND [ARG]...";

    fn run(self, _: &Places) -> Result<ExitCode> {
        bail!(
            "the runtime has nothing to do with the engine's folders: 'soute runtime {}', with its own flags",
            self.words.join(" ")
        )
    }
}
