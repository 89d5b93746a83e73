//! `soute update`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use soute_engine::Places;
use soute_network::plan::ports::{self, Wanted};

use super::each::each;
use crate::args::{LimitArgs, Machine};
use crate::cli::CommandLine;
use crate::error::warn_all;

/// Containers become others: at once if they run, and for their further starts.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    limits: LimitArgs,

    /// A further port of the machine's that leads to it, as 'soute run --publish' has it
    #[arg(long, value_name = "[IP:][PORT:]PORT[/PROTOCOL]")]
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
        let update = soute_engine::Update {
            limits: self.limits.resources(&Machine)?,
            publish: parsed(&self.publish_add, "--publish-add")?,
            unpublish: parsed(&self.publish_rm, "--publish-rm")?,
        };
        ensure!(
            !update.is_empty(),
            "nothing is to be changed: a limit, --publish-add or --publish-rm says what"
        );
        let engine = super::open(places)?;
        each(&self.containers, |name| {
            warn_all(&engine.update(name, &update)?);
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
