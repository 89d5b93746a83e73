//! `soute ns` over the engine: containers are found by name.

use std::process::ExitCode;

use anyhow::Result;
use soute_engine::{Error, Places, Status};

use super::ns::{NsArgs, ResolvedContainer, run};
use crate::cli::CommandLine;
use crate::output::print;

impl CommandLine for NsArgs {
    const USAGE: &'static str = "COMMAND";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let mut text = Vec::new();
        run(&self, &running(places), &mut text)?;
        print(&String::from_utf8_lossy(&text))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Finds containers that run. The engine is opened when one is asked for: processes and paths need none.
pub(super) fn running(
    places: &Places,
) -> impl Fn(&str) -> Result<Option<ResolvedContainer>> + use<'_> {
    |name| {
        let container = match super::open_in_a_hurry(places)?.container(name) {
            Err(Error::NoSuchContainer(_)) => return Ok(None),
            found => found?,
        };
        Ok(match container.status {
            Status::Running(running) => Some(ResolvedContainer {
                name: container.record.name,
                id: container.record.id,
                init_pid: running.pid.unsigned_abs(),
            }),
            _ => None,
        })
    }
}
