//! `soute logs`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use soute_engine::Places;
use soute_engine::log::{Filter, Line};

use crate::args::moment::{Moment, moment};
use crate::cli::CommandLine;

/// What a container has written.
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on with what it writes now, until it ends
    #[arg(short, long)]
    follow: bool,

    /// Nothing older than this: a time, or how long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,

    /// Nothing younger than this
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,

    /// Only so many of the last lines, or all
    #[arg(short = 'n', long, value_name = "LINES", value_parser = tail, default_value = "all")]
    tail: Tail,

    /// When each line was written
    #[arg(short, long)]
    timestamps: bool,

    /// Name or id
    container: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    All,
    Last(usize),
}

/// A negative number is all, as in Docker.
fn tail(text: &str) -> Result<Tail, String> {
    match (text, text.parse::<i64>()) {
        ("all", _) | (_, Ok(..0)) => Ok(Tail::All),
        (_, Ok(lines)) => usize::try_from(lines)
            .map(Tail::Last)
            .map_err(|e| e.to_string()),
        (_, Err(_)) => Err("a number of lines, or all, is expected".to_owned()),
    }
}

impl CommandLine for Logs {
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let now = Timestamp::now();
        let filter = Filter {
            since: self.since.map(|moment| moment.before(now)).transpose()?,
            until: self.until.map(|moment| moment.before(now)).transpose()?,
            tail: match self.tail {
                Tail::All => None,
                Tail::Last(lines) => Some(lines),
            },
        };
        let mut failed = None;
        engine.logs(&self.container, &filter, self.follow, &mut |line| {
            failed = write(&line, self.timestamps).err();
            failed.is_none()
        })?;
        match failed {
            // A reader that has left has read enough.
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// To the stream that it was written to.
fn write(line: &Line, timestamps: bool) -> io::Result<()> {
    let prefix = match timestamps {
        true => format!("{:.9} ", line.time),
        false => String::new(),
    };
    let text = format!("{prefix}{}", line.log);
    match line.stream.as_str() {
        "stderr" => io::stderr().write_all(text.as_bytes()),
        _ => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        assert_eq!(tail("all"), Ok(Tail::All));
        assert_eq!(tail("-1"), Ok(Tail::All));
        assert_eq!(tail("0"), Ok(Tail::Last(0)));
        assert_eq!(tail("10"), Ok(Tail::Last(10)));
        assert!(tail("ten").is_err());
        assert!(tail("").is_err());
    }
}
