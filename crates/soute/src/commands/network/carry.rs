//! `soute network move`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{Places, Side};

use crate::cli::CommandLine;
use crate::commands::ns::exists;
use crate::commands::open;

/// An interface changes its network.
#[derive(Debug, Args)]
pub struct Move {
    /// The interface, as it is called where it is
    #[arg(value_name = "INTERFACE")]
    interface: String,

    /// Where it is: a process by number, a container (ctr:NAME if the name is a number), or host for the machine
    #[arg(value_name = "FROM")]
    from: String,

    /// Where it goes, for as long as it runs: a container; or host for the machine
    #[arg(value_name = "TO")]
    to: String,
}

impl CommandLine for Move {
    const USAGE: &'static str = "INTERFACE FROM TO";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        // As in `soute ns`: a number is a process's, unless only a container has it (by its name, or as its id begins).
        let side = |word: &str| match (word, word.parse::<i32>(), word.strip_prefix("ctr:")) {
            ("host", ..) => Side::Machine,
            (_, _, Some(name)) => Side::Container(name.to_owned()),
            (name, Ok(pid), _) if exists(pid.unsigned_abs()) || engine.find(name).is_err() => {
                Side::Process(pid)
            }
            (name, ..) => Side::Container(name.to_owned()),
        };
        engine.carry(&self.interface, &side(&self.from), &side(&self.to))?;
        Ok(ExitCode::SUCCESS)
    }
}
