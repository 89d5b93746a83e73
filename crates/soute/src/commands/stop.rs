//! `soute stop` and `soute restart`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;

use super::each::{each_at_once, each_named};
use crate::args::process::signal;
use crate::cli::CommandLine;

/// How a container is asked to end.
#[derive(Debug, Args)]
struct Asking {
    /// The signal that asks (the container's own, or SIGTERM)
    #[arg(short, long, value_parser = signal)]
    signal: Option<i32>,

    /// Seconds until it is killed (-1: never)
    #[arg(
        short = 't',
        long,
        alias = "timeout",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    time: Option<i64>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Ask to end, then kill.
#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    asking: Asking,
}

impl CommandLine for Stop {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let Asking {
            signal,
            time,
            containers,
        } = self.asking;
        each_at_once(&containers, |name| Ok(engine.stop(name, signal, time)?))
    }
}

/// Stop, if it runs, and start.
#[derive(Debug, Args)]
pub struct Restart {
    #[command(flatten)]
    asking: Asking,
}

impl CommandLine for Restart {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let Asking {
            signal,
            time,
            containers,
        } = self.asking;
        super::start::shield(&engine, &containers)?;
        each_named(&containers, |name| Ok(engine.restart(name, signal, time)?))
    }
}
