//! A layer's archive → a folder in the form that overlay stacks.
//!
//! Two threads share the work: one reads, hashes and inflates
//! ([`stream`]), the other parses ([`extract`]) and writes ([`place`]). Nothing of the
//! archive is trusted: [`entry`] decides what an entry may be, [`folders`]
//! that no name leads out of the layer.

mod attributes;
mod entry;
mod error;
mod extract;
mod folders;
mod limits;
mod pax;
mod place;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod xattr;

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc;

use soute_sys::Called;

pub use error::{Problem, UnpackError};
pub(crate) use extract::describe;
pub use folders::{OPAQUE, is_whiteout};
pub use limits::Limits;

use crate::Compression;
use crate::digest::{DiffId, Digest};

/// A layer that was unpacked, and what it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the bytes that were read.
    pub blob: Digest,
    /// Number of the bytes that were read.
    pub blob_size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Size of the uncompressed tar.
    pub tar_size: u64,
    /// Sum of the sizes of all files.
    pub size: u64,
    /// The layer's root hides all lower layers.
    pub opaque_root: bool,
}

/// Where a layer is written to.
#[derive(Debug)]
pub struct Target<'a> {
    /// An empty folder, which becomes the layer's root.
    pub root: OwnedFd,
    /// A folder on the same file system, for what later entries replace.
    pub aside: BorrowedFd<'a>,
}

/// How a layer is read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What the media type promises; `None`: whatever the first bytes tell.
    pub compression: Option<Compression>,
    /// The end-of-archive marker must be there. Without a digest to hold the
    /// archive against, nothing else tells that it is whole; with one, the
    /// layers of writers that leave the marker out are fine.
    pub marked_end: bool,
    /// What is too much.
    pub limits: &'a Limits,
}

/// Unpacks the layer read from `source`; `progress` hears how many (compressed) bytes were read so far.
///
/// The digests that are returned are still to be compared with the expected
/// ones; until then, as after an error, the content of `target` is worth nothing.
///
/// # Errors
/// [`UnpackError`]; when both halves of the pipeline fail, the reading half's, which comes first in the data's way.
pub fn unpack(
    source: impl Read,
    target: Target<'_>,
    reading: &Reading<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, UnpackError> {
    let (full, filled) = mpsc::sync_channel(stream::IN_FLIGHT);
    let (empty, emptied) = mpsc::channel();
    let limits = reading.limits;
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().name("unpack".to_owned());
        let writer = writer.spawn_scoped(scope, move || {
            let mut tar = stream::Chunks::new(filled, empty);
            extract::Extractor::new(target.root, target.aside, limits)?
                .run(&mut tar, reading.marked_end)
        });
        let writer = writer.called(|| "clone3() of a thread to unpack".to_owned())?;
        let fed = stream::feed(
            source,
            reading.compression,
            limits,
            &full,
            &emptied,
            progress,
        );
        drop(full);
        let extracted = match writer.join() {
            Ok(extracted) => extracted,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let fed = fed?;
        let extracted = extracted?;
        // The writer only ends early with an error, which was returned above.
        let fed = fed.ok_or(UnpackError::Truncated { position: 0 })?;
        Ok(Unpacked {
            blob: fed.blob,
            blob_size: fed.blob_size,
            diff_id: fed.diff_id,
            tar_size: fed.tar_size,
            size: extracted.size,
            opaque_root: extracted.opaque_root,
        })
    })
}
