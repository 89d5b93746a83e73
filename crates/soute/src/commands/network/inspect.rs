//! `soute network inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use soute_engine::{Driver, Engine, Member, NetworkRecord, Places};

use crate::cli::CommandLine;
use crate::commands::open;
use crate::error;
use crate::output::{json, print};

/// All that is known of networks, as Docker tells it.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl CommandLine for Inspect {
    const USAGE: &'static str = "NETWORK...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        let mut code = ExitCode::SUCCESS;
        let mut found = Vec::new();
        for name in &self.networks {
            match engine.network(name).map_err(anyhow::Error::from) {
                Ok(network) => found.push(describe(&engine, &network)?),
                Err(failure) => code = error::report(&failure, 1),
            }
        }
        print(&json(&found)?)?;
        Ok(code)
    }
}

fn describe(engine: &Engine, network: &NetworkRecord) -> Result<Value> {
    let ipam: Vec<Value> = network
        .subnets
        .iter()
        .map(|range| {
            // A bridge has its address also where that leads nowhere.
            let gateway = match network.driver {
                Driver::Bridge => Some(range.gateway),
                _ => network.way_out(range).filter(|way| !way.is_unspecified()),
            };
            json!({"Subnet": range.subnet, "Gateway": gateway, "IPRange": range.pool})
        })
        .collect();
    let mut containers = Map::new();
    for Member { address, id, name } in engine.members(network)? {
        let kind = match address.is_ipv4() {
            true => "IPv4Address",
            false => "IPv6Address",
        };
        let mut ranges = network.subnets.iter();
        let range = ranges.find(|range| range.subnet.contains(address));
        let prefix = range.map_or_else(String::new, |range| format!("/{}", range.subnet.prefix()));
        let wires = engine.networking(&id)?.wires;
        let mut wires = wires.iter().filter(|wire| wire.network == network.name);
        let mac = wires.next().map(|wire| wire.mac);
        let known = containers
            .entry(id)
            .or_insert_with(|| json!({"Name": name, "MacAddress": mac}));
        known[kind] = json!(format!("{address}{prefix}"));
    }
    // Options are texts; what is not set is not there.
    let mut options = match network.driver {
        Driver::Bridge => json!({
            "com.docker.network.bridge.name": network.bridge,
            "com.docker.network.bridge.enable_ip_masquerade": network.masquerade.to_string(),
        }),
        Driver::Macvlan { mode } => json!({
            "parent": network.bridge,
            "macvlan_mode": mode.name(),
        }),
        Driver::Ipvlan { mode, flag } => json!({
            "parent": network.bridge,
            "ipvlan_mode": mode.name(),
            "ipvlan_flag": flag.name(),
        }),
    };
    if let Some(mtu) = network.mtu {
        options["com.docker.network.driver.mtu"] = json!(mtu.to_string());
    }
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver.name(),
        "EnableIPv4": true,
        "EnableIPv6": network.subnets.iter().any(|range| !range.subnet.is_ipv4()),
        "IPAM": {"Driver": "default", "Config": ipam},
        "Internal": network.internal,
        "Options": options,
        "Labels": network.labels,
        "Containers": containers,
    }))
}
