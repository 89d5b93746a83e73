//! `soute network map`: what is wired to what, over all network namespaces of the machine.

mod choose;
pub(super) mod firewall;
mod layout;
mod model;
mod svg;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::Places;
use soute_lens::view::{Survey, cut};
use soute_lens::{Kind, Scope};

use super::super::ns::{ResolvedContainer, Target, notes, target, terminal_width};
use super::known::{Container, Known};
use crate::cli::CommandLine;
use crate::output::{json, print};
use choose::{Chosen, choose};
use firewall::Firewall;
use model::Map;

/// What is wired to what: this network namespace, and all others on the machine.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// Only these, and what they are wired to: a container by name or id, a network that no container is called as, a process by
    /// number, a namespace's file by a path with a slash
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Print JSON, with all that is known
    #[arg(long)]
    json: bool,

    /// Print a picture, as SVG
    #[arg(long, conflicts_with = "json")]
    svg: bool,
}

impl CommandLine for MapArgs {
    const USAGE: &'static str = "[OPTIONS] [TARGET]...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let known = Known::new(places)?;
        super::open_many_files();
        let survey = Survey::new(Scope::ALL)?;
        let namespace_of = |pid: u32| {
            let namespace = survey.found().of_process(pid, Kind::Net);
            namespace.map(|namespace| namespace.id.inode)
        };
        let wiring = survey.wiring()?;
        let chosen = self
            .targets
            .iter()
            .map(|word| chosen(word, &known, &wiring, &namespace_of))
            .collect::<Result<Vec<_>>>()?;
        let of_container = |container: &Container| namespace_of(container.pid);
        let mut map = Map::new(wiring, known, Firewall::read(), &of_container);
        if !chosen.is_empty() {
            map = choose(map, &chosen);
        }
        if self.json {
            print(&json(&map)?)?;
        } else if self.svg {
            print(&svg::draw(&map))?;
            notes(&map.notes);
        } else {
            let width = terminal_width();
            let lines = text::draw(&map);
            let lines = lines.iter().map(|line| match width {
                Some(width) => cut(line, width) + "\n",
                None => format!("{line}\n"),
            });
            print(&lines.collect::<String>())?;
            notes(&map.notes);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a word of the command line means.
fn chosen(
    word: &str,
    known: &Known,
    wiring: &soute_lens::wiring::Wiring,
    namespace_of: &dyn Fn(u32) -> Option<u64>,
) -> Result<Chosen> {
    let resolve = |name: &str| -> Result<Option<ResolvedContainer>> {
        let found = known.container_named(name)?;
        Ok(found.map(|container| ResolvedContainer {
            name: container.name.name.clone(),
            id: container.name.id.clone(),
            init_pid: container.pid,
        }))
    };
    let network = known.networks.iter().find(|network| network.name == word);
    if let Some(network) = network
        && resolve(word)?.is_none()
    {
        let here = wiring.namespaces.iter().find(|namespace| namespace.here);
        let bridge = here.and_then(|here| {
            let bridge = here.links.iter().find(|link| link.name == network.bridge)?;
            Some(Chosen::Bridge(here.ns, bridge.index))
        });
        let Some(bridge) = bridge else {
            bail!(
                "network {word} has no bridge yet: {} is made with its first container",
                network.bridge
            );
        };
        return Ok(bridge);
    }
    let ns = match target(word, &resolve)? {
        Target::Process(pid, _) => namespace_of(pid),
        Target::Namespace(way) => {
            let (kind, id, _) = way.open()?;
            if kind != Kind::Net {
                bail!("{way} is a {kind} namespace: a network's is shown");
            }
            Some(id.inode)
        }
    };
    let seen = ns.filter(|ns| wiring.get(*ns).is_some());
    match seen {
        Some(ns) => Ok(Chosen::Namespace(ns)),
        None => bail!("the network namespace of {word} is hidden, or has gone"),
    }
}
