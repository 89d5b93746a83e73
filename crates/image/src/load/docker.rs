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
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that `manifest.json` lists.
///
/// Four MiB of it can name a quarter of a million: nothing is read for them here.
pub(super) fn list(parts: &Parts) -> Result<Vec<Listed>, Error> {
    let content = parts.read("manifest.json", LARGEST_MANIFEST)?;
    let listed: Vec<Listed> = serde_json::from_slice(&content).map_err(|source| Error::Json {
        what: "manifest.json of the image archive".to_owned(),
        source,
    })?;
    super::check_count(listed.len())?;
    Ok(listed)
}

impl Listed {
    pub(super) fn describe(self, parts: &Parts) -> Result<Described, Error> {
        let config = parts.read(&self.config, LARGEST_CONFIG)?;
        check_name(&self.config, &config)?;
        Ok(Described {
            config,
            manifest: None,
            references: self.references()?,
            layers: self
                .layers
                .unwrap_or_default()
                .into_iter()
                .map(|name| Part { name, blob: None })
                .collect(),
        })
    }

    /// The names of the image.
    fn references(&self) -> Result<Vec<Reference>, Error> {
        let tags = self.repo_tags.iter().flatten();
        tags.map(|tag| Reference::parse(tag)).collect()
    }

    /// Its names, if `config` is its configuration.
    pub(super) fn names_of(&self, config: &Digest) -> Result<Vec<Reference>, Error> {
        match self.config.ends_with(&config.hex()) {
            true => self.references(),
            false => Ok(Vec::new()),
        }
    }
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
