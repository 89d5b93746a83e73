//! `list`

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use soute_lens::proc::Users;

use super::state::Json;
use super::{Context, Operation};
use crate::output::{Format, Rows, complain, print, visible};

/// List containers.
#[derive(Debug, Args)]
pub struct List {
    /// How the list is written
    #[arg(short, long, value_enum, default_value = "table")]
    format: ListFormat,

    /// Names alone
    #[arg(short, long)]
    quiet: bool,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Columns.
    Table,
    /// One array.
    Json,
}

const FIELDS: &[(&str, &str)] = &[
    ("id", "ID"),
    ("pid", "PID"),
    ("status", "STATUS"),
    ("bundle", "BUNDLE"),
    ("created", "CREATED"),
    ("owner", "OWNER"),
];

impl Operation for List {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Result<ExitCode> {
        if context.root_given {
            std::fs::read_dir(&context.root)
                .with_context(|| format!("--root {}", context.root.display()))?;
        }
        let mut containers = Vec::new();
        for (id, found) in context.containers.list()? {
            match found {
                Ok(container) => containers.push(container),
                // The others are listed all the same.
                Err(e) => complain(&format!(
                    "container {}: {}\n",
                    visible(&id),
                    visible(&e.to_string())
                )),
            }
        }
        if self.quiet {
            let ids = containers.iter().map(|c| c.state.id.clone() + "\n");
            print(&ids.collect::<String>())?;
            return Ok(ExitCode::SUCCESS);
        }
        let users = Users::of_machine();
        let owner = |uid: u32| users.name(uid);
        match self.format {
            ListFormat::Json => {
                let all: Vec<_> = containers
                    .iter()
                    .map(|c| Json::of(c, owner(c.state.owner)))
                    .collect();
                print(&(serde_json::to_string(&all)? + "\n"))?;
            }
            ListFormat::Table => {
                let mut rows = Rows::new(FIELDS);
                for c in &containers {
                    rows.push([
                        c.state.id.clone(),
                        c.pid.unwrap_or(0).to_string(),
                        c.status.to_string(),
                        c.state.bundle.display().to_string(),
                        c.state.created.clone(),
                        owner(c.state.owner),
                    ]);
                }
                let columns: Vec<_> = FIELDS.iter().map(|(field, _)| *field).collect();
                print(&rows.render(&Format::Table, &columns)?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
