//! From a plan to a process: [`spawn()`] makes a container, its first process
//! runs `init`, and both end in `privileges`, which `exec` shares.

pub mod attributes;
pub(crate) mod channel;
mod console;
mod directory;
mod enter;
pub(crate) mod failure;
pub mod gate;
mod init;
mod join;
mod listener;
mod privileges;
mod program;
mod reaper;
mod spawn;
mod stdio;
mod sysctl;
pub mod time;
pub(crate) mod user;
mod visit;
pub(crate) mod wait;

pub(crate) use enter::is_own_namespace;
pub use enter::{Entered, Exit, Own, enter, enter_as_child, shares_namespace};
pub use failure::{Failure, FailureKind};
pub use program::DEFAULT_PATH;
pub(crate) use program::leads_through_magic;
pub use spawn::{Birth, Caller, Started, Stdio, spawn};
pub use stdio::{Standard, pipe};
pub use visit::{Files, Visit, go, visit};
pub use wait::exit_code;
