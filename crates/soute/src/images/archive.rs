//! Archives that commands read.

use std::fs::File;
use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result, ensure};

/// Opens `path`; `-` is standard input.
pub fn open(path: &str) -> Result<File> {
    match path {
        "-" => standard_input(),
        path => File::open(path).with_context(|| format!("opening {path}")),
    }
}

/// Standard input, unless that is a terminal.
pub fn standard_input() -> Result<File> {
    ensure!(
        !io::stdin().is_terminal(),
        "an archive is expected on standard input, which is a terminal"
    );
    let stdin = rustix::stdio::stdin().try_clone_to_owned();
    Ok(stdin.context("standard input")?.into())
}
