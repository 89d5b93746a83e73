//! From staged layers and a configuration to an image that others can see.

use std::os::fd::AsFd;

use serde_json::json;
use soute_sys::Called;

use super::images::{self, Record, RecordLayer};
use super::layers::{LayerRecord, StagedLayer, Staging};
use super::{Image, Store, state};
use crate::config::ConfigFile;
use crate::digest::{DiffId, Digest};
use crate::unpack::{Limits, Reading};
use crate::{Compression, Error, ImageConfig, Reference, media_type};

/// An image that is about to be.
#[derive(Debug, Default)]
pub(crate) struct NewImage<'a> {
    /// The configuration file, byte for byte.
    pub(crate) config: &'a [u8],
    /// The manifest, byte for byte; `None`: one of the uncompressed layers is made.
    pub(crate) manifest: Option<&'a [u8]>,
    /// The names it gets.
    pub(crate) references: &'a [Reference],
    /// Its layers that were not in the store.
    pub(crate) staged: &'a [StagedLayer],
    /// The version, of an image that comes with the program.
    pub(crate) builtin: Option<&'a str>,
}

/// An image that comes with the program ([`Store::ensure_builtin`]).
#[derive(Debug, Clone, Copy)]
pub struct Builtin<'a> {
    /// What users call it, `hello`.
    pub name: &'a str,
    /// Its one layer, a tar: plain, gzip or zstd.
    pub layer: &'a [u8],
    /// How it wants to be run.
    pub config: &'a ImageConfig,
    /// Changes whenever layer or configuration do, so that they need not be
    /// hashed each time: a digest made when the program was built.
    pub version: &'a str,
}

impl Store {
    /// The image that comes with the program: unpacked once, and again when its version changes.
    ///
    /// Costs what [`Store::resolve`] does when it is there. An image that the user gave the same name is left alone.
    ///
    /// # Errors
    /// Those of a load.
    pub fn ensure_builtin(&self, builtin: &Builtin<'_>) -> Result<Image, Error> {
        let reference = Reference::parse(builtin.name)?;
        match self.find(builtin.name) {
            Ok((record, reference))
                if record
                    .builtin
                    .as_deref()
                    .is_none_or(|version| version == builtin.version) =>
            {
                return Ok(self.image(record, reference.into_iter().collect()));
            }
            Ok(_) | Err(Error::NoSuchImage { .. }) => {}
            Err(e) => return Err(e),
        }
        let staging = self.stage()?;
        let limits = Limits::default();
        let reading = Reading {
            compression: None,
            marked_end: true,
            limits: &limits,
        };
        let layer = staging
            .unpack(builtin.layer, &reading, &mut |_| {})
            .map_err(|source| Error::Layer {
                layer: builtin.name.to_owned(),
                source,
            })?;
        let config = ConfigFile::of_layers(builtin.config.clone(), vec![layer.unpacked.diff_id]);
        self.commit(
            &staging,
            &NewImage {
                config: &to_json(&config)?,
                references: &[reference],
                staged: &[layer],
                builtin: Some(builtin.version),
                ..NewImage::default()
            },
        )
    }

    /// A folder to unpack layers into, after sweeping what killed processes left behind.
    pub(crate) fn stage(&self) -> Result<Staging, Error> {
        self.lay_out()?;
        self.sweep()?;
        Ok(self.layers()?.stage()?)
    }

    /// Whether a layer is in the store. Only [`Self::commit`] tells for sure that it still is.
    pub(crate) fn has_layer(&self, id: &DiffId) -> Result<bool, Error> {
        Ok(self.layers()?.record(id)?.is_some())
    }

    /// Makes the image visible, all at once.
    ///
    /// # Errors
    /// [`Error::LayersGone`]: layers that were neither staged nor are in the store; unpack them and try again.
    pub(crate) fn commit(&self, staging: &Staging, new: &NewImage<'_>) -> Result<Image, Error> {
        let file = ConfigFile::parse(new.config)?;
        let id = Digest::of(new.config);
        if !new.staged.is_empty() {
            // Before the lock, since it may take its time.
            staging.sync()?;
        }
        let _lock = self.lock(true)?;
        let layers = self.layers()?;
        let mut known = Vec::with_capacity(file.rootfs.diff_ids.len());
        let mut gone = Vec::new();
        for diff_id in &file.rootfs.diff_ids {
            let staged = new.staged.iter().find(|s| s.unpacked.diff_id == *diff_id);
            match staged {
                Some(StagedLayer { unpacked, .. }) => known.push(LayerRecord {
                    size: unpacked.size,
                    tar_size: unpacked.tar_size,
                    opaque_root: unpacked.opaque_root,
                }),
                None => match layers.record(diff_id)? {
                    Some(record) => known.push(record),
                    None => gone.push(*diff_id),
                },
            }
        }
        if !gone.is_empty() {
            return Err(Error::LayersGone { layers: gone });
        }
        for layer in new.staged {
            layers.commit(staging, layer)?;
        }
        layers.sync()?;
        let made;
        let manifest = match new.manifest {
            Some(manifest) => manifest,
            None => {
                made = make_manifest(new.config, &file.rootfs.diff_ids, &known)?;
                &made
            }
        };
        self.write_blobs(&[new.config, manifest])?;
        let record = Record {
            id,
            manifest: Digest::of(manifest),
            layers: std::iter::zip(&file.rootfs.diff_ids, &known)
                .map(|(id, layer)| RecordLayer {
                    id: *id,
                    opaque_root: layer.opaque_root,
                })
                .collect(),
            config: file.config,
            architecture: file.architecture,
            variant: file.variant,
            os: file.os,
            created: file.created.and_then(|created| created.parse().ok()),
            size: known.iter().map(|layer| layer.size).sum(),
            builtin: new.builtin.map(str::to_owned),
        };
        images::write_record(&self.fd, &record)?;
        for reference in new.references {
            images::point(&self.fd, reference, &id)?;
        }
        Ok(self.image(record, new.references.to_vec()))
    }

    fn write_blobs(&self, blobs: &[&[u8]]) -> Result<(), Error> {
        let folder = state::open_folder(&self.fd, "blobs/sha256")?;
        for content in blobs {
            state::write(folder.as_fd(), &Digest::of(content).hex(), content)?;
        }
        Ok(rustix::fs::fsync(&folder).called(|| "fsync(\"blobs/sha256\")".to_owned())?)
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|source| Error::Json {
        what: "writing an image".to_owned(),
        source,
    })
}

/// A manifest of the uncompressed layers, for an image that came without one.
fn make_manifest(config: &[u8], ids: &[DiffId], layers: &[LayerRecord]) -> Result<Vec<u8>, Error> {
    debug_assert_eq!(
        Compression::of_layer(media_type::LAYER).ok(),
        Some(Compression::Plain)
    );
    let descriptors: Vec<_> = std::iter::zip(ids, layers)
        .map(|(id, layer)| {
            json!({"mediaType": media_type::LAYER, "digest": id, "size": layer.tar_size})
        })
        .collect();
    to_json(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "config": {
            "mediaType": media_type::CONFIG,
            "digest": Digest::of(config),
            "size": config.len(),
        },
        "layers": descriptors,
    }))
}
