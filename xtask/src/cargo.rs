//! Cargo, as seen from a chore that cargo started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// `cargo ARGUMENTS`, in the workspace's folder.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = shell::command(&program, arguments);
    command.current_dir(root());
    command
}

/// Builds the binary `soute` in `profile` and tells where it is. One that `SOUTE_BIN` names is taken as it is.
pub fn build_soute(profile: &str) -> Result<PathBuf> {
    match given_soute()? {
        Some(given) => Ok(given),
        None => link_soute(profile, &[]),
    }
}

/// The binary that `SOUTE_BIN` names.
pub fn given_soute() -> Result<Option<PathBuf>> {
    let given = std::env::var_os("SOUTE_BIN").map(std::path::absolute);
    given.transpose().context("SOUTE_BIN")
}

/// Builds the binary `soute` in `profile` with flags of rustc's for the last step alone, in which it is linked.
pub fn link_soute(profile: &str, flags: &[&str]) -> Result<PathBuf> {
    let messages = shell::output(
        cargo([
            "rustc",
            "--package",
            "soute",
            "--bin",
            "soute",
            "--profile",
            profile,
            "--message-format=json-render-diagnostics",
            "--",
        ])
        .args(flags)
        .stderr(std::process::Stdio::inherit()),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "soute")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo build named no executable `soute`")
}

/// `cargo metadata` of the workspace's own packages.
pub fn metadata() -> Result<Value> {
    let text = shell::output(&mut cargo(["metadata", "--no-deps", "--format-version=1"]))?;
    serde_json::from_str(&text).context("cargo metadata printed no JSON")
}

/// `soute`, keeping everything in that folder.
pub fn soute_in(soute: &Path, folder: &Path) -> Command {
    let mut command = Command::new(soute);
    command.arg("--root").arg(folder.join("root"));
    command.arg("--run").arg(folder.join("run"));
    command
}
