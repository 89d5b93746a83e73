//! What comes to `::1` of the machine is passed on to a container: the kernel translates 127.0.0.1, and not that.
//!
//! There is a door for each port that is published, at all its addresses: what comes to others than loopback the kernel
//! has led elsewhere before. Thousands of doors of a protocol are one descriptor to wait for.
//!
//! Sockets and what to do with them, for whoever has a poll(2) of its own. A byte is read when there is room for it on the
//! other side, so that a slow reader slows its writer down, as it would without anybody in between.

mod bell;
mod datagrams;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::protocol::Protocol;
use bell::Bell;
use datagrams::Datagrams;

/// Bytes that are on their way in one direction of one connection.
const ROOM: usize = 64 << 10;
/// Connections at a time; further ones wait until one ends.
const MOST_PAIRS: usize = 256;

/// Which descriptor is meant, between a [`Proxy::poll`] and the [`Proxy::sweep`] after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Connections that come in, by whichever door.
    Doors,
    /// Datagrams that come in.
    DatagramDoors,
    /// The end of a connection that has come in.
    Client(usize),
    /// Its other end, in the container.
    Server(usize),
    /// Answers to somebody's datagrams.
    Answers(usize),
}

/// Sockets that listen, and where what comes in by each is passed on to.
#[derive(Debug, Default)]
pub struct Proxy {
    bell: Bell,
    doors: Vec<Door>,
    pairs: Vec<Pair>,
    datagrams: Datagrams,
}

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    to: SocketAddr,
}

#[derive(Debug)]
struct Pair {
    client: TcpStream,
    server: TcpStream,
    up: Flow,
    down: Flow,
    over: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    bytes: Vec<u8>,
    /// Its source has said that nothing follows.
    ended: bool,
    /// And so was its destination told.
    told: bool,
}

impl Proxy {
    /// What comes in by `listener`, from the machine's own loopback, is passed on.
    pub fn open(&mut self, listener: TcpListener, to: SocketAddr) -> Result<(), Errno> {
        self.bell.hang(listener.as_fd())?;
        self.doors.push(Door { listener, to });
        Ok(())
    }

    /// So are the datagrams that come in by `socket`, and the answers to them.
    pub fn open_datagrams(&mut self, socket: UdpSocket, to: SocketAddr) -> Result<(), Errno> {
        self.datagrams.open(socket, to)
    }

    /// Closes all doors but those of which `keep` says so, by where they are and for what protocol. Connections go on.
    pub fn close(&mut self, mut keep: impl FnMut(SocketAddr, Protocol) -> bool) {
        self.datagrams.close(&mut |at| keep(at, Protocol::Udp));
        let mut keep = |at| keep(at, Protocol::Tcp);
        let mut keeps = |door: &Door| door.listener.local_addr().is_ok_and(&mut keep);
        self.doors.retain(|door| keeps(door));
    }

    /// What comes in at `at` leads there from now on. By SCTP nothing does.
    pub fn lead(&mut self, protocol: Protocol, at: SocketAddr, to: SocketAddr) {
        match protocol {
            Protocol::Tcp => {
                for door in &mut self.doors {
                    if door.listener.local_addr().is_ok_and(|own| own == at) {
                        door.to = to;
                    }
                }
            }
            Protocol::Udp => self.datagrams.lead(at, to),
            Protocol::Sctp => {}
        }
    }

    /// Every descriptor that it has.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let doors = self.doors.iter().map(|door| door.listener.as_raw_fd());
        let pairs = self.pairs.iter();
        let pairs = pairs.flat_map(|pair| [pair.client.as_raw_fd(), pair.server.as_raw_fd()]);
        let bell = self.bell.descriptor();
        doors
            .chain(pairs)
            .chain(bell.map(|bell| bell.as_raw_fd()))
            .chain(self.datagrams.descriptors())
    }

    /// When to [`Proxy::sweep`] though nothing has come.
    pub fn due(&self) -> Option<Instant> {
        self.datagrams.due()
    }

    /// What is waited for.
    pub fn poll(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>, PollFlags)> {
        let has_room = self.pairs.len() < MOST_PAIRS;
        let bell = self.bell.descriptor().filter(|_| has_room);
        let bell = bell.map(|bell| (Token::Doors, bell, PollFlags::IN));
        let other = self.datagrams.bell();
        let other = other.map(|bell| (Token::DatagramDoors, bell, PollFlags::IN));
        let pairs = self.pairs.iter().enumerate().flat_map(|(n, pair)| {
            let (up, down) = (&pair.up, &pair.down);
            [
                (Token::Client(n), pair.client.as_fd(), events(up, down)),
                (Token::Server(n), pair.server.as_fd(), events(down, up)),
            ]
        });
        let answers = self.datagrams.poll();
        let answers = answers.map(|(n, socket)| (Token::Answers(n), socket, PollFlags::IN));
        let bells = bell.into_iter().chain(other);
        bells.chain(pairs).chain(answers)
    }

    /// Something of what was waited for has come.
    pub fn ready(&mut self, token: Token) {
        match token {
            Token::Doors => self.enter(),
            Token::DatagramDoors => self.datagrams.enter(Instant::now()),
            Token::Client(n) => {
                if let Some(pair) = self.pairs.get_mut(n) {
                    let both = (&mut pair.up, &mut pair.down);
                    pair.over |= !serve(&mut pair.client, both.0, both.1);
                    pair.pass();
                }
            }
            Token::Answers(n) => self.datagrams.answer(n, Instant::now()),
            Token::Server(n) => {
                if let Some(pair) = self.pairs.get_mut(n) {
                    let both = (&mut pair.down, &mut pair.up);
                    pair.over |= !serve(&mut pair.server, both.0, both.1);
                    pair.pass();
                }
            }
        }
    }

    /// Lets in who stands at a door.
    fn enter(&mut self) {
        for number in self.bell.rung() {
            let mut doors = self.doors.iter();
            let door = doors.find(|door| door.listener.as_raw_fd() == number);
            self.pairs.extend(door.and_then(Door::enter));
        }
    }

    /// Forgets what is over. All tokens have lost their meaning.
    pub fn sweep(&mut self) {
        self.pairs.retain(|pair| !pair.over);
        if self.pairs.is_empty() {
            self.pairs = Vec::new();
        }
        if self.due().is_some() {
            self.datagrams.sweep(Instant::now());
        }
    }
}

impl Door {
    /// Somebody who comes in. Whoever is not on this machine finds nobody here: rules that are about to be put back would
    /// have led him elsewhere.
    fn enter(&self) -> Option<Pair> {
        let (client, from) = self.listener.accept().ok()?;
        let to = client.local_addr().ok()?;
        if !from.ip().is_loopback() || !to.ip().is_loopback() {
            return None;
        }
        client.set_nonblocking(true).ok()?;
        Some(Pair {
            client,
            server: soute_sys::net::connecting(self.to).ok()?,
            up: Flow::default(),
            down: Flow::default(),
            over: false,
        })
    }
}

impl Pair {
    /// Sends on what was read, and tells an end.
    fn pass(&mut self) {
        self.over |= !self.up.pass(&mut self.server) || !self.down.pass(&mut self.client);
        self.over |= self.up.told && self.down.told;
    }
}

impl Flow {
    fn pass(&mut self, to: &mut TcpStream) -> bool {
        let lives = write(to, &mut self.bytes);
        if self.ended && self.bytes.is_empty() && !self.told {
            self.told = true;
            // A connection that has failed has nobody to be told.
            let _ = to.shutdown(Shutdown::Write);
        }
        lives
    }
}

/// What is waited for from the source of `from`, which is the destination of `to`.
fn events(from: &Flow, to: &Flow) -> PollFlags {
    let mut events = PollFlags::empty();
    if !from.ended && from.bytes.len() < ROOM {
        events |= PollFlags::IN;
    }
    if !to.bytes.is_empty() {
        events |= PollFlags::OUT;
    }
    events
}

/// Reads what there is room for; whether the stream is good for anything still.
fn serve(stream: &mut TcpStream, from: &mut Flow, to: &mut Flow) -> bool {
    if events(from, to).is_empty() {
        // Nothing is waited for: it has failed.
        return false;
    }
    if from.ended || from.bytes.len() >= ROOM {
        return true;
    }
    // Once it has room enough, a flow keeps it, for as long as the connection lasts.
    let length = from.bytes.len();
    from.bytes.resize(length + (16 << 10), 0);
    let read = stream.read(&mut from.bytes[length..]);
    from.bytes
        .truncate(length + read.as_ref().copied().unwrap_or(0));
    match read {
        Ok(0) => from.ended = true,
        Ok(_) => {}
        Err(e) if may_go_on(&e) => {}
        Err(_) => return false,
    }
    true
}

fn write(to: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    if bytes.is_empty() {
        return true;
    }
    match to.write(bytes) {
        Ok(length) => {
            bytes.drain(..length);
            true
        }
        Err(e) => may_go_on(&e),
    }
}

fn may_go_on(e: &std::io::Error) -> bool {
    // A connection that is being made is not connected yet.
    matches!(
        e.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::thread;
    use std::time::Duration;

    use rustix::event::{PollFd, Timespec, poll};

    use super::*;

    /// Serves until nothing has come for a while.
    fn run(proxy: &mut Proxy, calm: Duration) {
        let calm = Timespec::try_from(calm).unwrap();
        loop {
            let wanted: Vec<_> = proxy.poll().collect();
            let mut fds: Vec<PollFd<'_>> = wanted
                .iter()
                .map(|(_, fd, events)| PollFd::from_borrowed_fd(*fd, *events))
                .collect();
            if poll(&mut fds, Some(&calm)).unwrap() == 0 {
                return;
            }
            let ready: Vec<Token> = wanted
                .iter()
                .zip(&fds)
                .filter(|(_, fd)| !fd.revents().is_empty())
                .map(|((token, ..), _)| *token)
                .collect();
            ready.into_iter().for_each(|token| proxy.ready(token));
            proxy.sweep();
        }
    }

    /// More than fits on the way, both ways at once, and each end's end.
    #[test]
    fn all_that_is_said_arrives() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let door = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let at = door.local_addr().unwrap();
        let said: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let answers = said.clone();
        let serving = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
        });
        let asking = thread::spawn(move || {
            let mut stream = TcpStream::connect(at).unwrap();
            let mut other = stream.try_clone().unwrap();
            let writing = thread::spawn(move || {
                other.write_all(&answers).unwrap();
                other.shutdown(Shutdown::Write).unwrap();
            });
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            writing.join().unwrap();
            heard
        });
        let mut proxy = Proxy::default();
        proxy.open(door, to).unwrap();
        run(&mut proxy, Duration::from_secs(2));
        serving.join().unwrap();
        assert!(asking.join().unwrap() == said);
        assert!(proxy.pairs.is_empty());
    }

    #[test]
    fn nobody_behind_it_is_the_end() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = nobody.local_addr().unwrap();
        drop(nobody);
        let door = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let mut proxy = Proxy::default();
        proxy.open(door, to).unwrap();
        run(&mut proxy, Duration::from_millis(300));
        assert!(proxy.pairs.is_empty());
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    }

    /// Connections that fill the house do not keep datagrams out.
    #[test]
    fn a_full_house_has_room_for_datagrams() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let at = door.local_addr().unwrap();
        let mut proxy = Proxy::default();
        proxy.open(door, server.local_addr().unwrap()).unwrap();
        let clients: Vec<_> = (0..=MOST_PAIRS)
            .map(|_| {
                let client = TcpStream::connect(at).unwrap();
                run(&mut proxy, Duration::ZERO);
                client
            })
            .collect();
        assert_eq!(proxy.pairs.len(), MOST_PAIRS);

        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wait = Some(Duration::from_secs(10));
        server.set_read_timeout(wait).unwrap();
        let door = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let at = door.local_addr().unwrap();
        let to = server.local_addr().unwrap();
        proxy.open_datagrams(door, to).unwrap();
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        client.send_to(b"here", at).unwrap();
        run(&mut proxy, Duration::from_millis(100));
        assert_eq!(server.recv(&mut [0; 9]).unwrap(), 4);
        // And who stood at the door comes in when one has gone.
        drop(clients);
        run(&mut proxy, Duration::from_millis(100));
        assert!(proxy.pairs.len() < MOST_PAIRS);
    }
}
