//! Why a container could not be started.

use std::fmt;

use soute_sys::CallError;

/// What kind of failure it is; front ends make their exit status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The container could not be set up.
    Setup,
    /// The program does not exist in the container.
    NotFound,
    /// The program exists and cannot be executed.
    NotExecutable,
}

/// A step of the recipe that failed, in the parent or in the container's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What failed, on what, and why.
    pub message: String,
}

impl Failure {
    /// A failed step of the setup.
    pub fn setup(step: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self {
            kind: FailureKind::Setup,
            message: format!("{step}: {why}"),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            FailureKind::Setup => b'S',
            FailureKind::NotFound => b'F',
            FailureKind::NotExecutable => b'X',
        };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(self.message.as_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, message) = bytes.split_first()?;
        let kind = match kind {
            b'S' => FailureKind::Setup,
            b'F' => FailureKind::NotFound,
            b'X' => FailureKind::NotExecutable,
            _ => return None,
        };
        Some(Self {
            kind,
            message: String::from_utf8_lossy(message).into_owned(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Names the step of the recipe in which a system call failed.
pub(crate) trait Step<T> {
    /// On failure, says that it happened in `step`.
    fn step(self, step: impl fmt::Display) -> Result<T, Failure>;
}

impl<T> Step<T> for Result<T, CallError> {
    fn step(self, step: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|e| Failure::setup(step, e))
    }
}
