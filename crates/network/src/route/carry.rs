//! An interface is carried from one network namespace to another, with all that it has.
//!
//! The kernel takes an interface down that changes its namespace, and its addresses and routes with it
//! (dev_change_net_namespace). So they are read before, and given to it again where it is then.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use soute_sys::CallError;

use super::{Address, Hop, Link, Route, Rtnetlink};

const RT_TABLE_MAIN: u32 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFA_F_PERMANENT: u32 = 0x80;
/// Names that are tried in the place of one that is taken.
const MOST_NAMES: u32 = 100;

/// A network namespace, and what is asked of it.
#[derive(Debug)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace: BorrowedFd<'a>,
    /// A socket in it.
    pub netlink: Rtnetlink,
}

impl<'a> Place<'a> {
    /// The caller has one thread ([`Rtnetlink::open_in`]).
    pub fn new(namespace: BorrowedFd<'a>) -> Result<Self, CallError> {
        Ok(Self {
            namespace,
            netlink: Rtnetlink::open_in(namespace)?,
        })
    }
}

/// Why an interface was not carried. It is where it was, with what it had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// There is no such interface.
    #[error("there is no interface {0}")]
    Missing(String),
    /// Another one is called so where it is to go.
    #[error("there is an interface {0} where it is to go already")]
    Taken(String),
    /// The kernel does not let it go: `lo`, bridges, tunnels of some kinds.
    #[error("{name} is of a kind that stays in its network namespace: {source}")]
    Fixed {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: CallError,
    },
    /// Another system call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It could not be brought back after a failure.
    #[error("{why}; and it could not be brought back: {back}")]
    Lost {
        /// The failure.
        why: CallError,
        /// What failed then.
        back: CallError,
    },
}

/// An interface that was carried, and what it had where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    name: String,
    /// Its number where it is now: whoever is there may call it otherwise, and another one by its name.
    there: u32,
    up: bool,
    master: Option<u32>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

/// Carries the interface `name` from one namespace to another: with its lasting addresses, and the routes of the main table
/// that lead over it alone, up if it was.
pub fn carry(name: &str, from: &mut Place<'_>, to: &mut Place<'_>) -> Result<Carried, CarryError> {
    let link = from.netlink.link(name)?;
    let link = link.ok_or_else(|| CarryError::Missing(name.to_owned()))?;
    if to.netlink.link(name)?.is_some() {
        return Err(CarryError::Taken(name.to_owned()));
    }
    let mut carried = Carried::of(&link, &mut from.netlink)?;
    from.netlink
        .move_to(link.index, to.namespace, name)
        .map_err(|source| match source.errno() {
            Errno::INVAL => CarryError::Fixed {
                name: name.to_owned(),
                source,
            },
            _ => CarryError::Call(source),
        })?;
    let missing = || CallError::new(name.to_owned(), Errno::NODEV);
    carried.there = to.netlink.link(name)?.ok_or_else(missing)?.index;
    match carried.settle(carried.there, &mut to.netlink, false) {
        Ok(()) => Ok(carried),
        Err(why) => Err(match carried.back(from, to) {
            Ok(_) => why.into(),
            Err(back) => CarryError::Lost { why, back },
        }),
    }
}

impl Carried {
    fn of(link: &Link, here: &mut Rtnetlink) -> Result<Self, CallError> {
        let lasting = |address: &Address| {
            address.link == link.index
                && address.scope == RT_SCOPE_UNIVERSE
                && address.flags & IFA_F_PERMANENT != 0
        };
        let addresses = here.addresses()?.into_iter().filter(lasting);
        let only_over_it = |route: &Route| {
            route.table == RT_TABLE_MAIN
                && matches!(route.hops[..], [Hop { link: Some(one), .. }] if one == link.index)
        };
        let mut routes: Vec<Route> = here.routes()?.into_iter().filter(only_over_it).collect();
        // Routers are reached by routes that have none.
        routes.sort_by_key(|route| route.hops[0].gateway.is_some());
        Ok(Self {
            name: link.name.clone(),
            there: link.index,
            up: link.is_up(),
            master: link.master,
            addresses: addresses.collect(),
            routes,
        })
    }

    /// As it is called, and was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Back from `there` to `here`, where it came from, with what it had there. Gives its name, another one if its own was
    /// taken meanwhile. `None`: it is not there any more.
    pub fn back(
        &self,
        here: &mut Place<'_>,
        there: &mut Place<'_>,
    ) -> Result<Option<String>, CallError> {
        if there.netlink.link_numbered(self.there)?.is_none() {
            return Ok(None);
        }
        let name = self.free_name(&mut here.netlink)?;
        there.netlink.move_to(self.there, here.namespace, &name)?;
        let missing = || CallError::new(name.clone(), Errno::NODEV);
        let link = here.netlink.link(&name)?.ok_or_else(missing)?;
        self.settle(link.index, &mut here.netlink, true)?;
        Ok(Some(name))
    }

    fn free_name(&self, here: &mut Rtnetlink) -> Result<String, CallError> {
        if here.link(&self.name)?.is_none() {
            return Ok(self.name.clone());
        }
        for number in 0..MOST_NAMES {
            let name = format!("carried{number}");
            if here.link(&name)?.is_none() {
                return Ok(name);
            }
        }
        Err(CallError::new("a free name for an interface", Errno::EXIST))
    }

    /// Gives it what it had. `home`: to a bridge as well, whose number means something there.
    fn settle(&self, link: u32, netlink: &mut Rtnetlink, home: bool) -> Result<(), CallError> {
        if home && let Some(master) = self.master {
            // The bridge may have gone since.
            let _ = netlink.set_master(link, Some(master));
        }
        for address in &self.addresses {
            unless_there(netlink.add_address_as(link, address))?;
        }
        if !self.up {
            return Ok(());
        }
        netlink.set_up(link, true)?;
        for route in &self.routes {
            let hop = Hop {
                link: Some(link),
                ..route.hops[0]
            };
            // Some come with the addresses.
            unless_there(netlink.add_route_as(route, hop))?;
        }
        Ok(())
    }
}

/// That it was there already is fine.
pub fn unless_there(added: Result<(), CallError>) -> Result<(), CallError> {
    match added {
        Err(e) if e.errno() == Errno::EXIST => Ok(()),
        other => other,
    }
}
