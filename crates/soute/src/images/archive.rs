//! Archives that commands read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use anyhow::{Context as _, Result, bail};

/// Opens `path`; none, or `-`, is standard input, unless that is a terminal.
pub fn open(path: Option<&str>) -> Result<Box<dyn Read>> {
    match path {
        Some(path) if path != "-" => {
            let file = File::open(path).with_context(|| format!("opening {path}"))?;
            Ok(Box::new(file))
        }
        _ if io::stdin().is_terminal() => {
            bail!("an archive is expected on standard input, which is a terminal")
        }
        _ => Ok(Box::new(io::stdin())),
    }
}
