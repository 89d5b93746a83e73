//! Images: references, registries, archives, the content store, unpacking.
//!
//! The data's way: a reference ([`Reference`]) or an archive gives manifests,
//! configurations and compressed layers, all verified by digest; each layer is
//! unpacked once ([`unpack`]) into the [`Store`], in the form that overlay
//! stacks; the store gives an [`Image`], whose layers are folders.

mod changes;
mod config;
mod digest;
mod error;
mod import;
mod load;
mod manifest;
mod media_type;
mod platform;
mod progress;
mod pull;
mod reference;
mod store;
pub mod unpack;

/// For fuzz/: reads a manifest or an index, and chooses from the latter.
#[cfg(fuzzing)]
pub fn fuzz_manifest(content: &[u8]) {
    if let Ok(manifest::Document::Index(entries)) = manifest::Document::parse(content) {
        _ = manifest::for_platform(entries, &Platform::host(), "fuzz");
    }
}

/// For fuzz/: applies instructions, one a line.
#[cfg(fuzzing)]
pub fn fuzz_changes(changes: &str) {
    let mut config = ImageConfig::default();
    for change in changes.lines() {
        _ = changes::apply(&mut config, change);
    }
}

pub use config::{ConfigFile, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{DiffId, Digest, ImageId};
pub use error::{Cause, Error};
pub use import::ImportOptions;
pub use load::{LoadOptions, LoadSource};
pub use media_type::Compression;
pub use platform::Platform;
pub use progress::{LayerState, Progress, Silent};
pub use pull::{Credentials, PullOptions, Pulled, Tls};
pub use reference::{DEFAULT_REGISTRY, Reference};
pub use store::{Builtin, Image, InUse, Lock, Removed, Store};
