//! `soute ns pids`: a container's processes as a tree, with their number at every level.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::Survey;

use super::{Resolve, Target, target};

/// `soute ns pids CONTAINER|PID`
#[derive(Debug, Args)]
pub struct PidsArgs {
    /// A container by name or id (ctr:NAME if the name is a number), or a process in one by number
    #[arg(value_name = "CONTAINER|PID")]
    target: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PidsArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    let (pid, container) = match target(&args.target, resolve)? {
        Target::Process(pid, container) => (pid, container),
        Target::Namespace(way) => bail!(
            "{way}: the processes of a container or process are shown, not those of a namespace"
        ),
    };
    let pids = Survey::new(Scope::default())?.pids(pid, container)?;
    if args.json {
        return super::json(&pids, out);
    }
    super::table(&pids.table(), out)?;
    super::notes(&pids.notes);
    Ok(())
}
