//! docker-archive: `manifest.json` lists configurations and plain layers by file name.

use serde::Deserialize;

use super::parts::Parts;
use super::{Described, Part};
use crate::manifest::{LARGEST_CONFIG, LARGEST_MANIFEST};
use crate::{Digest, Error, Reference};

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that `manifest.json` lists.
pub(super) fn list(parts: &Parts) -> Result<Vec<Listed>, Error> {
    let content = parts.read("manifest.json", LARGEST_MANIFEST)?;
    serde_json::from_slice(&content).map_err(|source| Error::Json {
        what: "manifest.json of the image archive".to_owned(),
        source,
    })
}

pub(super) fn describe(parts: &Parts) -> Result<Vec<Described>, Error> {
    list(parts)?
        .into_iter()
        .map(|listed| {
            let config = parts.read(&listed.config, LARGEST_CONFIG)?;
            check_name(&listed.config, &config)?;
            let tags = listed.repo_tags.unwrap_or_default();
            Ok(Described {
                config,
                manifest: None,
                references: tags
                    .iter()
                    .map(|tag| Reference::parse(tag))
                    .collect::<Result<_, _>>()?,
                layers: listed
                    .layers
                    .unwrap_or_default()
                    .into_iter()
                    .map(|name| Part { name, blob: None })
                    .collect(),
            })
        })
        .collect()
}

/// A configuration is named by its digest: `<hex>.json` or `blobs/sha256/<hex>`.
fn check_name(name: &str, config: &[u8]) -> Result<(), Error> {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let hex = last.strip_suffix(".json").unwrap_or(last);
    let actual = Digest::of(config);
    match Digest::from_hex(hex) {
        Some(expected) if expected != actual => Err(Error::WrongDigest {
            what: "configuration",
            expected,
            actual,
        }),
        _ => Ok(()),
    }
}
