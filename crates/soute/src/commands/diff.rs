//! `soute diff`.

use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use soute_engine::{Change, ChangeKind, Places};

use crate::cli::CommandLine;
use crate::output::{json, print, print_foreign, visible};

/// What a container has changed of its root file system, read off its overlay: C changed, A added, D deleted.
#[derive(Debug, Args)]
pub struct Diff {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl CommandLine for Diff {
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let changes = engine.changes(&self.container)?;
        match self.json {
            true => {
                let all: Vec<_> = changes.iter().map(as_json).collect();
                print(&json(&all)?)?;
            }
            false => {
                let lines: String = changes.iter().map(line).collect();
                print_foreign(&lines)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line stays one, whatever a container has called its files.
fn line(change: &Change) -> String {
    format!("{} {}\n", letter(change.kind), visible(&path(change)))
}

fn as_json(change: &Change) -> serde_json::Value {
    let kind = match change.kind {
        ChangeKind::Modified => "modified",
        ChangeKind::Added => "added",
        ChangeKind::Deleted => "deleted",
    };
    json!({ "path": path(change), "kind": kind })
}

fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Modified => 'C',
        ChangeKind::Added => 'A',
        ChangeKind::Deleted => 'D',
    }
}

fn path(change: &Change) -> String {
    String::from_utf8_lossy(change.path.as_os_str().as_bytes()).into_owned()
}
