//! `soute ps`.

mod filter;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use soute_engine::request::{MountKind, Network, Source};
use soute_engine::{Container, Places, Status, short};
use soute_network::plan::ports::{PortOfMachine, Wanted};

use crate::cli::CommandLine;
use crate::output::{Format, Rows, age, duration, print, print_foreign};
use filter::{Condition, Filters};

/// Containers that run, or all.
#[derive(Debug, Args)]
pub struct Ps {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,

    /// Ids alone
    #[arg(short, long)]
    quiet: bool,

    /// Ids and commands in full
    #[arg(long)]
    no_trunc: bool,

    /// Only those with this: id, name, label, status, exited, ancestor, before or since
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Condition>,

    /// table, table TEMPLATE, json, or a Go template for each
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// The last so many, running or not
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<i64>,

    /// The last one, running or not
    #[arg(short, long)]
    latest: bool,
}

const FIELDS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Ports", "PORTS"),
];

/// Docker's columns.
const COLUMNS: &[&str] = &[
    "ID",
    "Image",
    "Command",
    "RunningFor",
    "Status",
    "Ports",
    "Names",
];

impl CommandLine for Ps {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let last = match self.latest {
            true => Some(1),
            // A negative number is no limit, as in Docker.
            false => self.last.and_then(|last| usize::try_from(last).ok()),
        };
        let filters = Filters::new(self.filter, &engine)?;
        // Who asks for a state wants to see those who are in it.
        let all = self.all || last.is_some() || filters.ask_for_a_state();
        let containers = engine.containers()?.into_iter();
        let chosen = containers
            .filter(|container| all || matches!(container.status, Status::Running(_)))
            .filter(|container| filters.accept(container))
            .take(last.unwrap_or(usize::MAX));
        if self.quiet {
            let lines: String = chosen
                .map(|container| id(&container, self.no_trunc) + "\n")
                .collect();
            print(&lines)?;
            return Ok(ExitCode::SUCCESS);
        }
        let now = Timestamp::now();
        let mut rows = Rows::new(FIELDS);
        for container in chosen {
            rows.push(row(&container, now, self.no_trunc));
        }
        print_foreign(&rows.render(&self.format, COLUMNS)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn id(container: &Container, full: bool) -> String {
    let id = &container.record.id;
    match full {
        true => id.clone(),
        false => short(id).to_owned(),
    }
}

/// The fields in their order.
fn row(container: &Container, now: Timestamp, full: bool) -> [String; 13] {
    let record = &container.record;
    let request = &record.request;
    let labels = record
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let binds = request
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountKind::Bind { path, .. } => Some(path.display().to_string()),
            _ => None,
        });
    let volumes = record.volumes.iter().map(|(_, name)| name.clone());
    [
        id(container, full),
        source(&request.source),
        command(&record.args, full),
        record.created.to_string(),
        age(record.created, now),
        status(&container.status, now),
        container.status.word().to_owned(),
        record.name.clone(),
        labels.collect::<Vec<_>>().join(","),
        binds.chain(volumes).collect::<Vec<_>>().join(","),
        record.volumes.len().to_string(),
        match &request.network {
            Network::Networks(all) => {
                let names: Vec<&str> = all.iter().map(|one| one.network.as_str()).collect();
                names.join(",")
            }
            other => other.to_string(),
        },
        ports(&record.request.published),
    ]
}

/// As they were asked for: which free port the kernel gave, `inspect` tells.
fn ports(published: &[Wanted]) -> String {
    let one = |map: &Wanted| {
        let address = map
            .address
            .map_or_else(|| "*".to_owned(), |address| address.to_string());
        let host = match map.port {
            PortOfMachine::One(port) => port.to_string(),
            PortOfMachine::Of(first, last) => format!("{first}-{last}"),
            PortOfMachine::Any => "*".to_owned(),
        };
        format!("{address}:{host}->{}/{}", map.container, map.protocol)
    };
    published.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn source(source: &Source) -> String {
    match source {
        Source::Image(name) => name.clone(),
        Source::Directory(path) => path.display().to_string(),
    }
}

/// In quotes; twenty characters of it, unless it is wanted in full.
fn command(args: &[String], full: bool) -> String {
    const MOST: usize = 20;
    let text = args.join(" ");
    match full || text.chars().count() <= MOST {
        true => format!("\"{text}\""),
        false => format!("\"{}…\"", text.chars().take(MOST - 1).collect::<String>()),
    }
}

/// Docker's words.
fn status(status: &Status, now: Timestamp) -> String {
    match status {
        Status::Created => "Created".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Running(running) => format!("Up {}", duration(now.duration_since(running.started))),
        Status::Exited(last) => {
            let ended = last.finished.unwrap_or(last.started);
            format!("Exited ({}) {}", last.exit_code, age(ended, now))
        }
    }
}

#[cfg(test)]
mod tests {
    use soute_engine::{LastRun, Running};

    use super::*;

    #[test]
    fn statuses_are_dockers() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-05T10:00:00Z");
        let running = Status::Running(Running {
            pid: 1,
            start_time: 1,
            monitor: 1,
            started: at("2026-11-05T09:57:00Z"),
        });
        let exited = Status::Exited(LastRun {
            started: at("2026-11-05T07:00:00Z"),
            finished: Some(at("2026-11-05T08:00:00Z")),
            exit_code: 137,
            oom_killed: true,
            error: None,
        });
        assert_eq!(status(&Status::Created, now), "Created");
        assert_eq!(status(&running, now), "Up 3 minutes");
        assert_eq!(status(&exited, now), "Exited (137) 2 hours ago");
    }

    #[test]
    fn commands_are_cut() {
        let args = ["sh", "-c", "sleep infinity; true"].map(String::from);
        assert_eq!(command(&args[..1], false), "\"sh\"");
        assert_eq!(command(&args, false), "\"sh -c sleep infinit…\"");
        assert_eq!(command(&args, true), "\"sh -c sleep infinity; true\"");
    }
}
