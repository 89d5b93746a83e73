//! System-call errors that carry the call and its arguments.

use std::fmt;

use rustix::io::Errno;

/// A system call that failed: which one, on what, and the kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    call: String,
    errno: Errno,
}

impl CallError {
    /// Names `call` (written as strace would, arguments included) as having failed with `errno`.
    pub fn new(call: impl Into<String>, errno: Errno) -> Self {
        Self {
            call: call.into(),
            errno,
        }
    }

    /// The kernel's answer.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The call with its arguments.
    pub fn call(&self) -> &str {
        &self.call
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno)
    }
}

impl std::error::Error for CallError {}

/// Attaches the call to a failed result. The description is only made on failure.
pub trait Called<T> {
    /// On failure, says that `call` was what failed.
    fn called(self, call: impl FnOnce() -> String) -> Result<T, CallError>;
}

impl<T> Called<T> for rustix::io::Result<T> {
    fn called(self, call: impl FnOnce() -> String) -> Result<T, CallError> {
        self.map_err(|errno| CallError::new(call(), errno))
    }
}

impl<T> Called<T> for std::io::Result<T> {
    fn called(self, call: impl FnOnce() -> String) -> Result<T, CallError> {
        self.map_err(|e| {
            // An error without a number did not come from the kernel (a short
            // write, text that is not UTF-8): EIO, with its own words kept.
            match e.raw_os_error() {
                Some(n) => CallError::new(call(), Errno::from_raw_os_error(n)),
                None => CallError::new(format!("{} ({e})", call()), Errno::IO),
            }
        })
    }
}
