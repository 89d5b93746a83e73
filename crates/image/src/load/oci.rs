//! OCI image layout (image-spec, image-layout.md), as a folder or in an archive.

use serde::Deserialize;

use super::parts::Parts;
use super::{Described, Part, docker};
use crate::manifest::{self, Blob, Document, LARGEST_CONFIG, LARGEST_MANIFEST, Names};
use crate::{Digest, Error, Platform, Reference};

/// Indexes within indexes; more than two are not found in the wild.
const DEEPEST: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// An image that the layout's index lists.
pub(super) struct Listed {
    manifest: Blob,
    config: Blob,
    references: Vec<Reference>,
}

/// The images for the platform that the layout lists.
pub(super) fn list(parts: &Parts, platform: &Platform) -> Result<Vec<Listed>, Error> {
    let layout = parts.read("oci-layout", LARGEST_MANIFEST)?;
    let layout: Layout = serde_json::from_slice(&layout).map_err(|source| Error::Json {
        what: "oci-layout of the image archive".to_owned(),
        source,
    })?;
    if layout.image_layout_version != "1.0.0" {
        return Err(Error::Archive {
            reason: format!(
                "its layout has the unknown version {:?}",
                layout.image_layout_version
            ),
        });
    }
    let index = parts.read("index.json", LARGEST_MANIFEST)?;
    let Document::Index(entries) = Document::parse(&index)? else {
        return Err(Error::Archive {
            reason: "its index.json is not an index".to_owned(),
        });
    };
    // What `docker save` writes is a docker-archive too, where more names may be.
    let also = match parts.size("manifest.json")? {
        Some(_) => docker::list(parts)?,
        None => Vec::new(),
    };
    let entries = manifest::for_platform(entries, platform, "the archive")?;
    super::check_count(entries.len())?;
    let mut images: Vec<Listed> = Vec::new();
    for entry in entries {
        let mut references = names(&entry.names)?;
        let (manifest, config) = match resolve(parts, entry.blob, platform) {
            // What signs or describes an image may lie beside it.
            Err(error) if entry.is_no_image(&error) => continue,
            other => other?,
        };
        // One image under several names has an entry for each.
        if let Some(same) = images.iter_mut().find(|image| image.config == config) {
            same.references.append(&mut references);
            continue;
        }
        for other in &also {
            references.append(&mut other.names_of(&config.digest)?);
        }
        images.push(Listed {
            manifest,
            config,
            references,
        });
    }
    for image in &mut images {
        image.references.sort();
        image.references.dedup();
    }
    Ok(images)
}

impl Listed {
    pub(super) fn describe(self, parts: &Parts) -> Result<Described, Error> {
        let content = blob(parts, "manifest", &self.manifest, LARGEST_MANIFEST)?;
        let Document::Manifest(manifest) = Document::parse(&content)? else {
            return Err(Error::Archive {
                reason: "a manifest became an index while it was read".to_owned(),
            });
        };
        Ok(Described {
            config: blob(parts, "configuration", &manifest.config, LARGEST_CONFIG)?,
            manifest: Some(content),
            references: self.references,
            layers: manifest
                .layers
                .iter()
                .map(|layer| Part {
                    name: path(&layer.blob.digest),
                    blob: Some(*layer),
                })
                .collect(),
        })
    }
}

/// Follows indexes to the manifest for the platform; gives it and its configuration.
fn resolve(parts: &Parts, mut at: Blob, platform: &Platform) -> Result<(Blob, Blob), Error> {
    for _ in 0..DEEPEST {
        let content = blob(parts, "manifest", &at, LARGEST_MANIFEST)?;
        match Document::parse(&content)? {
            Document::Manifest(manifest) => return Ok((at, manifest.config)),
            Document::Index(entries) => {
                let image = at.digest.to_string();
                at = manifest::for_platform(entries, platform, &image)?
                    .swap_remove(0)
                    .blob;
            }
        }
    }
    Err(Error::Archive {
        reason: "its indexes are nested too deep".to_owned(),
    })
}

fn blob(parts: &Parts, what: &'static str, blob: &Blob, most: u64) -> Result<Vec<u8>, Error> {
    let content = parts.read(&path(&blob.digest), most)?;
    manifest::verify(what, &content, blob)?;
    Ok(content)
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// containerd's and Docker's annotation is a whole name. OCI's may be one, or
/// a tag alone, which names nothing.
fn names(names: &Names) -> Result<Vec<Reference>, Error> {
    let whole = |name: &&String| name.contains([':', '/']);
    let name = names
        .full
        .as_ref()
        .or_else(|| names.reference.as_ref().filter(whole));
    name.map(|name| Reference::parse(name))
        .into_iter()
        .collect()
}
