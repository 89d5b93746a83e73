//! `restore`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use soute_runtime::containers::{self, Recipients};

use super::checkpoint::Common;
use super::{Context, Operation, foreground};

/// Make a container of the files that `checkpoint` has written.
#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    common: Common,

    /// The bundle's folder
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,

    /// Do not wait for the program
    #[arg(short, long)]
    detach: bool,

    /// Write the number of the first process to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Leave orphans to others
    #[arg(long)]
    no_subreaper: bool,

    /// The root need not be changed by pivot_root(2); it is
    #[arg(long)]
    no_pivot: bool,

    /// Refused: containers with a terminal are not checkpointed
    #[arg(long, value_name = "SOCKET", hide = true)]
    console_socket: Option<PathBuf>,

    /// Refused: there are no profiles
    #[arg(long, value_name = "TYPE:NAME", hide = true)]
    lsm_profile: Option<String>,

    /// Refused: there are no labels
    #[arg(long, value_name = "CONTEXT", hide = true)]
    lsm_mount_context: Option<String>,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Restore {
    fn refuse(&self) -> Result<()> {
        if self.console_socket.is_some() {
            bail!(
                "--console-socket: a container with a terminal is neither checkpointed nor restored"
            );
        }
        if self.lsm_profile.is_some() {
            bail!("--lsm-profile: profiles of security modules are not applied on a restore");
        }
        if self.lsm_mount_context.is_some() {
            bail!("--lsm-mount-context: labels of mounts are not applied on a restore");
        }
        Ok(())
    }
}

impl Operation for Restore {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        self.refuse()?;
        let how = containers::Restore {
            images: self.common.images(),
            flags: self.common.flags()?,
            recipients: Recipients {
                pid_file: self.pid_file,
                ..Recipients::default()
            },
            bundle: self.bundle,
            systemd: context.systemd,
        };
        if self.detach {
            context.containers.restore(&self.id, &how)?;
            return Ok(ExitCode::SUCCESS);
        }
        let signals = foreground::begin(self.no_subreaper)?;
        let (restored, late) = context.containers.restore(&self.id, &how)?;
        let code = foreground::follow(restored, &signals);
        foreground::remove(late)?;
        code
    }
}
