//! Cargo, as seen from a chore that cargo started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
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
    if LINTING.load(Ordering::Relaxed) {
        command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    }
    command
}

/// Whether clippy compiles the workspace's packages.
static LINTING: AtomicBool = AtomicBool::new(false);

/// Compiles all of the workspace in `profile` by clippy, which is rustc with more to say and less to optimise, and so does whatever cargo is asked
/// for later. `cargo clippy` would check all dependencies once more, for five minutes where nothing is there yet. Tells where
/// the binary `soute` is: built by itself, it would have dependencies with fewer features, compiled once more.
///
/// # Errors
/// It does not compile, or there is anything to be said.
pub fn build_with_lints(profile: &str) -> Result<PathBuf> {
    LINTING.store(true, Ordering::Relaxed);
    let mut build = cargo([
        "build",
        "--workspace",
        "--all-targets",
        "--profile",
        profile,
    ]);
    build.args(["--quiet", "--message-format=json"]);
    let built = build
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", shell::line(&build)))?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let said: Vec<String> = messages.lines().filter_map(said_by_clippy).collect();
    eprint!("{}", said.concat());
    if !built.status.success() {
        bail!("{} ended with {}", shell::line(&build), built.status);
    }
    if !said.is_empty() {
        bail!("there are warnings, as above");
    }
    executable(&messages)
}

/// What one of cargo's messages says to people. Of dependencies only errors are told.
fn said_by_clippy(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-message" {
        return None;
    }
    Some(message["message"]["rendered"].as_str()?.to_owned())
}

/// Builds the binary `soute` in `profile` and tells where it is. One that `SOUTE_BIN` names is taken as it is.
pub fn build_soute(profile: &str) -> Result<PathBuf> {
    match given_soute()? {
        Some(given) => Ok(given),
        None => link_soute(profile, None, &[]),
    }
}

/// The binary that `SOUTE_BIN` names.
pub fn given_soute() -> Result<Option<PathBuf>> {
    let given = std::env::var_os("SOUTE_BIN").map(std::path::absolute);
    given.transpose().context("SOUTE_BIN")
}

/// Builds the binary `soute` in `profile`, for `target` where one is given, with flags of rustc's for the last step alone, in
/// which it is linked.
pub fn link_soute(profile: &str, target: Option<&str>, flags: &[&str]) -> Result<PathBuf> {
    let mut build = cargo([
        "rustc",
        "--package",
        "soute",
        "--bin",
        "soute",
        "--profile",
        profile,
        "--message-format=json-render-diagnostics",
    ]);
    if let Some(target) = target {
        build.args(["--target", target]);
    }
    build.arg("--").args(flags).stderr(Stdio::inherit());
    executable(&shell::output(&mut build)?)
}

/// Where cargo's messages say that the binary `soute` is.
fn executable(messages: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message["target"]["name"] == "soute" && message["profile"]["test"] != true
        })
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo named no executable `soute`")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clippy_says_is_told() {
        let said = r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: what\n"}}"#;
        assert_eq!(said_by_clippy(said).as_deref(), Some("warning: what\n"));
        assert_eq!(said_by_clippy(r#"{"reason":"compiler-artifact"}"#), None);
        assert_eq!(said_by_clippy("no message"), None);
    }
}
