//! A tar of a root file system → an image of one layer.

use std::io::Read;

use crate::changes;
use crate::config::{ConfigFile, History};
use crate::store::{NewImage, to_json};
use crate::unpack::{Limits, Reading};
use crate::{Digest, Error, Image, ImageConfig, LayerState, Platform, Progress, Reference, Store};

/// How a root file system becomes an image.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name it gets; `None`: none.
    pub reference: Option<Reference>,
    /// Instructions of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
    pub changes: Vec<String>,
    /// What the image's history says of it.
    pub message: Option<String>,
    /// What it is for; `None`: this machine.
    pub platform: Option<Platform>,
    /// What is too much.
    pub limits: Limits,
}

impl Store {
    /// Makes an image of one layer from a tar: plain, gzip or zstd, read to its end.
    ///
    /// There is no digest to hold the archive against, so it must have its end marker.
    ///
    /// # Errors
    /// [`Error::BadReference`], [`Error::BadChange`] before anything is read; [`Error::Layer`].
    pub fn import(
        &self,
        source: impl Read,
        options: &ImportOptions,
        progress: &dyn Progress,
    ) -> Result<Image, Error> {
        if let Some(reference) = &options.reference
            && reference.digest().is_some()
        {
            return Err(Error::BadReference {
                reference: reference.to_string(),
                reason: "a digest cannot be given, it is what the content has",
            });
        }
        let mut config = ImageConfig::default();
        for change in &options.changes {
            changes::apply(&mut config, change)?;
        }
        let staging = self.stage()?;
        let reading = Reading {
            compression: None,
            marked_end: true,
            limits: &options.limits,
        };
        // The digest is not known before the end: this stands for the one layer.
        let unnamed = Digest::of(b"");
        let layer = staging
            .unpack(source, &reading, &mut |done| {
                progress.layer(&unnamed, LayerState::Transferred { done, total: 0 });
            })
            .map_err(|source| Error::Layer {
                layer: "of the import".to_owned(),
                source,
            })?;
        progress.layer(&unnamed, LayerState::Done);
        let now = jiff::Timestamp::now().to_string();
        let mut file = ConfigFile::of_layers(config, vec![layer.unpacked.diff_id]);
        if let Some(platform) = &options.platform {
            file.os.clone_from(&platform.os);
            file.architecture.clone_from(&platform.architecture);
            file.variant.clone_from(&platform.variant);
        }
        file.created = Some(now.clone());
        file.history = vec![History {
            created: Some(now),
            comment: options.message.clone(),
            ..History::default()
        }];
        self.commit(
            &staging,
            &NewImage {
                config: &to_json(&file)?,
                references: options.reference.as_slice(),
                staged: &[layer],
                ..NewImage::default()
            },
        )
    }
}
