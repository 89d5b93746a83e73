//! Datagrams: each client of a door has a socket of its own towards the container, so that answers find the way back.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::bell::Bell;
use crate::datagram::{connected, receive};

/// How long a client is remembered that says nothing and is told nothing: as long as the kernel remembers one that it
/// translates for (nf_conntrack_udp_timeout_stream).
const PATIENCE: Duration = Duration::from_secs(120);
/// Clients at a time; for a further one the one is forgotten that has been silent for longest.
const MOST_CLIENTS: usize = 256;
/// Datagrams that are passed on in one round.
const MOST_AT_ONCE: usize = 32;

/// Doors of a container, and who has come by them.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// Of their own: connections that fill the house are no reason to keep datagrams out.
    bell: Bell,
    doors: Vec<Door>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Door {
    socket: UdpSocket,
    to: SocketAddr,
}

#[derive(Debug)]
struct Client {
    /// The number of its door's socket.
    door: RawFd,
    from: SocketAddr,
    /// Connected to the container.
    socket: UdpSocket,
    until: Instant,
}

impl Datagrams {
    pub(super) fn open(&mut self, socket: UdpSocket, to: SocketAddr) -> Result<(), Errno> {
        self.bell.hang(socket.as_fd())?;
        self.doors.push(Door { socket, to });
        Ok(())
    }

    /// Where it is told that somebody stands at a door.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.bell.descriptor()
    }

    /// Closes all doors but those of which `keep` says so; who came by them is forgotten.
    pub(super) fn close(&mut self, keep: &mut dyn FnMut(SocketAddr) -> bool) {
        let mut keeps = |door: &Door| door.socket.local_addr().is_ok_and(&mut *keep);
        self.doors.retain(|door| keeps(door));
        let doors = &self.doors;
        self.clients
            .retain(|client| doors.iter().any(|door| door.number() == client.door));
    }

    /// What comes in at `at` leads there from now on, for whoever is known already, too.
    pub(super) fn lead(&mut self, at: SocketAddr, to: SocketAddr) {
        for door in &mut self.doors {
            if door.to != to && door.socket.local_addr().is_ok_and(|own| own == at) {
                door.to = to;
                let number = door.number();
                self.clients.retain(|client| client.door != number);
            }
        }
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let clients = self.clients.iter().map(|client| client.socket.as_raw_fd());
        let bell = self.bell.descriptor().map(|bell| bell.as_raw_fd());
        let doors = self.doors.iter().map(Door::number);
        doors.chain(clients).chain(bell)
    }

    /// Where answers come, with the number for [`Datagrams::answer`].
    pub(super) fn poll(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let clients = self.clients.iter().enumerate();
        clients.map(|(number, client)| (number, client.socket.as_fd()))
    }

    /// When the first client is to be forgotten.
    pub(super) fn due(&self) -> Option<Instant> {
        self.clients.iter().map(|client| client.until).min()
    }

    /// Forgets who has been silent for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.clients.retain(|client| client.until > now);
        if self.clients.is_empty() {
            self.clients = Vec::new();
        }
    }

    /// Passes on what has come in.
    pub(super) fn enter(&mut self, now: Instant) {
        for number in self.bell.rung() {
            self.pass(number, now);
        }
    }

    /// Passes on what has come in by the door of this number.
    fn pass(&mut self, number: RawFd, now: Instant) {
        let Some(door) = self.doors.iter().find(|door| door.number() == number) else {
            return;
        };
        let mut said = Vec::new();
        for _ in 0..MOST_AT_ONCE {
            let Ok(from) = receive(&door.socket, &mut said) else {
                break;
            };
            // Whoever is not on this machine finds nobody here, as with connections.
            let Some(from) = from.filter(|from| from.ip().is_loopback()) else {
                continue;
            };
            let mut known = self.clients.iter();
            let at = match known.position(|one| one.door == number && one.from == from) {
                Some(at) => at,
                None => {
                    let Ok(socket) = connected(door.to) else {
                        continue;
                    };
                    if self.clients.len() >= MOST_CLIENTS {
                        let clients = self.clients.iter().enumerate();
                        let silent = clients.min_by_key(|(_, client)| client.until);
                        let silent = silent.map_or(0, |(at, _)| at);
                        self.clients.swap_remove(silent);
                    }
                    self.clients.push(Client {
                        door: number,
                        from,
                        socket,
                        until: now + PATIENCE,
                    });
                    self.clients.len() - 1
                }
            };
            self.clients[at].until = now + PATIENCE;
            // That a port there is closed, said of an earlier one, is told with the first that is sent then; what is lost is
            // lost, as any datagram may be.
            let _ = self.clients[at].socket.send(&said);
        }
    }

    /// Passes on what the container answers the client of this number.
    pub(super) fn answer(&mut self, number: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let Some(door) = self.doors.iter().find(|door| door.number() == client.door) else {
            return;
        };
        let mut said = Vec::new();
        for _ in 0..MOST_AT_ONCE {
            // Nothing more, or that a port there is closed.
            if receive(&client.socket, &mut said).is_err() {
                return;
            }
            client.until = now + PATIENCE;
            // A client that is gone needs no answer.
            let _ = door.socket.send_to(&said, client.from);
        }
    }
}

impl Door {
    fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn door() -> (Datagrams, SocketAddr, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wait = Some(Duration::from_secs(10));
        server.set_read_timeout(wait).unwrap();
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        let mut datagrams = Datagrams::default();
        datagrams
            .open(socket, server.local_addr().unwrap())
            .unwrap();
        (datagrams, at, server)
    }

    fn client(at: SocketAddr) -> UdpSocket {
        let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let wait = Some(Duration::from_secs(10));
        client.set_read_timeout(wait).unwrap();
        client.connect(at).unwrap();
        client
    }

    #[test]
    fn each_client_has_its_own_answers() {
        let (mut datagrams, at, server) = door();
        let clients = [client(at), client(at)];
        let now = Instant::now();
        for (client, word) in clients.iter().zip(["one", "two"]) {
            client.send(word.as_bytes()).unwrap();
        }
        datagrams.enter(now);
        let mut heard = [0; 16];
        for _ in 0..2 {
            let (length, from) = server.recv_from(&mut heard).unwrap();
            let answer = [&heard[..length], b" too"].concat();
            server.send_to(&answer, from).unwrap();
        }
        for number in 0..2 {
            datagrams.answer(number, now);
        }
        for (client, word) in clients.iter().zip(["one too", "two too"]) {
            let length = client.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], word.as_bytes());
        }
        // An empty one is one, too.
        clients[0].send(b"").unwrap();
        datagrams.enter(now);
        assert_eq!(server.recv(&mut heard).unwrap(), 0);
    }

    #[test]
    fn whoever_is_silent_is_forgotten() {
        let (mut datagrams, at, _server) = door();
        let begun = Instant::now();
        assert_eq!(datagrams.due(), None);
        client(at).send(b"x").unwrap();
        datagrams.enter(begun);
        assert_eq!(datagrams.due(), Some(begun + PATIENCE));
        datagrams.sweep(begun + PATIENCE / 2);
        assert_eq!(datagrams.descriptors().count(), 3);
        datagrams.sweep(begun + PATIENCE);
        assert_eq!(datagrams.descriptors().count(), 2);
        // Of too many, the one that has been silent for longest. All are there at once, each with a port of its own.
        let clients: Vec<_> = (0..=MOST_CLIENTS).map(|_| client(at)).collect();
        for (late, client) in clients.iter().enumerate() {
            client.send(b"x").unwrap();
            datagrams.enter(begun + Duration::from_millis(late as u64));
        }
        assert_eq!(datagrams.descriptors().count(), 2 + MOST_CLIENTS);
        assert_eq!(
            datagrams.due(),
            Some(begun + Duration::from_millis(1) + PATIENCE)
        );
    }

    #[test]
    fn a_door_that_leads_elsewhere_leads_everybody() {
        let (mut datagrams, at, server) = door();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let client = client(at);
        let now = Instant::now();
        client.send(b"a").unwrap();
        datagrams.enter(now);
        datagrams.lead(at, other.local_addr().unwrap());
        client.send(b"bc").unwrap();
        datagrams.enter(now);
        assert_eq!(server.recv(&mut [0; 9]).unwrap(), 1);
        assert_eq!(other.recv(&mut [0; 9]).unwrap(), 2);
        datagrams.close(&mut |_| false);
        assert_eq!(datagrams.descriptors().count(), 1);
    }
}
