//! Who is attached to a container.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::Source;
use crate::frame::{Connection, Frame, Received};

/// A client that takes no byte for so long at the container's end is given up: it may be stopped (SIGSTOP) for good,
/// and the end must be told to the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is let in when there is no descriptor for another client: a listener with somebody before it is
/// ready, and asking it without a pause would take all of a processor.
const DEAF: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Clients {
    listener: OwnedFd,
    deaf_until: Option<Instant>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    /// It wants the output.
    attached: bool,
    /// It has sent input, and sends more when it is asked to.
    owed: bool,
    /// Packets that did not fit into its socket yet.
    queue: VecDeque<Vec<u8>>,
    gone: bool,
}

impl Client {
    fn push(&mut self, packet: &[u8]) {
        self.queue.push_back(packet.to_vec());
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(packet) = self.queue.front() {
            match self.connection.send_packet(packet) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(e) if e.errno() == Errno::AGAIN => return,
                Err(_) => {
                    self.queue.clear();
                    self.gone = true;
                }
            }
        }
    }
}

impl Clients {
    /// `first`: the command that started the container.
    pub(super) fn new(listener: OwnedFd, first: Connection) -> Self {
        let mut clients = Self {
            listener,
            deaf_until: None,
            clients: Vec::new(),
        };
        clients.add(first);
        clients
    }

    /// Every descriptor that is in use.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.clients
            .iter()
            .map(|c| c.connection.as_fd().as_raw_fd())
            .chain([self.listener.as_raw_fd()])
    }

    fn add(&mut self, connection: Connection) {
        if rustix::io::ioctl_fionbio(&connection, true).is_ok() {
            self.clients.push(Client {
                connection,
                attached: false,
                owed: false,
                queue: VecDeque::new(),
                gone: false,
            });
        }
    }

    pub(super) fn accept(&mut self) {
        match accept_with(&self.listener, SocketFlags::CLOEXEC) {
            Ok(socket) => self.add(Connection::new(socket)),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            // Out of descriptors, or of memory.
            Err(_) => self.deaf_until = Some(Instant::now() + DEAF),
        }
    }

    /// When the listener is to be asked again, if it is not now.
    pub(super) fn deaf_until(&mut self, now: Instant) -> Option<Instant> {
        self.deaf_until = self.deaf_until.filter(|until| *until > now);
        self.deaf_until
    }

    /// An answer to one client.
    pub(super) fn tell(&mut self, number: usize, frame: &Frame) {
        if let Some(client) = self.clients.get_mut(number) {
            client.push(&frame.encode());
        }
    }

    /// This client has sent input.
    pub(super) fn owe(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number) {
            client.owed = true;
        }
    }

    /// There is room for input: who has sent some may send more.
    pub(super) fn ask_for_input(&mut self) {
        for client in self.clients.iter_mut().filter(|c| c.owed) {
            client.owed = false;
            client.push(&Frame::InputTaken.encode());
        }
    }

    /// The first word to the first client. What it has already said (that it attaches) counts before any output.
    pub(super) fn greet(&mut self, frame: &Frame) {
        if let Some(first) = self.clients.first_mut() {
            first.push(&frame.encode());
        }
        if !self.clients.is_empty() {
            self.receive_attach(0);
        }
    }

    fn receive_attach(&mut self, number: usize) {
        let client = &mut self.clients[number];
        match client.connection.receive() {
            Ok(Received::Frame(Frame::Attach)) => client.attached = true,
            Ok(Received::End) | Err(_) => client.gone = true,
            // The first frame of every client is Attach or nothing.
            Ok(_) => {}
        }
    }

    pub(super) fn poll<'a>(&'a self, wanted: &mut Vec<(Source, PollFd<'a>)>) {
        if self.deaf_until.is_none() {
            wanted.push((Source::Listener, PollFd::new(&self.listener, PollFlags::IN)));
        }
        for (number, client) in self.clients.iter().enumerate() {
            // Always: input that the program does not take must hold up neither signals nor others who come in.
            let mut events = PollFlags::IN;
            if !client.queue.is_empty() {
                events |= PollFlags::OUT;
            }
            wanted.push((
                Source::Client(number),
                PollFd::from_borrowed_fd(client.connection.as_fd(), events),
            ));
        }
    }

    /// What the client has to say, and room for what it is to hear.
    pub(super) fn receive(&mut self, number: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        let Some(client) = self.clients.get_mut(number) else {
            return frames;
        };
        client.flush();
        match client.connection.receive() {
            Ok(Received::Frame(Frame::Attach)) => client.attached = true,
            Ok(Received::Frame(frame)) => frames.push(frame),
            Ok(Received::Nothing) => {}
            Ok(Received::End) | Err(_) => client.gone = true,
        }
        frames
    }

    /// Sends output to all who are attached.
    pub(super) fn broadcast(&mut self, frame: &Frame) {
        let mut attached = self.clients.iter_mut().filter(|c| c.attached).peekable();
        if attached.peek().is_none() {
            return;
        }
        let packet = frame.encode();
        attached.for_each(|c| c.push(&packet));
    }

    /// Somebody does not keep up.
    pub(super) fn congested(&self) -> bool {
        self.clients.iter().any(|c| !c.queue.is_empty())
    }

    /// Forgets those who are gone. Only between two rounds, since a round counts them.
    pub(super) fn sweep(&mut self) {
        let before = self.clients.len();
        self.clients.retain(|c| !c.gone);
        if self.clients.len() < before {
            self.deaf_until = None;
        }
    }

    /// Waits until all queues are empty, or those who hold them up are given up.
    pub(super) fn wait_for_room(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.clients.iter_mut().for_each(Client::flush);
            self.sweep();
            if !self.congested() {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.clients.retain(|c| c.queue.is_empty());
                return;
            }
            let mut fds: Vec<PollFd<'_>> = self
                .clients
                .iter()
                .filter(|c| !c.queue.is_empty())
                .map(|c| PollFd::new(&c.connection, PollFlags::OUT))
                .collect();
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let _ = poll(&mut fds, Some(&timeout));
        }
    }

    /// The last word to everybody, also to those who have just come in.
    pub(super) fn farewell(&mut self, frame: &Frame) {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let waiting = |listener: &OwnedFd| {
            let mut pending = [PollFd::new(listener, PollFlags::IN)];
            matches!(poll(&mut pending, Some(&now)), Ok(n) if n > 0)
        };
        self.deaf_until = None;
        while self.deaf_until.is_none() && waiting(&self.listener) {
            self.accept();
        }
        let packet = frame.encode();
        for client in &mut self.clients {
            client.push(&packet);
        }
        self.wait_for_room();
    }
}
