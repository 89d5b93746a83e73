//! `soute network`: the networks that containers are joined to.

mod carry;
mod check;
mod connect;
mod create;
mod inspect;
mod known;
mod ls;
mod map;
mod ports;
mod rm;
mod target;
mod why;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use soute_engine::Places;

use crate::cli::CommandLine;

/// `soute network …`
#[derive(Debug, Args)]
pub struct NetworkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a network
    Create(create::Create),
    /// List networks
    Ls(ls::Ls),
    /// Print all that is known of networks
    Inspect(inspect::Inspect),
    /// Remove networks that no container runs in
    Rm(rm::Rm),
    /// Remove all networks that no container runs in
    Prune(rm::Prune),
    /// Join a container to a network
    Connect(connect::Connect),
    /// Take a container out of a network
    Disconnect(connect::Disconnect),
    /// Carry an interface, with its addresses and routes, into a container, and back when that ends
    Move(carry::Move),
    /// Show what is wired to what, over all network namespaces of the machine
    Map(map::MapArgs),
    /// Show each open and each published port, and whose it is
    Ports(ports::PortsArgs),
    /// Tell step by step whether a container reaches another end
    Check(check::Check),
    /// Tell what becomes of a packet, rule by rule, and what stops it
    Why(why::Why),
    /// Put back what a reload of the machine's firewall has wiped
    Reconcile,
}

impl CommandLine for NetworkArgs {
    const USAGE: &'static str = "COMMAND";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = || super::open(places);
        match self.command {
            Command::Create(create) => create.run(&engine()?),
            Command::Ls(ls) => ls.run(&engine()?),
            Command::Inspect(inspect) => inspect.run(&engine()?),
            Command::Rm(rm) => rm.run(&engine()?),
            Command::Prune(prune) => prune.run(&engine()?),
            // Whoever may not open the engine sees what is not hidden.
            Command::Map(map) => map.run(places),
            Command::Ports(ports) => ports.run(places),
            Command::Connect(connect) => connect.run(&engine()?),
            Command::Disconnect(disconnect) => disconnect.run(&engine()?),
            Command::Move(carry) => carry.run(&engine()?),
            Command::Check(check) => check.run(&engine()?),
            Command::Why(why) => why.run(&engine()?),
            Command::Reconcile => {
                // As every command does in passing; it is the whole of this one.
                engine()?.heal_networks()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// As many descriptors as may be: to look into namespaces takes one for each, and there may be more than the usual 1024.
pub(super) fn open_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails, those that cannot be opened are told.
    let _ = setrlimit(Resource::Nofile, limit);
}
