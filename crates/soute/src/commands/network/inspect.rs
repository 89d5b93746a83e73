//! `soute network inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use soute_engine::{Engine, NetworkRecord};

use crate::error;
use crate::output::{print, visible_json};

/// All that is known of networks, as Docker tells it.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Inspect {
    pub fn run(self, engine: &Engine) -> Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        let mut found = Vec::new();
        for name in &self.networks {
            match engine.network(name).map_err(anyhow::Error::from) {
                Ok(network) => found.push(describe(engine, &network)?),
                Err(failure) => code = error::report(&failure, 1),
            }
        }
        let text = serde_json::to_string_pretty(&found)?;
        print(&(visible_json(&text).into_owned() + "\n"))?;
        Ok(code)
    }
}

fn describe(engine: &Engine, network: &NetworkRecord) -> Result<Value> {
    let ipam: Vec<Value> = network
        .subnets
        .iter()
        .map(|range| json!({"Subnet": range.subnet, "Gateway": range.gateway, "IPRange": range.pool}))
        .collect();
    let mut containers = Map::new();
    for (address, name) in engine.members(network)? {
        let kind = if address.is_ipv4() {
            "IPv4Address"
        } else {
            "IPv6Address"
        };
        let known = containers.entry(name).or_insert_with(|| json!({}));
        known[kind] = json!(address);
    }
    // Options are texts; what is not set is not there.
    let mut options = json!({
        "com.docker.network.bridge.name": network.bridge,
        "com.docker.network.bridge.enable_ip_masquerade": network.masquerade.to_string(),
    });
    if let Some(mtu) = network.mtu {
        options["com.docker.network.driver.mtu"] = json!(mtu.to_string());
    }
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": true,
        "EnableIPv6": network.subnets.iter().any(|range| !range.subnet.is_ipv4()),
        "IPAM": {"Driver": "default", "Config": ipam},
        "Internal": network.internal,
        "Options": options,
        "Labels": network.labels,
        "Containers": containers,
    }))
}
