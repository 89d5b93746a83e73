//! Networks of containers, by netlink alone: no program is run.
//!
//! - [`route`]: links, addresses and routes of one network namespace.
//! - [`mac`], [`subnet`]: what they are called by.

pub mod mac;
pub mod route;
pub mod subnet;

pub use mac::Mac;
pub use subnet::Subnet;
