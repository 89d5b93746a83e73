//! The server's sockets: what is waited for, and what is done when it comes.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use rustix::event::PollFlags;

use super::answer::{self, By, Reply};
use super::datagrams::Asked;
use super::place::Sockets;
use super::streams::Client;
use super::{Directory, Others};
use crate::datagram::receive;

/// Queries that others are asked at a time: who asks more waits for none of them.
const MOST_ASKED: usize = 256;
/// Connections at a time; further ones wait until one ends.
const MOST_CLIENTS: usize = 32;
/// Datagrams that are taken at a time, so that whoever serves it can do other things as well.
const MOST_AT_ONCE: usize = 32;

/// Which of the server's descriptors is meant, between a [`Server::poll`] and the [`Server::sweep`] after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Queries by UDP.
    Datagrams,
    /// Connections that come in.
    Listener,
    /// The server that is asked for a query by UDP.
    Asked(usize),
    /// A connection.
    Client(usize),
    /// The server that is asked for a connection's query.
    ClientsAsked(usize),
}

/// A descriptor, and what is waited for.
pub type Interest<'a> = (Token, BorrowedFd<'a>, PollFlags);

/// The name server of one container.
#[derive(Debug)]
pub struct Server {
    datagrams: UdpSocket,
    listener: TcpListener,
    asked: Vec<Asked>,
    clients: Vec<Client>,
}

impl Server {
    /// With sockets that a container finds ([`super::place`]).
    pub fn new(sockets: Sockets) -> Self {
        Self {
            datagrams: sockets.datagrams,
            listener: sockets.listener,
            asked: Vec::new(),
            clients: Vec::new(),
        }
    }

    /// Every descriptor that it has.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let polled = self.poll().map(|(_, fd, _)| fd.as_raw_fd());
        // Which is not polled when there are clients enough.
        polled.chain([self.listener.as_raw_fd()])
    }

    /// What is waited for.
    pub fn poll(&self) -> impl Iterator<Item = Interest<'_>> {
        let own = [
            Some((Token::Datagrams, self.datagrams.as_fd())),
            (self.clients.len() < MOST_CLIENTS).then(|| (Token::Listener, self.listener.as_fd())),
        ];
        let asked = self.asked.iter().enumerate();
        let asked = asked.filter_map(|(n, one)| Some((Token::Asked(n), one.socket()?.as_fd())));
        let reading = own.into_iter().flatten().chain(asked);
        let reading = reading.map(|(token, fd)| (token, fd, PollFlags::IN));
        let clients = self.clients.iter().enumerate().flat_map(|(n, client)| {
            let (fd, events) = client.poll();
            let asked = client.poll_asked();
            let asked = asked.map(|(fd, events)| (Token::ClientsAsked(n), fd, events));
            [Some((Token::Client(n), fd, events)), asked]
        });
        reading.chain(clients.flatten())
    }

    /// Something of what was waited for has come.
    pub fn ready(&mut self, token: Token, directory: &mut dyn Directory, now: Instant) {
        match token {
            Token::Datagrams => self.datagrams(directory, now),
            Token::Listener => {
                if let Ok((stream, _)) = self.listener.accept() {
                    self.clients.extend(Client::new(stream, now));
                }
            }
            Token::Asked(n) => {
                if let Some(asked) = self.asked.get_mut(n) {
                    asked.hear(&self.datagrams, now);
                }
            }
            Token::Client(n) => {
                if let Some(client) = self.clients.get_mut(n) {
                    client.ready(directory, now);
                }
            }
            Token::ClientsAsked(n) => {
                if let Some(client) = self.clients.get_mut(n) {
                    client.asked_ready(directory, now);
                }
            }
        }
    }

    /// When [`Server::sweep`] has something to do although nothing has come.
    pub fn due(&self) -> Option<Instant> {
        let asked = self.asked.iter().map(Asked::until);
        asked.chain(self.clients.iter().map(Client::until)).min()
    }

    /// Forgets what is over, and no longer waits for what does not come. All tokens have lost their meaning.
    pub fn sweep(&mut self, directory: &mut dyn Directory, now: Instant) {
        for asked in &mut self.asked {
            if asked.until() <= now && !asked.is_over() {
                asked.go_on(&self.datagrams, now);
            }
        }
        for client in &mut self.clients {
            if client.until() <= now {
                client.expire(directory, now);
            }
        }
        self.asked.retain(|asked| !asked.is_over());
        self.clients.retain(|client| !client.is_over());
        // The oldest first: who asked it has asked again by now.
        let surplus = self.asked.len().saturating_sub(MOST_ASKED);
        self.asked.drain(..surplus);
        if self.asked.is_empty() && self.clients.is_empty() {
            self.asked = Vec::new();
            self.clients = Vec::new();
        }
    }

    fn datagrams(&mut self, directory: &mut dyn Directory, now: Instant) {
        let mut query = Vec::new();
        for _ in 0..MOST_AT_ONCE {
            let Ok(Some(client)) = receive(&self.datagrams, &mut query) else {
                return;
            };
            let query = &query[..];
            let answer = match answer::reply(query, By::Datagram, directory) {
                Reply::Ready(packet) => Some(packet),
                Reply::Nothing => None,
                Reply::Pass => match directory.others() {
                    Others::Nobody => None,
                    Others::Ask(servers) => match Asked::ask(client, query, &servers, now) {
                        Some(asked) => {
                            self.asked.push(asked);
                            None
                        }
                        None => answer::failure(query),
                    },
                },
            };
            if let Some(packet) = answer {
                // A client that is gone needs no answer.
                let _ = self.datagrams.send_to(&packet, client);
            }
        }
    }
}
