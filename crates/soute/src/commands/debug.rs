//! `soute debug`.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Args;
use soute_engine::Places;
use soute_engine::request::{Request, Source};
use soute_lens::Kind;
use soute_runtime::capabilities::{Cap, CapSet};
use soute_runtime::mounts::toolbox::CONTAINER;
use soute_runtime::process::Files;

use super::enter::command_of;
use super::session::{Entered, Program, SessionArgs, own_environment};
use crate::args::Pull;
use crate::cli::CommandLine;
use crate::images;
use crate::output::{complain, visible};

/// The machine's programs, as a value of `--tools`.
const MACHINE: [&str; 2] = ["host", "machine"];

/// bash where there is one, as a container's users expect, else what every toolbox has.
const SHELL: &str = "command -v bash >/dev/null && exec bash; exec sh";

/// A shell with tools in a container that may have none: in all of its namespaces, with its files below /container. The root
/// folder is that of the tools, in memory and seen by this session alone: what is changed there is gone with it, and
/// nothing of it is seen in the container.
#[derive(Debug, Args)]
#[command(
    after_help = "The program begins in /, and has the container's files below /container. What it writes elsewhere is in memory, and \
                  gone with it. /dev is its own; the container's is /container/dev.\n\n\
                  Of our environment it has TERM, LANG and LC_*, with an image's tools TERM and what the image sets: the container's \
                  processes may read it. --env NAME passes more on.\n\n\
                  Nothing can be mounted by it if the container has a user namespace of its own."
)]
pub struct Debug {
    /// Whose tools: the machine's programs (host, or machine), or those of an image, which is pulled if it is not here. Removing the
    /// image meanwhile takes them away
    #[arg(long, value_name = "host|IMAGE", default_value = MACHINE[0])]
    tools: String,

    /// Standard input is passed on, with this option (docker exec has it) or without
    #[arg(short = 'i', long = "interactive")]
    _interactive: bool,

    #[command(flatten)]
    session: SessionArgs,

    /// A container of any engine by name or id (ctr:NAME if the name is a number), or a process by number; and the
    /// command, a shell without
    #[arg(
        value_name = "CONTAINER [COMMAND [ARG]...]",
        trailing_var_arg = true,
        required = true
    )]
    words: Vec<String>,
}

impl CommandLine for Debug {
    const USAGE: &'static str = "[OPTIONS] CONTAINER [COMMAND [ARG]...]";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let [word, command @ ..] = &self.words[..] else {
            bail!("a container is needed");
        };
        let entered = Entered::find(word, &[], places)?;
        ensure!(
            entered.process.is_some(),
            "{word} is a namespace: a container has files to look at, or a process"
        );
        ensure!(
            entered.namespace(Kind::Mnt).is_some(),
            "{word} has the files that we have, and no mount namespace of its own: the tools are all there"
        );
        ensure!(
            CapSet::own_effective().contains(Cap::SYS_ADMIN),
            "soute debug takes the machine's programs and devices along, as mounts, which only root may (CAP_SYS_ADMIN); \
             soute enter enters namespaces of one's own, with the programs that are there"
        );
        let command = command_of(command)?;
        let (files, env) = match MACHINE.contains(&&*self.tools) {
            true => (Files::MachineApart, passed_on(is_of_the_terminal)),
            false => self.of_an_image(&entered, places)?,
        };
        if command.is_empty() && self.session.has_terminal() {
            complain(&format!(
                "soute: the files of {} are below {CONTAINER}, programs are {}'s; what is written elsewhere is gone with this shell\n",
                visible(word),
                visible(&self.tools)
            ));
        }
        let program = Program {
            args: match command {
                [] => ["sh", "-c", SHELL].map(str::to_owned).to_vec(),
                command => command.to_vec(),
            },
            env,
            files,
            root: None,
            working_directory: None,
        };
        self.session.run(word, entered, program, places)
    }
}

impl Debug {
    fn of_an_image(&self, entered: &Entered, places: &Places) -> Result<(Files, Vec<String>)> {
        let engine = super::open(places)?;
        let request = Request {
            source: Source::Image(self.tools.clone()),
            ..Request::default()
        };
        images::ensure(&engine, &request, Pull::Missing, false)?;
        let root = entered.root_ids()?;
        // Its own ids where root is root: a user namespace that maps all to themselves.
        let userns = entered.namespace(Kind::User).filter(|_| root.is_some());
        let userns = userns.map(std::os::fd::AsFd::as_fd);
        let toolbox = engine.toolbox(&self.tools, userns, root.unwrap_or((0, 0)))?;
        let mut env = toolbox.env;
        // A home is the user's, as the image's files have it, and the terminal is ours.
        env.retain(|entry| !entry.starts_with("HOME=") && !entry.starts_with("TERM="));
        env.extend(passed_on(|name| name == "TERM"));
        Ok((Files::Apart(toolbox.root), env))
    }
}

/// Of our environment, what is to be passed on.
fn passed_on(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut env = own_environment();
    env.retain(|entry| is_wanted(entry.split('=').next().unwrap_or_default()));
    env
}

/// How the terminal is to be written to, and in which language. Whatever else is passed on, processes of the container may
/// read where they are of the same user (`/proc/PID/environ`).
fn is_of_the_terminal(name: &str) -> bool {
    ["TERM", "LANG"].contains(&name) || name.starts_with("LC_")
}
