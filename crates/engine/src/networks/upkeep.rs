//! Networks are put back as they should be, whoever changed them.

use std::fs::TryLockError;
use std::path::PathBuf;

use soute_network::route::Rtnetlink;
use soute_network::ruleset::{Healed, Ruleset};
use soute_runtime::hooks::Hook;

use super::record::NetworkRecord;
use super::{connect, firewall, leases, rules_hook};
use crate::error::{Error, io};
use crate::places::{Places, remove_if_there};
use crate::settings::Settings;

/// How often the table is looked at until nothing is amiss in it.
const MOST_LOOKS: usize = 4;

/// What a monitor that has heard of a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All is as it should be.
    Whole,
    /// Another monitor is at it.
    Busy,
}

/// Puts back what of the table is not as it should be, for a monitor: one of all does it, and the others see by the number
/// of the rules that it is done.
pub(crate) fn keep(places: &Places) -> Result<Kept, Error> {
    // Not the networks' lock: a container that ends would wait for the user's hook.
    let path = places.run.join("upkeep.lock");
    let file = io("opening", &path, std::fs::File::create(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(Kept::Busy),
        Err(TryLockError::Error(e)) => return io("locking", &path, Err(e)),
        Ok(()) => {}
    }
    let settings = Settings::read(&places.config)?;
    make_whole(places, settings.rules_hook.as_ref())?;
    Ok(Kept::Whole)
}

/// Puts back what of the table is not as it should be; whether anything was. As long as nobody has changed any rules since
/// all was seen to be well, that is known without a look at the table, which may have thousands of elements.
pub(super) fn make_whole(places: &Places, hook: Option<&Hook>) -> Result<bool, Error> {
    let mut table = Ruleset::open()?;
    let mut amiss = false;
    for _ in 0..MOST_LOOKS {
        let generation = table.generation()?;
        if seen_whole(places) == Some(generation) {
            break;
        }
        if firewall::heal(places)? != Healed::Nothing {
            amiss = true;
        } else if !rules_hook::tell(places, hook)? {
            note_whole(places, generation)?;
            break;
        }
    }
    Ok(amiss)
}

/// Changes the table. If all was well before, and nobody else has changed any rules meanwhile, all is well.
pub(super) fn tended<T>(
    places: &Places,
    change: impl FnOnce(&mut Ruleset) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut table = Ruleset::open()?;
    let before = table.generation()?;
    let whole = seen_whole(places) == Some(before);
    let done = change(&mut table)?;
    // A commit of one batch is one step (nf_tables_commit).
    let after = before.wrapping_add(1);
    if whole && table.generation()? == after {
        note_whole(places, after)?;
    }
    Ok(done)
}

/// From now on nobody takes all to be well without a look: what is noted is about to change before the table does. Gives
/// the number of the rules if all was well.
pub(super) fn suspend(places: &Places) -> Result<Option<u32>, Error> {
    let generation = Ruleset::open()?.generation()?;
    let whole = seen_whole(places) == Some(generation);
    remove_if_there("removing", &whole_path(places))?;
    Ok(whole.then_some(generation))
}

/// The table has changed as well, in so many commits: if those were the only ones, all is well again.
pub(super) fn resume(places: &Places, before: Option<u32>, commits: usize) -> Result<(), Error> {
    let after = before.map(|before| before.wrapping_add(commits as u32));
    match after {
        Some(after) if Ruleset::open()?.generation()? == after => note_whole(places, after),
        _ => Ok(()),
    }
}

/// The number of the rules when all was as it should be.
fn seen_whole(places: &Places) -> Option<u32> {
    let text = std::fs::read_to_string(whole_path(places)).ok()?;
    let (namespace, generation) = text.split_once(' ')?;
    (namespace == own_namespace()).then(|| generation.parse().ok())?
}

fn note_whole(places: &Places, generation: u32) -> Result<(), Error> {
    let path = whole_path(places);
    let text = format!("{} {generation}", own_namespace());
    io("writing", &path, std::fs::write(&path, text))
}

/// The network namespace, of which the number is.
pub(super) fn own_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    link.to_string_lossy().into_owned()
}

fn whole_path(places: &Places) -> PathBuf {
    places.run.join("nftables.whole")
}

/// Makes bridges anew that somebody has deleted while containers were joined to them, and joins these again.
pub(super) fn mend_bridges(places: &Places) -> Result<(), Error> {
    let mut machine = None;
    for network in NetworkRecord::all(places)? {
        if !network.driver.is_bridge() || !leases::are_any(places, &network.name)? {
            continue;
        }
        let machine = match &mut machine {
            Some(machine) => machine,
            none => none.insert(Rtnetlink::open()?),
        };
        if machine
            .link(&network.bridge)?
            .is_some_and(|link| link.is_up())
        {
            continue;
        }
        let _lock = super::lock(places)?;
        let bridge = connect::bridge(machine, &network)?;
        for (_, noted) in super::all_noted(places) {
            let wires = noted.wires.iter();
            for wire in wires.filter(|wire| wire.network == network.name) {
                if let Some(peer) = machine.link(&wire.peer)? {
                    machine.set_master(peer.index, Some(bridge.index))?;
                    machine.set_up(peer.index, true)?;
                    if !noted.published.is_empty() {
                        machine.set_hairpin(peer.index, true)?;
                    }
                }
            }
        }
    }
    Ok(())
}
