//! What is wrong with a bundle.

use std::fmt;

/// A field of config.json that cannot be had, or a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The field, as `linux.namespaces[2].path`, or the file.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

impl SpecError {
    /// `why` is wrong with `at`.
    pub fn new(at: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            at: at.into(),
            why: why.to_string(),
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

impl std::error::Error for SpecError {}
