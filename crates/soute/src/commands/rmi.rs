//! `soute rmi`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;
use soute_image::ImageId;

use super::each::each;
use crate::cli::CommandLine;
use crate::images::users;

/// Names of images, and with the last one the image.
#[derive(Debug, Args)]
pub struct Rmi {
    /// Also an id that has several names; of an image in use, the names
    #[arg(short, long)]
    force: bool,

    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl CommandLine for Rmi {
    const USAGE: &'static str = "[OPTIONS] IMAGE...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        each(&self.images, |name| {
            let in_use = |id: &ImageId| Ok(users(&engine.containers()?, &id.to_string()));
            let removed = engine.images().remove(name, self.force, &in_use)?;
            let untagged = removed
                .untagged
                .iter()
                .map(|name| format!("Untagged: {}", name.familiar()));
            let deleted = removed.image.iter().map(|id| format!("Deleted: {id}"));
            let layers = removed
                .layers
                .iter()
                .map(|layer| format!("Deleted: {layer}"));
            Ok(untagged
                .chain(deleted)
                .chain(layers)
                .collect::<Vec<_>>()
                .join("\n"))
        })
    }
}
