//! Names, as a program in a network namespace finds their addresses: hosts(5), resolv.conf(5), and what the name servers
//! answer (RFC 1035).

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, connect, recv, send, sockopt};
use rustix::rand::{GetRandomFlags, getrandom};
use soute_sys::{CallError, Called};

use super::{open, ready};

const PORT: u16 = 53;
/// As many as a resolver heeds (resolv.conf(5)).
const MOST_SERVERS: usize = 3;
const MOST_SEARCHED: usize = 6;
/// More addresses than are tried.
const MOST_ADDRESSES: usize = 16;

/// The addresses that a file of the form of /etc/hosts has for a name.
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then_some(address)
    });
    lines.take(MOST_ADDRESSES).collect()
}

/// What a resolv.conf says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Who is asked, in this order.
    pub servers: Vec<SocketAddr>,
    /// Domains that a name is looked for in.
    pub search: Vec<String>,
    /// Names with fewer dots are looked for there first.
    pub ndots: usize,
}

impl Resolver {
    /// From its text; `index` knows interfaces' numbers. Without a server, this machine's own is asked.
    pub fn read(text: &str, index: &mut dyn FnMut(&str) -> Option<u32>) -> Self {
        let mut servers: Vec<SocketAddr> = servers(text, index).take(MOST_SERVERS).collect();
        let (mut search, mut ndots) = (Vec::new(), 1);
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // The last one counts.
                Some("search" | "domain") => {
                    search = words.take(MOST_SEARCHED).map(str::to_owned).collect();
                }
                Some("options") => {
                    let told = words
                        .rev()
                        .find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    ndots = told.map_or(ndots, |told: usize| told.min(15));
                }
                _ => {}
            }
        }
        if servers.is_empty() {
            servers.push((IpAddr::from([127, 0, 0, 1]), PORT).into());
        }
        Self {
            servers,
            search,
            ndots,
        }
    }

    /// The names that are asked for, one after the other, until one is known.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let own = format!("{name}.");
        let searched = self
            .search
            .iter()
            .map(|domain| format!("{name}.{}.", domain.trim_matches('.')));
        let mut all: Vec<String> = searched.collect();
        match name.matches('.').count() >= self.ndots {
            true => all.insert(0, own),
            false => all.push(own),
        }
        all
    }
}

/// The name servers of a resolv.conf, in its order: all of them. `index` knows interfaces' numbers, of those of a link.
pub fn servers(
    text: &str,
    index: &mut dyn FnMut(&str) -> Option<u32>,
) -> impl Iterator<Item = SocketAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let word = (words.next()? == "nameserver").then(|| words.next())??;
        server(word, index)
    })
}

fn server(word: &str, index: &mut dyn FnMut(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((address, interface)) = word.split_once('%') else {
        return Some((word.parse::<IpAddr>().ok()?, PORT).into());
    };
    let index = interface.parse().ok().or_else(|| index(interface))?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, index).into())
}

/// What a name server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The name's addresses: none, if it has something else.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// It could not tell, or would not.
    Refused(String),
    /// What it sent cannot be read.
    Garbled,
    /// It did not answer in time.
    Silence,
    /// It could not be asked.
    Failed(Errno),
}

/// Asks one server for a name's addresses of both kinds, by UDP, and by TCP what does not fit, from another network
/// namespace, or the caller's. The caller has one thread ([`soute_sys::process::fork`]).
///
/// # Errors
/// No socket; no name: longer than one can be.
pub fn ask(
    namespace: Option<BorrowedFd<'_>>,
    server: SocketAddr,
    name: &str,
    deadline: Instant,
) -> Result<Answer, CallError> {
    let name = Name::from_ascii(name)
        .map_err(|_| CallError::new(format!("{name:?} as a name"), Errno::INVAL))?;
    let mut addresses = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        match ask_one(namespace, server, &name, kind, deadline)? {
            Answer::Addresses(found) => addresses.extend(found),
            // Some servers know nothing of IPv6, and say nothing of it either.
            _ if kind == RecordType::AAAA => {}
            other => return Ok(other),
        }
    }
    addresses.truncate(MOST_ADDRESSES);
    Ok(Answer::Addresses(addresses))
}

fn ask_one(
    namespace: Option<BorrowedFd<'_>>,
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    deadline: Instant,
) -> Result<Answer, CallError> {
    let mut number = [0; 2];
    getrandom(&mut number, GetRandomFlags::empty()).called(|| "getrandom(2)".to_owned())?;
    let mut question = Message::query();
    question.metadata.id = u16::from_ne_bytes(number);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    let bytes = question
        .to_vec()
        .map_err(|_| CallError::new("a query's bytes", Errno::INVAL))?;
    let socket = open(namespace, server.ip(), SocketType::DGRAM, None)?;
    let sent = connect(&socket, &server).and_then(|()| send(&socket, &bytes, SendFlags::NOSIGNAL));
    if let Err(e) = sent {
        return Ok(Answer::Failed(e));
    }
    let mut datagram = [0; 4096];
    loop {
        match recv(&socket, &mut datagram[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => {
                let heard = datagram.get(..length).unwrap_or_default();
                match read(heard, &question) {
                    Heard::Other if Instant::now() < deadline => {}
                    Heard::Other => return Ok(Answer::Silence),
                    Heard::Cut => {
                        let socket = open(namespace, server.ip(), SocketType::STREAM, None)?;
                        return Ok(by_stream(&socket, server, &bytes, &question, deadline));
                    }
                    Heard::Answer(answer) => return Ok(answer),
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                if !ready(socket.as_fd(), PollFlags::IN, deadline) {
                    return Ok(Answer::Silence);
                }
            }
            Err(e) => return Ok(Answer::Failed(e)),
        }
    }
}

/// The same by TCP: each message behind its length in 16 bits.
fn by_stream(
    socket: &OwnedFd,
    server: SocketAddr,
    bytes: &[u8],
    question: &Message,
    deadline: Instant,
) -> Answer {
    match connect(socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(e) => return Answer::Failed(e),
    }
    if !ready(socket.as_fd(), PollFlags::OUT, deadline) {
        return Answer::Silence;
    }
    if let Ok(Err(e)) | Err(e) = sockopt::socket_error(socket) {
        return Answer::Failed(e);
    }
    let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
    framed.extend(bytes);
    // A query is far shorter than an empty socket's buffer.
    if let Err(e) = send(socket, &framed, SendFlags::NOSIGNAL) {
        return Answer::Failed(e);
    }
    let mut heard = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some((length, rest)) = heard.split_first_chunk()
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            return match read(message, question) {
                Heard::Answer(answer) => answer,
                Heard::Cut | Heard::Other => Answer::Garbled,
            };
        }
        match recv(socket, &mut part[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Answer::Garbled,
            Ok((length, _)) => heard.extend(part.get(..length).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {
                if !ready(socket.as_fd(), PollFlags::IN, deadline) {
                    return Answer::Silence;
                }
            }
            Err(e) => return Answer::Failed(e),
        }
    }
}

enum Heard {
    /// Not the answer to this question.
    Other,
    /// It is too long for UDP.
    Cut,
    Answer(Answer),
}

fn read(bytes: &[u8], question: &Message) -> Heard {
    let Ok(message) = Message::from_vec(bytes) else {
        // Its number alone tells that it is meant to be the answer.
        return match bytes.first_chunk() {
            Some(id) if u16::from_be_bytes(*id) == question.metadata.id => {
                Heard::Answer(Answer::Garbled)
            }
            _ => Heard::Other,
        };
    };
    if message.metadata.id != question.metadata.id
        || message.metadata.message_type != MessageType::Response
        || message.queries != question.queries
    {
        return Heard::Other;
    }
    if message.metadata.truncation {
        return Heard::Cut;
    }
    Heard::Answer(match message.metadata.response_code {
        ResponseCode::NoError => {
            let addresses = message
                .answers
                .iter()
                .filter_map(|record| match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                });
            Answer::Addresses(addresses.take(MOST_ADDRESSES).collect())
        }
        ResponseCode::NXDomain => Answer::NoSuchName,
        other => Answer::Refused(other.to_string()),
    })
}

/// For fuzz/: reads what a server sends to a question for `web.`, whose number its first bytes are.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    let mut question = Message::query();
    question.metadata.id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    if let Ok(name) = Name::from_ascii("web.") {
        question.add_query(Query::query(name, RecordType::A));
    }
    _ = read(bytes, &question);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolver(text: &str) -> Resolver {
        Resolver::read(text, &mut |name| (name == "eth0").then_some(7))
    }

    #[test]
    fn hosts_are_read_as_resolvers_read_them() {
        let text = "127.0.0.1 localhost\n# 10.0.0.1 web\n10.0.0.2\tweb WEB.example # web2\nnonsense web\n::2 web\n";
        let web: [IpAddr; 2] = ["10.0.0.2".parse().unwrap(), "::2".parse().unwrap()];
        assert_eq!(in_hosts(text, "Web"), web);
        assert_eq!(in_hosts(text, "web.example."), web[..1]);
        assert!(in_hosts(text, "web2").is_empty() && in_hosts(text, "").is_empty());
    }

    #[test]
    fn name_servers_and_domains_are_read_as_resolvers_read_them() {
        let read = resolver(
            "nameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver fe80::1%eth1\nnameserver x\nsearch a.example b.example\noptions ndots:2 rotate\n",
        );
        let servers: Vec<String> = read.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fe80::1%7]:53"]);
        assert_eq!(
            read.candidates("web.net"),
            ["web.net.a.example.", "web.net.b.example.", "web.net."]
        );
        assert_eq!(read.candidates("a.b.c")[0], "a.b.c.");
        assert_eq!(read.candidates("web."), ["web."]);
        assert_eq!(resolver("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut question = Message::query();
            question.add_query(Query::query(Name::from_ascii("web.").unwrap(), RecordType::A));
            if let [a, b, ..] = bytes.as_mut_slice() {
                [*a, *b] = question.metadata.id.to_be_bytes();
            }
            let _ = read(&bytes, &question);
        }
    }
}
