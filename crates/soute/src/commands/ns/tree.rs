//! `soute ns tree`: the user or pid namespaces, each in its parent.

use std::io::Write;

use anyhow::Result;
use clap::{Args, ValueEnum};
use soute_lens::view::Survey;
use soute_lens::{Kind, Scope};

/// `soute ns tree user|pid`
#[derive(Debug, Args)]
pub struct TreeArgs {
    /// Which: those of the other kinds have no parents
    #[arg(value_name = "TYPE", value_enum)]
    kind: Parented,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Look at the open descriptors of all processes too
    #[arg(short, long)]
    all: bool,
}

/// The kinds that have parents.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Parented {
    /// User namespaces, what each owns, and who made it
    User,
    /// PID namespaces
    Pid,
}

pub fn run(args: &TreeArgs, out: &mut dyn Write) -> Result<()> {
    let scope = Scope {
        bound: true,
        descriptors: args.all,
        sockets: false,
    };
    let kind = match args.kind {
        Parented::User => Kind::User,
        Parented::Pid => Kind::Pid,
    };
    let tree = Survey::new(scope)?.tree(kind)?;
    if args.json {
        return super::json(&tree, out);
    }
    super::table(&tree.table(), out)?;
    super::notes(&tree.notes);
    Ok(())
}
