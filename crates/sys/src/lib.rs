//! The kernel interface that `rustix` lacks.
//!
//! This is the only crate of soute that contains unsafe code. Each module is
//! a thin, safe and typed face of one kernel facility; policy lives above.
//! Every error names the call that failed with its arguments
//! ([`CallError`]), so that a message needs no debugger to be understood.

pub mod attributes;
pub mod bpf;
mod error;
pub mod executable;
pub mod inside;
pub mod memory;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod nsfs;
pub mod packet;
pub mod proc_stat;
pub mod process;
mod program;
pub mod seccomp;
pub mod signals;
pub mod start;
pub mod statmount;

pub use error::{CallError, Called};
