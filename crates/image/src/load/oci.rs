//! OCI image layout (image-spec, image-layout.md), as a folder or in an archive.

use serde::Deserialize;

use super::parts::Parts;
use super::{Described, Part, docker};
use crate::manifest::{
    self, Blob, Document, IndexEntry, LARGEST_CONFIG, LARGEST_MANIFEST, Manifest, Names,
};
use crate::{Digest, Error, Platform, Reference};

/// Indexes within indexes; more than two are not found in the wild.
const DEEPEST: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

pub(super) fn describe(parts: &Parts, platform: &Platform) -> Result<Vec<Described>, Error> {
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
    let listed = match parts.size("manifest.json")? {
        Some(_) => docker::list(parts)?,
        None => Vec::new(),
    };
    let mut images: Vec<Described> = Vec::new();
    for entry in manifest::for_platform(entries, platform, "the archive")? {
        let mut references = names(&entry.names)?;
        let (content, manifest) = resolve(parts, entry, platform)?;
        let config = blob(parts, "configuration", &manifest.config, LARGEST_CONFIG)?;
        for other in &listed {
            if other.config.ends_with(&manifest.config.digest.hex()) {
                for tag in other.repo_tags.iter().flatten() {
                    references.push(Reference::parse(tag)?);
                }
            }
        }
        // One image under several names has an entry for each.
        if let Some(same) = images.iter_mut().find(|image| image.config == config) {
            same.references.append(&mut references);
            continue;
        }
        images.push(Described {
            config,
            manifest: Some(content),
            references,
            layers: manifest
                .layers
                .iter()
                .map(|layer| Part {
                    name: path(&layer.blob.digest),
                    blob: Some(*layer),
                })
                .collect(),
        });
    }
    for image in &mut images {
        image.references.sort();
        image.references.dedup();
    }
    Ok(images)
}

/// Follows indexes to the manifest for the platform.
fn resolve(
    parts: &Parts,
    mut entry: IndexEntry,
    platform: &Platform,
) -> Result<(Vec<u8>, Manifest), Error> {
    for _ in 0..DEEPEST {
        let content = blob(parts, "manifest", &entry.blob, LARGEST_MANIFEST)?;
        match Document::parse(&content)? {
            Document::Manifest(manifest) => return Ok((content, manifest)),
            Document::Index(entries) => {
                let image = entry.blob.digest.to_string();
                entry = manifest::for_platform(entries, platform, &image)?.swap_remove(0);
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
