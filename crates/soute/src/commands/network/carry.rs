//! `soute network move`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{Engine, Side};

/// An interface changes its network.
#[derive(Debug, Args)]
pub struct Move {
    /// The interface, as it is called where it is
    #[arg(value_name = "INTERFACE")]
    interface: String,

    /// Where it is: a container, a process's number, or host for the machine
    #[arg(value_name = "FROM")]
    from: String,

    /// Where it goes, for as long as it runs: a container; or host for the machine
    #[arg(value_name = "TO")]
    to: String,
}

impl Move {
    pub fn run(self, engine: &Engine) -> Result<ExitCode> {
        let side = |word: &str| match (word, word.parse()) {
            ("host", _) => Side::Machine,
            // A container may be called by a number, too.
            (name, Ok(pid)) if engine.find(name).is_err() => Side::Process(pid),
            (name, _) => Side::Container(name.to_owned()),
        };
        engine.carry(&self.interface, &side(&self.from), &side(&self.to))?;
        Ok(ExitCode::SUCCESS)
    }
}
