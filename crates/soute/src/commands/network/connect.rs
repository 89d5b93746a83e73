//! `soute network connect`, `disconnect`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::request::Endpoint;
use soute_engine::{Error, Places};
use soute_network::Mac;

use crate::cli::CommandLine;
use crate::commands::open;
use crate::error;

/// A container joins a further network.
#[derive(Debug, Args)]
pub struct Connect {
    /// The address that it wants there
    #[arg(long, value_name = "IP")]
    ip: Option<Ipv4Addr>,

    /// The IPv6 address that it wants there
    #[arg(long, value_name = "IP")]
    ip6: Option<Ipv6Addr>,

    /// The Ethernet address that it wants there
    #[arg(long, value_name = "MAC")]
    mac_address: Option<Mac>,

    /// A further name by which its neighbours there find it
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// The network
    #[arg(value_name = "NETWORK")]
    network: String,

    /// The container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl CommandLine for Connect {
    const USAGE: &'static str = "[OPTIONS] NETWORK CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        let endpoint = Endpoint {
            network: self.network,
            address: self.ip,
            address6: self.ip6,
            mac: self.mac_address,
            aliases: self.alias,
        };
        let notices = engine.connect_network(endpoint, &self.container)?;
        error::warn_all(&notices);
        Ok(ExitCode::SUCCESS)
    }
}

/// A container leaves a network.
#[derive(Debug, Args)]
pub struct Disconnect {
    /// That it is not in the network, or is not at all, is fine
    #[arg(short, long)]
    force: bool,

    /// The network
    #[arg(value_name = "NETWORK")]
    network: String,

    /// The container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

impl CommandLine for Disconnect {
    const USAGE: &'static str = "[OPTIONS] NETWORK CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        match engine.disconnect_network(&self.network, &self.container) {
            Ok(notices) => error::warn_all(&notices),
            Err(Error::NoSuchContainer(_) | Error::NotConnected { .. }) if self.force => {}
            Err(e) => return Err(e.into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
