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
use clap::Args;
use soute_engine::Places;

use crate::cli::{CommandLine, Entry};

/// The commands of `soute network`.
pub const TABLE: &[Entry] = &[
    Entry::new::<create::Create>("create", "Make a network"),
    Entry::new::<ls::Ls>("ls", "List networks"),
    Entry::new::<inspect::Inspect>("inspect", "Print all that is known of networks"),
    Entry::new::<rm::Rm>("rm", "Remove networks that no container runs in"),
    Entry::new::<rm::Prune>("prune", "Remove all networks that no container runs in"),
    Entry::new::<connect::Connect>("connect", "Join a container to a network"),
    Entry::new::<connect::Disconnect>("disconnect", "Take a container out of a network"),
    Entry::new::<carry::Move>(
        "move",
        "Carry an interface, with its addresses and routes, into a container, and back when that ends",
    ),
    Entry::new::<map::MapArgs>(
        "map",
        "Show what is wired to what, over all network namespaces of the machine",
    ),
    Entry::new::<ports::PortsArgs>(
        "ports",
        "Show each open and each published port, and whose it is",
    ),
    Entry::new::<check::Check>(
        "check",
        "Tell step by step whether a container reaches another end",
    ),
    Entry::new::<why::Why>(
        "why",
        "Tell what becomes of a packet, rule by rule, and what stops it",
    ),
    Entry::new::<Reconcile>(
        "reconcile",
        "Put back what a reload of the machine's firewall has wiped",
    ),
];

#[derive(Debug, Args)]
struct Reconcile;

impl CommandLine for Reconcile {
    const USAGE: &'static str = "";

    fn run(self, places: &Places) -> Result<ExitCode> {
        // As every command does in passing; it is the whole of this one.
        super::open(places)?.heal_networks()?;
        Ok(ExitCode::SUCCESS)
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
