//! `soute update`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use soute_engine::Places;
use soute_network::plan::ports::{self, Wanted};

use super::each::each;
use crate::cli::CommandLine;
use crate::error::warn_all;

/// Containers become others while they run.
#[derive(Debug, Args)]
pub struct Update {
    /// A further port of the machine's that leads to it, as 'soute run --publish' has it
    #[arg(
        long,
        value_name = "[IP:][PORT:]PORT[/PROTOCOL]",
        required_unless_present = "publish_rm"
    )]
    publish_add: Vec<String>,

    /// A port that leads to it no more: the container's, or the machine's and the container's
    #[arg(long, value_name = "[IP:][PORT:]PORT[/PROTOCOL]")]
    publish_rm: Vec<String>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl CommandLine for Update {
    const USAGE: &'static str = "[OPTIONS] CONTAINER...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let add = parsed(&self.publish_add, "--publish-add")?;
        let remove = parsed(&self.publish_rm, "--publish-rm")?;
        let engine = super::open(places)?;
        each(&self.containers, |name| {
            let notices = engine.update_ports(name, &add, &remove)?;
            warn_all(&notices);
            Ok(name.to_owned())
        })
    }
}

fn parsed(texts: &[String], flag: &'static str) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for text in texts {
        all.extend(ports::parse(text).context(flag)?);
    }
    Ok(all)
}
