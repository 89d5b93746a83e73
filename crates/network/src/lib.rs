//! Networks of containers, by netlink alone: no program is run.
//!
//! - [`route`]: links, addresses and routes of one network namespace.
//! - [`ruleset`]: the one table of nftables that soute has on a machine.
//! - [`check`]: whether one end reaches another, step by step.
//! - [`closed`]: which of the machine's own input chains keep a port from outside.
//! - [`forwards`]: which of its forward chains drop what no rule lets pass.
//! - [`sockets`]: sockets that have a port.
//! - [`conntrack`]: connections that outlive what they were translated by.
//! - [`dns`]: the name server of a container.
//! - [`nft`]: nf_tables of one network namespace.
//! - [`capture`]: packets as they cross interfaces: filters, text, pcapng.
//! - [`plan`]: which subnets, addresses and ports, as pure data.
//! - [`probe`]: asking across a network, from inside any namespace.
//! - [`proxy`]: connections to `::1`, which the kernel does not translate.
//! - [`why`]: what becomes of a packet, rule by rule.
//! - [`mac`], [`subnet`], [`protocol`]: what they are called by.

pub mod capture;
pub mod check;
pub mod closed;
pub mod conntrack;
mod datagram;
pub mod dns;
mod foreign;
pub mod forwards;
pub mod mac;
pub mod nft;
pub mod plan;
pub mod probe;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod ruleset;
pub mod sockets;
pub mod subnet;
pub mod why;

pub use mac::Mac;
pub use protocol::Protocol;
pub use subnet::Subnet;
