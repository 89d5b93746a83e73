//! `soute network ls`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::{NetworkRecord, Places, short};

use crate::cli::CommandLine;
use crate::commands::open;
use crate::output::{Format, Rows, print, print_foreign};

/// The networks, a line each.
#[derive(Debug, Args)]
pub struct Ls {
    /// Ids alone
    #[arg(short, long)]
    quiet: bool,

    /// Ids in full
    #[arg(long)]
    no_trunc: bool,

    /// table, table TEMPLATE, json, or a Go template for each
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

const FIELDS: &[(&str, &str)] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Bridge", "BRIDGE"),
    ("Subnets", "SUBNETS"),
    ("Containers", "CONTAINERS"),
    ("Internal", "INTERNAL"),
    ("IPv6", "IPV6"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

const COLUMNS: &[&str] = &["ID", "Name", "Driver", "Bridge", "Subnets", "Containers"];

impl CommandLine for Ls {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        let networks = engine.networks()?;
        let id = |network: &NetworkRecord| match self.no_trunc {
            true => network.id.clone(),
            false => short(&network.id).to_owned(),
        };
        if self.quiet {
            let ids: String = networks.iter().map(|network| id(network) + "\n").collect();
            print(&ids)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = Rows::new(FIELDS);
        for network in &networks {
            let subnets: Vec<String> = network
                .subnets
                .iter()
                .map(|range| range.subnet.to_string())
                .collect();
            let mut members: Vec<String> = engine
                .members(network)?
                .into_iter()
                .map(|member| member.name)
                .collect();
            members.sort();
            members.dedup();
            let labels: Vec<String> = network
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let ipv6 = network.subnets.iter().any(|range| !range.subnet.is_ipv4());
            rows.push([
                id(network),
                network.name.clone(),
                network.driver.name().to_owned(),
                "local".to_owned(),
                network.bridge.clone(),
                subnets.join(","),
                members.join(","),
                network.internal.to_string(),
                ipv6.to_string(),
                labels.join(","),
                network.created.to_string(),
            ]);
        }
        print_foreign(&rows.render(&self.format, COLUMNS)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
