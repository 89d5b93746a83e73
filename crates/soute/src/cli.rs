//! From words to a command: one tree of commands, of which only the chosen one is built.
//!
//! A command has dozens of flags, and there are dozens of commands: building
//! them all would take longer than starting a container's process. The tree
//! therefore holds names, and each command's flags are added when its name is
//! met (or when help, completions or manual pages want all of them).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _};
use soute_engine::Places;

use crate::args::numbers;
use crate::commands::TABLE;

/// As the program is called.
const NAME: &str = "soute";

/// A command: its arguments, and what it does with them.
pub trait CommandLine: Args {
    /// The words after the command's name.
    const USAGE: &'static str;
    /// The exit code when soute itself fails: Docker's.
    const FAILURE: u8 = 1;
    /// Does it.
    fn run(self, places: &Places) -> Result<ExitCode>;
}

/// A line of the table of commands.
pub struct Entry {
    name: &'static str,
    about: &'static str,
    hidden: bool,
    is: Is,
}

enum Is {
    Command(Leaf),
    Group(&'static [Entry]),
}

/// A command that does something.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    usage: &'static str,
    failure: u8,
    augment: fn(Command) -> Command,
    augment_for_parsing: fn(Command) -> Command,
    run: fn(&mut ArgMatches, &Places) -> Result<ExitCode>,
}

impl Entry {
    /// The command `name`, that `C` is.
    pub const fn new<C: CommandLine>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            hidden: false,
            is: Is::Command(Leaf {
                usage: C::USAGE,
                failure: C::FAILURE,
                augment: augment::<C>,
                augment_for_parsing: |command| as_docker_parses(augment::<C>(command)),
                run: |matches, places| C::from_arg_matches_mut(matches)?.run(places),
            }),
        }
    }

    /// The commands of `table`, after the word `name`.
    pub const fn group(name: &'static str, about: &'static str, table: &'static [Self]) -> Self {
        Self {
            name,
            about,
            hidden: false,
            is: Is::Group(table),
        }
    }

    /// Not shown in the list of commands.
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// The flags before the command.
#[derive(Debug, Args)]
struct Globals {
    /// Where images and containers are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/soute")]
    root: PathBuf,

    /// Where running containers are kept track of
    #[arg(long, value_name = "DIR", default_value = "/run/soute")]
    run: PathBuf,

    /// The settings file
    #[arg(long, value_name = "FILE", default_value = "/etc/soute/config.toml")]
    config: PathBuf,
}

/// A command line that was understood.
pub struct Invocation {
    command: Leaf,
    globals: Globals,
    matches: ArgMatches,
}

impl Invocation {
    /// Does what was asked.
    pub fn run(&mut self) -> Result<ExitCode> {
        // Absolute, since a container's monitor leaves the working directory.
        let absolute =
            |path: &PathBuf| std::path::absolute(path).with_context(|| path.display().to_string());
        let places = Places {
            root: absolute(&self.globals.root)?,
            run: absolute(&self.globals.run)?,
            config: absolute(&self.globals.config)?,
        };
        (self.command.run)(&mut self.matches, &places)
    }

    /// The exit code when soute itself fails.
    pub fn failure(&self) -> u8 {
        self.command.failure
    }
}

/// Understands `words`, the program's name first.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    // One of the words is the command's name, perhaps others are names of commands too: the rest need not be in the tree.
    let named: Vec<&Entry> = TABLE
        .iter()
        .filter(|entry| words.iter().any(|word| word == entry.name))
        .collect();
    let small = |purpose| tree_of(named.iter().copied(), purpose).try_get_matches_from(&words);
    // A line that is understood as it is documented means the same to Docker's parser, and the tree for that takes
    // longer to make. What is wrong is said in view of all commands, and help shows their flags as they are documented.
    let mut matches = small(Purpose::Documentation)
        .or_else(|_| small(Purpose::Parsing))
        .or_else(|error| {
            let purpose = match error.kind() {
                ErrorKind::DisplayHelp => Purpose::Documentation,
                _ => Purpose::Parsing,
            };
            tree(purpose).try_get_matches_from(&words)
        })?;
    let globals = Globals::from_arg_matches_mut(&mut matches)?;
    let mut table = TABLE;
    while let Some((name, of_it)) = matches.remove_subcommand() {
        matches = of_it;
        match table.iter().find(|entry| entry.name == name) {
            Some(Entry {
                is: Is::Command(command),
                ..
            }) => {
                return Ok(Invocation {
                    command: *command,
                    globals,
                    matches,
                });
            }
            Some(Entry {
                is: Is::Group(group),
                ..
            }) => table = group,
            None => break,
        }
    }
    Err(tree(Purpose::Parsing).error(ErrorKind::MissingSubcommand, "a command is needed"))
}

/// What the tree is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Parsing, with what Docker's parser takes and nobody needs to read about.
    Parsing,
    /// Help, completions, manual pages.
    Documentation,
}

/// All commands; their flags are added when they are needed.
pub fn tree(purpose: Purpose) -> Command {
    tree_of(TABLE, purpose)
}

fn tree_of<'a>(entries: impl IntoIterator<Item = &'a Entry>, purpose: Purpose) -> Command {
    let command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .arg(version_flag())
        .disable_help_flag(true)
        .arg(help_flag().short('h'))
        .subcommand_required(true)
        .arg_required_else_help(true);
    Globals::augment_args(command)
        .about("A container engine that shows what a container is made of")
        .long_about(Resettable::Reset)
        .subcommands(
            entries
                .into_iter()
                .map(|entry| branch_of(entry, NAME, purpose)),
        )
}

/// A command, or a group of them, with its usage: `above` are the words before its name.
fn branch_of(entry: &Entry, above: &str, purpose: Purpose) -> Command {
    let path = format!("{above} {}", entry.name);
    let usage = match entry.is {
        Is::Command(leaf) => leaf.usage,
        Is::Group(_) => "COMMAND",
    };
    let command = Command::new(entry.name)
        .about(entry.about)
        .hide(entry.hidden)
        .override_usage(format!("{path} {usage}").trim_end().to_owned());
    match entry.is {
        Is::Command(leaf) => command.defer(match purpose {
            Purpose::Parsing => leaf.augment_for_parsing,
            Purpose::Documentation => leaf.augment,
        }),
        Is::Group(table) => with_help(command)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(table.iter().map(|entry| branch_of(entry, &path, purpose))),
    }
}

/// `-v`, `--version`.
pub fn version_flag() -> Arg {
    Arg::new("version")
        .short('v')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version")
}

/// `--help`; where `-h` is no other flag's, it is this one's.
pub fn help_flag() -> Arg {
    Arg::new("help")
        .long("help")
        .action(ArgAction::HelpShort)
        .help("Print this help")
}

fn augment<C: CommandLine>(command: Command) -> Command {
    // The about is the table's: the documentation of `C` is for its readers.
    let about = command.get_about().cloned().unwrap_or_default();
    let command = C::augment_args(command)
        .about(about)
        .long_about(Resettable::Reset);
    with_help(command)
}

fn with_help(command: Command) -> Command {
    let taken = command
        .get_arguments()
        .any(|arg| arg.get_short() == Some('h'));
    let help = help_flag().help_heading("Help");
    let command = command.arg(if taken { help } else { help.short('h') });
    command.mut_subcommands(with_help)
}

/// Docker's parser (Go's pflag) takes `--flag=false` for every boolean, any
/// next word as an option's value, and the last of several values.
pub fn as_docker_parses(command: Command) -> Command {
    command
        .args_override_self(true)
        .mut_subcommands(as_docker_parses)
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_parser(numbers::boolean)
                .default_value("false")
                .default_missing_value("true"),
            ArgAction::Set | ArgAction::Append if !arg.is_positional() => {
                arg.allow_hyphen_values(true)
            }
            _ => arg,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        for purpose in [Purpose::Parsing, Purpose::Documentation] {
            let mut tree = tree(purpose);
            tree.build();
            tree.debug_assert();
        }
    }

    fn kind(line: &str) -> ErrorKind {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(_) => panic!("{line} was understood"),
            Err(error) => error.kind(),
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        use ErrorKind::*;
        assert_eq!(kind("soute"), DisplayHelpOnMissingArgumentOrSubcommand);
        assert_eq!(kind("soute --help"), DisplayHelp);
        assert_eq!(kind("soute --version"), DisplayVersion);
        assert_eq!(kind("soute frobnicate"), InvalidSubcommand);
        assert_eq!(kind("soute version --bad"), UnknownArgument);
        assert_eq!(kind("soute version -h"), DisplayHelp);
        assert_eq!(kind("soute help version"), DisplayHelp);
    }

    #[test]
    fn folders_are_given_before_the_command() {
        let words = ["soute", "--root", "/r", "--run=/u", "version"].map(OsString::from);
        let invocation = parse(words).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(invocation.globals.root, PathBuf::from("/r"));
        assert_eq!(invocation.globals.run, PathBuf::from("/u"));
        assert_eq!(invocation.command.failure, 1);
    }
}
