//! `soute pull`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgAction, Args};
use soute_engine::Places;
use soute_image::{Credentials, Platform, PullOptions, Reference, Tls};

use crate::args::numbers;
use crate::cli::CommandLine;
use crate::images::pull;
use crate::output::print;

/// An image from a registry. Credentials are those that `docker login` or `podman login` left, or of the file that
/// `$REGISTRY_AUTH_FILE` names.
#[derive(Debug, Args)]
pub struct Pull {
    /// Which of an image's platforms, if not this machine's
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<Platform>,

    /// Print the image's name alone
    #[arg(short, long)]
    quiet: bool,

    /// Demand HTTPS and verify the registry's certificate
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = numbers::boolean, num_args = 0..=1,
        require_equals = true, default_value = "true", default_missing_value = "true")]
    tls_verify: bool,

    /// Who pulls, instead of who is logged in
    #[arg(long, value_name = "USER:PASSWORD", value_parser = credentials)]
    creds: Option<Credentials>,

    /// The image's name
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

fn credentials(text: &str) -> Result<Credentials, String> {
    match text.split_once(':') {
        Some((username, password)) if !username.is_empty() => Ok(Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        }),
        // The text may be a password: it is not repeated.
        _ => Err("USER:PASSWORD is expected".to_owned()),
    }
}

impl CommandLine for Pull {
    const USAGE: &'static str = "[OPTIONS] NAME[:TAG|@DIGEST]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let reference = Reference::parse(&self.name)?;
        let options = PullOptions {
            platform: self.platform,
            credentials: self.creds.unwrap_or_default(),
            tls: Tls {
                verify: self.tls_verify,
                ..Tls::default()
            },
            ..PullOptions::default()
        };
        let engine = super::open(places)?;
        let pulled = pull(engine.images(), &reference, &options, self.quiet)?;
        if !self.quiet {
            // Docker's words.
            let done = match pulled.changed {
                true => "Downloaded newer image for",
                false => "Image is up to date for",
            };
            print(&format!(
                "Digest: {}\nStatus: {done} {}\n",
                pulled.digest,
                reference.familiar()
            ))?;
        }
        // Docker's last line: the name in full.
        print(&format!("{reference}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
