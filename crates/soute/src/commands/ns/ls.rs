//! `soute ns ls`: all namespaces that can be found from here.

use std::collections::HashMap;
use std::io::Write;

use anyhow::Result;
use clap::Args;
use soute_lens::view::{Column, List, Survey};
use soute_lens::{Kind, Maker, Scope};

use super::Resolve;

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

    /// Look at the open descriptors of all processes too, sockets among them
    #[arg(short, long)]
    all: bool,
}

pub(super) fn run(args: &LsArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    let scope = Scope {
        bound: true,
        descriptors: args.all,
    };
    let mut list = Survey::new(scope)?.list(&args.kinds)?;
    ContainerNames::default().give(&mut list, resolve);
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

/// Names of soute's own containers, which the kernel does not know; each is asked for once.
#[derive(Debug, Default)]
pub(super) struct ContainerNames(HashMap<String, Option<String>>);

impl ContainerNames {
    /// Gives the containers of `list` their names.
    pub(super) fn give(&mut self, list: &mut List, resolve: Resolve<'_>) {
        let containers = list.namespaces.iter_mut();
        for own in containers.filter_map(|row| row.container.as_mut()) {
            if own.engine == Maker::Soute {
                // Of another soute, with folders elsewhere, or one that may not be asked: then its id is shown.
                let name = self.0.entry(own.id.clone()).or_insert_with(|| {
                    let found = resolve(&own.id).ok().flatten()?;
                    (found.name != own.id).then_some(found.name)
                });
                own.name.clone_from(name);
            }
        }
    }
}
