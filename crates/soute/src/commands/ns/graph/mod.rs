//! `soute ns graph`: the worlds of the machine's processes as a picture: namespaces, containers, processes, wires.

mod layout;
mod links;
mod panel;
mod rows;
mod svg;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use soute_lens::Scope;
use soute_lens::view::{Asked, Survey};

use super::{NameOf, Names, Resolve, Target, target, terminal_width};

/// `soute ns graph [TARGET…]`
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Only these, whom they share namespaces with, and what they are wired to: a container by name or id, a process by number,
    /// a namespace by its inode or its file's path
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Write a picture into FILE, or to standard output if none is named, as SVG
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = "-", conflicts_with = "json")]
    svg: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(
    args: &GraphArgs,
    resolve: Resolve<'_>,
    name_of: NameOf<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let targets = args.targets.iter().map(|word| target(word, resolve));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    super::super::network::open_many_files();
    let survey = Survey::new(Scope::ALL)?;
    let asked = targets.iter().map(|target| match target {
        Target::Process(pid, None) => Ok(Asked::Process(*pid)),
        Target::Process(pid, Some(_)) => Ok(Asked::Container(*pid)),
        Target::Namespace(way) => Ok(Asked::Namespace(way.open_by(&survey)?.1)),
    });
    let asked = asked.collect::<Result<Vec<_>>>()?;
    let mut names = Names::new(name_of);
    let graph = survey.graph(&asked, &mut |container| names.complete(container))?;
    if args.json {
        return super::json(&graph, out);
    }
    match &args.svg {
        Some(path) if path.as_os_str() == "-" => out.write_all(svg::draw(&graph).as_bytes())?,
        Some(path) => std::fs::write(path, svg::draw(&graph))
            .with_context(|| format!("the picture cannot be written: {path:?}"))?,
        None => {
            for line in text::draw(&graph, terminal_width()) {
                writeln!(out, "{line}")?;
            }
        }
    }
    super::notes(&graph.notes);
    Ok(())
}
