//! `soute stats`: what containers use.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use soute_engine::{Container, Engine, Error, Places, Status, short};
use soute_lens::NamespaceId;
use soute_lens::proc::{Look, Proc, net_dev};
use soute_runtime::cgroups::{Cgroup, Layout, Stats as Counters};

use super::info::memory_of_the_machine;
use crate::cli::CommandLine;
use crate::output::{Format, Rows, binary_size, decimal_size, print, print_foreign};

/// Between two looks, and between the two that a share of processors is taken from.
const INTERVAL: Duration = Duration::from_secs(1);

/// What stands for a figure that is not to be had.
const NONE: &str = "--";

/// Processors, memory, network and disks that containers use.
#[derive(Debug, Args)]
pub struct Stats {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,

    /// table, table TEMPLATE, json, or a Go template for each
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Print once
    #[arg(long)]
    no_stream: bool,

    /// Ids in full
    #[arg(long)]
    no_trunc: bool,

    /// Names or ids; without, all that run
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const FIELDS: &[(&str, &str)] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// Those of the table.
const COLUMNS: &[&str] = &[
    "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
];

/// A container that was asked for.
struct Named<'a> {
    /// By what.
    word: &'a str,
    id: String,
}

/// One look at a container that runs.
struct Sample {
    at: Instant,
    counters: Counters,
    /// Received and sent; `None`: the network is not its own.
    network: Option<(u64, u64)>,
}

impl CommandLine for Stats {
    const USAGE: &'static str = "[OPTIONS] [CONTAINER]...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        // A name that is wrong is so at once.
        let named = self.containers.iter();
        let named: Vec<Named<'_>> = named
            .map(|word| {
                let id = engine.container(word)?.record.id;
                Ok(Named { word, id })
            })
            .collect::<Result<_>>()?;
        let observer = Observer::new()?;
        let mut before = HashMap::new();
        observer.look_at_all(&self.chosen(&engine, &named)?, &mut before)?;
        loop {
            std::thread::sleep(INTERVAL);
            let chosen = self.chosen(&engine, &named)?;
            let mut now = HashMap::new();
            observer.look_at_all(&chosen, &mut now)?;
            let mut rows = Rows::new(FIELDS);
            for container in &chosen {
                let id = &container.record.id;
                let word = named.iter().find(|named| named.id == *id);
                let figures = match now.get(id) {
                    Some(now) => figures(before.get(id), now, observer.memory),
                    // As Docker shows what does not run.
                    None => {
                        ["0.00%", "0B / 0B", "0.00%", "0B / 0B", "0B / 0B", "0"].map(str::to_owned)
                    }
                };
                rows.push(self.row(container, word.map(|named| named.word), figures));
            }
            let text = rows.render(&self.format, COLUMNS)?;
            if self.no_stream {
                print_foreign(&text)?;
                return Ok(ExitCode::SUCCESS);
            }
            if std::io::stdout().is_terminal() {
                // To the top left, and clear.
                print("\x1b[H\x1b[2J")?;
            }
            print_foreign(&text)?;
            if chosen.is_empty() && !named.is_empty() {
                // All that was asked for has gone.
                return Ok(ExitCode::SUCCESS);
            }
            before = now;
        }
    }
}

impl Stats {
    /// Those of `named` that are there still; without names, those that run, or all.
    fn chosen(&self, engine: &Engine, named: &[Named<'_>]) -> Result<Vec<Container>> {
        if !named.is_empty() {
            let mut there = Vec::new();
            for Named { id, .. } in named {
                match engine.container(id) {
                    Ok(container) => there.push(container),
                    Err(Error::NoSuchContainer(_)) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            return Ok(there);
        }
        let mut chosen = engine.containers()?;
        chosen.retain(|container| self.all || matches!(container.status, Status::Running(_)));
        Ok(chosen)
    }

    /// `word` is what the user has called it.
    fn row(&self, container: &Container, word: Option<&str>, figures: [String; 6]) -> [String; 9] {
        let record = &container.record;
        let id = match self.no_trunc {
            true => record.id.clone(),
            false => short(&record.id).to_owned(),
        };
        let word = word.map_or_else(|| id.clone(), str::to_owned);
        let [cpu, usage, share, network, disks, pids] = figures;
        [
            word,
            id,
            record.name.clone(),
            cpu,
            usage,
            share,
            network,
            disks,
            pids,
        ]
    }
}

/// What is needed to look.
struct Observer {
    layout: Layout,
    proc: Proc,
    /// The machine's.
    network: Look<NamespaceId>,
    /// The machine's, bytes: the limit of whoever has none.
    memory: u64,
}

impl Observer {
    fn new() -> Result<Self> {
        let proc = Proc::open()?;
        Ok(Self {
            layout: Layout::discover()?,
            network: proc.myself()?.namespace("net")?,
            proc,
            memory: memory_of_the_machine(),
        })
    }

    fn look_at_all(
        &self,
        containers: &[Container],
        samples: &mut HashMap<String, Sample>,
    ) -> Result<()> {
        for container in containers {
            let Status::Running(running) = &container.status else {
                continue;
            };
            match self.look(container, running.pid.unsigned_abs()) {
                Ok(sample) => {
                    samples.insert(container.record.id.clone(), sample);
                }
                // It has ended meanwhile: its cgroup or its process is gone.
                Err(_) if !self.lives(running.pid.unsigned_abs()) => {}
                Err(e) => {
                    return Err(e.context(format!("container {}", container.record.name)));
                }
            }
        }
        Ok(())
    }

    fn lives(&self, pid: u32) -> bool {
        matches!(self.proc.process(pid), Ok(Look::Seen(_)))
    }

    fn look(&self, container: &Container, pid: u32) -> Result<Sample> {
        let cgroup = Cgroup::open(&self.layout, &container.record.cgroup)?;
        let at = Instant::now();
        let counters = cgroup.stats()?;
        Ok(Sample {
            at,
            counters,
            network: self.network(pid)?,
        })
    }

    /// What has come and gone by all interfaces but `lo`.
    fn network(&self, pid: u32) -> Result<Option<(u64, u64)>> {
        let Look::Seen(folder) = self.proc.process(pid)? else {
            return Ok(None);
        };
        if folder.namespace("net")? == self.network {
            return Ok(None);
        }
        let Look::Seen(text) = folder.read("net/dev")? else {
            return Ok(None);
        };
        let carried = net_dev(&text).context("its interfaces")?;
        let others = carried.iter().filter(|one| one.name != b"lo");
        Ok(Some(others.fold((0, 0), |(received, sent), one| {
            (
                u64::wrapping_add(received, one.received),
                u64::wrapping_add(sent, one.sent),
            )
        })))
    }
}

/// A processor's share, memory and its share, network, disks, processes.
fn figures(before: Option<&Sample>, now: &Sample, machine: u64) -> [String; 6] {
    let none = || NONE.to_owned();
    let cpu = before.and_then(|before| cpu_share(before, now));
    let memory = now.counters.memory.as_ref();
    let memory = memory.map(|memory| {
        let limit = memory.limit.filter(|limit| *limit < machine);
        (memory.working_set(), limit.unwrap_or(machine))
    });
    let sizes = |one: u64, other: u64| format!("{} / {}", decimal_size(one), decimal_size(other));
    let disks = now.counters.io.as_ref().map(|devices| {
        let sum = |of: fn(&soute_runtime::cgroups::IoStats) -> u64| {
            devices.iter().map(of).fold(0, u64::saturating_add)
        };
        sizes(sum(|io| io.read_bytes), sum(|io| io.write_bytes))
    });
    let network = now.network.map(|(received, sent)| sizes(received, sent));
    let pids = now.counters.pids.as_ref();
    [
        cpu.map_or_else(none, percent),
        memory.map_or_else(none, |(usage, limit)| {
            format!("{} / {}", binary_size(usage), binary_size(limit))
        }),
        memory.map_or_else(none, |(usage, limit)| {
            percent(usage as f64 / limit.max(1) as f64)
        }),
        network.unwrap_or_else(none),
        disks.unwrap_or_else(none),
        pids.map_or_else(none, |pids| pids.current.to_string()),
    ]
}

/// 1 is one processor all the time.
fn cpu_share(before: &Sample, now: &Sample) -> Option<f64> {
    let time = |sample: &Sample| Some(sample.counters.cpu.as_ref()?.total_ns);
    // Less than before: the container was started anew.
    let used = time(now)?.checked_sub(time(before)?)?;
    let passed = now.at.duration_since(before.at).as_nanos().max(1);
    Some(used as f64 / passed as f64)
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}
