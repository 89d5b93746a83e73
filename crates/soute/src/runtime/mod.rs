//! `soute runtime`: an OCI runtime with runc's command line, for engines that call one.
//!
//! Called by the name of a runtime (`runc`, `crun`, `soute-runtime`), the program is this and nothing else.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod pause;
mod ps;
mod restore;
mod spec;
mod start;
mod started;
mod state;
mod update;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use soute_runtime::containers::Containers;
use soute_runtime::executable;

use crate::cli::{Purpose, as_docker_parses, help_flag, version_flag};
use crate::output::print;
use log::{Log, LogFormat};

/// Names by which the program is called as a runtime alone.
const NAMES: &[&str] = &["runc", "crun", "soute-runtime"];

/// runc's exit status for a command that there is not.
const NO_SUCH_COMMAND: u8 = 3;

/// The flags before the command.
#[derive(Debug, Args)]
struct Globals {
    /// Where the state of containers is kept
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Also write errors to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// How errors are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,

    /// Log more; there is nothing more that is logged
    #[arg(long)]
    debug: bool,

    /// cgroupsPath names a slice and a scope of systemd
    #[arg(long)]
    systemd_cgroup: bool,

    /// Whether the caller is no root
    #[arg(long, value_name = "BOOL", value_parser = ["true", "false", "auto"], default_value = "auto")]
    rootless: String,
}

/// What a command stands on.
pub struct Context {
    /// The containers.
    pub containers: Containers,
    /// Where they are.
    pub root: PathBuf,
    /// The folder was named, so that one that is missing is a mistake.
    pub root_given: bool,
    /// cgroups are systemd's.
    pub systemd: bool,
    /// Where it is told what goes wrong.
    log: Log,
}

impl Context {
    /// Tells what this process is not given although its configuration asks for it.
    fn warn_of(&self, process: &oci_spec::runtime::Process) {
        if let Some(warning) = soute_runtime::spec::not_raised(process) {
            self.log.warn(&warning);
        }
    }
}

/// A command of the runtime.
trait Operation: Args {
    /// The words after its name.
    const USAGE: &'static str;
    /// The exit status when it fails.
    const FAILURE: u8 = 1;
    /// It starts a process in a container, which must not get at this program.
    const ENTERS: bool = false;
    /// Does it.
    fn run(self, context: &Context) -> Result<ExitCode>;
}

/// A line of the table of commands.
struct Entry {
    name: &'static str,
    about: &'static str,
    failure: u8,
    enters: bool,
    augment: fn(Command) -> Command,
    augment_for_parsing: fn(Command) -> Command,
    run: fn(&mut ArgMatches, &Context) -> Result<ExitCode>,
}

impl Entry {
    const fn new<C: Operation>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            failure: C::FAILURE,
            enters: C::ENTERS,
            augment: augment::<C>,
            augment_for_parsing: |command| as_docker_parses(augment::<C>(command)),
            run: |matches, context| C::from_arg_matches_mut(matches)?.run(context),
        }
    }
}

const TABLE: &[Entry] = &[
    Entry::new::<create::Create>("create", "Make a container from a bundle"),
    Entry::new::<start::Start>("start", "Start the program of a container that was made"),
    Entry::new::<state::State>("state", "Print the state of a container"),
    Entry::new::<kill::Kill>("kill", "Send a signal to a container"),
    Entry::new::<delete::Delete>("delete", "Remove a container"),
    Entry::new::<create::Run>("run", "Make a container and run its program"),
    Entry::new::<exec::Exec>("exec", "Run a further program in a container"),
    Entry::new::<list::List>("list", "List containers"),
    Entry::new::<ps::Ps>("ps", "List the processes of a container"),
    Entry::new::<pause::Pause>("pause", "Freeze all processes of a container"),
    Entry::new::<pause::Resume>("resume", "Let the processes of a container go on"),
    Entry::new::<update::Update>("update", "Change the limits of a container"),
    Entry::new::<events::Events>("events", "Print what a container uses, and what befalls it"),
    Entry::new::<spec::Spec>("spec", "Write a configuration to begin with"),
    Entry::new::<features::Features>("features", "Print what this runtime can do"),
    Entry::new::<checkpoint::Checkpoint>("checkpoint", "Write a container's processes to files"),
    Entry::new::<restore::Restore>("restore", "Make a container of such files"),
];

/// Whether the program was called by a runtime's name.
pub fn is_called(program: Option<&OsStr>) -> bool {
    let name = program.map(Path::new).and_then(Path::file_name);
    name.and_then(OsStr::to_str)
        .is_some_and(|name| NAMES.contains(&name))
}

/// Does what the words after the runtime's name ask for; `name` is how the program calls itself.
pub fn main(name: &'static str, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    // A runtime starts containers for others, most of which share the machine's users. Before anything is done that would
    // be done again. Another word of that name costs a moment, and no more.
    let enters = |word: &OsString| TABLE.iter().any(|entry| entry.enters && word == entry.name);
    if words.iter().any(enters)
        && let Err(error) = executable::put_out_of_reach()
    {
        Log::of_words(&words).error(&error.into());
        return ExitCode::FAILURE;
    }
    let words = go_style(words);
    // As in cli::parse, first by a tree that is made sooner.
    let named = TABLE
        .iter()
        .filter(|entry| words.iter().any(|word| word == entry.name));
    let parsed = tree_of(name, named, Purpose::Documentation)
        .try_get_matches_from(&words)
        .or_else(|_| tree(name, Purpose::Parsing).try_get_matches_from(&words))
        .or_else(|error| match error.kind() {
            // Help shows the flags as they are documented.
            ErrorKind::DisplayHelp => {
                tree(name, Purpose::Documentation).try_get_matches_from(&words)
            }
            _ => Err(error),
        });
    let mut found = match parsed {
        Ok(matches) => matches,
        Err(usage) => return explain(&words, &usage),
    };
    let Ok(globals) = Globals::from_arg_matches_mut(&mut found) else {
        return ExitCode::FAILURE;
    };
    let log = Log::new(globals.log.clone(), globals.log_format);
    let found = found.remove_subcommand().and_then(|(name, matches)| {
        let entry = TABLE.iter().find(|entry| entry.name == name)?;
        Some((entry, matches))
    });
    let Some((entry, mut matches)) = found else {
        return ExitCode::from(NO_SUCH_COMMAND);
    };
    if let Err(error) = log.open() {
        Log::new(None, globals.log_format).error(&error);
        return ExitCode::FAILURE;
    }
    match globals
        .context(&log)
        .and_then(|context| (entry.run)(&mut matches, &context))
    {
        Ok(code) => code,
        Err(error) => {
            log.error(&error);
            ExitCode::from(entry.failure)
        }
    }
}

impl Globals {
    fn context(&self, log: &Log) -> Result<Context> {
        let root = match &self.root {
            Some(root) => std::path::absolute(root)?,
            None => default_root(),
        };
        anyhow::ensure!(
            self.rootless != "true",
            "--rootless true: soute needs root yet"
        );
        anyhow::ensure!(
            root != Path::new("/"),
            "--root /: the state of containers is not kept there"
        );
        Ok(Context {
            containers: Containers::new(root.clone()),
            root,
            root_given: self.root.is_some(),
            systemd: self.systemd_cgroup,
            log: log.clone(),
        })
    }
}

/// Always the same, since some callers name none.
fn default_root() -> PathBuf {
    let own = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !rustix::process::geteuid().is_root() => PathBuf::from(folder),
        _ => PathBuf::from("/run"),
    };
    own.join("soute-runtime")
}

fn tree(name: &'static str, purpose: Purpose) -> Command {
    tree_of(name, TABLE, purpose)
}

fn tree_of<'a>(
    name: &'static str,
    entries: impl IntoIterator<Item = &'a Entry>,
    purpose: Purpose,
) -> Command {
    let subcommands = entries.into_iter().map(|entry| {
        Command::new(entry.name)
            .about(entry.about)
            .defer(match purpose {
                Purpose::Parsing => entry.augment_for_parsing,
                Purpose::Documentation => entry.augment,
            })
    });
    let command = Command::new(name)
        .bin_name(name)
        .version(VERSION)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(version_flag())
        .arg(help_flag().short('h'))
        .subcommand_required(true)
        .arg_required_else_help(true);
    let command = Globals::augment_args(command)
        .about("An OCI runtime")
        .long_about(Resettable::Reset);
    let command = match purpose {
        Purpose::Parsing => as_docker_parses(command),
        Purpose::Documentation => command,
    };
    command.subcommands(subcommands)
}

fn augment<C: Operation>(command: Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let command = C::augment_args(command)
        .about(about)
        .long_about(Resettable::Reset);
    let usage = format!("{} {}", command.get_name(), C::USAGE);
    command.override_usage(usage).arg(help_flag().short('h'))
}

/// The form of these lines is what callers parse, and `runc` the name at their head that they look for.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Go's parser takes a long flag with one dash, and some callers write one.
fn go_style(words: Vec<OsString>) -> Vec<OsString> {
    let doubled = |word: OsString| match word.to_str() {
        Some("-no-subreaper") => "--no-subreaper".into(),
        _ => word,
    };
    words.into_iter().map(doubled).collect()
}

/// Help and version; or what is wrong with the command line, in the way that was asked for.
fn explain(words: &[OsString], usage: &clap::Error) -> ExitCode {
    let text = usage.render().to_string();
    match usage.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = print(&text);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    // What is wrong stands first, the usage after it: a log has one line for both.
    let text = text.trim_start_matches("error: ");
    let text = text.split("\n\n").next().unwrap_or(text);
    let text: Vec<&str> = text.split_whitespace().collect();
    Log::of_words(words).error(&anyhow::anyhow!("{}", text.join(" ")));
    match usage.kind() {
        ErrorKind::InvalidSubcommand => ExitCode::from(NO_SUCH_COMMAND),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        for purpose in [Purpose::Parsing, Purpose::Documentation] {
            let mut tree = tree("runc", purpose);
            tree.build();
            tree.debug_assert();
        }
    }

    #[test]
    fn the_version_of_the_specification_is_true() {
        assert!(VERSION.ends_with(soute_runtime::spec::VERSION));
    }

    #[test]
    fn names_of_runtimes() {
        for name in ["runc", "/usr/bin/crun", "./soute-runtime"] {
            assert!(is_called(Some(OsStr::new(name))), "{name}");
        }
        for name in ["soute", "/runc/soute", ""] {
            assert!(!is_called(Some(OsStr::new(name))), "{name}");
        }
    }

    #[test]
    fn callers_command_lines() {
        for line in [
            "runc --root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p \
             --console-socket /c --no-pivot --no-new-keyring --preserve-fds 3 id",
            "runc --root=/r --log-format=json start id",
            "runc --debug=false exec --process /p --detach --pid-file /x id",
            "runc exec -t --user 1:2 -e A=b -e C=d --cwd / id sh -c -- ls",
            "runc kill --all id 9",
            "runc delete --force id",
            "runc update --resources=- id",
            "runc update --memory -1 id",
            "runc ps --format table id",
            "runc list --format=json",
            "runc checkpoint --image-path /i --work-path /w --leave-running --tcp-established --file-locks id",
            "runc checkpoint --image-path /i --parent-path ../j --pre-dump --manage-cgroups-mode soft id",
            "runc restore --image-path /i --detach -no-subreaper --bundle /b id",
        ] {
            let words = line.split_whitespace().map(OsString::from).collect();
            if let Err(e) = tree("runc", Purpose::Parsing).try_get_matches_from(go_style(words)) {
                panic!("{line}: {e}");
            }
        }
    }
}
