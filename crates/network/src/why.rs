//! Why a packet arrives or does not: a probe is sent, the kernel tells what becomes of it rule by rule, and that is put
//! into steps and a verdict.
//!
//! - `watch` does: it has the packets of one probe traced, in each network namespace on their way, and asks the kernel
//!   for what tracing does not tell (routes, neighbours, settings).
//! - [`explain`] is pure: from what was recorded to what is said.
//!
//! The probe is known by its own port, in its packets, in their answers, and in ICMP messages about them, and where
//! addresses are translated, by its connection. It has no mark: rules and routes may depend on that, and another packet
//! than the user's would be explained.
//!
//! The rules that trace are in a table of the process's own in each namespace (`inet soute-why-PID`), which the kernel
//! removes with the process's socket, even after `kill -9`.

mod explain;
mod lost;
mod passage;
pub(crate) mod tell;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use serde::Serialize;

use crate::Protocol;
use crate::nft::{Event, Family, RuleText, SeenChain};
use crate::probe::Outcome;
use crate::route::{Decision, Link, Neighbour, Question};

pub use explain::explain;
pub use watch::{Error, watch};

/// A network namespace that the probe, or its answer, may go through.
#[derive(Debug, Clone)]
pub struct Place<'f> {
    /// As it is called in what is said: `this machine`, `container web`.
    pub name: String,
    /// None: the caller's.
    pub namespace: Option<BorrowedFd<'f>>,
}

/// A container whose addresses are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its address in a network.
    pub address: IpAddr,
    /// The network.
    pub network: String,
    /// The bridge's port that leads to it.
    pub port: String,
}

/// What is to be found out.
#[derive(Debug)]
pub struct Request<'f> {
    /// The probe's protocol: TCP or UDP.
    pub protocol: Protocol,
    /// Where it goes to.
    pub to: SocketAddr,
    /// Where it starts, and the places behind that, in the order of its way.
    pub places: Vec<Place<'f>>,
    /// Containers.
    pub known: Vec<Known>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// All that was seen of one probe.
#[derive(Debug)]
pub struct Recorded {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it came from, if it was sent at all.
    pub from: Option<SocketAddr>,
    /// Its own port.
    pub port: u16,
    /// Where it was to go to.
    pub to: SocketAddr,
    /// What its sender heard.
    pub outcome: Outcome,
    /// What was seen in each place, in the order of its way.
    pub places: Vec<Seen>,
    /// Containers.
    pub known: Vec<Known>,
}

/// What was seen in one network namespace.
#[derive(Debug, Default)]
pub struct Seen {
    /// As it is called.
    pub name: String,
    /// The name of the table that traced, whose chains are marks on the way.
    pub table: String,
    /// All chains.
    pub chains: Vec<SeenChain>,
    /// The rules that packets met, by their tables, chains and numbers.
    pub rules: BTreeMap<(Family, String, String, u64), RuleText>,
    /// What the kernel told.
    pub events: Vec<Event>,
    /// There were more.
    pub cut: bool,
    /// Interfaces.
    pub links: Vec<Link>,
    /// What the kernel would do with packets that were seen here.
    pub decisions: Vec<(Question, Result<Decision, Errno>)>,
    /// What is known of those whom packets were to be handed to.
    pub neighbours: Vec<Neighbour>,
    /// Tables of legacy iptables, which tracing does not show: `filter of iptables-legacy`.
    pub unseen: Vec<String>,
    /// Settings of the kernel that stop packets (sysctl(8)), by their names.
    pub settings: BTreeMap<String, String>,
}

/// What became of a probe, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// Where the probe started.
    pub place: String,
    /// Where it came from.
    pub from: Option<SocketAddr>,
    /// Where it was to go to.
    pub to: SocketAddr,
    /// What it met, and then what its answer met, in order.
    pub steps: Vec<Step>,
    /// What became of it.
    pub verdict: Verdict,
    /// What should be known besides.
    pub notes: Vec<String>,
}

/// The probe, or what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The probe.
    Request,
    /// What came back.
    Answer,
}

/// Something that a packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Whose.
    pub way: Way,
    /// Where.
    pub place: String,
    /// On which part of its way there: `prerouting`, `forward` and so on; `routing`.
    pub hook: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A rule.
    Rule {
        /// Its table, such as `inet soute`.
        table: String,
        /// Its chain.
        chain: String,
        /// Its number in the table.
        handle: u64,
        /// What it does, in nft(8)'s language, if that is simple.
        text: Option<String>,
        /// What its maker says of it.
        comment: Option<String>,
        /// `continue`, `accept`, `drop`, `jump CHAIN` and so on.
        verdict: String,
    },
    /// The end of a base chain.
    Policy {
        /// Its table.
        table: String,
        /// The chain.
        chain: String,
        /// `accept` or `drop`.
        verdict: &'static str,
    },
    /// An address or port was changed.
    Translated {
        /// `source` or `destination`.
        side: &'static str,
        /// What it was.
        from: SocketAddr,
        /// What it is.
        to: SocketAddr,
    },
    /// The routing table has a way.
    Route {
        /// For it.
        to: IpAddr,
        /// The next router.
        gateway: Option<IpAddr>,
        /// The interface by which it leaves; none: it is here.
        interface: Option<String>,
    },
    /// The routing table has none.
    NoRoute {
        /// For it.
        to: IpAddr,
        /// Why.
        why: String,
    },
    /// It has left.
    Left {
        /// By this interface.
        interface: String,
        /// By this port of a bridge.
        port: Option<String>,
        /// To this container.
        container: Option<String>,
    },
    /// It has come to where programs are.
    Delivered,
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In one word.
    pub kind: End,
    /// In one sentence.
    pub text: String,
    /// What may be the reason, or what to do.
    pub hints: Vec<String>,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// There was an answer.
    Answered,
    /// It arrived, and nothing listens there.
    Refused,
    /// A rule, a policy or a message of somebody on the way stopped it, or its answer.
    Stopped,
    /// There is no way.
    NoRoute,
    /// It, or its answer, was seen last somewhere, and not again.
    Lost,
    /// It arrived, and nothing came back.
    Silence,
}
