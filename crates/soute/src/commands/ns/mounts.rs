//! `soute ns mounts`: what a process or container has mounted, or what is in a mount namespace.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use soute_lens::view::Survey;
use soute_lens::{Kind, Scope};

use super::{Resolve, Target, target};

/// `soute ns mounts PID|CONTAINER|PATH|INODE`
#[derive(Debug, Args)]
pub struct MountsArgs {
    /// A process by number, a container by name or id (ctr:NAME if the name is a number), or a mount namespace by a path to
    /// its file or by its inode
    #[arg(value_name = "PID|CONTAINER|PATH|INODE")]
    target: String,

    /// Print JSON, with the peers of each mount and the options of its file system
    #[arg(long)]
    json: bool,
}

pub fn run(args: &MountsArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    let mounts = match target(&args.target, resolve)? {
        Target::Process(pid, container) => {
            Survey::new(Scope::default())?.mounts_of(pid, container)?
        }
        Target::Namespace(way) => {
            let survey = Survey::new(Scope::ALL)?;
            let (kind, id, namespace) = way.open_by(&survey)?;
            if kind != Kind::Mnt {
                bail!("{way} is a {kind} namespace: only a mount namespace has mounts");
            }
            survey.mounts_in(id, &namespace)?
        }
    };
    if args.json {
        return super::json(&mounts, out);
    }
    super::table(&mounts.table(), out)?;
    super::notes(&mounts.notes);
    Ok(())
}
