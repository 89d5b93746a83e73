//! The engine, as commands open it.

use anyhow::Result;
use soute_engine::{Engine, Places};

use crate::error;

/// Opens the engine, and tells what it could not clean up.
pub fn open(places: &Places) -> Result<Engine> {
    let engine = Engine::open(places.clone())?;
    engine.warnings().for_each(|warning| error::warn(&warning));
    Ok(engine)
}
