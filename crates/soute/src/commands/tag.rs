//! `soute tag`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;
use soute_image::Reference;

use crate::cli::CommandLine;

/// Another name for an image.
#[derive(Debug, Args)]
pub struct Tag {
    /// Name or id
    image: String,

    /// The further name
    name: String,
}

impl CommandLine for Tag {
    const USAGE: &'static str = "IMAGE NAME[:TAG]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let name = Reference::parse(&self.name)?;
        let engine = super::open(places)?;
        engine.images().tag(&self.image, &name)?;
        Ok(ExitCode::SUCCESS)
    }
}
