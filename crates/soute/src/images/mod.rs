//! Images as the commands want them: there when a container is to be made of one.

pub mod archive;
mod hello;
mod progress;

pub use progress::Bars;

use anyhow::Result;
use soute_engine::request::{Request, Source};
use soute_engine::{Container, Engine};
use soute_image::{Error, Image, Platform};

use crate::args::Pull;

/// Sees to it that the image of `request` is here, as `--pull` says.
pub fn ensure(engine: &Engine, request: &Request, pull: Pull, _quiet: bool) -> Result<()> {
    let Source::Image(name) = &request.source else {
        return Ok(());
    };
    let store = engine.images();
    if name == hello::NAME && pull != Pull::Always {
        hello::ensure(store)?;
    }
    let wanted = request
        .platform
        .as_deref()
        .map(str::parse::<Platform>)
        .transpose()?;
    let fits = |image: &Image| {
        let accepts = |wanted: &Platform| {
            wanted.accepts(&image.os, &image.architecture, image.variant.as_deref())
        };
        wanted.as_ref().is_none_or(accepts)
    };
    match store.resolve(name) {
        Ok(image) if pull != Pull::Always && fits(&image) => Ok(()),
        Ok(image) if pull == Pull::Never => Err(Error::NoPlatform {
            image: name.clone(),
            wanted: wanted
                .map(|platform| platform.to_string())
                .unwrap_or_default(),
            available: vec![platform_of(&image)],
        }
        .into()),
        Err(error) if pull == Pull::Never => Err(error.into()),
        Ok(_) => anyhow::bail!("pulling images is not there yet"),
        Err(error) => Err(error.into()),
    }
}

/// `linux/arm64/v8`.
pub fn platform_of(image: &Image) -> String {
    let variant = image.variant.iter().map(|variant| format!("/{variant}"));
    format!("{}/{}", image.os, image.architecture) + &variant.collect::<String>()
}

/// The names of the containers that are made of the image with this id.
pub fn users(containers: &[Container], id: &str) -> Vec<String> {
    let made_of_it = |container: &&Container| container.record.image.as_deref() == Some(id);
    let names = containers.iter().filter(made_of_it);
    names
        .map(|container| container.record.name.clone())
        .collect()
}
