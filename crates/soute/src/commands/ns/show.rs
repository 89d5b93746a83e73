//! `soute ns show`: one process or container and its namespaces, or one namespace by path.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::Survey;

use super::{Resolve, Target, target};

/// `soute ns show PID|CONTAINER|PATH`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A process by number, a container by name or id (ctr:NAME if the name is a number), or a namespace's file by path
    #[arg(value_name = "PID|CONTAINER|PATH")]
    target: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    match target(&args.target, resolve)? {
        Target::Process(pid, container) => {
            let show = Survey::new(Scope::default())?.show(pid, container)?;
            if args.json {
                return super::json(&show, out);
            }
            super::facts(&show.facts(), out)?;
            if !show.namespaces.is_empty() {
                writeln!(out)?;
                super::table(&show.table(), out)?;
            }
            super::notes(&show.notes);
        }
        Target::Path(path) => {
            // Everywhere: what keeps a namespace that nobody is in is the question then.
            let one = Survey::new(Scope::ALL)?.one(&path)?;
            if args.json {
                return super::json(&one, out);
            }
            super::facts(&one.facts(), out)?;
            if !one.processes.is_empty() {
                writeln!(out)?;
                super::table(&one.table(), out)?;
            }
            super::notes(&one.notes);
        }
    }
    Ok(())
}
