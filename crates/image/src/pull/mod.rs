//! Images from registries (OCI distribution-spec).
//!
//! The protocol is `oci-client`'s, on a runtime of one thread that lives as
//! long as the pull. Blobs are streamed: each layer has a pipeline of its own
//! (see [`crate::unpack`]), up to three at once.

mod client;
mod credentials;
mod transfer;

use std::thread::Scope;

use futures_util::{StreamExt, TryStreamExt};
use soute_sys::Called;
use tokio::sync::{mpsc, oneshot};

pub use client::Tls;
pub use credentials::Credentials;

use crate::config::ConfigFile;
use crate::digest::{DiffId, Digest};
use crate::load::check_layer;
use crate::manifest::{self, Document, IndexEntry, LARGEST_CONFIG, Layer, Manifest};
use crate::store::{NewImage, StagedLayer, Staging};
use crate::unpack::{Limits, Reading};
use crate::{Error, Image, LayerState, Platform, Progress, Reference, Store};
use client::Registry;

/// Layers under way at once.
const PARALLEL: usize = 3;
/// How often a pull is tried again when layers that it had found are removed meanwhile.
const ATTEMPTS: usize = 3;

/// How images are pulled.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// Which image of an index; `None`: this machine's.
    pub platform: Option<Platform>,
    /// Who pulls.
    pub credentials: Credentials,
    /// How far the registry is trusted.
    pub tls: Tls,
    /// What is too much, per layer.
    pub limits: Limits,
}

/// What a pull brought.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// What the registry gave for the name: the digest of a manifest or of an index.
    pub digest: Digest,
    /// The name names another image than before the pull.
    pub changed: bool,
}

/// An image as the registry describes it.
struct Described {
    digest: Digest,
    manifest: Vec<u8>,
    config: Vec<u8>,
    /// Each layer once, lowest first, with its DiffID.
    layers: Vec<(DiffId, Layer)>,
}

impl Store {
    /// Pulls an image, its layers that are not here yet at least, and gives it the name `reference`.
    ///
    /// Everything is verified by digest. An error leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::NotInRegistry`], [`Error::Registry`], [`Error::Credentials`], [`Error::NoPlatform`], and those of a load.
    pub fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled, Error> {
        let auth = options.credentials.find(reference)?;
        let staging = self.stage()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Read {
                what: "preparing the network".to_owned(),
                source,
            })?;
        let before = self.resolve(&reference.to_string()).ok();
        let (registry, described) = runtime.block_on(async {
            let registry = Registry::connect(reference, auth, &options.tls).await?;
            let described = describe(&registry, reference, options, progress).await?;
            Ok::<_, Error>((registry, described))
        })?;
        let pull = Pull {
            store: self,
            registry: &registry,
            staging: &staging,
            options,
            progress,
        };
        // The pipelines' threads end before this does, whatever happens.
        let image = std::thread::scope(|scope| {
            runtime.block_on(pull.layers(scope, &described, reference))
        })?;
        Ok(Pulled {
            changed: before.is_none_or(|before| before.id != image.id),
            digest: described.digest,
            image,
        })
    }
}

/// What every layer needs.
#[derive(Clone, Copy)]
struct Pull<'a> {
    store: &'a Store,
    registry: &'a Registry,
    staging: &'a Staging,
    options: &'a PullOptions,
    progress: &'a dyn Progress,
}

impl<'env> Pull<'env> {
    /// Gets the layers that are missing, and records the image.
    async fn layers<'scope>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        described: &Described,
        reference: &Reference,
    ) -> Result<Image, Error>
    where
        'env: 'scope,
    {
        let by_digest = reference.with_digest(described.digest);
        let references = match reference.digest() {
            Some(_) => vec![by_digest],
            None => vec![reference.clone(), by_digest],
        };
        let mut staged: Vec<StagedLayer> = Vec::new();
        let mut attempts = 1;
        loop {
            let mut missing = Vec::new();
            for &(diff_id, layer) in &described.layers {
                if staged
                    .iter()
                    .any(|staged| staged.unpacked.diff_id == diff_id)
                {
                    continue;
                }
                if self.store.has_layer(&diff_id)? {
                    self.progress.layer(&layer.blob.digest, LayerState::Exists);
                } else {
                    self.progress.layer(&layer.blob.digest, LayerState::Waiting);
                    missing.push((diff_id, layer));
                }
            }
            let new: Vec<StagedLayer> = futures_util::stream::iter(missing)
                .map(|(diff_id, layer)| self.layer(scope, diff_id, layer))
                .buffer_unordered(PARALLEL)
                .try_collect()
                .await?;
            staged.extend(new);
            let new = NewImage {
                config: &described.config,
                manifest: Some(&described.manifest),
                references: &references,
                staged: &staged,
                builtin: None,
            };
            match self.store.commit(self.staging, &new) {
                // Found above, and removed by another process since.
                Err(Error::LayersGone { .. }) if attempts < ATTEMPTS => attempts += 1,
                other => return other,
            }
        }
    }

    /// Gets and unpacks one layer.
    async fn layer<'scope>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        diff_id: DiffId,
        layer: Layer,
    ) -> Result<StagedLayer, Error>
    where
        'env: 'scope,
    {
        let blob = layer.blob;
        let (pieces, incoming) = mpsc::channel(transfer::IN_FLIGHT);
        let (done, unpacked) = oneshot::channel();
        let pipeline = std::thread::Builder::new().name("layer".to_owned());
        let pipeline = pipeline.spawn_scoped(scope, move || {
            let reading = Reading {
                compression: Some(layer.compression),
                marked_end: false,
                limits: &self.options.limits,
            };
            let source = transfer::Incoming::new(incoming);
            let result = self.staging.unpack(source, &reading, &mut |done| {
                let total = blob.size;
                self.progress
                    .layer(&blob.digest, LayerState::Transferred { done, total });
            });
            // If the pull was given up, nobody waits for it.
            let _ = done.send(result);
        });
        pipeline.called(|| "clone3() of a thread for a layer".to_owned())?;
        let sent = transfer::send(self.registry, &blob, &pieces, self.progress).await;
        drop(pieces);
        let unpacked = unpacked.await;
        // That the pipeline misses its input is the transfer's fault.
        sent?;
        let staged = match unpacked {
            Ok(result) => result.map_err(|source| Error::Layer {
                layer: blob.digest.to_string(),
                source,
            })?,
            Err(_) => {
                return Err(Error::Read {
                    what: format!("layer {}", blob.digest),
                    source: std::io::Error::other("the unpacking thread ended early"),
                });
            }
        };
        check_layer(&staged.unpacked, Some(blob), &diff_id)?;
        self.progress.layer(&blob.digest, LayerState::Done);
        Ok(staged)
    }
}

/// Follows `reference` to a manifest for the platform, and gets its configuration.
async fn describe(
    registry: &Registry,
    reference: &Reference,
    options: &PullOptions,
    progress: &dyn Progress,
) -> Result<Described, Error> {
    let host = Platform::host();
    let platform = options.platform.as_ref().unwrap_or(&host);
    let (mut content, digest) = registry.manifest(reference).await?;
    let mut document = Document::parse(&content)?;
    let is_index = matches!(document, Document::Index(_));
    if let Document::Index(entries) = document {
        let entries = manifest::for_platform(entries, platform, &reference.familiar())?;
        (content, document) = choose(registry, reference, &entries).await?;
    }
    let Document::Manifest(manifest) = document else {
        return Err(Error::Registry {
            registry: registry.host.clone(),
            what: format!("manifest of {}", reference.familiar()),
            reason: "its index lists indexes".to_owned(),
        });
    };
    let config = registry
        .small_blob("configuration", &manifest.config, LARGEST_CONFIG)
        .await?;
    let file = ConfigFile::parse(&config)?;
    check_platform(&file, platform, reference, options, is_index, progress)?;
    Ok(Described {
        digest,
        layers: pair(&file, &manifest)?,
        manifest: content,
        config,
    })
}

/// The first of an index's entries that is an image, the most fitting one.
async fn choose(
    registry: &Registry,
    reference: &Reference,
    entries: &[IndexEntry],
) -> Result<(Vec<u8>, Document), Error> {
    let mut last = None;
    for entry in entries {
        let chosen = reference.with_digest(entry.blob.digest);
        let (content, _) = registry.manifest(&chosen).await?;
        manifest::verify("manifest", &content, &entry.blob)?;
        match Document::parse(&content) {
            Err(error) if entry.is_no_image(&error) => last = Some(error),
            document => return Ok((content, document?)),
        }
    }
    Err(last.unwrap_or(Error::NoSuchImage {
        name: reference.familiar(),
    }))
}

/// An image that is no index may be for another machine. That is an error only if one was asked for:
/// an emulator may be set up.
fn check_platform(
    file: &ConfigFile,
    platform: &Platform,
    reference: &Reference,
    options: &PullOptions,
    is_index: bool,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if is_index || platform.accepts(&file.os, &file.architecture, file.variant.as_deref()) {
        return Ok(());
    }
    let has = format!("{}/{}", file.os, file.architecture);
    if options.platform.is_some() {
        return Err(Error::NoPlatform {
            image: reference.familiar(),
            wanted: platform.to_string(),
            available: vec![has],
        });
    }
    progress.note(&format!(
        "{} is for {has}, this machine is {platform}",
        reference.familiar()
    ));
    Ok(())
}

/// Each layer of the manifest with its DiffID from the configuration, repeated ones once.
fn pair(file: &ConfigFile, manifest: &Manifest) -> Result<Vec<(DiffId, Layer)>, Error> {
    let diff_ids = &file.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(Error::LayerCount {
            image: manifest.config.digest,
            manifest: manifest.layers.len(),
            config: diff_ids.len(),
        });
    }
    let mut pairs: Vec<(DiffId, Layer)> = Vec::new();
    for (&diff_id, &layer) in std::iter::zip(diff_ids, &manifest.layers) {
        if !pairs.iter().any(|(known, _)| *known == diff_id) {
            pairs.push((diff_id, layer));
        }
    }
    Ok(pairs)
}
