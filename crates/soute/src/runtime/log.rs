//! Errors as callers read them: a line on standard error, and one line in the log.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Error};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use soute_runtime::containers;
use soute_runtime::process::{Failure, FailureKind};

use crate::output::{complain, visible};

/// `--log-format`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Words and their values.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Where errors go.
#[derive(Clone)]
pub struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
}

/// A line; callers decode the time, and give up where it is none.
#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
}

impl Log {
    /// To standard error and, if there is one, to `file`.
    pub fn new(file: Option<PathBuf>, format: LogFormat) -> Self {
        Self { file, format }
    }

    /// Opens the file, which is made if it is missing: a caller that reads it finds none otherwise.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> Result<Option<std::fs::File>, Error> {
        let open = |file: &PathBuf| {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o644)
                .open(file)
                .with_context(|| format!("--log {}", file.display()))
        };
        self.file.as_ref().map(open).transpose()
    }

    /// As the words of a command line ask for that was not understood.
    pub fn of_words(words: &[OsString]) -> Self {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let value = |flag: &str| {
            let mut words = words.iter();
            while let Some(word) = words.next() {
                match word.strip_prefix(flag) {
                    Some("") => return words.next().map(|word| word.to_string()),
                    Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
                    _ => {}
                }
            }
            None
        };
        Self {
            file: value("--log").map(PathBuf::from),
            format: match value("--log-format").as_deref() {
                Some("json") => LogFormat::Json,
                _ => LogFormat::Text,
            },
        }
    }

    /// Says what failed: once in the log, which some callers read as a whole.
    pub fn error(&self, error: &Error) {
        self.say("error", &text(error));
    }

    /// Says what is not as it was asked for, and does not matter enough to fail.
    pub fn warn(&self, text: &str) {
        self.say("warning", text);
    }

    fn say(&self, level: &str, text: &str) {
        let line = self.line(level, text);
        if self.file.is_none() {
            return complain(&line);
        }
        complain(&format!("{}\n", visible(text)));
        let written = self.open().and_then(|file| match file {
            Some(mut file) => Ok(file.write_all(line.as_bytes())?),
            None => Ok(()),
        });
        if let Err(e) = written {
            complain(&format!("{}\n", visible(&format!("{e:#}"))));
        }
    }

    fn line(&self, level: &str, text: &str) -> String {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let line = Line {
            level,
            msg: text,
            time,
        };
        match self.format {
            LogFormat::Json => serde_json::to_string(&line).unwrap_or_default() + "\n",
            LogFormat::Text => format!(
                "time={:?} level={level} msg={:?}\n",
                line.time,
                visible(line.msg)
            ),
        }
    }
}

/// The whole of it in one line, in words for which callers look: they tell by them a program that is missing from one
/// that may not be executed.
fn text(error: &Error) -> String {
    let mut text = match error.downcast_ref() {
        Some(containers::Error::Start(Failure { kind, message })) => match kind {
            FailureKind::Setup => message.clone(),
            FailureKind::NotFound => {
                format!(
                    "executable file not found in $PATH or at its path: no such file or directory: {message}"
                )
            }
            FailureKind::NotExecutable => format!("permission denied: {message}"),
        },
        _ => error.to_string(),
    };
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        let log = Log::new(None, LogFormat::Json);
        let line = log.line("error", "a \"b\"\nc");
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "a \"b\"\nc");
        value["time"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap();
    }

    #[test]
    fn the_log_of_a_line_that_is_not_understood() {
        let words = ["runc", "--log=/x", "--log-format", "json", "bogus"].map(OsString::from);
        let log = Log::of_words(&words);
        assert_eq!(log.file, Some("/x".into()));
        assert_eq!(log.format, LogFormat::Json);
    }
}
