//! Networks are put back as they should be, whoever changed them.

use std::fs::TryLockError;
use std::path::PathBuf;

use soute_network::route::Rtnetlink;
use soute_network::ruleset::{Healed, Ruleset};

use super::record::NetworkRecord;
use super::{connect, firewall, leases};
use crate::error::{Error, io};
use crate::places::Places;

/// How often the table is looked at until nothing is amiss in it.
const MOST_LOOKS: usize = 4;

/// What a monitor that has heard of a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All is as it should be.
    Whole,
    /// Another is at work on networks, perhaps at this very thing.
    Busy,
}

/// Puts back what of the table is not as it should be, for a monitor: one of all does it, and the others see by the number
/// of the rules that it is done.
pub(crate) fn keep(places: &Places) -> Result<Kept, Error> {
    let (file, folder) = super::lock_file(places)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(Kept::Busy),
        Err(TryLockError::Error(e)) => return io("locking", &folder, Err(e)),
        Ok(()) => {}
    }
    let mut table = Ruleset::open()?;
    for _ in 0..MOST_LOOKS {
        let generation = table.generation()?;
        if seen_whole(places) == Some(generation) {
            break;
        }
        if firewall::heal(places)? == Healed::Nothing {
            let path = whole_path(places);
            io(
                "writing",
                &path,
                std::fs::write(&path, generation.to_string()),
            )?;
            break;
        }
    }
    Ok(Kept::Whole)
}

/// The number of the rules when all was as it should be.
fn seen_whole(places: &Places) -> Option<u32> {
    std::fs::read_to_string(whole_path(places))
        .ok()?
        .parse()
        .ok()
}

fn whole_path(places: &Places) -> PathBuf {
    places.run.join("nftables.generation")
}

/// Makes bridges anew that somebody has deleted while containers were joined to them, and joins these again.
pub(super) fn mend_bridges(places: &Places) -> Result<(), Error> {
    let mut machine = None;
    for network in NetworkRecord::all(places)? {
        if !network.driver.is_bridge() || leases::of(places, &network.name)?.is_empty() {
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
        let wires = super::all_noted(places).into_iter();
        let wires = wires.flat_map(|(_, noted)| noted.wires);
        for wire in wires.filter(|wire| wire.network == network.name) {
            if let Some(peer) = machine.link(&wire.peer)? {
                machine.set_master(peer.index, Some(bridge.index))?;
                machine.set_up(peer.index, true)?;
            }
        }
    }
    Ok(())
}
