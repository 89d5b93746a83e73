//! Images as the commands want them: there when a container is to be made of one.

pub mod archive;
mod hello;
mod memory;
mod progress;

pub use progress::Bars;

use anyhow::Result;
use soute_engine::request::{Request, Source};
use soute_engine::{Container, Engine};
use soute_image::{
    Error, Image, Platform, Progress, PullOptions, Pulled, Reference, Silent, Store,
};

use crate::args::Pull;
use crate::output::{complain, visible};

/// Sees to it that the image of `request` is here, as `--pull` says.
pub fn ensure(engine: &Engine, request: &Request, when: Pull, quiet: bool) -> Result<()> {
    let Source::Image(name) = &request.source else {
        return Ok(());
    };
    let store = engine.images();
    if name == hello::NAME && when != Pull::Always {
        hello::ensure(store)?;
    }
    let platform: Option<Platform> = request.platform.as_deref().map(str::parse).transpose()?;
    let missing = match store.resolve(name) {
        Ok(image) => match unfit(&image, name, platform.as_ref()) {
            None if when != Pull::Always => return Ok(()),
            None => None,
            Some(error) => Some(error),
        },
        Err(error @ Error::NoSuchImage { .. }) => Some(error),
        Err(error) => return Err(error.into()),
    };
    match missing {
        Some(error) if when == Pull::Never => Err(error.into()),
        _ => {
            let reference = Reference::parse(name)?;
            if !quiet && missing.is_some() {
                complain(&format!(
                    "soute: image {} is not here: pulling it\n",
                    visible(&reference.familiar())
                ));
            }
            let options = PullOptions {
                platform,
                ..PullOptions::default()
            };
            pull(store, &reference, &options, quiet)?;
            Ok(())
        }
    }
}

/// Why the image is not what was asked for; `None`: it is.
fn unfit(image: &Image, name: &str, wanted: Option<&Platform>) -> Option<Error> {
    let wanted = wanted?;
    let variant = image.variant.as_deref();
    if wanted.accepts(&image.os, &image.architecture, variant) {
        return None;
    }
    let slash = if variant.is_some() { "/" } else { "" };
    let there = format!(
        "{}/{}{slash}{}",
        image.os,
        image.architecture,
        variant.unwrap_or_default()
    );
    Some(Error::NoPlatform {
        image: name.to_owned(),
        wanted: wanted.to_string(),
        available: vec![there],
    })
}

/// Pulls an image, with bars unless `quiet`, and within bounds.
pub fn pull(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    quiet: bool,
) -> Result<Pulled> {
    let bars = Bars::new();
    let progress: &dyn Progress = if quiet { &Silent } else { &bars };
    let _bound = memory::Bound::set()?;
    Ok(store.pull(reference, options, progress)?)
}

/// The names of the containers that are made of the image with this id.
pub fn users(containers: &[Container], id: &str) -> Vec<String> {
    let made_of_it = |container: &&Container| container.record.image.as_deref() == Some(id);
    let names = containers.iter().filter(made_of_it);
    names
        .map(|container| container.record.name.clone())
        .collect()
}
