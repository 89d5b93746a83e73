//! Asks: the name of whom the container asks, the way and the answer of each address.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustix::io::Errno;
use soute_sys::CallError;

use super::{Heard, Named, Next, Request, SOUTE, Told, Tried, Way};
use crate::Mac;
use crate::probe::names::{Answer, Resolver, ask, in_hosts};
use crate::probe::{Echoed, Outcome, Probe, echo};
use crate::route::{Decision, Question, Reached, RouteKind, Rtnetlink};
use crate::why::tell;

/// How often an answer's time is waited for names in all.
const NAME_ROUNDS: u32 = 3;

pub(super) fn look_up(
    request: &Request<'_>,
    name: &str,
    route: &mut Rtnetlink,
) -> Result<(Vec<Named>, Vec<IpAddr>), CallError> {
    let mut named = Vec::new();
    let mut found = |name: &str, by: String, answer: Result<Vec<IpAddr>, String>| {
        let (addresses, failure) = match answer {
            Ok(addresses) => (addresses, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        named.push(Named {
            name: name.to_owned(),
            by,
            addresses: addresses.clone(),
            failure,
        });
        addresses
    };
    let hosts = request.hosts.as_deref();
    let in_file = hosts.map(|text| in_hosts(text, name)).unwrap_or_default();
    let failure = match hosts {
        Some(_) => "not in it",
        None => "there is no such file",
    };
    let answer = match in_file.is_empty() {
        true => Err(failure.to_owned()),
        false => Ok(in_file),
    };
    let addresses = found(name, "/etc/hosts".to_owned(), answer);
    if !addresses.is_empty() {
        return Ok((named, addresses));
    }
    let text = request.resolver.as_deref().unwrap_or_default();
    let resolver = Resolver::read(text, &mut |interface| {
        Some(route.link(interface).ok()??.index)
    });
    let end = Instant::now() + request.timeout * NAME_ROUNDS;
    for candidate in resolver.candidates(name) {
        for server in &resolver.servers {
            let deadline = end.min(Instant::now() + request.timeout);
            if Instant::now() >= end {
                break;
            }
            let answer = ask(Some(request.namespace), *server, &candidate, deadline);
            let (told, is_last) = match answer {
                Ok(Answer::Addresses(addresses)) if !addresses.is_empty() => (Ok(addresses), true),
                Ok(Answer::Addresses(_)) => (Err("it has no address".to_owned()), true),
                Ok(Answer::NoSuchName) => (Err("there is no such name".to_owned()), true),
                Ok(Answer::Refused(code)) => {
                    (Err(format!("the server cannot tell: {code}")), false)
                }
                Ok(Answer::Garbled) => (Err("the answer cannot be read".to_owned()), false),
                Ok(Answer::Silence) => (Err("no answer".to_owned()), false),
                Ok(Answer::Failed(Errno::CONNREFUSED)) => {
                    (Err("no name server is there".to_owned()), false)
                }
                Ok(Answer::Failed(errno)) => (Err(format!("it cannot be asked: {errno}")), false),
                // No name at all: longer than one can be.
                Err(e) if e.errno() == Errno::INVAL => (Err(e.to_string()), true),
                Err(e) => return Err(e),
            };
            let addresses = found(&candidate, format!("name server {server}"), told);
            if !addresses.is_empty() {
                return Ok((named, addresses));
            }
            if is_last {
                break;
            }
        }
    }
    if request.known.is_empty() {
        return Ok((named, Vec::new()));
    }
    let addresses = found(name, SOUTE.to_owned(), Ok(request.known.clone()));
    Ok((named, addresses))
}

pub(super) fn attempt(
    request: &Request<'_>,
    route: &mut Rtnetlink,
    address: IpAddr,
) -> Result<Tried, CallError> {
    let mut tried = Tried {
        address,
        route: Way::Local,
        neighbour: None,
        echo: None,
        port: None,
    };
    let (to, from, by) = (address, None, None);
    let hop = match route.decide(Question { to, from, by }) {
        Ok(Decision {
            kind: RouteKind::Local,
            ..
        }) => None,
        Ok(Decision {
            kind: RouteKind::Unicast | RouteKind::Many,
            hop,
            source,
        }) => {
            let link = match hop.link {
                Some(index) => route.link_numbered(index)?,
                None => None,
            };
            tried.route = Way::By {
                interface: link.map(|link| link.name).unwrap_or_default(),
                gateway: hop.gateway,
                source,
            };
            Some(hop)
        }
        Ok(other) => {
            tried.route = Way::None(format!("a route of the kind {:?}", other.kind).to_lowercase());
            return Ok(tried);
        }
        Err(e) => {
            tried.route = Way::None(tell::no_route(e.errno(), true));
            return Ok(tried);
        }
    };
    let namespace = Some(request.namespace);
    let deadline = Instant::now() + request.timeout;
    let at = SocketAddr::new(address, request.port.map_or(0, |(_, port)| port));
    if let Some((protocol, _)) = request.port {
        // Before the echo: what has a port open and does not echo is not waited for twice.
        let mut probe = Probe::new(namespace, protocol, at)?;
        probe.send();
        tried.port = Some(told_of_port(probe.wait(deadline), address.is_ipv4()));
    }
    let until = match &tried.port {
        // Whether it echoes is nothing new then, and a firewall's silence would only take time.
        Some(told) if told.kind == Heard::Answered => Instant::now() + request.timeout / 4,
        _ => Instant::now() + request.timeout,
    };
    let echoed = echo(namespace, at, until)?;
    tried.echo = Some(told_of_echo(echoed, address.is_ipv4()));
    if let Some(hop) = hop
        && let Some(link) = hop.link
    {
        let next = hop.gateway.unwrap_or(address);
        tried.neighbour = route.neighbour(link, next)?.map(|neighbour| Next {
            address: next,
            mac: <[u8; 6]>::try_from(neighbour.hardware.as_slice())
                .ok()
                .and_then(|bytes| Mac::new(bytes).ok())
                .map(|mac| mac.to_string()),
            state: match neighbour.reached {
                Reached::Incomplete => "incomplete",
                Reached::Reachable => "reachable",
                Reached::Known => "known",
                Reached::Failed => "failed",
                Reached::Fixed => "fixed",
                Reached::Unknown => "unknown",
            },
        });
    }
    Ok(tried)
}

fn told_of_port(outcome: Outcome, ipv4: bool) -> Told {
    let (kind, text) = match outcome {
        Outcome::Answered => (Heard::Answered, "answered".to_owned()),
        Outcome::Refused => (Heard::Refused, "refused (RST)".to_owned()),
        Outcome::Icmp(icmp) => told_of_icmp(&icmp, ipv4),
        Outcome::Failed(errno) => (Heard::Failed, errno.to_string()),
        Outcome::Silence => (Heard::Silence, "no answer".to_owned()),
    };
    Told { kind, text }
}

fn told_of_icmp(icmp: &soute_sys::net::IcmpError, ipv4: bool) -> (Heard, String) {
    let from = icmp.from.map(|from| format!(" from {from}"));
    let text = format!("{}{}", tell::icmp(icmp, ipv4), from.unwrap_or_default());
    match tell::is_port_unreachable(icmp, ipv4) {
        true => (Heard::Refused, format!("refused ({text})")),
        false => (Heard::Icmp, text),
    }
}

fn told_of_echo(echoed: Echoed, ipv4: bool) -> Told {
    let (kind, text) = match echoed {
        Echoed::After(time) => {
            let milliseconds = time.as_secs_f64() * 1000.0;
            (
                Heard::Answered,
                format!("answered after {milliseconds:.2} ms"),
            )
        }
        Echoed::Icmp(icmp) => told_of_icmp(&icmp, ipv4),
        Echoed::Failed(errno) => (Heard::Failed, errno.to_string()),
        Echoed::Silence => (Heard::Silence, "no answer".to_owned()),
    };
    Told { kind, text }
}
