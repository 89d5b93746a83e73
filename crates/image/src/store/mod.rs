//! The content store: what is on disk below the engine's folder.
//!
//! ```text
//! blobs/sha256/<hex>          manifests and configurations, as they came
//! layers/<DiffID hex>/fs      a layer, unpacked: whiteouts as devices 0:0,
//!                             opaque folders as trusted.overlay.opaque
//! layers/<DiffID hex>/layer.json
//! layers/.tmp-…               being unpacked, or being deleted
//! images/<image id hex>.json  one record per image
//! images/references/…         one symbolic link per reference
//! images/.lock                flock: shared to use an image, exclusive to change any
//! ```
//!
//! Layers belong to raw ids (root's are root's), and know nothing of the
//! layers below them: containers map the ids when they mount them.

mod commit;
mod images;
mod layers;
mod remove;
mod state;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called};

pub use commit::Builtin;
pub(crate) use commit::{NewImage, to_json};
pub(crate) use layers::{StagedLayer, Staging};
pub use remove::{InUse, Removed};
pub use state::Lock;

use crate::digest::{DiffId, Digest, ImageId};
use crate::{Error, ImageConfig, Reference};
use layers::Layers;

const LOCK: &str = "images/.lock";

/// An image in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of its configuration.
    pub id: ImageId,
    /// Digest of its manifest; of one made here when it came without.
    pub manifest_digest: Digest,
    /// Its names. [`Store::resolve`] gives at most the one that was asked for, the others all.
    pub references: Vec<Reference>,
    /// Its layers as absolute paths of folders, lowest first, for overlay.
    /// Layers that one above them hides altogether are left out.
    pub layers: Vec<PathBuf>,
    /// The digests of all its layers, lowest first.
    pub diff_ids: Vec<DiffId>,
    /// How it wants to be run.
    pub config: ImageConfig,
    /// Go's name of the processor.
    pub architecture: String,
    /// The processor's variant.
    pub variant: Option<String>,
    /// `linux`.
    pub os: String,
    /// When it was made, if it tells.
    pub created: Option<jiff::Timestamp>,
    /// Sum of the sizes of the files of all layers, bytes.
    pub size: u64,
}

/// The images and layers below one folder. Several processes may use it at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    fd: OwnedFd,
}

impl Store {
    /// Opens the store below `root`, making the folder if it is missing.
    ///
    /// # Errors
    /// [`Error::Call`]: it cannot be made, opened, or is no folder.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).called(|| format!("absolute({root:?})"))?;
        let open = || {
            rustix::fs::open(
                &root,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
        };
        let fd = match open() {
            Err(Errno::NOENT) => {
                std::fs::create_dir_all(&root).called(|| format!("mkdir({root:?})"))?;
                open()
            }
            other => other,
        }
        .called(|| format!("open({root:?}, O_DIRECTORY)"))?;
        Ok(Self { root, fd })
    }

    /// The folder that the store is in.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The image of this name, or with an id that begins so, as users write them.
    ///
    /// A name costs one readlink and one read. The image cannot vanish while
    /// a [`Self::pin`] is held that was taken before.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Ambiguous`], [`Error::BadReference`].
    pub fn resolve(&self, name: &str) -> Result<Image, Error> {
        let (record, reference) = self.find(name)?;
        Ok(self.image(record, reference.into_iter().collect()))
    }

    /// As [`Self::resolve`], with all names of the image.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub fn inspect(&self, name: &str) -> Result<Image, Error> {
        let (record, _) = self.find(name)?;
        let references = images::references(&self.fd)?
            .remove(&record.id)
            .unwrap_or_default();
        Ok(self.image(record, references))
    }

    /// All images, the newest first.
    ///
    /// # Errors
    /// [`Error::Json`] names a record that is damaged.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        if !self.is_laid_out()? {
            return Ok(Vec::new());
        }
        let mut references = images::references(&self.fd)?;
        let mut list = Vec::new();
        for id in images::ids(&self.fd)? {
            // One that was removed meanwhile is not listed.
            if let Some(record) = images::record(&self.fd, &id)? {
                list.push(self.image(record, references.remove(&id).unwrap_or_default()));
            }
        }
        list.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(list)
    }

    /// Gives an image another name, taking it from the image that had it.
    ///
    /// # Errors
    /// Those of [`Self::resolve`] for `source`; [`Error::BadReference`] if `new` has a digest.
    pub fn tag(&self, source: &str, new: &Reference) -> Result<(), Error> {
        if new.digest().is_some() {
            return Err(Error::BadReference {
                reference: new.to_string(),
                reason: "a digest cannot be given, it is what the content has",
            });
        }
        self.lay_out()?;
        let _lock = self.lock(true)?;
        let (record, _) = self.find(source)?;
        Ok(images::point(&self.fd, new, &record.id)?)
    }

    /// Keeps images from being removed until the lock is dropped: hold it from
    /// [`Self::resolve`] until the container that uses the image is recorded.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub fn pin(&self) -> Result<Lock, Error> {
        match self.lock(false) {
            Err(call) if call.errno() == Errno::NOENT => {
                self.lay_out()?;
                Ok(self.lock(false)?)
            }
            other => Ok(other?),
        }
    }

    /// The manifest or configuration with this digest, as it came; `None`: it is not here.
    ///
    /// # Errors
    /// [`Error::WrongDigest`]: the file was damaged.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let Some(content) = state::read(&self.fd, &format!("blobs/sha256/{}", digest.hex()))?
        else {
            return Ok(None);
        };
        let actual = Digest::of(&content);
        if actual != *digest {
            return Err(Error::WrongDigest {
                what: "blob in the store",
                expected: *digest,
                actual,
            });
        }
        Ok(Some(content))
    }

    fn find(&self, name: &str) -> Result<(images::Record, Option<Reference>), Error> {
        let missing = || Error::NoSuchImage {
            name: name.to_owned(),
        };
        let parsed = Reference::parse(name);
        if let Ok(reference) = &parsed
            && let Some(id) = images::follow(&self.fd, reference)?
        {
            let record = images::record(&self.fd, &id)?.ok_or_else(missing)?;
            return Ok((record, Some(reference.clone())));
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(is_hex) {
            return Err(parsed.err().unwrap_or_else(missing));
        }
        let id = match ImageId::from_hex(prefix) {
            Some(id) => id,
            None => self.complete(prefix)?.ok_or_else(missing)?,
        };
        let record = images::record(&self.fd, &id)?.ok_or_else(missing)?;
        Ok((record, None))
    }

    /// The id that begins with `prefix`.
    fn complete(&self, prefix: &str) -> Result<Option<ImageId>, Error> {
        if !self.is_laid_out()? {
            return Ok(None);
        }
        let mut candidates = images::ids(&self.fd)?;
        candidates.retain(|id| id.hex().starts_with(prefix));
        if candidates.len() > 1 {
            candidates.sort();
            return Err(Error::Ambiguous {
                prefix: prefix.to_owned(),
                candidates: candidates.iter().map(Digest::short).collect(),
            });
        }
        Ok(candidates.pop())
    }

    fn image(&self, record: images::Record, references: Vec<Reference>) -> Image {
        let visible = record
            .layers
            .iter()
            .rposition(|layer| layer.opaque_root)
            .unwrap_or(0);
        Image {
            id: record.id,
            manifest_digest: record.manifest,
            references,
            layers: record.layers[visible..]
                .iter()
                .map(|layer| {
                    let mut path = self.root.join("layers");
                    path.push(layer.id.hex());
                    path.push(layers::FILES);
                    path
                })
                .collect(),
            diff_ids: record.layers.iter().map(|layer| layer.id).collect(),
            config: record.config,
            architecture: record.architecture,
            variant: record.variant,
            os: record.os,
            created: record.created,
            size: record.size,
        }
    }

    fn lock(&self, exclusive: bool) -> Result<Lock, CallError> {
        state::lock(&self.fd, LOCK, exclusive)
    }

    fn layers(&self) -> Result<Layers, CallError> {
        Layers::open(&self.fd, &self.root)
    }

    fn is_laid_out(&self) -> Result<bool, Error> {
        match state::open_folder(&self.fd, "images/references") {
            Ok(_) => Ok(true),
            Err(call) if call.errno() == Errno::NOENT => Ok(false),
            Err(call) => Err(call.into()),
        }
    }

    /// Makes the folders. Only root may enter: layers have set-user-ID programs of root.
    fn lay_out(&self) -> Result<(), Error> {
        for path in [
            "blobs",
            "blobs/sha256",
            "layers",
            "images",
            "images/references",
        ] {
            state::make_folder(self.fd.as_fd(), path, 0o700)?;
        }
        Ok(())
    }
}
