//! `soute import`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_engine::Places;
use soute_image::{ImportOptions, Platform, Reference};

use crate::cli::CommandLine;
use crate::images::{Bars, archive};
use crate::output::print;

/// A root file system as a tar, plain, gzip or zstd, as an image.
#[derive(Debug, Args)]
pub struct Import {
    /// An instruction of a Dockerfile, such as CMD ["python3"]
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,

    /// What the image's history says
    #[arg(short, long)]
    message: Option<String>,

    /// What it is for, if not for this machine
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<Platform>,

    /// The tar; - is standard input
    #[arg(value_name = "FILE|-")]
    file: String,

    /// The name that the image gets
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

impl CommandLine for Import {
    const USAGE: &'static str = "[OPTIONS] FILE|- [REPOSITORY[:TAG]]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let options = ImportOptions {
            reference: self.name.as_deref().map(Reference::parse).transpose()?,
            changes: self.change,
            message: self.message,
            platform: self.platform,
            ..ImportOptions::default()
        };
        let source = archive::open(&self.file)?;
        let engine = super::open(places)?;
        let image = engine.images().import(source, &options, &Bars::new())?;
        print(&format!("{}\n", image.id))?;
        Ok(ExitCode::SUCCESS)
    }
}
