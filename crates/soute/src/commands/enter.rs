//! `soute enter`.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use soute_engine::{Engine, Error, Places};
use soute_lens::proc::{Look, Proc, ProcessFolder};
use soute_lens::{IdMaps, Kind, relations};
use soute_runtime::capabilities::{CapSet, Capabilities, kernel_last_cap};
use soute_runtime::executable::{EXECUTABLE, put_out_of_reach};
use soute_runtime::plan::{Grant, Process, User};
use soute_runtime::process::attributes::Attributes;
use soute_runtime::process::{DEFAULT_PATH, Visit, Whose, visit};

use super::exec::standard_files;
use super::namespaces::running;
use super::ns::{Target, target};
use crate::args::process::working_directory;
use crate::args::{Machine, env};
use crate::cli::CommandLine;
use crate::relay::{self, Attachment, Ending, Signals};
use crate::terminal;

/// A program in the namespaces of a container, of a process, or in a namespace by itself: as nsenter has it, and with the
/// machine's own programs where there are none. It has all rights that its user can have there, and no system call filter.
#[derive(Debug, Args)]
pub struct Enter {
    /// Which namespaces, of TYPES such as pid,net,mnt; without, all in which the target is not with us
    #[arg(short, long, value_name = "TYPE[,TYPE]...", value_delimiter = ',')]
    ns: Vec<Kind>,

    /// User, and perhaps group, by name (as the files there have it) or number; without, root of a user namespace that is
    /// entered, or who we are
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Whose programs are run in a mount namespace: those that are there (own), the machine's where there is none of that
    /// name (auto), or the machine's alone where it has one (machine), with an /etc that cannot be written to. The machine's are
    /// seen by this program alone, which cannot write to /usr and the like then
    #[arg(long, value_name = "WHOSE", value_enum, default_value = "auto")]
    tools: Tools,

    /// The target's root folder, where that is not its mount namespace's (chroot)
    #[arg(long)]
    chroot: bool,

    /// Working directory
    #[arg(short, long, alias = "wd", value_name = "DIR", value_parser = working_directory)]
    workdir: Option<String>,

    /// Be in the container's cgroup, with its limits
    #[arg(long)]
    join_cgroup: bool,

    /// Set a variable
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// The target's environment in place of ours
    #[arg(long)]
    target_env: bool,

    /// Give the program a terminal: without, if we have one
    #[arg(short, long, conflicts_with = "no_tty")]
    tty: bool,

    /// Give it none
    #[arg(short = 'T', long)]
    no_tty: bool,

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

/// What is entered.
struct Entered {
    namespaces: Vec<(Kind, OwnedFd)>,
    /// The process whose they are.
    process: Option<ProcessFolder>,
    /// The container that it is of.
    container: Option<String>,
}

impl Entered {
    /// One after the other was looked at; a process that changes its namespaces meanwhile would have us in an odd mix of both.
    fn is_unchanged(&self) -> Result<()> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        for (kind, namespace) in &self.namespaces {
            let now = process.namespace(kind.name())?.seen();
            ensure!(
                now == Some(relations::identity(namespace)?),
                "the target has left its {kind} namespace meanwhile, or has ended"
            );
        }
        Ok(())
    }
}

impl CommandLine for Enter {
    const USAGE: &'static str = "[OPTIONS] TARGET [COMMAND [ARG]...]";
    const FAILURE: u8 = 125;

    fn run(self, places: &Places) -> Result<ExitCode> {
        let [word, command @ ..] = &self.words[..] else {
            bail!("a target is needed");
        };
        // As nsenter's command begins.
        let command = match command {
            [dashes, command @ ..] if dashes == "--" => command,
            command => command,
        };
        let entered = self.entered(word, places)?;
        let enters = |kind: Kind| entered.namespaces.iter().any(|(other, _)| *other == kind);
        let maps = entered.process.as_ref().map(IdMaps::read).transpose()?;
        let maps = maps.flatten().filter(|_| enters(Kind::User));
        entered.is_unchanged()?;
        // What is there may read our executable, and could write it where its owner is somebody.
        if enters(Kind::Pid) && !owner_is_nobody(maps.as_ref())? {
            put_out_of_reach()?;
        }
        let stdin_and_stdout = [rustix::stdio::stdin(), rustix::stdio::stdout()];
        let at_terminal = stdin_and_stdout.iter().all(rustix::termios::isatty);
        let tty = self.tty || (at_terminal && !self.no_tty);
        let process = Process {
            args: match command {
                [] => vec![std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())],
                command => command.to_vec(),
            },
            env: self.environment(&entered)?,
            working_directory: String::new(),
            user: self.identity(enters(Kind::User))?,
            umask: 0o022,
            grant: match (enters(Kind::User), CapSet::own_effective()) {
                (true, _) => Grant::AtMost(CapSet::up_to(kernel_last_cap()?)),
                // Who has none cannot even give some up.
                (false, none) if none == CapSet::default() => Grant::Exactly(Capabilities {
                    bounding: CapSet::up_to(kernel_last_cap()?),
                    ..Capabilities::default()
                }),
                (false, own) => Grant::AtMost(own),
            },
            // Without capabilities it can be taken over by any process of its user's there, and the target's own setuid
            // programs would give that one ours.
            no_new_privileges: self.user.is_some() && enters(Kind::Mnt) && !enters(Kind::User),
            seccomp: None,
            rlimits: Vec::new(),
            oom_score_adj: None,
            terminal: tty
                .then(|| terminal::window_size(rustix::stdio::stdin()).unwrap_or((24, 80))),
            attributes: Attributes::default(),
            preserved_descriptors: 0,
        };
        let attachment = Attachment {
            stdin: true,
            stdout: true,
            stderr: true,
            terminal: tty,
            keys: None,
            forward_signals: !tty,
        };
        attachment.check_terminal()?;
        let stdio = match tty {
            true => None,
            false => Some(standard_files(true, true)?),
        };
        ensure!(
            !(self.chroot && self.tools == Tools::Machine),
            "--chroot goes to the target's files, --tools machine lays the machine's over them: one of them"
        );
        let root = match (&entered.process, self.chroot) {
            (Some(process), true) => Some(process.root().context("the target's root folder")?),
            (None, true) => bail!("--chroot: a namespace has no root folder, a process has"),
            (_, false) => None,
        };
        let cgroup = match (&entered.container, self.join_cgroup) {
            (Some(id), true) => Some(Engine::open(places.clone())?.cgroup_to_join(id)?),
            (None, true) => bail!("--join-cgroup: {word} is no container of soute's"),
            (_, false) => None,
        };
        let namespaces = entered.namespaces.into_iter();
        let to = Visit {
            namespaces: namespaces
                .map(|(kind, namespace)| (kind.clone_flag(), namespace))
                .collect(),
            tools: match self.tools {
                Tools::Own => Whose::Own,
                Tools::Auto if self.chroot => Whose::Own,
                Tools::Auto => Whose::OwnOrMachine,
                Tools::Machine => Whose::Machine,
            },
            root,
            working_directory: self.workdir,
            cgroup,
            root_ids: maps.and_then(|maps| Some((maps.uid.outside(0)?, maps.gid.outside(0)?))),
        };
        let signals = Signals::take()?;
        let mut started = visit(to, &process, stdio).map_err(Error::from)?;
        Ok(match relay::relay(&mut started, &attachment, &signals)? {
            Ending::Unread => ExitCode::from(128 + 13),
            ending => ending.conclude(word),
        })
    }
}

impl Enter {
    fn entered(&self, word: &str, places: &Places) -> Result<Entered> {
        let (kind, _, namespace) = match target(word, &running(places))? {
            Target::Process(pid, container) => {
                let Look::Seen(process) = Proc::open()?.process(pid)? else {
                    bail!("there is no process {pid}");
                };
                let namespaces = self.namespaces_of(pid, &process)?;
                // A name is anybody's to take, and a number anybody's to get: what shares all with us is no container.
                ensure!(
                    container.is_none() || !namespaces.is_empty() || !self.ns.is_empty(),
                    "{word}: its first process, {pid}, is in all namespaces that this one is in: there is nothing to enter"
                );
                return Ok(Entered {
                    namespaces,
                    process: Some(process),
                    container: container.map(|container| container.id),
                });
            }
            Target::Namespace(way) => way.open()?,
        };
        ensure!(
            self.ns.iter().all(|wanted| *wanted == kind),
            "--ns: {word} is a {kind} namespace and nothing else"
        );
        Ok(Entered {
            namespaces: vec![(kind, namespace)],
            process: None,
            container: None,
        })
    }

    /// Those of a process, but for what it shares with us: one's own user namespace cannot even be entered.
    fn namespaces_of(&self, pid: u32, process: &ProcessFolder) -> Result<Vec<(Kind, OwnedFd)>> {
        let wanted: BTreeSet<Kind> = match self.ns.is_empty() {
            true => Kind::ALL.into_iter().collect(),
            false => self.ns.iter().copied().collect(),
        };
        let myself = Proc::open()?.myself()?;
        let mut namespaces = Vec::new();
        for kind in wanted {
            match process.open_namespace(kind.name())? {
                Look::Seen(namespace) => {
                    let own = myself.namespace(kind.name())?.seen();
                    if Some(relations::identity(namespace.as_fd())?) != own {
                        namespaces.push((kind, namespace));
                    }
                }
                Look::Hidden => return Err(soute_lens::Error::Hidden(pid).into()),
                // A kind that this kernel lacks.
                Look::Gone if self.ns.is_empty() && process.namespace("user")?.seen().is_some() => {
                }
                Look::Gone => bail!(
                    "process {pid} has no {kind} namespace: it has ended, or this kernel has none"
                ),
            }
        }
        Ok(namespaces)
    }

    fn environment(&self, entered: &Entered) -> Result<Vec<String>> {
        let mut all: Vec<String> = match (&entered.process, self.target_env) {
            (Some(process), true) => match process.read("environ")? {
                Look::Seen(text) => text
                    .split(|byte| *byte == 0)
                    .filter(|entry| !entry.is_empty())
                    .map(|entry| String::from_utf8_lossy(entry).into_owned())
                    .collect(),
                Look::Gone | Look::Hidden => bail!("--target-env: it cannot be read"),
            },
            (None, true) => bail!("--target-env: a namespace has no environment, a process has"),
            (_, false) => std::env::vars_os()
                .map(|(name, value)| {
                    format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
                })
                .collect(),
        };
        for entry in env::environment(&[], self.env.clone(), &Machine)? {
            let name = entry.split('=').next().unwrap_or(&entry);
            all.retain(|other| other.split('=').next() != Some(name));
            all.push(entry);
        }
        if !all.iter().any(|entry| entry.starts_with("PATH=")) {
            all.push(format!("PATH={DEFAULT_PATH}"));
        }
        Ok(all)
    }

    fn identity(&self, enters_user: bool) -> Result<User> {
        Ok(match &self.user {
            Some(spec) => User::Named {
                spec: spec.clone(),
                additional_groups: Vec::new(),
            },
            None if enters_user => User::Ids {
                uid: 0,
                gid: 0,
                groups: Vec::new(),
            },
            None => User::Ids {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
                groups: rustix::process::getgroups()
                    .context("getgroups()")?
                    .into_iter()
                    .map(|group| group.as_raw())
                    .collect(),
            },
        })
    }
}

/// Whether the owner of our executable is nobody in a user namespace with these maps; `None`: it is ours.
fn owner_is_nobody(maps: Option<&IdMaps>) -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let Some(maps) = maps else { return Ok(false) };
    let owner = std::fs::metadata(EXECUTABLE).context(EXECUTABLE)?.uid();
    Ok(maps.uid.inside(owner).is_none())
}
