//! How far a pull, load or import is, for whoever draws it.

use crate::digest::Digest;

/// Hears about the layers of an image as they arrive. Called from several threads.
pub trait Progress: Sync {
    /// Something happened to the layer whose blob has `digest`.
    fn layer(&self, digest: &Digest, state: LayerState<'_>);

    /// Something worth a line happened that concerns no single layer.
    fn note(&self, text: &str);
}

/// Where a layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerState<'a> {
    /// It is in the store already.
    Exists,
    /// It waits for its turn.
    Waiting,
    /// Bytes of the compressed layer fetched and unpacked so far, of all; `total` 0: unknown.
    Transferred {
        /// So far.
        done: u64,
        /// Of all.
        total: u64,
    },
    /// The transfer broke and goes on where it stopped.
    Retrying {
        /// 1 for the first retry.
        attempt: u32,
        /// Why it broke.
        reason: &'a str,
    },
    /// It is unpacked and verified.
    Done,
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn layer(&self, _: &Digest, _: LayerState<'_>) {}

    fn note(&self, _: &str) {}
}
