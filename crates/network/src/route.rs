//! Links, addresses and routes of one network namespace (rtnetlink(7)), blocking, each order with its answer.

mod addresses;
mod carry;
mod decision;
mod links;
mod make;
mod modes;
mod neighbours;
mod routes;

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use soute_sys::netlink::{Attribute, Malformed, Protocol, Socket, Writer, flags};
use soute_sys::{CallError, Called};

pub use addresses::Address;
pub use carry::{Carried, CarryError, Place, carry, unless_there};
pub use decision::{Decision, Kind as RouteKind, Question};
pub use links::{Link, LinkFlags, State};
pub use make::End;
pub use modes::{IpvlanFlag, IpvlanMode, MacvlanMode};
pub use neighbours::{Neighbour, Reached};
pub use routes::{Hop, Route};

/// linux/socket.h
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What is asked of the kernel about one network namespace.
#[derive(Debug)]
pub struct Rtnetlink(Socket);

impl Rtnetlink {
    /// The caller's network namespace.
    pub fn open() -> Result<Self, CallError> {
        Socket::open(Protocol::Route).map(Self)
    }

    /// That in which a process has opened `socket`, for [`Protocol::Route`].
    pub fn of(socket: Socket) -> Self {
        Self(socket)
    }

    /// Another. The caller has one thread ([`Socket::open_in`]).
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, CallError> {
        Socket::open_in(Protocol::Route, namespace).map(Self)
    }

    /// Several others, one after the other ([`Socket::open_in_each`]). The caller has one thread.
    pub fn open_in_each(
        namespaces: &[BorrowedFd<'_>],
        mut hear: impl FnMut(usize, Result<Self, CallError>),
    ) -> Result<(), CallError> {
        Socket::open_in_each(Protocol::Route, namespaces, |number, opened| {
            hear(number, opened.map(Self));
        })
    }

    /// One order, done when this returns.
    fn order(
        &mut self,
        kind: u16,
        more: u16,
        body: Writer,
        call: &dyn Fn() -> String,
    ) -> Result<(), CallError> {
        let body = body.finish().called(call)?;
        self.0
            .ask(kind, more | flags::ACK, &body, call, &mut |_| Ok(()))
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An address of whatever family it has the length of.
fn address(attribute: &Attribute<'_>) -> Result<IpAddr, Malformed> {
    match attribute.value.len() {
        4 => attribute.exactly().map(|octets: [u8; 4]| octets.into()),
        _ => attribute.exactly().map(|octets: [u8; 16]| octets.into()),
    }
}

/// The system call's error, as of `call`.
fn malformed(call: &dyn Fn() -> String) -> impl Fn(Malformed) -> CallError {
    move |e| e.of(&call())
}

/// `None` for what the kernel does not know.
fn unless_missing<T>(asked: Result<Option<T>, CallError>) -> Result<Option<T>, CallError> {
    match asked {
        Err(e) if e.errno() == Errno::NODEV => Ok(None),
        other => other,
    }
}

/// For fuzz/: reads a message as each of what is asked for.
#[cfg(fuzzing)]
pub fn fuzz(message: &soute_sys::netlink::Message<'_>) {
    _ = Link::read(message);
    _ = Address::read(message);
    _ = Route::read(message);
    _ = Decision::read(message);
    _ = Neighbour::read(message);
}

/// The body of a message of which the last bytes are cut off.
#[cfg(test)]
fn cut_body(header: &[u8], attributes: &[(u16, Vec<u8>)], cut: usize) -> Vec<u8> {
    let mut writer = Writer::new(header);
    for (kind, value) in attributes {
        writer.bytes(*kind, value);
    }
    let mut body = writer.finish().unwrap();
    body.truncate(body.len() - cut.min(body.len()));
    body
}
