//! `create` and `run`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use soute_runtime::containers;
use soute_runtime::spec::Config;

use super::started::StartedArgs;
use super::{Context, Operation, foreground};

/// What both have.
#[derive(Debug, Args)]
struct Common {
    /// The bundle's folder
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    #[command(flatten)]
    started: StartedArgs,

    /// The root need not be changed by pivot_root(2); it is, which takes a machine whose own root is no initramfs
    #[arg(long)]
    no_pivot: bool,

    /// Keep the caller's session keyring
    #[arg(long)]
    no_new_keyring: bool,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// Make a container whose program waits for `start`.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    common: Common,

    /// As it always is
    #[arg(short, long, hide = true)]
    detach: bool,
}

/// Make a container and run its program.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    common: Common,

    /// Do not wait for the program
    #[arg(short, long)]
    detach: bool,

    /// Keep the container when its program has ended
    #[arg(long)]
    keep: bool,

    /// Leave orphans to others
    #[arg(long)]
    no_subreaper: bool,
}

impl Common {
    /// Checks what must be so whatever the bundle says.
    fn how(&self, context: &Context, start: bool) -> Result<containers::Create> {
        let listened = systemd_descriptors();
        Ok(containers::Create {
            bundle: self.bundle.clone(),
            recipients: self.started.recipients(),
            preserved_descriptors: self.started.preserve_fds + listened,
            listen_descriptors: listened,
            keep_keyring: self.no_new_keyring,
            systemd: context.systemd,
            start,
            terminal_size: None,
        })
    }

    /// Whether somebody takes the terminal that the program gets, if it gets one.
    fn check(
        &self,
        config: &Config,
        context: &Context,
        detached: bool,
    ) -> Result<(), containers::Error> {
        let process = config.spec.process().as_ref();
        if let Some(process) = process {
            context.warn_of(process);
        }
        let terminal = process
            .and_then(|process| process.terminal())
            .unwrap_or(false);
        self.started.check_terminal(terminal, detached)
    }
}

/// Descriptors that systemd's socket activation gave on (sd_listen_fds(3)).
fn systemd_descriptors() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

impl Operation for Create {
    const USAGE: &'static str = "[OPTIONS] ID";
    const ENTERS: bool = true;

    fn run(self, context: &Context) -> Result<ExitCode> {
        let how = self.common.how(context, false)?;
        let check = |config: &Config| self.common.check(config, context, true);
        context.containers.create(&self.common.id, &how, check)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Operation for Run {
    const USAGE: &'static str = "[OPTIONS] ID";
    const ENTERS: bool = true;

    fn run(self, context: &Context) -> Result<ExitCode> {
        let mut how = self.common.how(context, true)?;
        let check = |config: &Config| self.common.check(config, context, self.detach);
        let id = &self.common.id;
        if self.detach {
            let (made, late) = context.containers.create(id, &how, check)?;
            late.started(&made)?;
            return Ok(ExitCode::SUCCESS);
        }
        how.terminal_size = self.common.started.terminal_size();
        let signals = foreground::begin(self.no_subreaper)?;
        let (made, late) = context.containers.create(id, &how, check)?;
        let started = late.started(&made);
        // Also after a hook that failed: the container is dead by then, and waited for.
        let code = foreground::follow(made, &signals);
        if !self.keep {
            foreground::remove(late)?;
        }
        started?;
        code
    }
}
