//! `soute ns ls`: all namespaces that can be found from here.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use soute_lens::view::{Column, Survey};
use soute_lens::{Kind, Scope};

use super::NameOf;

/// `soute ns ls [TYPE…]`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only these kinds: mnt, uts, ipc, pid, net, user, cgroup, time
    #[arg(value_name = "TYPE")]
    kinds: Vec<Kind>,

    /// Print JSON, with all columns
    #[arg(long)]
    json: bool,

    /// Print these columns, comma-separated (those of lsns, and THREADS, OWNERUID, WHOSE, CONTAINER)
    #[arg(
        short,
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        conflicts_with = "json"
    )]
    output: Vec<Column>,

    /// Print all columns
    #[arg(long, conflicts_with_all = ["output", "json"])]
    output_all: bool,

    /// Look at the open descriptors of all processes too
    #[arg(short, long)]
    all: bool,

    /// Look also for network namespaces that only a socket keeps, of a process elsewhere. A socket that no namespace in use lists
    /// is borrowed for a moment to be asked: what its owner closes just then keeps its address until soute lets go
    #[arg(long)]
    sockets: bool,
}

pub fn run(args: &LsArgs, name_of: NameOf<'_>, out: &mut dyn Write) -> Result<()> {
    let scope = Scope {
        bound: true,
        descriptors: args.all,
        sockets: args.sockets,
    };
    let mut list = Survey::new(scope)?.list(&args.kinds)?;
    super::complete(&mut list, name_of);
    if args.json {
        return super::json(&list, out);
    }
    let columns = match (args.output_all, args.output.as_slice()) {
        (true, _) => &Column::ALL[..],
        (false, []) => &Column::DEFAULT,
        (false, chosen) => chosen,
    };
    super::table(&list.table(columns), out)?;
    super::notes(&list.notes);
    Ok(())
}
