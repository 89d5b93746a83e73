//! `soute ns diff`: how the worlds of two processes differ.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::{ContainerName, Survey};

use super::{Resolve, Target, target};

/// `soute ns diff A B`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A process by number, or a container by name or id
    #[arg(value_name = "PID|CONTAINER")]
    one: String,

    /// Another
    #[arg(value_name = "PID|CONTAINER")]
    other: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DiffArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    let process = |word: &str| -> Result<(u32, Option<ContainerName>)> {
        match target(word, resolve)? {
            Target::Process(pid, container) => Ok((pid, container)),
            Target::Namespace(way) => {
                bail!("{way}: processes or containers are compared, not namespaces")
            }
        }
    };
    let (one, other) = (process(&args.one)?, process(&args.other)?);
    let differ = Survey::new(Scope::default())?.differ(one, other)?;
    if args.json {
        return super::json(&differ, out);
    }
    out.write_all(differ.text().as_bytes())?;
    super::notes(&differ.notes);
    Ok(())
}
