//! The image that comes with soute: a program that tells what it sees.

use anyhow::Result;
use soute_image::{Builtin, Digest, ImageConfig, Store};

/// Its name. An image that the user gave the same name is taken instead.
pub const NAME: &str = "hello";

/// A static executable, made by `build.rs`.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

/// Sees to it that it is in the store.
pub fn ensure(store: &Store) -> Result<()> {
    let layer = layer()?;
    let config = ImageConfig {
        entrypoint: vec!["/hello".to_owned()],
        ..ImageConfig::default()
    };
    store.ensure_builtin(&Builtin {
        name: NAME,
        layer: &layer,
        config: &config,
        // Half a millisecond, which whoever runs `hello` has.
        version: &Digest::of(&[&layer, format!("{config:?}").as_bytes()].concat()).to_string(),
    })?;
    Ok(())
}

/// A tar of one file, the same whenever it is made.
fn layer() -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o755);
    header.set_size(PROGRAM.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "hello", PROGRAM)?;
    Ok(archive.into_inner()?)
}
