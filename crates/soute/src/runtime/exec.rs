//! `exec`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use oci_spec::runtime::{Capability, LinuxCapabilities, Process};
use soute_runtime::containers;
use soute_runtime::spec::Config;

use super::started::StartedArgs;
use super::{Context, Operation, foreground};
use crate::relay::Signals;

/// Run a further program in a container.
#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    started: StartedArgs,

    /// The working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Set a variable of the environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,

    /// Run as this user
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,

    /// And with these groups
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,

    /// A file that describes the process
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,

    /// Do not wait for the program
    #[arg(short, long)]
    detach: bool,

    /// The SELinux label
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,

    /// The AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,

    /// The program gains no privileges by what it executes
    #[arg(long)]
    no_new_privs: bool,

    /// Give a capability more
    #[arg(short, long, value_name = "CAPABILITY")]
    cap: Vec<String>,

    /// Run in this cgroup below the container's: [CONTROLLER[,CONTROLLER]:]PATH
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,

    /// Also in a container that is paused
    #[arg(long)]
    ignore_paused: bool,

    /// Name of the container, and the program with its arguments
    #[arg(value_name = "ID", required = true)]
    id: String,

    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

impl Exec {
    /// The process: of the file, or the container's own with what the flags change.
    fn choose(&self, config: &Config) -> Result<Process> {
        if let Some(file) = &self.process {
            ensure!(
                self.command.is_empty(),
                "--process describes the program; the command line must not name one, too"
            );
            let text =
                std::fs::read(file).with_context(|| format!("--process {}", file.display()))?;
            return serde_json::from_slice(&soute_runtime::spec::readable(&text))
                .with_context(|| format!("--process {}: not a process", file.display()));
        }
        ensure!(
            !self.command.is_empty(),
            "process args cannot be empty: a command is needed"
        );
        let own = config.spec.process().clone();
        let mut process = own.context("the container's configuration has no process")?;
        process.set_args(Some(self.command.clone()));
        process.set_terminal(Some(self.tty));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(self.env.iter().cloned());
        process.set_env(Some(env));
        if self.no_new_privs {
            process.set_no_new_privileges(Some(true));
        }
        if let Some(label) = &self.process_label {
            process.set_selinux_label(Some(label.clone()));
        }
        if let Some(profile) = &self.apparmor {
            process.set_apparmor_profile(Some(profile.clone()));
        }
        let mut user = process.user().clone();
        if let Some(words) = &self.user {
            let (uid, gid) = match words.split_once(':') {
                Some((uid, gid)) => (uid, Some(gid)),
                None => (words.as_str(), None),
            };
            // A number is a number and never a name: a name's is looked up by whoever has the image.
            user.set_uid(id("--user", uid)?);
            if let Some(gid) = gid {
                user.set_gid(id("--user", gid)?);
            }
        }
        if !self.additional_gids.is_empty() {
            let mut groups = user.additional_gids().clone().unwrap_or_default();
            groups.extend(&self.additional_gids);
            user.set_additional_gids(Some(groups));
        }
        process.set_user(user);
        self.add_capabilities(&mut process)?;
        Ok(process)
    }

    /// To the sets that have them from whoever the program is run as; never to the inheritable one (CVE-2022-29162).
    fn add_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.cap.is_empty() {
            return Ok(());
        }
        let mut sets = process
            .capabilities()
            .clone()
            .unwrap_or_else(no_capabilities);
        for word in &self.cap {
            let cap: Capability = serde_json::from_value(word.as_str().into())
                .with_context(|| format!("--cap {word}"))?;
            let add = |set: &Option<std::collections::HashSet<Capability>>| {
                let mut set = set.clone().unwrap_or_default();
                set.insert(cap);
                Some(set)
            };
            sets.set_bounding(add(sets.bounding()));
            sets.set_effective(add(sets.effective()));
            sets.set_permitted(add(sets.permitted()));
        }
        process.set_capabilities(Some(sets));
        Ok(())
    }
}

fn no_capabilities() -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(None);
    sets.set_effective(None);
    sets.set_inheritable(None);
    sets.set_permitted(None);
    sets.set_ambient(None);
    sets
}

fn id(flag: &str, word: &str) -> Result<u32> {
    match word.parse() {
        Ok(id) if id < u32::MAX => Ok(id),
        _ => bail!("{flag} {word}: a number from 0 to 4294967294 is expected"),
    }
}

impl Operation for Exec {
    const USAGE: &'static str =
        "[OPTIONS] ID COMMAND [ARG]...\n       exec --process FILE [OPTIONS] ID";
    const FAILURE: u8 = 255;
    const ENTERS: bool = true;

    fn run(self, context: &Context) -> Result<ExitCode> {
        let mut how = containers::Exec {
            recipients: self.started.recipients(),
            preserved_descriptors: self.started.preserve_fds,
            ignore_paused: self.ignore_paused,
            cgroups: self.cgroup.clone(),
            terminal_size: None,
        };
        let choose = |config: &Config| {
            let process = self
                .choose(config)
                .map_err(|e| containers::Error::Impossible(format!("{e:#}")))?;
            context.warn_of(&process);
            let terminal = process.terminal().unwrap_or(false);
            self.started.check_terminal(terminal, self.detach)?;
            Ok(process)
        };
        if self.detach {
            context.containers.exec(&self.id, &choose, &how)?;
            return Ok(ExitCode::SUCCESS);
        }
        how.terminal_size = self.started.terminal_size();
        let signals = Signals::take()?;
        let made = context.containers.exec(&self.id, &choose, &how)?;
        foreground::follow(made, &signals)
    }
}
