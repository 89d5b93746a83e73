//! The one table of nftables that soute has on a machine, `table inet soute`: what is in it, and how it is kept so.
//!
//! The chains and their rules are the same on every machine. Whatever is a network's or a container's is an *element* of a
//! set or map: a thousand published ports are a thousand elements and one lookup. So a change is one small batch, the
//! kernel's work for a packet does not grow, and what should be there can be compared with what is there, one by one.
//!
//! Where this stands beside the machine's own firewall: an `accept` ends the chains of this table alone, so that a drop by
//! any other chain on the way remains a drop; and a drop here drops only what goes to or from a bridge of soute's, what
//! comes from elsewhere to 127.0.0.0/8, and, where soute turned forwarding on, what the machine did not forward before
//! ([`State::closed`]).
//!
//! # What is where
//! | chain | hook, priority | |
//! |---|---|---|
//! | `guard` | prerouting, -300 | what comes from or goes to 127.0.0.0/8 by another interface than `lo` is dropped, before any translation |
//! | `prerouting`, `output` | nat, -100 | what goes to an address of this machine goes through `publish`, but from outside not to ports that are local ([`Published::local`]) |
//! | `publish` | | translates the destination of published ports: an address's own first, then those of all addresses |
//! | `forward` | filter, 0 | isolation of networks from each other and from outside |
//! | `postrouting` | nat, 100 | translates sources |
//!
//! Sources are translated in three cases: from 127.0.0.0/8 to a bridge, since an answer to that address would stay in the
//! container; from a bridge's subnet to the same bridge by a published port, since the answer would go there directly, from
//! an address that was not asked; from a bridge with masquerade to outside. Else a container sees its client's address.
//!
//! # Why it is not otherwise
//! - `masqueraded` holds bridges, not subnets: what a container sends from an address that is not its own (CAP_NET_RAW) is
//!   translated as well. Since Linux 5.7 the interface by which a packet came is known in postrouting; and a set of
//!   intervals takes neighbours only in an order of its own.
//! - `subnets4` and `subnets6` (a subnet and its bridge) tell the second case, where the interface is not known: packets
//!   that stay on a bridge, and go through this table by `net.bridge.bridge-nf-call-iptables`, have none in postrouting
//!   (br_nf_post_routing).
//! - `within` (a bridge and itself) tells in `forward` what stays on a bridge: two registers cannot be compared with each
//!   other, and a subnet's name would trust the packet's source.
//! - What goes from a foreign bridge to a foreign bridge is never dropped by [`State::closed`]: by the same setting it may
//!   be what stays on one of them, such as between two virtual machines. So from one to another it is let through as well.

mod elements;
mod heal;
mod rules;
mod skeleton;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use soute_sys::CallError;

use crate::nft::{Batch, Listener, Mapped, Nftables, Set, Table};
use crate::{Protocol, Subnet};
use elements::Elements;

pub use heal::Healed;

/// The table.
pub const TABLE: Table = Table {
    family: crate::nft::Family::INET,
    name: "soute",
};

/// How often a change is tried anew that others' changes overtook.
const MOST_TRIES: usize = 32;

/// A network of containers, as the table knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Network {
    /// The bridge's name: 1 to 15 bytes.
    pub bridge: String,
    /// Whether its containers reach neither the outside nor other networks, and are not reached from there but by
    /// published ports.
    pub internal: bool,
    /// Its subnets. That they overlap no other network's is not looked at here.
    pub subnets: Vec<Subnet>,
    /// Whose addresses are translated to the machine's on the way outside.
    pub masquerade: Families,
}

/// A port of this machine that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    /// The address of this machine; none, or an unspecified one: all of the family of [`Self::to`].
    pub address: Option<IpAddr>,
    /// Whose port.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The container's address and port.
    pub to: SocketAddr,
    /// Whose it is: shown by `nft list ruleset`, cut at 128 bytes.
    pub owner: String,
    /// Whether it is translated for this machine and its containers only: what comes from elsewhere meets the machine's own
    /// input chains, as what is for any program of the machine's does.
    #[serde(default)]
    pub local: bool,
}

impl Published {
    /// Whether both lead from the same to the same, and are the same's, for whomever.
    pub fn is(&self, other: &Self) -> bool {
        let of_all = |port: &Self| port.address.filter(|address| !address.is_unspecified());
        (self.protocol, self.port, self.to, &self.owner)
            == (other.protocol, other.port, other.to, &other.owner)
            && of_all(self) == of_all(other)
    }
}

/// All that is in the table besides what is the same everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The networks, by their bridges' names.
    pub networks: Vec<Network>,
    /// The published ports.
    pub published: Vec<Published>,
    /// Whose forwarding soute turned on (`net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`), for its networks alone: what
    /// goes neither from nor to one of them is dropped.
    pub closed: Families,
}

/// Which of the two.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// Why the table could not be changed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The kernel has none.
    #[error("this kernel has no nf_tables (CONFIG_NF_TABLES, module nf_tables): {0}")]
    Unsupported(CallError),
    /// The port leads to a container already.
    #[error("{port} is published already{}", owner(.by.as_ref()))]
    Taken {
        /// Such as `0.0.0.0:80/tcp`.
        port: String,
        /// What is there.
        by: Option<Published>,
    },
    /// There is no table, or it lacks a set: [`Ruleset::heal`].
    #[error("the table inet soute is not there as it should be ({0})")]
    Missing(CallError),
    /// Not an interface's name.
    #[error("{0:?} is no name of a bridge: 1 to 15 bytes")]
    Bridge(String),
    /// IPv4 cannot be translated to IPv6, nor back.
    #[error("{port} cannot lead to {to}: not both are IPv4 or IPv6")]
    Families {
        /// Such as `0.0.0.0:80/tcp`.
        port: String,
        /// The container's.
        to: SocketAddr,
    },
    /// The comment cannot be kept with an element.
    #[error("an owner's name holds a NUL: {0:?}")]
    Owner(String),
}

impl Error {
    /// Whether the rules were changed by others since they were looked at.
    fn is_overtaken(&self) -> bool {
        matches!(self, Self::Call(e) if e.errno() == Errno::RESTART)
    }
}

/// What the first question is answered where there is no nf_tables to ask: no such sockets (netlink_create), or nobody for
/// such messages (nfnetlink_rcv_msg).
fn unsupported(e: CallError) -> Error {
    match e.errno() {
        Errno::PROTONOSUPPORT | Errno::INVAL => Error::Unsupported(e),
        _ => Error::Call(e),
    }
}

fn owner(by: Option<&Published>) -> String {
    by.map_or_else(String::new, |by| format!(" by {}, for {}", by.owner, by.to))
}

/// The table in one network namespace.
#[derive(Debug)]
pub struct Ruleset(Nftables);

impl Ruleset {
    /// In the caller's network namespace. The table may not be there yet.
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Nftables::open().map_err(unsupported)?))
    }

    /// In another. The caller has one thread ([`soute_sys::process::fork`]).
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, Error> {
        Ok(Self(Nftables::open_in(namespace)?))
    }

    /// Hears of changes to the table and to others, in the caller's network namespace.
    pub fn listen() -> Result<Listener, Error> {
        Ok(Listener::open(TABLE)?)
    }

    /// The number of the rules, of all tables together, which any change by anybody raises. As long as it is the one that
    /// was there when all was as it should be, all still is.
    pub fn generation(&mut self) -> Result<u32, Error> {
        self.0.generation().map_err(unsupported)
    }

    /// The table's number, by which it is told from one that is made after it; `None`: there is no table.
    pub fn handle(&mut self) -> Result<Option<u64>, Error> {
        Ok(self.0.table(TABLE)?.map(|table| table.handle))
    }

    /// Makes the table as it is to be, if it is not, with all elements that are in it. Nothing is changed if nothing is
    /// amiss.
    pub fn ensure(&mut self) -> Result<Healed, Error> {
        self.retried(|table| {
            let mut seen = table.look()?;
            if seen.whole {
                return Ok(Healed::Nothing);
            }
            let kept = table.look_into(&mut seen)?.clone();
            table.repair(&seen, &kept)
        })
    }

    /// Makes the table and its elements as `wanted` says, in one batch. Nothing is changed if nothing is amiss.
    ///
    /// `wanted` is asked after the table was looked at, and again if others changed rules in between. So if whoever
    /// publishes, unpublishes, adds or removes notes it first where `wanted` reads, and changes the table then, no repair
    /// undoes what is new or brings back what is gone.
    ///
    /// # Errors
    /// [`Error::Bridge`], [`Error::Families`], [`Error::Owner`]; [`Error::Taken`]: a port leads to two places; those of
    /// `wanted`.
    pub fn heal<E: From<Error>>(
        &mut self,
        mut wanted: impl FnMut() -> Result<State, E>,
    ) -> Result<Healed, E> {
        let mut tries = 1;
        loop {
            let mut seen = self.look()?;
            self.look_into(&mut seen)?;
            let wanted = Elements::of(&wanted()?)?;
            match self.repair(&seen, &wanted) {
                Err(e) if e.is_overtaken() && tries < MOST_TRIES => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    /// What is in the table. `None`: there is no table.
    pub fn elements(&mut self) -> Result<Option<State>, Error> {
        let mut seen = self.look()?;
        if !seen.is_there {
            return Ok(None);
        }
        Ok(Some(self.look_into(&mut seen)?.state()))
    }

    /// Adds a network, or what of it is not there yet.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Bridge`]
    pub fn add_network(&mut self, network: &Network) -> Result<(), Error> {
        let mut added = Elements::default();
        added.add_network(network)?;
        let mut batch = Batch::new(TABLE);
        for (set, elements) in added.iter() {
            batch.add_elements(set, false, elements);
        }
        self.0.commit(&batch, None).map_err(missing)
    }

    /// Removes what is there of the network of this bridge.
    pub fn remove_network(&mut self, bridge: &str) -> Result<(), Error> {
        self.change(&elements::OF_NETWORKS, &|seen| seen.remove_network(bridge))
    }

    /// Says whose forwarding soute turned on ([`State::closed`]).
    pub fn close(&mut self, closed: Families) -> Result<(), Error> {
        self.change(&[&skeleton::CLOSED], &|seen| seen.close(closed))
    }

    /// Publishes ports, all or none: one element each, and one more of each that is local.
    ///
    /// # Errors
    /// [`Error::Taken`]; [`Error::Missing`]; [`Error::Families`]; [`Error::Owner`]
    pub fn publish(&mut self, ports: &[Published]) -> Result<(), Error> {
        let mut added = Elements::default();
        for port in ports {
            added.publish(port)?;
        }
        let mut batch = Batch::new(TABLE);
        for (set, elements) in added.iter() {
            // What a local port may have left behind is no reason to refuse one.
            batch.add_elements(set, set.to != Mapped::Nothing, elements);
        }
        match self.0.commit(&batch, None) {
            Err(e) if e.errno() == Errno::EXIST => Err(self.taken(ports, e)),
            other => other.map_err(missing),
        }
    }

    /// Takes published ports back, those of them that still lead where they are said to: how many.
    ///
    /// Connections that go through one go on.
    pub fn unpublish(&mut self, ports: &[Published]) -> Result<usize, Error> {
        self.retried(|table| {
            let generation = table.0.generation()?;
            let mut batch = Batch::new(TABLE);
            let mut found = 0;
            for port in ports {
                let (set, wanted) = port.element()?;
                let seen = table.0.element(TABLE, set, &wanted)?;
                if seen.is_some_and(|seen| seen.data == wanted.data) {
                    batch.delete_elements(set, [&wanted]);
                    found += 1;
                    let (set, local) = elements::local(set, &wanted);
                    if let Some(local) = table.0.element(TABLE, set, &local)? {
                        batch.delete_elements(set, [&local]);
                    }
                }
            }
            table.0.commit(&batch, Some(generation))?;
            Ok(found)
        })
    }

    /// Which of the ports is in the way, now that one is.
    fn taken(&mut self, ports: &[Published], e: CallError) -> Error {
        for port in ports {
            let Ok((set, wanted)) = port.element() else {
                continue;
            };
            if let Ok(Some(seen)) = self.0.element(TABLE, set, &wanted) {
                return Error::Taken {
                    port: port.told(),
                    by: elements::published(set, &seen),
                };
            }
        }
        // One twice among them, or gone by now.
        Error::Call(e)
    }

    /// Changes the elements of some sets as `change` says, unless others change them meanwhile: then anew.
    fn change(
        &mut self,
        sets: &[&'static Set],
        change: &dyn Fn(&mut Elements),
    ) -> Result<(), Error> {
        self.retried(|table| {
            let generation = table.0.generation()?;
            let mut seen = Elements::default();
            for set in sets {
                let found = table.0.elements(TABLE, set)?;
                let none = || {
                    CallError::new(
                        format!("NFT_MSG_GETSETELEM({TABLE} {})", set.name),
                        Errno::NOENT,
                    )
                };
                seen.insert(set, found.ok_or_else(|| Error::Missing(none()))?);
            }
            let mut wanted = seen.clone();
            change(&mut wanted);
            let batch = seen.batch_to(&wanted);
            Ok(table.0.commit(&batch, Some(generation))?)
        })
    }

    /// Tries what is committed for a generation until it was not overtaken.
    fn retried<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = 1;
        loop {
            match attempt(self) {
                Err(e) if e.is_overtaken() && tries < MOST_TRIES => tries += 1,
                other => return other,
            }
        }
    }
}

/// That a set or the table is not there is not the caller's fault, but to be healed.
fn missing(e: CallError) -> Error {
    match e.errno() {
        Errno::NOENT => Error::Missing(e),
        _ => Error::Call(e),
    }
}
