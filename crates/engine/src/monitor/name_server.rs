//! The container's name server, where it has one.

use std::os::fd::{AsFd, RawFd};
use std::time::Instant;

use rustix::event::PollFd;
use soute_network::dns::{self, Server, Sockets, Token};

use super::Source;
use crate::error::Error;
use crate::networks::names::Names;
use crate::networks::network_of;

#[derive(Debug)]
pub(super) struct NameServer {
    server: Option<Server>,
    names: Names,
}

impl NameServer {
    pub(super) fn new(sockets: Option<Sockets>, names: Names) -> Self {
        Self {
            server: sockets.map(Server::new),
            names,
        }
    }

    /// The container, whose first process is `pid`, is in other networks now: it gets a name server with the first that has
    /// names.
    pub(super) fn follow_networks(&mut self, pid: i32) -> Result<(), Error> {
        if self.server.is_none() && self.names.are_any() {
            // The number is the container's as long as nobody but us waits for it.
            let network = network_of(pid)?;
            self.server = Some(Server::new(dns::place(network.as_fd())?));
        }
        Ok(())
    }

    /// Every descriptor that it keeps.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.server.iter().flat_map(Server::descriptors)
    }

    pub(super) fn poll<'a>(&'a self, wanted: &mut Vec<(Source, PollFd<'a>)>) {
        let interests = self.server.iter().flat_map(Server::poll);
        wanted.extend(interests.map(|(token, fd, events)| {
            (Source::Names(token), PollFd::from_borrowed_fd(fd, events))
        }));
    }

    pub(super) fn ready(&mut self, token: Token) {
        if let Some(server) = &mut self.server {
            server.ready(token, &mut self.names, Instant::now());
        }
    }

    /// When it wants to be swept although nothing has come.
    pub(super) fn due(&self) -> Option<Instant> {
        self.server.as_ref()?.due()
    }

    /// Between two rounds of polling.
    pub(super) fn sweep(&mut self) {
        if let Some(server) = &mut self.server {
            server.sweep(&mut self.names, Instant::now());
        }
    }
}
