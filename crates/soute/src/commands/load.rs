//! `soute load`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use soute_engine::Places;
use soute_image::{Image, LoadOptions, LoadSource, Platform, Progress, Reference, Silent};

use crate::cli::CommandLine;
use crate::images::{Bars, archive};
use crate::output::print;

/// The images of an archive that docker, podman, buildah or skopeo saved, or of a folder in OCI layout.
#[derive(Debug, Args)]
pub struct Load {
    /// The archive or folder, instead of standard input
    #[arg(short, long, value_name = "PATH")]
    input: Option<String>,

    /// Draw no progress
    #[arg(short, long)]
    quiet: bool,

    /// Which images of an archive for several platforms, if not this machine's
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<Platform>,
}

impl CommandLine for Load {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let source = match self.input.as_deref().filter(|path| *path != "-") {
            Some(path) => LoadSource::Path(path.as_ref()),
            None => LoadSource::File(archive::standard_input()?),
        };
        let options = LoadOptions {
            platform: self.platform,
            ..LoadOptions::default()
        };
        let engine = super::open(places)?;
        let bars = Bars::new();
        let progress: &dyn Progress = if self.quiet { &Silent } else { &bars };
        let input = self.input.as_deref().unwrap_or("standard input");
        let loaded = engine.images().load(source, &options, progress);
        let images = loaded.with_context(|| format!("loading {input}"))?;
        if images.is_empty() {
            bail!("{input} has no image");
        }
        print(&images.iter().map(report).collect::<String>())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Docker's words.
fn report(image: &Image) -> String {
    match &image.references[..] {
        [] => format!("Loaded image ID: {}\n", image.id),
        names => {
            let line = |name: &Reference| format!("Loaded image: {}\n", name.familiar());
            names.iter().map(line).collect()
        }
    }
}
