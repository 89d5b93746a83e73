//! Queries by TCP (RFC 7766): each message behind its length in two bytes.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::answer::{self, By, Reply};
use super::datagrams::{has_failed, is_answer};
use super::{Directory, Others};

/// A client that says nothing for so long is let go, and a server that does not answer given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection from the container.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    write: Vec<u8>,
    /// Who is asked for it.
    asked: Option<Asked>,
    until: Instant,
    over: bool,
}

/// A connection to another name server, for one query.
#[derive(Debug)]
struct Asked {
    stream: TcpStream,
    query: Vec<u8>,
    read: Vec<u8>,
    write: Vec<u8>,
    left: VecDeque<SocketAddr>,
}

impl Client {
    pub(super) fn new(stream: TcpStream, now: Instant) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
            write: Vec::new(),
            asked: None,
            until: now + PATIENCE,
            over: false,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// What is waited for from the client: one query at a time, and the next when its answer is on its way.
    pub(super) fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        let events = match (&self.asked, self.write.is_empty()) {
            (_, false) => PollFlags::OUT,
            (Some(_), true) => PollFlags::empty(),
            (None, true) => PollFlags::IN,
        };
        (self.stream.as_fd(), events)
    }

    /// What is waited for from the server that is asked.
    pub(super) fn poll_asked(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let asked = self.asked.as_ref()?;
        let events = match asked.write.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::OUT,
        };
        Some((asked.stream.as_fd(), events))
    }

    /// The client has something to say, or takes something, or is gone.
    pub(super) fn ready(&mut self, directory: &mut dyn Directory, now: Instant) {
        if self.asked.is_some() && self.write.is_empty() {
            // Nothing is waited for: it can only be gone.
            self.over = true;
            return;
        }
        self.until = now + PATIENCE;
        if !self.write.is_empty() {
            self.over |= !send(&mut self.stream, &mut self.write);
        } else {
            self.over |= !receive(&mut self.stream, &mut self.read);
        }
        self.go_on(directory);
    }

    /// Takes up the next query, once the answer before has left.
    fn go_on(&mut self, directory: &mut dyn Directory) {
        while !self.over && self.asked.is_none() && self.write.is_empty() {
            let Some(query) = take(&mut self.read) else {
                return;
            };
            match answer::reply(&query, By::Stream, directory) {
                Reply::Ready(packet) => self.answer(&packet),
                Reply::Nothing => self.over = true,
                Reply::Pass => {
                    let servers = match directory.others() {
                        Others::Ask(servers) => servers,
                        Others::Nobody => Vec::new(),
                    };
                    self.ask(query, servers.into());
                }
            }
        }
    }

    fn answer(&mut self, packet: &[u8]) {
        self.write = framed(packet);
        self.over |= !send(&mut self.stream, &mut self.write);
    }

    /// Asks the first of them that can be reached.
    fn ask(&mut self, query: Vec<u8>, mut left: VecDeque<SocketAddr>) {
        self.asked = None;
        while let Some(server) = left.pop_front() {
            if let Ok(stream) = soute_sys::net::connecting(server) {
                self.asked = Some(Asked {
                    stream,
                    write: framed(&query),
                    query,
                    read: Vec::new(),
                    left,
                });
                return;
            }
        }
        match answer::failure(&query) {
            Some(failure) => self.answer(&failure),
            None => self.over = true,
        }
    }

    /// The server that is asked takes the query, answers, or is gone.
    pub(super) fn asked_ready(&mut self, directory: &mut dyn Directory, now: Instant) {
        let Some(mut asked) = self.asked.take() else {
            return;
        };
        self.until = now + PATIENCE;
        let mut lives = match asked.write.is_empty() {
            false => send(&mut asked.stream, &mut asked.write),
            true => receive(&mut asked.stream, &mut asked.read),
        };
        let answer = take(&mut asked.read).filter(|heard| is_answer(heard, &asked.query));
        match answer {
            Some(heard) if has_failed(&heard) && !asked.left.is_empty() => lives = false,
            Some(heard) => {
                self.answer(&heard);
                return self.go_on(directory);
            }
            None => {}
        }
        match lives {
            true => self.asked = Some(asked),
            false => {
                self.ask(asked.query, asked.left);
                self.go_on(directory);
            }
        }
    }

    /// Its time is over.
    pub(super) fn expire(&mut self, directory: &mut dyn Directory, now: Instant) {
        self.until = now + PATIENCE;
        match self.asked.take() {
            Some(asked) => {
                self.ask(asked.query, asked.left);
                self.go_on(directory);
            }
            None => self.over = true,
        }
    }
}

fn framed(packet: &[u8]) -> Vec<u8> {
    // No answer is longer than its length can tell.
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(&packet[..usize::from(length)]);
    framed
}

/// The first whole message, taken out.
fn take(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = read.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let message = rest.get(..length)?.to_vec();
    read.drain(..2 + length);
    Some(message)
}

/// Whether the other end is there still.
fn receive(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            into.extend(&buffer[..length]);
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// Whether the other end is there still.
fn send(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    match stream.write(bytes) {
        Ok(0) => false,
        Ok(length) => {
            bytes.drain(..length);
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
