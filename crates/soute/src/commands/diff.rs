//! `soute diff`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use soute_engine::{Change, ChangeKind, Places};

use crate::cli::CommandLine;
use crate::error::warn;
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
        for folder in &changes.too_deep {
            warn(&format!(
                "{}: not looked at, a folder in too many folders",
                folder.display()
            ));
        }
        match self.json {
            true => {
                let all: Vec<_> = changes.list.iter().map(as_json).collect();
                print(&json(&all)?)?;
            }
            false => {
                let lines: String = changes.list.iter().map(line).collect();
                print_foreign(&lines)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line stays one, whatever a container has called its files.
fn line(change: &Change) -> String {
    let (letter, _) = names(change.kind);
    format!("{letter} {}\n", visible(&change.path.to_string_lossy()))
}

fn as_json(change: &Change) -> serde_json::Value {
    let (_, kind) = names(change.kind);
    json!({ "path": change.path.to_string_lossy(), "kind": kind })
}

/// As Docker's letter, and as a word.
fn names(kind: ChangeKind) -> (char, &'static str) {
    match kind {
        ChangeKind::Modified => ('C', "modified"),
        ChangeKind::Added => ('A', "added"),
        ChangeKind::Deleted => ('D', "deleted"),
    }
}
