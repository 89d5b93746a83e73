//! Whether something is reached from a network namespace, step by step as a person looks for a fault: the name, the route,
//! the neighbour, an echo, the port.
//!
//! All of it is asked from within that namespace, and by its own files, which the caller has read: no program of its is
//! used. What is reached has its own firewall and its own will; silence is told as silence.

mod ask;
mod conclude;

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use serde::Serialize;
use soute_sys::CallError;

use crate::Protocol;
use crate::route::Rtnetlink;

/// Addresses that are tried of a name that has many.
const MOST_TRIED: usize = 4;
/// Who knows a container that names lead not to.
const SOUTE: &str = "soute";

/// What is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(IpAddr),
    /// A name, as the namespace's own files and servers know it.
    Name(String),
}

/// What is to be found out.
#[derive(Debug)]
pub struct Request<'f> {
    /// From here.
    pub namespace: BorrowedFd<'f>,
    /// Whose it is, such as `web`.
    pub from: String,
    /// To there.
    pub to: Target,
    /// TCP or UDP, and the port; none: an echo alone.
    pub port: Option<(Protocol, u16)>,
    /// The text of its /etc/hosts, if it has one.
    pub hosts: Option<String>,
    /// The text of its /etc/resolv.conf, if it has one.
    pub resolver: Option<String>,
    /// Addresses of a container of that name: tried if the name leads nowhere.
    pub known: Vec<IpAddr>,
    /// How long each answer is waited for.
    pub timeout: Duration,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Who was asked for the name, and what was answered.
    pub names: Vec<Named>,
    /// The addresses that were tried.
    pub tried: Vec<Tried>,
    /// Whether it is reached.
    pub reachable: bool,
    /// That in a sentence, or why not.
    pub verdict: String,
    /// What to do.
    pub hints: Vec<String>,
}

/// What somebody knows of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The name, in full.
    pub name: String,
    /// A file, a name server, or soute.
    pub by: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Why there are none.
    pub failure: Option<String>,
}

/// What became of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The address.
    pub address: IpAddr,
    /// The way there, or why there is none.
    pub route: Way,
    /// Who it is handed to, where that is somebody on a link.
    pub neighbour: Option<Next>,
    /// Whether it echoes; none: nothing was asked, as there is no way.
    pub echo: Option<Told>,
    /// Whether its port answers.
    pub port: Option<Told>,
}

/// The way that a packet takes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It is here.
    Local,
    /// By an interface.
    By {
        /// The interface.
        interface: String,
        /// The router.
        gateway: Option<IpAddr>,
        /// From this address.
        source: Option<IpAddr>,
    },
    /// There is none.
    None(String),
}

/// A neighbour on a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Its address there.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Option<String>,
    /// Whether it is there: `reachable`, `failed` and so on.
    pub state: &'static str,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// In one word.
    pub kind: Heard,
    /// In a few.
    pub text: String,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heard {
    /// An answer.
    Answered,
    /// That nothing listens there.
    Refused,
    /// Another ICMP message.
    Icmp,
    /// Nothing.
    Silence,
    /// It was not sent.
    Failed,
}

/// Finds out whether it is reached. The caller has one thread ([`soute_sys::process::fork`]).
///
/// # Errors
/// The kernel's, where it is not what is to be found out: no sockets, no right to them.
pub fn check(request: &Request<'_>) -> Result<Checked, CallError> {
    let mut route = Rtnetlink::open_in(request.namespace)?;
    let (names, addresses) = match &request.to {
        Target::Address(address) => (Vec::new(), vec![*address]),
        Target::Name(name) => ask::look_up(request, name, &mut route)?,
    };
    let mut tried = Vec::new();
    for address in addresses.into_iter().take(MOST_TRIED) {
        tried.push(ask::attempt(request, &mut route, address)?);
    }
    Ok(conclude::conclude(request, names, tried))
}
