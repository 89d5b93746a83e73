//! The user's own rules: a program that the settings name (`rules_hook`) is told of soute's table and of its networks, and
//! puts in place what the user wants besides.
//!
//! It is told whenever there is something new to be told: another table than last time, since somebody has flushed the
//! rules or the machine was started anew, or other networks. No container starts in a network before the program has
//! ended well.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use serde_json::json;
use soute_network::ruleset::{Ruleset, TABLE};
use soute_runtime::hooks::{self, Hook, HookError, Tree};

use super::record::NetworkRecord;
use super::upkeep::own_namespace;
use crate::error::{Error, io};
use crate::places::Places;

/// Why the user's own rules are not in place.
#[derive(Debug, thiserror::Error)]
pub enum RulesHookError {
    /// The program could not be run, or failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// What it was told of is there no more.
    #[error("hook {0:?} removed the table that it was told of ({TABLE})")]
    Removed(String),
}

/// Tells the program of what is new; whether anything was. Without a table nothing is.
pub(super) fn tell(places: &Places, hook: Option<&Hook>) -> Result<bool, Error> {
    let Some(hook) = hook else { return Ok(false) };
    let path = places.run.join("rules-hook.told");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path);
    let mut file = io("opening", &path, opened)?;
    // One at a time. Who comes second finds it told, and the rules in place.
    io("locking", &path, file.lock())?;
    let Some(table) = Ruleset::open()?.handle()? else {
        return Ok(false);
    };
    let state = state(places)?;
    let words = [&hook.args[..], &hook.env].concat();
    let news = format!(
        "{} {table} {} {words:?}\n{state}",
        own_namespace(),
        hook.path
    );
    let mut told = Vec::new();
    io("reading", &path, file.read_to_end(&mut told))?;
    if told == news.as_bytes() {
        return Ok(false);
    }
    let ran = hooks::run(hook, &state, Tree::Machine).map_err(RulesHookError::from);
    ran.map_err(Error::RulesHook)?;
    if Ruleset::open()?.handle()? != Some(table) {
        return Err(Error::RulesHook(RulesHookError::Removed(hook.path.clone())));
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(news.as_bytes()));
    io("writing", &path, written)?;
    Ok(true)
}

/// What the program is told, on its standard input.
fn state(places: &Places) -> Result<String, Error> {
    let networks = NetworkRecord::all(places)?.into_iter();
    let networks: Vec<_> = networks
        .filter(|network| network.driver.is_bridge())
        .map(|network| {
            let subnets: Vec<_> = network.subnets.iter().map(|range| range.subnet).collect();
            json!({
                "name": network.name,
                "id": network.id,
                "bridge": network.bridge,
                "subnets": subnets,
                "internal": network.internal,
                "labels": network.labels,
            })
        })
        .collect();
    let table = json!({"family": TABLE.family.to_string(), "name": TABLE.name});
    Ok(json!({"table": table, "networks": networks}).to_string())
}
