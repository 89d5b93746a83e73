//! `soute inspect`.

mod container;
mod image;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::Value;
use soute_engine::{Engine, Error, Places};

use crate::cli::CommandLine;
use crate::error;
use crate::output::{Template, json, print_foreign};

/// All that is known of containers and images, as JSON in Docker's form.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Go template for each, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<Template>,

    /// Only containers, or only images
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<Kind>,

    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Container,
    Image,
}

impl CommandLine for Inspect {
    const USAGE: &'static str = "[OPTIONS] NAME...";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let mut code = ExitCode::SUCCESS;
        let mut found = Vec::new();
        for name in &self.names {
            match look(&engine, name, self.kind) {
                Ok(value) => found.push(value),
                Err(failure) => code = error::report(&failure, 1),
            }
        }
        let text = match &self.format {
            None => json(&found)?,
            Some(template) => {
                let lines = found.iter().map(|value| template.line(value));
                lines.collect::<Result<String, _>>()?
            }
        };
        print_foreign(&text)?;
        Ok(code)
    }
}

/// A container of that name, or else an image.
fn look(engine: &Engine, name: &str, kind: Option<Kind>) -> Result<Value> {
    if kind != Some(Kind::Image) {
        match engine.container(name) {
            Err(Error::NoSuchContainer(_)) if kind.is_none() => {}
            container => {
                let container = container?;
                // By id: the name may have gone to another.
                let id = container.record.image.as_deref();
                let image = id.and_then(|id| engine.images().resolve(id).ok());
                let joined = engine.networking(&container.record.id)?;
                return container::describe(&container, &joined, image.as_ref());
            }
        }
    }
    match engine.images().inspect(name) {
        Err(soute_image::Error::NoSuchImage { .. } | soute_image::Error::BadReference { .. })
            if kind.is_none() =>
        {
            // With what to do about a container of another engine's.
            let error = anyhow::Error::new(Error::NoSuchContainer(name.to_owned()));
            Err(error.context(format!("no such container or image: {name}")))
        }
        image => Ok(image::describe(&image?)),
    }
}
