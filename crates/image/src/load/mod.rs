//! Image archives: what `docker save`, `podman save`, `skopeo` and `buildah` write.
//!
//! An archive's parts come in any order, and which of them are layers is
//! told by the last ones. What can be sought in is read in place, part by part; a
//! pipe, or an archive that is compressed as a whole, is spooled to an unnamed file first.

mod docker;
mod oci;
mod parts;
mod spool;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::config::ConfigFile;
use crate::digest::DiffId;
use crate::store::{NewImage, StagedLayer, Staging};
use crate::unpack::{Limits, Reading};
use crate::{Digest, Error, Image, LayerState, Platform, Progress, Reference, Store};
use parts::Parts;

/// Most images of an archive.
const MOST_IMAGES: usize = 1000;
/// Largest sum of an archive's configurations, which are kept for whoever loads it: some thousand times what one has.
const LARGEST_CONFIGS: usize = 64 << 20;
/// How often a load is tried again when layers that it had found are removed meanwhile.
const ATTEMPTS: usize = 3;

/// Where an archive comes from.
pub enum LoadSource<'a> {
    /// A file, or a folder in OCI layout.
    Path(&'a Path),
    /// An open file, such as standard input; read from where it stands, in place if it is a regular file.
    File(File),
    /// Anything that can be read once.
    Reader(&'a mut dyn Read),
}

/// How archives are loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Which images of an archive for several platforms; `None`: this machine's.
    pub platform: Option<Platform>,
    /// What is too much, per layer.
    pub limits: Limits,
}

/// An image that an archive lists. What it is made of is read when it is loaded, one image after the other: a few
/// bytes of a list may stand for megabytes.
enum Listed {
    Docker(docker::Listed),
    Oci(oci::Listed),
}

impl Listed {
    fn all(parts: &Parts, platform: &Platform) -> Result<Vec<Self>, Error> {
        if parts.size("oci-layout")?.is_some() {
            let images = oci::list(parts, platform)?;
            Ok(images.into_iter().map(Self::Oci).collect())
        } else if parts.size("manifest.json")?.is_some() {
            let images = docker::list(parts)?;
            Ok(images.into_iter().map(Self::Docker).collect())
        } else {
            Err(Error::Archive {
                reason: "it has neither oci-layout nor manifest.json".to_owned(),
            })
        }
    }

    fn describe(self, parts: &Parts) -> Result<Described, Error> {
        match self {
            Self::Docker(listed) => listed.describe(parts),
            Self::Oci(listed) => listed.describe(parts),
        }
    }
}

fn check_count(images: usize) -> Result<(), Error> {
    match images {
        ..=MOST_IMAGES => Ok(()),
        more => Err(Error::Archive {
            reason: format!("it lists {more} images, more than {MOST_IMAGES}"),
        }),
    }
}

/// An image as its archive describes it, before its layers are looked at.
struct Described {
    config: Vec<u8>,
    manifest: Option<Vec<u8>>,
    references: Vec<Reference>,
    /// The layers' parts, lowest first.
    layers: Vec<Part>,
}

/// A layer's part of an archive.
struct Part {
    name: String,
    /// By the manifest; `None`: the archive does not tell.
    blob: Option<crate::manifest::Layer>,
}

impl Store {
    /// Loads all images of an archive (docker-archive, OCI archive) or folder (OCI layout).
    ///
    /// # Errors
    /// [`Error::Archive`], [`Error::WrongDigest`] and others about its content; images before the
    /// one concerned have been loaded then, that one leaves nothing.
    pub fn load(
        &self,
        source: LoadSource<'_>,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Image>, Error> {
        let staging = self.stage()?;
        let parts = Parts::open(source, &staging, &options.limits)?;
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let mut images = Vec::new();
        let mut configs = 0;
        for listed in Listed::all(&parts, &platform)? {
            let image = listed.describe(&parts)?;
            configs += image.config.len();
            if configs > LARGEST_CONFIGS {
                return Err(Error::Archive {
                    reason: format!(
                        "its configurations have more than {LARGEST_CONFIGS} bytes together"
                    ),
                });
            }
            images.push(self.load_one(&parts, &image, &staging, options, progress)?);
        }
        Ok(images)
    }

    fn load_one(
        &self,
        parts: &Parts,
        image: &Described,
        staging: &Staging,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Image, Error> {
        let file = ConfigFile::parse(&image.config)?;
        let diff_ids = &file.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            return Err(Error::LayerCount {
                image: Digest::of(&image.config),
                manifest: image.layers.len(),
                config: diff_ids.len(),
            });
        }
        let mut staged: Vec<StagedLayer> = Vec::new();
        let mut attempts = 1;
        loop {
            for (diff_id, part) in std::iter::zip(diff_ids, &image.layers) {
                if staged
                    .iter()
                    .any(|layer| layer.unpacked.diff_id == *diff_id)
                {
                    continue;
                }
                if self.has_layer(diff_id)? {
                    progress.layer(diff_id, LayerState::Exists);
                    continue;
                }
                staged.push(load_layer(
                    parts, part, diff_id, staging, options, progress,
                )?);
            }
            let new = NewImage {
                config: &image.config,
                manifest: image.manifest.as_deref(),
                references: &image.references,
                staged: &staged,
                builtin: None,
            };
            match self.commit(staging, &new) {
                // Found above, and removed by another process since.
                Err(Error::LayersGone { .. }) if attempts < ATTEMPTS => attempts += 1,
                other => return other,
            }
        }
    }
}

fn load_layer(
    parts: &Parts,
    part: &Part,
    diff_id: &DiffId,
    staging: &Staging,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<StagedLayer, Error> {
    let (reader, total) = parts.reader(&part.name)?;
    let reading = Reading {
        compression: part.blob.map(|layer| layer.compression),
        marked_end: false,
        limits: &options.limits,
    };
    let layer = staging
        .unpack(reader, &reading, &mut |done| {
            progress.layer(diff_id, LayerState::Transferred { done, total });
        })
        .map_err(|source| Error::Layer {
            layer: part.name.clone(),
            source,
        })?;
    let unpacked = &layer.unpacked;
    check_layer(unpacked, part.blob.map(|layer| layer.blob), diff_id)?;
    progress.layer(diff_id, LayerState::Done);
    Ok(layer)
}

/// Compares what was unpacked with what was promised.
pub(crate) fn check_layer(
    unpacked: &crate::unpack::Unpacked,
    blob: Option<crate::manifest::Blob>,
    diff_id: &DiffId,
) -> Result<(), Error> {
    if let Some(blob) = blob {
        if unpacked.blob_size != blob.size {
            return Err(Error::WrongSize {
                what: "layer",
                digest: blob.digest,
                expected: blob.size,
                actual: unpacked.blob_size,
            });
        }
        if unpacked.blob != blob.digest {
            return Err(Error::WrongDigest {
                what: "layer",
                expected: blob.digest,
                actual: unpacked.blob,
            });
        }
    }
    if unpacked.diff_id != *diff_id {
        return Err(Error::WrongDigest {
            what: "uncompressed layer",
            expected: *diff_id,
            actual: unpacked.diff_id,
        });
    }
    Ok(())
}
