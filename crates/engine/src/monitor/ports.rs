//! The machine's ports that lead to the container: held, so that no other program gets them, and served on `::1`.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use rustix::event::PollFd;
use soute_network::Protocol;
use soute_network::proxy::{Proxy, Token};
use soute_network::ruleset::Published;
use soute_sys::{CallError, Called};

use super::Source;
use crate::error::Error;
use crate::networks::ports::{self, Reserved};

#[derive(Debug, Default)]
pub(super) struct Ports {
    held: Vec<Held>,
    proxy: Proxy,
}

/// A port that is taken.
#[derive(Debug)]
struct Held {
    at: SocketAddr,
    protocol: Protocol,
    /// Unless it is a door of the proxy's.
    socket: Option<OwnedFd>,
}

impl Held {
    fn is(&self, port: &Published) -> bool {
        self.at == ports::listening(port) && self.protocol == port.protocol
    }
}

impl Ports {
    /// Those that the start has taken.
    pub(super) fn new(reserved: Vec<Reserved>) -> Result<Self, CallError> {
        let mut ports = Self::default();
        for Reserved { published, socket } in reserved {
            ports.hold(&published, socket)?;
        }
        Ok(ports)
    }

    fn hold(&mut self, port: &Published, socket: OwnedFd) -> Result<(), CallError> {
        let at = ports::listening(port);
        let mut kept = None;
        let opened = match port.protocol {
            Protocol::Tcp => self.proxy.open(socket.into(), port.to),
            Protocol::Udp => self.proxy.open_datagrams(socket.into(), port.to),
            Protocol::Sctp => {
                kept = Some(socket);
                Ok(())
            }
        };
        opened.called(|| format!("epoll({at})"))?;
        self.held.push(Held {
            at,
            protocol: port.protocol,
            socket: kept,
        });
        Ok(())
    }

    /// Holds these, and no others. If one cannot be had, it is as it was.
    pub(super) fn follow(&mut self, published: &[Published]) -> Result<(), Error> {
        let mut fresh = Vec::new();
        for port in published {
            if !self.held.iter().any(|held| held.is(port)) {
                let at = ports::listening(port);
                let (socket, _) = ports::hold(at.ip(), port.protocol, at.port())?;
                fresh.push((port, socket));
            }
        }
        self.held
            .retain(|held| published.iter().any(|port| held.is(port)));
        let held = &self.held;
        self.proxy.close(|at, protocol| {
            let mut held = held.iter();
            held.any(|held| held.at == at && held.protocol == protocol)
        });
        for port in published {
            // It may lead to another address of the container's now.
            self.proxy
                .lead(port.protocol, ports::listening(port), port.to);
        }
        for (port, socket) in fresh {
            self.hold(port, socket)?;
        }
        Ok(())
    }

    /// All are free again.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Every descriptor that it has.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let held = self.held.iter().filter_map(|held| held.socket.as_ref());
        held.map(AsRawFd::as_raw_fd).chain(self.proxy.descriptors())
    }

    pub(super) fn poll<'a>(&'a self, wanted: &mut Vec<(Source, PollFd<'a>)>) {
        let proxy = self.proxy.poll();
        wanted.extend(proxy.map(|(token, fd, events)| {
            (Source::Port(token), PollFd::from_borrowed_fd(fd, events))
        }));
    }

    pub(super) fn ready(&mut self, token: Token) {
        self.proxy.ready(token);
    }

    /// When to [`Ports::sweep`] though nothing has come.
    pub(super) fn due(&self) -> Option<Instant> {
        self.proxy.due()
    }

    /// Between two rounds of polling.
    pub(super) fn sweep(&mut self) {
        self.proxy.sweep();
    }
}
