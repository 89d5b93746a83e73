//! The program: environment, user, working directory, limits, how it stops.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::request::{Request, Ulimit};

use super::env;
use super::outside::Outside;

/// The process that the container runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessArgs {
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,

    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,

    /// Set a variable; a bare NAME is passed on from the caller
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Read variables from a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Working directory
    #[arg(short, long, value_name = "DIR", value_parser = working_directory)]
    workdir: Option<String>,

    /// User, and perhaps group, by name (as the image has it) or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Further groups of the user
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,

    /// Run this instead of the image's entry point ('' for none)
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// Run a reaper as PID 1, and the program as its child
    #[arg(long)]
    init: bool,

    /// Signal that asks the program to stop
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    stop_signal: Option<i32>,

    /// Seconds from that signal to SIGKILL (-1: without end)
    #[arg(long, value_name = "SECONDS")]
    stop_timeout: Option<i64>,

    /// Resource limit of each process (getrlimit(2))
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<Ulimit>,

    /// Make the kernel's choice when memory is short likelier or not (-1000 to 1000)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    oom_score_adj: Option<i32>,
}

impl ProcessArgs {
    /// Files the process under `request`.
    pub fn apply(self, request: &mut Request, outside: &dyn Outside) -> Result<()> {
        request.interactive = self.interactive;
        request.terminal = self.tty;
        request.environment = env::environment(&self.env_file, self.env, outside)?;
        request.working_directory = self.workdir;
        request.user = self.user.filter(|user| !user.is_empty());
        if self.group_add.iter().any(String::is_empty) {
            bail!("--group-add: a group needs a name or a number");
        }
        request.additional_groups = self.group_add;
        request.entrypoint = self.entrypoint.map(|program| match program.is_empty() {
            true => Vec::new(),
            false => vec![program],
        });
        request.init = self.init;
        request.stop_signal = self.stop_signal;
        // Docker waits without end for any negative number.
        request.stop_timeout = self.stop_timeout.map(|seconds| seconds.max(-1));
        for limit in self.ulimit {
            request.ulimits.retain(|earlier| earlier.name != limit.name);
            request.ulimits.push(limit);
        }
        // 0 is the default of the flag in Docker, and of the kernel.
        request.oom_score_adj = self.oom_score_adj;
        Ok(())
    }
}

/// A signal by number or name, as `kill --signal` and `--stop-signal` take it.
pub fn signal(text: &str) -> Result<i32, String> {
    soute_engine::signals::parse(text).ok_or_else(|| format!("'{text}' is not a signal"))
}

/// `--workdir`: absolute, since the image's own may be any.
pub fn working_directory(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err("an absolute path is expected".to_owned()),
    }
}

/// The names that Docker takes (go-units `ulimit`), all of getrlimit(2) but `as`.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or("NAME=SOFT[:HARD] is expected")?;
    if !ULIMITS.contains(&name) {
        return Err(format!(
            "unknown limit '{name}'; known are {}",
            ULIMITS.join(", ")
        ));
    }
    let limit = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        text if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map_err(|_| format!("'{text}' is not a limit"))
        }
        text => Err(format!(
            "'{text}' is not a limit: a number, or -1 for none, is expected"
        )),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if soft > hard {
        return Err("the soft limit is above the hard limit".to_owned());
    }
    Ok(Ulimit {
        name: name.to_owned(),
        soft,
        hard,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits() {
        for (text, name, soft, hard) in [
            ("nofile=1024", "nofile", 1024, 1024),
            ("nofile=1024:2048", "nofile", 1024, 2048),
            ("core=0:-1", "core", 0, u64::MAX),
            ("stack=unlimited", "stack", u64::MAX, u64::MAX),
        ] {
            let expected = Ulimit {
                name: name.into(),
                soft,
                hard,
            };
            assert_eq!(ulimit(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "nofile",
            "foo=1",
            "NOFILE=1",
            "nofile=",
            "nofile=a",
            "nofile=20:10",
            "nofile=-1:10",
            "nofile=1:2:3",
            "nofile=-2",
            "nofile=+1",
            "nofile=99999999999999999999",
        ] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }
}
