//! Commands that do one thing to each of several containers or images.

use std::process::ExitCode;

use anyhow::Result;

use crate::error;
use crate::output::print;

/// Does `act` to each of `names` and prints what it gives, one a line. A
/// failure is reported and does not spare the others; the exit code is then 1.
pub fn each(names: &[String], mut act: impl FnMut(&str) -> Result<String>) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match act(name) {
            Ok(line) => print(&(line + "\n"))?,
            Err(failure) => code = error::report(&failure, 1),
        }
    }
    Ok(code)
}

/// As [`each`], of actions that give nothing: the name is printed.
pub fn each_named(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<ExitCode> {
    each(names, |name| act(name).map(|()| name.to_owned()))
}
