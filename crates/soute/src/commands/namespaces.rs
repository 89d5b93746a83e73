//! `soute ns` over the engine: containers are found by name.

use std::cell::OnceCell;
use std::process::ExitCode;

use anyhow::{Result, bail};
use soute_engine::{Error, Places, Status};
use soute_lens::Container;

use super::ns::{ResolvedContainer, caps, differ, graph, ls, mounts, pids, show, tree, watch};
use crate::cli::{CommandLine, Entry};
use crate::output::{print, visible};

/// The commands of `soute ns`.
pub const TABLE: &[Entry] = &[
    Entry::new::<ls::LsArgs>("ls", "List all namespaces of the machine"),
    Entry::new::<tree::TreeArgs>(
        "tree",
        "Draw the user or pid namespaces, each in its parent",
    ),
    Entry::new::<show::ShowArgs>(
        "show",
        "Show the namespaces of a process or container, and whose each of them is",
    ),
    Entry::new::<caps::CapsArgs>(
        "caps",
        "Show what a process could do in the namespaces of another, or in one",
    ),
    Entry::new::<differ::DiffArgs>(
        "diff",
        "Show how the worlds of two processes or containers differ",
    ),
    Entry::new::<mounts::MountsArgs>(
        "mounts",
        "Draw what is mounted, with what spreads where and what no path leads to",
    ),
    Entry::new::<pids::PidsArgs>(
        "pids",
        "Show the processes of a container, with their number at every level",
    ),
    Entry::new::<watch::WatchArgs>(
        "watch",
        "Watch namespaces come and go: a page on a terminal, else a line for each",
    ),
    Entry::new::<graph::GraphArgs>(
        "graph",
        "Draw namespaces, containers, processes and wires in one picture",
    ),
];

/// What a view has written, at once and when it is whole.
fn answer(view: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<ExitCode> {
    let mut text = Vec::new();
    view(&mut text)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

impl CommandLine for ls::LsArgs {
    const USAGE: &'static str = "[OPTIONS] [TYPE]...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| ls::run(&self, &name_of(places), out))
    }
}

impl CommandLine for tree::TreeArgs {
    const USAGE: &'static str = "[OPTIONS] TYPE";

    fn run(self, _: &Places) -> Result<ExitCode> {
        answer(|out| tree::run(&self, out))
    }
}

impl CommandLine for show::ShowArgs {
    const USAGE: &'static str = "[OPTIONS] PID|CONTAINER|PATH|INODE";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| show::run(&self, &running(places), out))
    }
}

impl CommandLine for caps::CapsArgs {
    const USAGE: &'static str = "[OPTIONS] PID|CONTAINER PID|CONTAINER|PATH|INODE";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| caps::run(&self, &running(places), out))
    }
}

impl CommandLine for differ::DiffArgs {
    const USAGE: &'static str = "[OPTIONS] PID|CONTAINER PID|CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| differ::run(&self, &running(places), out))
    }
}

impl CommandLine for mounts::MountsArgs {
    const USAGE: &'static str = "[OPTIONS] PID|CONTAINER|PATH|INODE";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| mounts::run(&self, &running(places), out))
    }
}

impl CommandLine for pids::PidsArgs {
    const USAGE: &'static str = "[OPTIONS] CONTAINER|PID";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| pids::run(&self, &running(places), out))
    }
}

impl CommandLine for watch::WatchArgs {
    const USAGE: &'static str = "[OPTIONS] [TYPE]...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        // What is not over cannot be handed over as a whole.
        watch::run(&self, &name_of(places))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl CommandLine for graph::GraphArgs {
    const USAGE: &'static str = "[OPTIONS] [TARGET]...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        answer(|out| graph::run(&self, &running(places), &name_of(places), out))
    }
}

/// Finds containers that run. The engine is opened when one is asked for, and others' are looked for, once, when it has none:
/// processes and paths need neither.
pub(super) fn running(
    places: &Places,
) -> impl Fn(&str) -> Result<Option<ResolvedContainer>> + use<'_> {
    let others = OnceCell::new();
    move |name| match ours(places, name)? {
        Some(found) => Ok(found),
        None => of_others_among(&others, name),
    }
}

/// Names containers of this engine's by their ids: one that is about to run has processes already.
fn name_of(places: &Places) -> impl Fn(&str) -> Option<String> + use<'_> {
    |id| Some(own(places, id).ok()??.record.name)
}

/// A container of this engine's, if it runs. The outer `None`: there is none, or this user may not ask.
fn ours(places: &Places, name: &str) -> Result<Option<Option<ResolvedContainer>>> {
    let Some(container) = own(places, name)? else {
        return Ok(None);
    };
    Ok(Some(match container.status {
        Status::Running(running) => Some(ResolvedContainer {
            name: container.record.name,
            id: container.record.id,
            init_pid: running.pid.unsigned_abs(),
        }),
        _ => None,
    }))
}

/// A container of this engine's. `None`: there is none, or this user may not ask.
fn own(places: &Places, name: &str) -> Result<Option<soute_engine::Container>> {
    let engine = match super::open_in_a_hurry(places) {
        Ok(engine) => engine,
        // Whoever may not ask the engine may ask the kernel.
        Err(e) if matches!(e.downcast_ref(), Some(Error::NotRoot(_))) => return Ok(None),
        Err(e) => return Err(e),
    };
    match engine.container(name) {
        Err(Error::NoSuchContainer(_)) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Finds a container of another engine's.
pub(super) fn of_others(name: &str) -> Result<Option<ResolvedContainer>> {
    of_others_among(&OnceCell::new(), name)
}

/// Finds a container of another engine's, among `all`.
fn of_others_among(
    all: &OnceCell<Vec<(u32, Container)>>,
    name: &str,
) -> Result<Option<ResolvedContainer>> {
    let all = match all.get() {
        Some(all) => all,
        None => {
            let found = Container::all()?;
            all.get_or_init(|| found)
        }
    };
    let mut found = Container::called(all.clone(), name);
    if found.len() > 1 {
        let all: Vec<String> = found.iter().map(|(_, one)| one.to_string()).collect();
        bail!(
            "{} containers are called so: {}",
            all.len(),
            visible(&all.join(", "))
        );
    }
    Ok(found.pop().map(|(init_pid, container)| ResolvedContainer {
        name: container
            .name
            .clone()
            .unwrap_or_else(|| container.id.clone()),
        id: container.id,
        init_pid,
    }))
}
