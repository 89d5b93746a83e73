//! `soute ns caps`: what a process could do in other namespaces than its own.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::Survey;

use super::{Resolve, Target, target};

/// `soute ns caps PID|CONTAINER TARGET`
#[derive(Debug, Args)]
pub struct CapsArgs {
    /// The process, by number, or the first one of a container, by name or id
    #[arg(value_name = "PID|CONTAINER")]
    process: String,

    /// Where: all namespaces of a process or container, or one by a path to its file or by its inode
    #[arg(value_name = "PID|CONTAINER|PATH|INODE")]
    target: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CapsArgs, resolve: Resolve<'_>, out: &mut dyn Write) -> Result<()> {
    let Target::Process(pid, _) = target(&args.process, resolve)? else {
        bail!("{}: a process is asked for, or a container", args.process);
    };
    let (survey, targets) = match target(&args.target, resolve)? {
        Target::Process(other, _) => {
            let survey = Survey::new(Scope::default())?;
            let targets = survey.namespaces_of(other)?;
            (survey, targets)
        }
        Target::Namespace(way) => {
            let survey = Survey::new(Scope::ALL)?;
            let (kind, id, _) = way.open_by(&survey)?;
            (survey, vec![(kind, id)])
        }
    };
    let caps = survey.caps(pid, &targets)?;
    if args.json {
        return super::json(&caps, out);
    }
    super::facts(&caps.facts(), out)?;
    writeln!(out)?;
    super::table(&caps.table(), out)?;
    super::notes(&caps.notes);
    Ok(())
}
