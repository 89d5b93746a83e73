//! A socket that hears what crosses the interfaces of a network namespace.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use soute_sys::CallError;
use soute_sys::packet::Socket;

use super::filter::{Filter, TooLong, compile};
use super::packet::{Hardware, Packet};
use crate::route::{Link, Rtnetlink};

/// Why a capture does not begin, or ends before it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no interface of this name.
    #[error("there is no interface {name:?} there, but {}", listed(.there))]
    NoSuchInterface {
        /// The name.
        name: String,
        /// The names of those that there are.
        there: Vec<String>,
    },
    /// Nothing crosses an interface that is down.
    #[error("interface {0:?} is down")]
    Down(String),
    /// The interface that was captured on went away.
    #[error("interface {0:?} is gone")]
    Gone(String),
    /// The kernel has no room for the filter's program of so many instructions.
    #[error(
        "the kernel has no room for the filter, which takes {0} instructions: an interface of its own (-i) or portrange \
         makes it shorter, the sysctl net.core.optmem_max more room"
    )]
    NoRoom(usize),
    /// A filter cannot read the packets of an interface of this kind (`ARPHRD_*`, linux/if_arp.h).
    #[error("filters cannot read the packets of interface {0:?}, which is of type {1}")]
    Unreadable(String, u16),
    /// The filter makes too long a program.
    #[error(transparent)]
    Filter(#[from] TooLong),
    /// A system call.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no other either".to_owned(),
        names => names.join(", "),
    }
}

/// An interface that packets cross.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name; `if7` if it went before anybody could ask.
    pub name: String,
    /// How its packets begin.
    pub hardware: Hardware,
}

impl Interface {
    fn of(link: &Link) -> Self {
        Self {
            index: link.index,
            name: link.name.clone(),
            hardware: Hardware::numbered(link.hardware),
        }
    }
}

/// What is heard.
#[derive(Debug)]
pub enum Heard {
    /// A packet.
    Packet(Packet),
    /// The interface that is captured on is down now, until somebody brings it up again.
    WentDown,
    /// Nothing, for now: poll(2) tells when there is more.
    Nothing,
}

/// Hears packets. It does not block: it is waited on with poll(2), for POLLIN.
#[derive(Debug)]
pub struct Tap {
    socket: Socket,
    links: Rtnetlink,
    only: Option<Interface>,
    known: BTreeMap<u32, Interface>,
    buffer: Vec<u8>,
    dropped: u64,
}

impl Tap {
    /// In the namespace, of the interface of this name or of all, what `filter` wants, and of each packet `snaplen`
    /// bytes at most. From the beginning, nothing is heard that the filter does not want.
    ///
    /// The caller has one thread ([`soute_sys::process::fork`]).
    ///
    /// # Errors
    /// There is no such interface, or it is down; the filter is too long; system calls: EPERM without CAP_SYS_ADMIN and
    /// CAP_NET_RAW over the namespace.
    pub fn open(
        namespace: BorrowedFd<'_>,
        interface: Option<&str>,
        filter: Option<&Filter>,
        snaplen: u32,
    ) -> Result<Self, Error> {
        let mut links = Rtnetlink::open_in(namespace)?;
        let all = links.links()?;
        let only = interface.map(|name| one(&all, name)).transpose()?;
        if let (
            Some(Interface {
                name,
                hardware: Hardware::Other(kind),
                ..
            }),
            Some(_),
        ) = (&only, filter)
        {
            return Err(Error::Unreadable(name.clone(), *kind));
        }
        let program = compile(filter, snaplen, only.as_ref().map(|only| only.hardware))?;
        let socket = Socket::open_in(namespace)?;
        socket.filter(&program).map_err(|e| match e.errno() {
            Errno::NOMEM => Error::NoRoom(program.len()),
            _ => e.into(),
        })?;
        socket.listen(only.as_ref().map_or(0, |interface| interface.index))?;
        let up = all.iter().filter(|link| link.is_up()).map(Interface::of);
        let known: Vec<Interface> = match &only {
            Some(only) => vec![only.clone()],
            None => up.collect(),
        };
        Ok(Self {
            socket,
            links,
            only,
            known: known
                .into_iter()
                .map(|interface| (interface.index, interface))
                .collect(),
            buffer: vec![0; snaplen as usize],
            dropped: 0,
        })
    }

    /// The interfaces that are heard: those that were up at the beginning, and those that packets crossed since.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.known.values()
    }

    /// The next packet that was heard, if any.
    ///
    /// # Errors
    /// The only interface is gone; a system call.
    pub fn hear(&mut self) -> Result<Heard, Error> {
        match self.socket.receive(&mut self.buffer) {
            Ok(None) => Ok(Heard::Nothing),
            Ok(Some(received)) => {
                let packet = Packet::new(&received, &self.buffer, now());
                Ok(Heard::Packet(packet))
            }
            Err(e) if e.errno() == Errno::NETDOWN => {
                self.still_there()?;
                Ok(Heard::WentDown)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Makes sure that the only interface, if one is captured on, is there: if it was down, nobody tells that it goes.
    ///
    /// # Errors
    /// It is gone; a system call.
    pub fn still_there(&mut self) -> Result<(), Error> {
        match &self.only {
            Some(only) if self.links.link_numbered(only.index)?.is_none() => {
                Err(Error::Gone(only.name.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The interface that a packet crossed.
    pub fn interface(&mut self, packet: &Packet) -> Result<&Interface, Error> {
        if !self.known.contains_key(&packet.index) {
            let name = match self.links.link_numbered(packet.index)? {
                Some(link) => link.name,
                None => format!("if{}", packet.index),
            };
            let found = Interface {
                index: packet.index,
                name,
                hardware: packet.hardware,
            };
            self.known.insert(packet.index, found);
        }
        Ok(&self.known[&packet.index])
    }

    /// How many packets the kernel had no room for, of all interfaces together.
    pub fn dropped(&mut self) -> Result<u64, Error> {
        self.dropped += u64::from(self.socket.counted()?.dropped);
        Ok(self.dropped)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn one(all: &[Link], name: &str) -> Result<Interface, Error> {
    let link = all.iter().find(|link| link.name == name);
    let link = link.ok_or_else(|| Error::NoSuchInterface {
        name: name.to_owned(),
        there: all.iter().map(|link| link.name.clone()).collect(),
    })?;
    match link.is_up() {
        true => Ok(Interface::of(link)),
        false => Err(Error::Down(name.to_owned())),
    }
}

/// In nanoseconds after the epoch.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
