//! Manifests and indexes: which blobs an image is made of, and for which machine.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::digest::Digest;
use crate::{Compression, Error, Platform, media_type};

/// Largest manifest or index that is read (distribution-spec, "Pushing Manifests": registries take 4 MiB).
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;
/// Largest configuration that is read.
pub(crate) const LARGEST_CONFIG: u64 = 8 << 20;
/// What builders attach to an index beside images.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// Content by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A layer as a manifest lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) blob: Blob,
    pub(crate) compression: Compression,
}

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Layer>,
}

/// An entry of an index.
#[derive(Debug, Clone)]
pub(crate) struct IndexEntry {
    pub(crate) blob: Blob,
    /// `None`: it does not tell, which is fine where there is no choice.
    platform: Option<(String, String, Option<String>)>,
    /// The names that archives give it.
    pub(crate) names: Names,
}

impl IndexEntry {
    /// Whether `error`, which its manifest gave, says that it is no image: as nothing in the index says that it is one.
    pub(crate) fn is_no_image(&self, error: &Error) -> bool {
        let not_an_images =
            matches!(error, Error::UnknownMediaType { what, .. } if *what == "configuration");
        self.platform.is_none() && not_an_images
    }
}

/// The annotations by which archives name images.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// `io.containerd.image.name`
    pub(crate) full: Option<String>,
    /// `org.opencontainers.image.ref.name`
    pub(crate) reference: Option<String>,
}

/// What a manifest's bytes turn out to be.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Vec<IndexEntry>),
}

/// The fields by which the kinds are told apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

impl Document {
    /// Parses `content`, whatever the sender said that it is.
    ///
    /// A document that could be read as both kinds is refused: two readers
    /// would see two images under one digest (CVE-2021-41190).
    pub(crate) fn parse(content: &[u8]) -> Result<Self, Error> {
        let json = |source| Error::Json {
            what: format!("manifest {}", Digest::of(content)),
            source,
        };
        let shape: Shape = serde_json::from_slice(content).map_err(json)?;
        let is_index = shape.manifests.is_some();
        let is_manifest = shape.layers.is_some() || shape.config.is_some();
        let media_type = shape.media_type.as_deref();
        let fits = match media_type {
            None => is_index != is_manifest,
            Some(media_type::INDEX | media_type::DOCKER_INDEX) => !is_manifest,
            Some(media_type::MANIFEST | media_type::DOCKER_MANIFEST) => !is_index,
            Some(_) => false,
        };
        if !fits || shape.schema_version != 2 {
            return Err(Error::UnknownMediaType {
                what: "manifest",
                media_type: format!(
                    "{} (schema version {}{})",
                    media_type.unwrap_or("none"),
                    shape.schema_version,
                    if is_index && is_manifest {
                        ", both manifest and index"
                    } else {
                        ""
                    }
                ),
            });
        }
        if is_index {
            let index: ImageIndex = serde_json::from_slice(content).map_err(json)?;
            let entries = index.manifests().iter().filter_map(entry);
            Ok(Self::Index(entries.collect::<Result<_, _>>()?))
        } else {
            let manifest: ImageManifest = serde_json::from_slice(content).map_err(json)?;
            Manifest::new(&manifest).map(Self::Manifest)
        }
    }
}

impl Manifest {
    fn new(manifest: &ImageManifest) -> Result<Self, Error> {
        let config = manifest.config();
        let media_type = config.media_type().to_string();
        if media_type != media_type::CONFIG && media_type != media_type::DOCKER_CONFIG {
            return Err(Error::UnknownMediaType {
                what: "configuration",
                media_type,
            });
        }
        let layers = manifest.layers().iter().map(|layer| {
            Ok(Layer {
                blob: blob(layer)?,
                compression: Compression::of_layer(layer.media_type().as_ref())?,
            })
        });
        Ok(Self {
            config: blob(config)?,
            layers: layers.collect::<Result<_, Error>>()?,
        })
    }
}

/// `None`: an entry that is no image.
fn entry(descriptor: &Descriptor) -> Option<Result<IndexEntry, Error>> {
    let annotation = |key: &str| descriptor.annotations().as_ref()?.get(key).cloned();
    let platform = descriptor.platform().as_ref().map(|platform| {
        (
            platform.os().to_string(),
            platform.architecture().to_string(),
            platform.variant().clone(),
        )
    });
    let is_nothing = platform.as_ref().is_some_and(|(os, _, _)| os == "unknown");
    // A signature, a list of parts or the like, by its own word.
    let is_artifact = platform.is_none() && descriptor.artifact_type().is_some();
    if is_nothing || is_artifact || annotation(ATTESTATION).is_some() {
        return None;
    }
    Some(blob(descriptor).map(|blob| IndexEntry {
        blob,
        platform,
        names: Names {
            full: annotation("io.containerd.image.name"),
            reference: annotation("org.opencontainers.image.ref.name"),
        },
    }))
}

fn blob(descriptor: &Descriptor) -> Result<Blob, Error> {
    Ok(Blob {
        digest: descriptor.digest().to_string().parse()?,
        size: descriptor.size(),
    })
}

/// The entries of an index that are for `platform`, or do not tell, the most fitting first. `image` is named in the error.
pub(crate) fn for_platform(
    entries: Vec<IndexEntry>,
    platform: &Platform,
    image: &str,
) -> Result<Vec<IndexEntry>, Error> {
    let mut available = Vec::new();
    let mut fitting: Vec<(u32, IndexEntry)> = Vec::new();
    for entry in entries {
        let Some((os, architecture, variant)) = &entry.platform else {
            fitting.push((u32::MAX, entry));
            continue;
        };
        if let Some(distance) = platform.distance(os, architecture, variant.as_deref()) {
            fitting.push((distance, entry));
        } else {
            let variant = variant.iter().map(|variant| format!("/{variant}"));
            available.push(format!(
                "{os}/{architecture}{}",
                variant.collect::<String>()
            ));
        }
    }
    if fitting.is_empty() {
        return Err(Error::NoPlatform {
            image: image.to_owned(),
            wanted: platform.to_string(),
            available,
        });
    }
    fitting.sort_by_key(|(distance, _)| *distance);
    Ok(fitting.into_iter().map(|(_, entry)| entry).collect())
}

/// Checks content against its descriptor.
pub(crate) fn verify(what: &'static str, content: &[u8], blob: &Blob) -> Result<(), Error> {
    if content.len() as u64 != blob.size {
        return Err(Error::WrongSize {
            what,
            digest: blob.digest,
            expected: blob.size,
            actual: content.len() as u64,
        });
    }
    let actual = Digest::of(content);
    if actual != blob.digest {
        return Err(Error::WrongDigest {
            what,
            expected: blob.digest,
            actual,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str, more: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":0{more}}}"#)
    }

    fn manifest(config: &str, layer: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor(config, ""),
            descriptor(layer, "")
        )
    }

    fn index(platforms: &[&str]) -> Vec<IndexEntry> {
        let entries: Vec<_> = platforms
            .iter()
            .map(|platform| {
                let mut parts = platform.split('/');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let more = format!(
                    r#","platform":{{"os":"{}","architecture":"{}","variant":"{}"}}"#,
                    part(),
                    part(),
                    part()
                );
                descriptor(media_type::MANIFEST, &more)
            })
            .collect();
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        );
        match Document::parse(text.as_bytes()).unwrap() {
            Document::Index(entries) => entries,
            Document::Manifest(_) => panic!("an index was written"),
        }
    }

    #[test]
    fn both_families_of_media_types() {
        for (config, layer) in [
            (media_type::CONFIG, media_type::LAYER),
            (
                media_type::DOCKER_CONFIG,
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ),
        ] {
            let parsed = Document::parse(manifest(config, layer).as_bytes()).unwrap();
            assert!(matches!(parsed, Document::Manifest(m) if m.layers.len() == 1));
        }
    }

    #[test]
    fn unknown_or_ambiguous_documents_are_refused() {
        let artifact = manifest("application/vnd.example+json", media_type::LAYER);
        let foreign = manifest(media_type::CONFIG, "application/vnd.example");
        let both = format!(
            r#"{{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}}"#,
            descriptor(media_type::CONFIG, "")
        );
        let lying = both.replace(
            "\"manifests\"",
            &format!("\"mediaType\":\"{}\",\"manifests\"", media_type::INDEX),
        );
        for text in [
            artifact.as_str(),
            &foreign,
            &both,
            &lying,
            "{}",
            "[]",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"mediaType":"text/plain","manifests":[]}"#,
        ] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_platform_is_chosen_or_the_choice_is_told() {
        let entries = index(&[
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/amd64",
            "unknown/unknown",
        ]);
        assert_eq!(entries.len(), 3, "attestations are no images");
        let choose = |platform: &str| {
            for_platform(entries.clone(), &platform.parse().unwrap(), "app")
                .map(|fitting| fitting[0].platform.clone().unwrap())
        };
        assert_eq!(choose("linux/amd64").unwrap().1, "amd64");
        assert_eq!(choose("linux/arm/v7").unwrap().2.unwrap(), "v7");
        // Not the first that fits, but the one that fits best.
        for (order, wanted, best) in [
            (&["linux/arm/v6", "linux/arm/v7"][..], "linux/arm/v7", "v7"),
            (&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", "v6"),
            (&["linux/arm/v5", "linux/arm/v7"], "linux/arm", "v7"),
            (&["linux/amd64/v9", "linux/amd64"], "linux/amd64", ""),
            (&["linux/amd64/v2", "linux/amd64"], "linux/amd64", ""),
            (&["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", "v3"),
        ] {
            let mut entries = index(order);
            let mut untold = entries[0].clone();
            untold.platform = None;
            entries.insert(0, untold);
            let chosen = for_platform(entries, &wanted.parse().unwrap(), "app").unwrap();
            let variant = chosen[0].platform.clone().unwrap().2.unwrap();
            assert_eq!(variant, best, "{order:?}");
            assert!(chosen.last().unwrap().platform.is_none());
        }
        let message = choose("linux/s390x").unwrap_err().to_string();
        assert!(message.contains("linux/arm/v7, linux/amd64"), "{message}");
    }
}
