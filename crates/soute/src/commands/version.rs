//! `soute version`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use soute_engine::Places;

use crate::cli::CommandLine;
use crate::output::{Template, print};

/// soute's version, the commit it was built from (if the build knew), and the kernel's.
#[derive(Debug, Args)]
pub struct Version {
    /// Go template, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<Template>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    version: &'static str,
    /// Empty if the build was not told.
    commit: &'static str,
    os: &'static str,
    arch: &'static str,
    kernel_version: String,
}

impl CommandLine for Version {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, _: &Places) -> Result<ExitCode> {
        let kernel = rustix::system::uname();
        let versions = Versions {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SOUTE_COMMIT").unwrap_or_default(),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            kernel_version: kernel.release().to_string_lossy().into_owned(),
        };
        print(&match &self.format {
            Some(template) => template.line(&versions)?,
            None => versions.to_string(),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Version: {}", self.version)?;
        if !self.commit.is_empty() {
            writeln!(f, "Commit:  {}", self.commit)?;
        }
        writeln!(f, "System:  {}/{}", self.os, self.arch)?;
        writeln!(f, "Kernel:  {}", self.kernel_version)
    }
}
