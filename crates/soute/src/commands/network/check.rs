//! `soute network check`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use soute_engine::{Engine, Error, Places};
use soute_network::check::{self, Checked, Named, Tried, Way};

use super::target::{Host, Target, target, timeout};
use crate::cli::CommandLine;
use crate::commands::open;
use crate::output::{json, print, visible};

/// Whether a container reaches something, from within its network, with no program of its image.
#[derive(Debug, Args)]
#[command(after_help = "Ends with 0 if it is reached, with 1 if not.")]
pub struct Check {
    /// How long each answer is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = timeout)]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The container that is to reach it
    #[arg(value_name = "CONTAINER")]
    from: String,

    /// What is to be reached: a container, a name or an address, with a port or not
    #[arg(value_name = "CONTAINER|NAME|ADDRESS[:PORT[/udp]]", value_parser = target)]
    to: Target,
}

impl CommandLine for Check {
    const USAGE: &'static str = "[OPTIONS] CONTAINER CONTAINER|NAME|ADDRESS[:PORT[/udp]]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        let inside = engine.inside(&self.from, "network check")?;
        let (to, known) = match self.to.host {
            Host::Address(address) => (check::Target::Address(address), Vec::new()),
            Host::Name(name) => {
                let known = addresses(&engine, &name)?;
                (check::Target::Name(name), known)
            }
        };
        let request = check::Request {
            namespace: inside.network(),
            from: inside.name.clone(),
            to,
            port: self.to.port,
            hosts: inside.file("/etc/hosts")?,
            resolver: inside.file("/etc/resolv.conf")?,
            known,
            timeout: self.timeout,
        };
        let checked = check::check(&request)?;
        if self.json {
            print(&json(&checked)?)?;
        } else {
            print(&text(
                &checked,
                self.to
                    .port
                    .map(|(protocol, port)| format!("{port}/{protocol}")),
            ))?;
        }
        Ok(match checked.reachable {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// The addresses of the container of this name, if there is one.
fn addresses(engine: &Engine, name: &str) -> Result<Vec<std::net::IpAddr>> {
    let name = match engine.find(name) {
        Ok(record) => record.name,
        Err(Error::NoSuchContainer(_) | Error::AmbiguousId { .. }) => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let located = engine.located()?.into_iter();
    Ok(located
        .filter(|one| one.name == name)
        .map(|one| one.address)
        .collect())
}

/// A line for each step, and the verdict.
fn text(checked: &Checked, port: Option<String>) -> String {
    let mut lines = Vec::new();
    for named in &checked.names {
        lines.push(("name".to_owned(), name_line(named)));
    }
    for tried in &checked.tried {
        try_lines(tried, port.as_deref(), &mut lines);
    }
    let width = lines
        .iter()
        .map(|(label, _)| label.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (label, line) in lines {
        let _ = writeln!(text, "{label:<width$}  {}", visible(&line));
    }
    let _ = writeln!(text, "{}", visible(&checked.verdict));
    for hint in &checked.hints {
        let _ = writeln!(text, "hint: {}", visible(hint));
    }
    text
}

fn name_line(named: &Named) -> String {
    let name = named.name.trim_end_matches('.');
    match &named.failure {
        Some(failure) => format!("{name}: {}: {failure}", named.by),
        None => {
            let addresses: Vec<String> = named.addresses.iter().map(ToString::to_string).collect();
            format!("{name} is {} ({})", addresses.join(", "), named.by)
        }
    }
}

fn try_lines(tried: &Tried, port: Option<&str>, lines: &mut Vec<(String, String)>) {
    let address = tried.address;
    let route = match &tried.route {
        Way::Local => format!("{address} is its own"),
        Way::By {
            interface,
            gateway,
            source,
        } => {
            let via = gateway.map(|gateway| format!(" via {gateway}"));
            let from = source.map(|source| format!(", from {source}"));
            format!(
                "{address}{} by {interface}{}",
                via.unwrap_or_default(),
                from.unwrap_or_default()
            )
        }
        Way::None(why) => format!("{address}: {why}"),
    };
    lines.push(("route".to_owned(), route));
    if let Some(next) = &tried.neighbour {
        let mac = next.mac.as_ref().map(|mac| format!(" is {mac},"));
        let line = format!("{}{} {}", next.address, mac.unwrap_or_default(), next.state);
        lines.push(("neighbour".to_owned(), line));
    }
    if let Some(echo) = &tried.echo {
        lines.push(("echo".to_owned(), echo.text.clone()));
    }
    if let (Some(told), Some(port)) = (&tried.port, port) {
        lines.push((port.to_owned(), told.text.clone()));
    }
}
