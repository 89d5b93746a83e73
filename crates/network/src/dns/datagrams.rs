//! Queries by UDP that others are asked.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::answer;
use crate::datagram::{connected, receive};

/// How long one server is waited for: a client asks again after five seconds (resolv.conf(5)), and two servers should
/// have had their turn by then.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;

/// A query that somebody is asked.
#[derive(Debug)]
pub(super) struct Asked {
    client: SocketAddr,
    query: Vec<u8>,
    /// Those who have not been asked yet.
    left: VecDeque<SocketAddr>,
    /// To who is asked now; none: it is over.
    socket: Option<UdpSocket>,
    until: Instant,
}

impl Asked {
    /// Asks the first of `servers`. `None`: nobody can be asked.
    pub(super) fn ask(
        client: SocketAddr,
        query: &[u8],
        servers: &[SocketAddr],
        now: Instant,
    ) -> Option<Self> {
        let mut asked = Self {
            client,
            query: query.to_vec(),
            left: servers.repeat(ROUNDS).into(),
            socket: None,
            until: now,
        };
        asked.next(now);
        asked.socket.is_some().then_some(asked)
    }

    /// Asks the next one, if there is one.
    fn next(&mut self, now: Instant) {
        self.socket = None;
        while let (None, Some(server)) = (&self.socket, self.left.pop_front()) {
            self.socket = connected(server)
                .and_then(|socket| {
                    socket.send(&self.query)?;
                    Ok(socket)
                })
                .ok();
        }
        self.until = now + PATIENCE;
    }

    pub(super) fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref()
    }

    pub(super) fn is_over(&self) -> bool {
        self.socket.is_none()
    }

    /// When the next one is asked.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Whoever is asked has said something, or refuses to.
    pub(super) fn hear(&mut self, clients: &UdpSocket, now: Instant) {
        let Some(socket) = &self.socket else { return };
        let mut heard = Vec::new();
        match receive(socket, &mut heard) {
            Ok(_) => {
                let heard = &heard[..];
                if !is_answer(heard, &self.query) {
                    return;
                }
                if has_failed(heard) && !self.left.is_empty() {
                    return self.next(now);
                }
                // A client that is gone needs no answer.
                let _ = clients.send_to(heard, self.client);
                self.socket = None;
            }
            Err(Errno::AGAIN) => {}
            Err(_) => self.go_on(clients, now),
        }
    }

    /// Whoever was asked does not answer.
    pub(super) fn go_on(&mut self, clients: &UdpSocket, now: Instant) {
        self.next(now);
        if self.is_over()
            && let Some(failure) = answer::failure(&self.query)
        {
            let _ = clients.send_to(&failure, self.client);
        }
    }
}

/// The same number, and the bit of answers.
pub(super) fn is_answer(heard: &[u8], query: &[u8]) -> bool {
    heard.len() >= 12 && heard.get(..2) == query.get(..2) && heard[2] & 0x80 != 0
}

/// SERVFAIL and REFUSED: another may know.
pub(super) fn has_failed(heard: &[u8]) -> bool {
    heard
        .get(3)
        .is_some_and(|flags| matches!(flags & 0xf, 2 | 5))
}
