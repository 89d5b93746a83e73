//! `soute ns` over the engine: containers are found by name.

use std::cell::OnceCell;
use std::process::ExitCode;

use anyhow::{Result, bail};
use soute_engine::{Error, Places, Status};
use soute_lens::Container;

use super::ns::{NsArgs, ResolvedContainer, run};
use crate::cli::CommandLine;
use crate::output::{print, visible};

impl CommandLine for NsArgs {
    const USAGE: &'static str = "COMMAND";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let mut text = Vec::new();
        run(&self, &running(places), &name_of(places), &mut text)?;
        print(&String::from_utf8_lossy(&text))?;
        Ok(ExitCode::SUCCESS)
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
