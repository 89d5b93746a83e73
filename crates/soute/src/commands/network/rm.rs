//! `soute network rm` and `prune`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{DEFAULT_NETWORK, Error, Places};

use super::super::each::each;
use crate::cli::CommandLine;
use crate::commands::open;
use crate::error;
use crate::output::print;

/// Networks that no container runs in.
#[derive(Debug, Args)]
pub struct Rm {
    /// One that is not there is no failure
    #[arg(short, long)]
    force: bool,

    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl CommandLine for Rm {
    const USAGE: &'static str = "[OPTIONS] NETWORK...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        each(&self.networks, |name| {
            match engine.remove_network(name) {
                Ok((_, notices)) => error::warn_all(&notices),
                Err(Error::NoSuchNetwork(_)) if self.force => {}
                Err(e) => return Err(e.into()),
            }
            Ok(name.to_owned())
        })
    }
}

/// All that were made and that no container runs in.
#[derive(Debug, Args)]
pub struct Prune {
    /// As it always is: nothing is asked
    #[arg(short, long, hide = true)]
    force: bool,
}

impl CommandLine for Prune {
    const USAGE: &'static str = "";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        // The one that is there without being made is no left-over.
        let networks = engine.networks()?.into_iter();
        for network in networks.filter(|network| network.name != DEFAULT_NETWORK) {
            if engine.members(&network)?.is_empty() {
                let (_, notices) = engine.remove_network(&network.name)?;
                error::warn_all(&notices);
                print(&(network.name + "\n"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
