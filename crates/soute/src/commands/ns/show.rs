//! `soute ns show`: one process or container and its namespaces, or one namespace.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::Survey;

use super::{Resolve, Target, target};

/// `soute ns show PID|CONTAINER|PATH|INODE`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A process by number, a container by name or id (ctr:NAME if the name is a number), or a namespace by a path to its
    /// file or by its inode
    #[arg(value_name = "PID|CONTAINER|PATH|INODE")]
    target: String,

    /// Find the namespace of INODE also if only a socket keeps it, which is borrowed for a moment: see 'soute ns ls --help'
    #[arg(long)]
    sockets: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ShowArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
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
        Target::Namespace(way) => {
            // Everywhere: what keeps a namespace that nobody is in is the question then.
            let survey = Survey::new(Scope {
                sockets: args.sockets,
                ..Scope::ALL
            })?;
            let one = survey.one(way.open_by(&survey)?)?;
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
