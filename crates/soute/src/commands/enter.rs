//! `soute enter`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use soute_engine::Places;
use soute_lens::Kind;
use soute_runtime::process::Files;

use super::session::{Entered, Program, SessionArgs, own_environment};
use crate::cli::CommandLine;

/// A program in the namespaces of a container, of a process, or in a namespace by itself: as nsenter has it, and with the
/// machine's own programs where there are none. It has all rights that its user can have there, and no system call filter.
#[derive(Debug, Args)]
#[command(
    after_help = "The program has our environment, as nsenter's has: what is entered may read it. soute debug passes less on."
)]
pub struct Enter {
    /// Which namespaces, of TYPES such as pid,net,mnt; without, all in which the target is not with us
    #[arg(short, long, value_name = "TYPE[,TYPE]...", value_delimiter = ',')]
    ns: Vec<Kind>,

    /// Whose programs are run in a mount namespace: those that are there (own), the machine's where there is none of that
    /// name (auto), or the machine's alone where it has one (machine), with an /etc that cannot be written to. The machine's are
    /// seen by this program alone, which cannot write to /usr and the like then, nor mount anything if a user namespace is entered
    #[arg(long, value_name = "WHOSE", value_enum, default_value = "auto")]
    tools: Tools,

    /// The target's root folder, where that is not its mount namespace's (chroot)
    #[arg(long)]
    chroot: bool,

    #[command(flatten)]
    session: SessionArgs,

    /// A container by name or id (ctr:NAME if the name is a number), a process by number, or a namespace by its inode or
    /// by a path to its file; and the command, $SHELL without
    #[arg(
        value_name = "TARGET [COMMAND [ARG]...]",
        trailing_var_arg = true,
        required = true
    )]
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tools {
    Own,
    Auto,
    Machine,
}

impl CommandLine for Enter {
    const USAGE: &'static str = "[OPTIONS] TARGET [COMMAND [ARG]...]";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let [word, command @ ..] = &self.words[..] else {
            bail!("a target is needed");
        };
        let entered = Entered::find(word, &self.ns, places)?;
        ensure!(
            !(self.chroot && self.tools == Tools::Machine),
            "--chroot goes to the target's files, --tools machine lays the machine's over them: one of them"
        );
        let program = Program {
            args: match command_of(command)? {
                [] => vec![std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())],
                command => command.to_vec(),
            },
            env: own_environment(),
            files: match self.tools {
                Tools::Own => Files::Own,
                Tools::Auto if self.chroot => Files::Own,
                Tools::Auto => Files::OwnOrMachine,
                Tools::Machine => Files::Machine,
            },
            root: match (&entered.process, self.chroot) {
                (Some(process), true) => Some(process.root().context("the target's root folder")?),
                (None, true) => bail!("--chroot: a namespace has no root folder, a process has"),
                (_, false) => None,
            },
            working_directory: None,
        };
        self.session.run(word, entered, program, places)
    }
}

/// The command, without the dashes that nsenter's may begin with. An option of ours that comes late is none of it.
pub(super) fn command_of(words: &[String]) -> Result<&[String]> {
    match words {
        [dashes, command @ ..] if dashes == "--" => Ok(command),
        [first, ..] if first.starts_with('-') => bail!(
            "{first}: options come before the container, and a command of such a name after --"
        ),
        command => Ok(command),
    }
}
