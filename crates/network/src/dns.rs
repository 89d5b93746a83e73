//! The name server of one container: its neighbours' names are answered here, all others by those whom the machine asks.
//!
//! It is not a process but sockets and what to do with them: whoever has a poll(2) of its own (the container's monitor)
//! serves them. There is one for each container, so none knows the names of networks that its container is not in, and
//! none can be lost for others.
//!
//! - [`answer`]: what a query is answered, as pure data.
//! - [`Server`]: queries by UDP and TCP, and those that are passed on.
//! - [`place`]: where a container finds it.

pub mod answer;
mod datagrams;
mod place;
mod server;
mod streams;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use place::{Sockets, place};
pub use server::{Interest, Server, Token};

/// Where a container finds its name server, on port 53: an address of its own loopback, which Docker's containers know,
/// too.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Who knows names. It is asked anew for each query.
pub trait Directory {
    /// The addresses of a name, which has no dot at its end and no capital letters; `None`: it is nobody's here.
    fn addresses(&mut self, name: &str) -> Option<Vec<IpAddr>>;

    /// Whose address it is, as a name with dots.
    fn name(&mut self, address: IpAddr) -> Option<String>;

    /// Who is asked for all other names, one after the other until one knows.
    fn others(&mut self) -> Others;
}

/// Who is asked for names that are nobody's here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Others {
    /// These name servers.
    Ask(Vec<SocketAddr>),
    /// Nobody: there are no other names. What has no way outside is not to have one by its questions (CVE-2024-29018).
    Nobody,
}
