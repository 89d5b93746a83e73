//! The engine, as commands open it.

use anyhow::Result;
use soute_engine::{Engine, Places};
use soute_runtime::capabilities::{Cap, CapSet};

use crate::error;

/// Opens the engine, cleans up after commands that were killed, and tells what it could not clean up.
pub fn open(places: &Places) -> Result<Engine> {
    let engine = open_in_a_hurry(places)?;
    engine.images().sweep_unfinished()?;
    // What cannot be put back is in nobody's way who asks for something else; who may not look at all is told when he asks
    // for a network.
    if CapSet::own_effective().contains(Cap::NET_ADMIN)
        && let Err(why) = engine.heal_networks()
    {
        error::warn(&format!("the networks' table of nftables: {why}"));
    }
    Ok(engine)
}

/// [`open`] without a look for what a killed pull was unpacking: for what is done many times a second.
pub fn open_in_a_hurry(places: &Places) -> Result<Engine> {
    let engine = Engine::open(places.clone())?;
    engine.warnings().for_each(|warning| error::warn(&warning));
    Ok(engine)
}
