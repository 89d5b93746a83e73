//! `checkpoint`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use soute_runtime::containers;

use super::{Context, Operation};

/// What `checkpoint` and `restore` have of one kind.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder of the images
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    image_path: PathBuf,

    /// Where criu's log and figures go [default: to the images]
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,

    /// With open TCP connections
    #[arg(long)]
    tcp_established: bool,

    /// With Unix sockets the other ends of which are outside
    #[arg(long)]
    ext_unix_sk: bool,

    /// With a session, and a terminal, that began outside
    #[arg(long)]
    shell_job: bool,

    /// With file locks
    #[arg(long)]
    file_locks: bool,

    /// What becomes of cgroups below the container's own
    #[arg(long, value_name = "MODE", value_enum, default_value = "soft")]
    manage_cgroups_mode: Mode,

    /// A namespace that is made, and left empty
    #[arg(long, value_name = "KIND", value_parser = ["network"])]
    empty_ns: Vec<String>,

    /// Punch out of older images what is in newer ones
    #[arg(long)]
    auto_dedup: bool,

    /// Refused: memory is not restored on demand
    #[arg(long, hide = true)]
    lazy_pages: bool,
}

/// `--manage-cgroups-mode`
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Those that are missing are made, with their values
    Soft,
    /// All get their values
    Full,
    /// None may be there
    Strict,
    /// They are left alone
    Ignore,
}

impl Common {
    /// Where the images are.
    pub fn images(&self) -> containers::Images {
        containers::Images {
            folder: self.image_path.clone(),
            work: self.work_path.clone(),
        }
    }

    /// What criu is to be told.
    ///
    /// # Errors
    /// Something is asked for that is not to be had.
    pub fn flags(&self) -> Result<containers::Flags> {
        if self.lazy_pages {
            bail!("--lazy-pages: memory is written and restored as a whole");
        }
        Ok(containers::Flags {
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            auto_dedup: self.auto_dedup,
            empty_network: !self.empty_ns.is_empty(),
            cgroups: match self.manage_cgroups_mode {
                Mode::Soft => containers::CgroupsMode::Soft,
                Mode::Full => containers::CgroupsMode::Full,
                Mode::Strict => containers::CgroupsMode::Strict,
                Mode::Ignore => containers::CgroupsMode::Ignore,
            },
        })
    }
}

/// Write a container's processes to files; then it is stopped.
#[derive(Debug, Args)]
pub struct Checkpoint {
    #[command(flatten)]
    common: Common,

    /// Earlier images that these build on, relative to them
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,

    /// The container goes on
    #[arg(long)]
    leave_running: bool,

    /// Write its memory alone, to be built on; the container goes on
    #[arg(long)]
    pre_dump: bool,

    /// Give files a name that are open and have none any more
    #[arg(long)]
    link_remap: bool,

    /// Refused: images are files
    #[arg(long, value_name = "ADDRESS:PORT", hide = true)]
    page_server: Option<String>,

    /// Refused: it is for --lazy-pages
    #[arg(long, value_name = "FD", hide = true)]
    status_fd: Option<i32>,

    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Operation for Checkpoint {
    const USAGE: &'static str = "[OPTIONS] ID";

    fn run(self, context: &Context) -> Result<ExitCode> {
        if self.page_server.is_some() {
            bail!("--page-server: images are written to files, and not sent");
        }
        // runc's own default.
        if self.status_fd.is_some_and(|number| number != -1) {
            bail!("--status-fd: it tells when --lazy-pages is ready, which is not to be had");
        }
        let how = containers::Checkpoint {
            images: self.common.images(),
            parent: self.parent_path,
            leave_running: self.leave_running,
            pre_dump: self.pre_dump,
            link_remap: self.link_remap,
            flags: self.common.flags()?,
        };
        context.containers.checkpoint(&self.id, &how)?;
        Ok(ExitCode::SUCCESS)
    }
}
