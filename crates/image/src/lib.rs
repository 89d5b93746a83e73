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
