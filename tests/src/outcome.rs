//! How a program ended and what it said.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use serde_json::Value;

/// What became of one run of a program. Its assertions return it, so that they chain.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command as typed.
    pub line: String,
    /// Exit status as a shell shows it: 128 + n after signal n.
    pub code: i32,
    /// Standard output; invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error; likewise.
    pub stderr: String,
}

impl Outcome {
    pub(crate) fn new(line: String, status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal));
        Self {
            line,
            code: code.expect("a program that was waited for has ended"),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        }
    }

    /// Asserts that it ended with 0.
    #[track_caller]
    pub fn success(&self) -> &Self {
        self.code(0)
    }

    /// Asserts that it ended with `code`.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Asserts that it failed with `code` and a message on standard error that holds all of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) -> &Self {
        self.code(code);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in the message of {self}"
            );
        }
        self
    }

    /// Asserts that standard output is `text`, but for white space around it.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert_eq!(self.stdout.trim(), text.trim(), "{self}");
        self
    }

    /// Asserts that standard output holds `text`.
    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "no {text:?} in {self}");
        self
    }

    /// Asserts that standard output does not hold `text`.
    #[track_caller]
    pub fn shows_not(&self, text: &str) -> &Self {
        assert!(!self.stdout.contains(text), "{text:?} in {self}");
        self
    }

    /// Standard output without white space around it, after success.
    #[track_caller]
    pub fn text(&self) -> &str {
        self.success().stdout.trim()
    }

    /// Standard output as JSON, after success.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.success().stdout) {
            Ok(value) => value,
            Err(error) => panic!("no JSON: {error}: {self}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.line, self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            write!(f, "\n--- {name} ---\n{}", text.trim_end())?;
        }
        Ok(())
    }
}
