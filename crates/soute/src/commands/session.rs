//! What `soute enter` and `soute debug` have in common: a program of the machine's administrator's where a target is.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use soute_engine::{Engine, Error, Places};
use soute_lens::proc::{Look, Proc, ProcessFolder};
use soute_lens::{IdMaps, Kind, relations};
use soute_runtime::capabilities::{CapSet, Capabilities, kernel_last_cap};
use soute_runtime::executable::{EXECUTABLE, put_out_of_reach};
use soute_runtime::plan::{Grant, Process, User};
use soute_runtime::process::attributes::Attributes;
use soute_runtime::process::{DEFAULT_PATH, Files, Standard, Visit, go, visit};

use super::exec::standard_files;
use super::namespaces::running;
use super::ns::{Target, target};
use crate::args::process::working_directory;
use crate::args::{Machine, env};
use crate::relay::{self, Attachment, Ending, Signals};
use crate::terminal;

/// How the program is run, once it is there.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// User, and perhaps group, by name (as the files there have it) or number; without, root of a user namespace that is
    /// entered, or who we are
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Working directory
    #[arg(short, long, alias = "wd", value_name = "DIR", value_parser = working_directory)]
    workdir: Option<String>,

    /// Be in the container's cgroup, with its limits
    #[arg(long)]
    join_cgroup: bool,

    /// Set a variable; a bare NAME is passed on from the caller
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// The target's environment, and what that has a program load (LD_PRELOAD), in place of ours
    #[arg(long)]
    target_env: bool,

    /// Give the program a terminal: without, if we have one. A program without one is killed if soute is
    #[arg(short, long, conflicts_with = "no_tty")]
    tty: bool,

    /// Give it none
    #[arg(short = 'T', long)]
    no_tty: bool,
}

/// What is entered.
pub struct Entered {
    pub namespaces: Vec<(Kind, OwnedFd)>,
    /// The process whose they are.
    pub process: Option<ProcessFolder>,
    /// The container that it is of.
    pub container: Option<String>,
}

/// What the program is, and where it goes beside the namespaces.
pub struct Program {
    /// Its name and arguments.
    pub args: Vec<String>,
    /// `NAME=VALUE`, unless the target's environment is asked for.
    pub env: Vec<String>,
    pub files: Files,
    /// The root folder, in place of the mount namespace's.
    pub root: Option<OwnedFd>,
    /// The working directory, where none is asked for.
    pub working_directory: Option<String>,
}

impl Entered {
    /// What `word` leads to: of a process's namespaces those of `kinds`, or all in which it is not with us.
    pub fn find(word: &str, kinds: &[Kind], places: &Places) -> Result<Self> {
        let (kind, _, namespace) = match target(word, &running(places))? {
            Target::Process(pid, container) => {
                let Look::Seen(process) = Proc::open()?.process(pid)? else {
                    bail!("there is no process {pid}");
                };
                let namespaces = namespaces_of(kinds, pid, &process)?;
                // A name is anybody's to take, and a number anybody's to get: what shares all with us is no container.
                ensure!(
                    container.is_none() || !namespaces.is_empty() || !kinds.is_empty(),
                    "{word}: its first process, {pid}, is in all namespaces that this one is in: there is nothing to enter"
                );
                return Ok(Self {
                    namespaces,
                    process: Some(process),
                    container: container.map(|container| container.id),
                });
            }
            Target::Namespace(way) => way.open()?,
        };
        ensure!(
            kinds.iter().all(|wanted| *wanted == kind),
            "--ns: {word} is a {kind} namespace and nothing else"
        );
        Ok(Self {
            namespaces: vec![(kind, namespace)],
            process: None,
            container: None,
        })
    }

    /// The namespace of this kind, if it is entered.
    pub fn namespace(&self, kind: Kind) -> Option<&OwnedFd> {
        let mut all = self.namespaces.iter();
        all.find_map(|(other, namespace)| (*other == kind).then_some(namespace))
    }

    /// The ids of the user namespace, if one is entered.
    fn id_maps(&self) -> Result<Option<IdMaps>> {
        let process = self.process.as_ref();
        let of_its_users = process.filter(|_| self.namespace(Kind::User).is_some());
        Ok(of_its_users.map(IdMaps::read).transpose()?.flatten())
    }

    /// User and group that the machine has for root there, if they are others.
    pub fn root_ids(&self) -> Result<Option<(u32, u32)>> {
        Ok(root_of(self.id_maps()?.as_ref()))
    }

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

fn root_of(maps: Option<&IdMaps>) -> Option<(u32, u32)> {
    let maps = maps?;
    Some((maps.uid.outside(0)?, maps.gid.outside(0)?))
}

/// Those of a process, but for what it shares with us: one's own user namespace cannot even be entered.
fn namespaces_of(
    kinds: &[Kind],
    pid: u32,
    process: &ProcessFolder,
) -> Result<Vec<(Kind, OwnedFd)>> {
    let wanted: BTreeSet<Kind> = match kinds {
        [] => Kind::ALL.into_iter().collect(),
        kinds => kinds.iter().copied().collect(),
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
            Look::Gone if kinds.is_empty() && process.namespace("user")?.seen().is_some() => {}
            Look::Gone => bail!(
                "process {pid} has no {kind} namespace: it has ended, or this kernel has none"
            ),
        }
    }
    Ok(namespaces)
}

/// Our own environment.
pub fn own_environment() -> Vec<String> {
    std::env::vars_os()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
        .collect()
}

impl SessionArgs {
    /// Whether the program gets a terminal.
    pub fn has_terminal(&self) -> bool {
        let stdin_and_stdout = [rustix::stdio::stdin(), rustix::stdio::stdout()];
        let at_terminal = stdin_and_stdout.iter().all(rustix::termios::isatty);
        self.tty || (at_terminal && !self.no_tty)
    }

    /// Runs `program` in `entered`, which `word` led to.
    pub fn run(
        self,
        word: &str,
        entered: Entered,
        program: Program,
        places: &Places,
    ) -> Result<ExitCode> {
        let enters = |kind: Kind| entered.namespace(kind).is_some();
        let maps = entered.id_maps()?;
        entered.is_unchanged()?;
        // What is there may read our executable, and could write it where its owner is somebody.
        if enters(Kind::Pid) && !owner_is_nobody(maps.as_ref())? {
            put_out_of_reach()?;
        }
        let tty = self.has_terminal();
        let process = Process {
            args: program.args,
            env: self.environment(&entered, program.env)?,
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
        ensure!(
            !tty || std::io::stdin().is_terminal(),
            "-t: standard input is no terminal"
        );
        let stdio = match tty {
            true => None,
            false => Some(standard_files(true, true)?),
        };
        let cgroup = match (&entered.container, self.join_cgroup) {
            (Some(id), true) => {
                let cgroup = Engine::open(places.clone())?.cgroup_to_join(id);
                Some(cgroup.context("--join-cgroup")?)
            }
            (None, true) => bail!("--join-cgroup: {word} is no container of soute's"),
            (_, false) => None,
        };
        let namespaces = entered.namespaces.into_iter();
        let to = Visit {
            namespaces: namespaces
                .map(|(kind, namespace)| (kind.clone_flag(), namespace))
                .collect(),
            files: program.files,
            root: program.root,
            working_directory: self.workdir.or(program.working_directory),
            cgroup,
            root_ids: root_of(maps.as_ref()),
        };
        // Of another user's, or with a terminal, it is to have a session of its own.
        let mut files = stdio.iter().flatten();
        let keeps_files = !tty && files.all(|file| matches!(file, Standard::Given(_)));
        if self.user.is_none() && keeps_files && to.is_no_more_than_a_step() {
            match go(&to, &process).map_err(Error::from)? {}
        }
        // Until the program runs a signal ends us, and with us whoever was to become it.
        let mut started = visit(to, &process, stdio).map_err(Error::from)?;
        let signals = Signals::take()?;
        Ok(match relay::relay(&mut started, &attachment, &signals)? {
            Ending::Unread => ExitCode::from(128 + 13),
            ending => ending.conclude(word),
        })
    }

    fn environment(&self, entered: &Entered, given: Vec<String>) -> Result<Vec<String>> {
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
            (_, false) => given,
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
