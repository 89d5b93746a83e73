//! `Args → Request`: what `soute run` and `soute create` have in common.
//!
//! The flags stand in groups, one file each. A flag's own syntax is checked
//! while it is parsed; [`CreateArgs::into_request`] looks at the caller's
//! surroundings ([`Outside`]) and at flags that exclude each other.

mod conflicts;
pub mod env;
mod identity;
pub mod moment;
mod mounts;
mod namespaces;
mod network;
pub mod numbers;
pub mod outside;
pub mod process;
mod resources;
mod security;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use soute_engine::Engine;
use soute_engine::request::{Request, Source};

pub use outside::{Machine, Outside};
pub use resources::LimitArgs;

/// All that describes a container.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The image and the command with its arguments; with --rootfs, the command alone
    #[arg(value_name = "IMAGE [COMMAND [ARG]...]", trailing_var_arg = true)]
    words: Vec<String>,

    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    process: process::ProcessArgs,
    #[command(flatten)]
    identity: identity::IdentityArgs,
    #[command(flatten)]
    mounts: mounts::MountArgs,
    #[command(flatten)]
    resources: resources::ResourceArgs,
    #[command(flatten)]
    security: security::SecurityArgs,
    #[command(flatten)]
    namespaces: namespaces::NamespaceArgs,
    #[command(flatten)]
    network: network::NetworkArgs,
}

/// What the container is made of, and the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image")]
struct ImageArgs {
    /// Take a directory for the image, copy-on-write (if it holds soute's own folder, as / does, changes are kept in
    /// memory and lost when the container stops)
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,

    /// When to pull the image
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<Pull>,

    /// Pull without a word
    #[arg(short, long)]
    quiet: bool,

    /// Which of an image's platforms to take
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]", value_parser = platform)]
    platform: Option<String>,

    /// Remove the container, and its anonymous volumes, when it ends
    #[arg(long)]
    rm: bool,

    /// Write the container's id to a new file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
}

/// `--pull`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Pull {
    /// Even if the image is here.
    Always,
    /// Only if the image is not here.
    #[default]
    Missing,
    /// Not at all.
    Never,
}

/// A container, and what its making needs to know besides it.
#[derive(Debug)]
pub struct Creation {
    /// The container.
    pub request: Request,
    /// When to pull the image.
    pub pull: Pull,
    /// Pull without a word.
    pub quiet: bool,
    /// Where the id goes.
    pub cidfile: Option<PathBuf>,
}

impl CreateArgs {
    /// Before a file is read that could be a pipe: the command may begin anew here ([`Engine::shield`]).
    pub fn shield(&self, engine: &Engine) -> Result<()> {
        let joined = self.namespaces.joined().chain(self.network.joined());
        let privileged = self.security.privileged();
        Ok(engine.shield(self.namespaces.userns(), privileged, joined)?)
    }

    /// The validated request.
    pub fn into_request(self, outside: &dyn Outside) -> Result<Creation> {
        let mut request = Request::default();
        let image = self.image;
        let (source, command) = source_and_command(self.words, image.rootfs.as_deref(), outside)?;
        if let Source::Directory(_) = source {
            for (flag, given) in [
                ("--pull", image.pull.is_some()),
                ("--platform", image.platform.is_some()),
            ] {
                if given {
                    bail!("{flag} says which image to take, and --rootfs takes none");
                }
            }
        }
        request.source = source;
        request.command = command;
        request.platform = image.platform;
        request.remove = image.rm;
        self.identity.apply(&mut request, outside)?;
        self.process.apply(&mut request, outside)?;
        self.mounts.apply(&mut request, outside)?;
        self.resources.apply(&mut request, outside)?;
        self.security.apply(&mut request, outside)?;
        self.namespaces.apply(&mut request);
        self.network.apply(&mut request)?;
        conflicts::check(&request)?;
        Ok(Creation {
            request,
            pull: image.pull.unwrap_or_default(),
            quiet: image.quiet,
            cidfile: image.cidfile,
        })
    }
}

fn source_and_command(
    words: Vec<String>,
    rootfs: Option<&std::path::Path>,
    outside: &dyn Outside,
) -> Result<(Source, Vec<String>)> {
    let mut words = words.into_iter();
    let source = match rootfs {
        Some(path) => Source::Directory(
            outside
                .working_directory()
                .context("the working directory")?
                .join(path),
        ),
        None => match words.next() {
            Some(image) if !image.is_empty() => Source::Image(image),
            _ => bail!("an image is needed"),
        },
    };
    Ok((source, words.collect()))
}

/// `os[/arch[/variant]]`, kept as written.
pub fn platform(text: &str) -> Result<String, String> {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    match text.split('/').count() <= 3 && text.split('/').all(word) {
        true => Ok(text.to_owned()),
        false => Err("os[/arch[/variant]] is expected, such as linux/arm64/v8".to_owned()),
    }
}

#[cfg(test)]
mod tests;
