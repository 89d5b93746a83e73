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
    if let Some(built) = std::env::var_os("SOUTE_BIN") {
        return std::path::absolute(built).context("SOUTE_BIN");
    }
    link_soute(profile, &[])
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
