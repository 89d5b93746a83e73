//! Images: one record per image, named by its id, and one symbolic link per reference.
//!
//! `images/<id>.json` is the record; `images/references/<name>/<tag>` is a
//! link whose target is the id, so that a reference costs one readlink. In
//! `<name>`, the slashes of the normalised name are plus signs, which no name has.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use soute_sys::{CallError, Called};

use super::state;
use crate::digest::{DiffId, Digest, ImageId};
use crate::{Error, ImageConfig, Reference};

const REFERENCES: &str = "images/references";

/// What is kept of an image, to make a container from it without looking at its blobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: ImageId,
    pub(super) manifest: Digest,
    pub(super) layers: Vec<RecordLayer>,
    pub(super) config: ImageConfig,
    pub(super) architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
    pub(super) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<jiff::Timestamp>,
    pub(super) size: u64,
    /// The version of an image that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) builtin: Option<String>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordLayer {
    pub(super) id: DiffId,
    /// It hides all layers below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) opaque_root: bool,
}

/// Where a reference is kept: folder below `images/references`, and name in it.
fn place(reference: &Reference) -> (String, String) {
    let folder = reference.name().replace('/', "+");
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("@{digest}"),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    };
    (folder, name)
}

/// The reverse of [`place`].
fn reference(folder: &str, name: &str) -> Option<Reference> {
    let separator = if name.starts_with('@') { "" } else { ":" };
    Reference::parse(&format!("{}{separator}{name}", folder.replace('+', "/"))).ok()
}

/// The image that a reference names.
pub(super) fn follow(
    store: impl AsFd,
    reference: &Reference,
) -> Result<Option<ImageId>, CallError> {
    let (folder, name) = place(reference);
    read_link(store, &format!("{REFERENCES}/{folder}/{name}"))
}

fn read_link(store: impl AsFd, path: &str) -> Result<Option<ImageId>, CallError> {
    match rustix::fs::readlinkat(store, path, Vec::with_capacity(80)) {
        Err(Errno::NOENT) => Ok(None),
        other => {
            let target = other.called(|| format!("readlinkat({path:?})"))?;
            let id = target.to_str().ok().and_then(ImageId::from_hex);
            id.map(Some)
                .ok_or(Errno::BADMSG)
                .called(|| format!("readlinkat({path:?}) = {target:?}"))
        }
    }
}

/// Lets `reference` name `id`. The lock must be held.
pub(super) fn point(
    store: impl AsFd,
    reference: &Reference,
    id: &ImageId,
) -> Result<(), CallError> {
    let (folder, name) = place(reference);
    let folder = format!("{REFERENCES}/{folder}");
    state::make_folder(store.as_fd(), &folder, 0o700)?;
    let folder = state::open_folder(store, &folder)?;
    state::link(folder.as_fd(), &name, &id.hex())?;
    rustix::fs::fsync(&folder).called(|| format!("fsync(\"{REFERENCES}\")"))
}

/// Forgets `reference`. The lock must be held.
pub(super) fn unpoint(store: impl AsFd, reference: &Reference) -> Result<(), CallError> {
    let (folder, name) = place(reference);
    let folder = format!("{REFERENCES}/{folder}");
    state::remove(store.as_fd(), &format!("{folder}/{name}"))?;
    match rustix::fs::unlinkat(store, folder.as_str(), AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::NOENT) => Ok(()),
        other => other.called(|| format!("unlinkat({folder:?}, AT_REMOVEDIR)")),
    }
}

/// All references, by the image that they name.
pub(super) fn references(store: impl AsFd) -> Result<BTreeMap<ImageId, Vec<Reference>>, Error> {
    let mut all: BTreeMap<ImageId, Vec<Reference>> = BTreeMap::new();
    let root = state::open_folder(store, REFERENCES)?;
    for folder in state::names(&root)? {
        let names = match state::open_folder(&root, &folder) {
            Err(call) if call.errno() == Errno::NOENT => continue,
            other => state::names(other?)?,
        };
        for name in names {
            let Some(reference) = reference(&folder, &name) else {
                continue;
            };
            if let Some(id) = read_link(&root, &format!("{folder}/{name}"))? {
                all.entry(id).or_default().push(reference);
            }
        }
    }
    for references in all.values_mut() {
        references.sort();
    }
    Ok(all)
}

/// The record of an image; `None`: there is none.
pub(super) fn record(store: impl AsFd, id: &ImageId) -> Result<Option<Record>, Error> {
    let path = format!("images/{}.json", id.hex());
    let Some(content) = state::read(store, &path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|source| Error::Json { what: path, source })
}

/// Writes the record of an image. The lock must be held.
pub(super) fn write_record(store: impl AsFd, record: &Record) -> Result<(), Error> {
    let json = serde_json::to_vec(record).map_err(|source| Error::Json {
        what: format!("record of image {}", record.id),
        source,
    })?;
    let folder = state::open_folder(store, "images")?;
    state::write(folder.as_fd(), &format!("{}.json", record.id.hex()), &json)?;
    Ok(rustix::fs::fsync(&folder).called(|| "fsync(\"images\")".to_owned())?)
}

/// The ids of all images.
pub(super) fn ids(store: impl AsFd) -> Result<Vec<ImageId>, CallError> {
    let names = state::names(state::open_folder(store, "images")?)?;
    Ok(names
        .iter()
        .filter_map(|name| ImageId::from_hex(name.strip_suffix(".json")?))
        .collect())
}

/// Deletes what was being written when a process was killed. The lock must be held.
pub(super) fn sweep(store: impl AsFd) -> Result<(), CallError> {
    let clean = |folder: &OwnedFd| {
        state::names(folder)?
            .iter()
            .filter(|name| name.starts_with(state::UNFINISHED))
            .try_for_each(|name| state::remove(folder, name))
    };
    clean(&state::open_folder(store.as_fd(), "images")?)?;
    clean(&state::open_folder(store.as_fd(), "blobs/sha256")?)?;
    let root = state::open_folder(store, REFERENCES)?;
    for name in state::names(&root)? {
        clean(&state::open_folder(&root, &name)?)?;
    }
    Ok(())
}
