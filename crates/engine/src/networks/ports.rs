//! Published ports: which of the machine's lead where, and that nobody else has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with, sockopt,
};
use soute_network::Protocol;
use soute_network::plan::ports::{PortOfMachine, Wanted};
use soute_network::ruleset::Published;
use soute_sys::CallError;
use soute_sys::net::unspecified;

use super::{Noted, Wire, holder};
use crate::error::{Error, short};
use crate::places::Places;
use crate::record::Record;

/// How often another free port is looked for that both families have.
const MOST_TRIES: usize = 16;

/// A port of the machine's, taken: as long as the socket is open, no other program of the machine gets it.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) published: Published,
    pub(crate) socket: OwnedFd,
}

/// Where its socket is.
pub(crate) fn listening(port: &Published) -> SocketAddr {
    let any = unspecified(port.to.ip());
    (port.address.unwrap_or(any), port.port).into()
}

/// Whether the kernel leads there what comes: to ::1 it does not, and the container's monitor does.
pub(super) fn is_by_rules(port: &Published) -> bool {
    let local = |address: IpAddr| address.is_ipv6() && address.is_loopback();
    !port.address.is_some_and(local)
}

/// Takes the ports `wanted` for a container, for the addresses that it has by `wires`.
///
/// # Errors
/// One is taken: by whom. An address is not the machine's. The container has no address that it could lead to.
pub(super) fn reserve(
    places: &Places,
    record: &Record,
    wires: &[Wire],
    wanted: &[Wanted],
) -> Result<Vec<Reserved>, Error> {
    let mut reserved = Vec::new();
    for map in wanted {
        reserved.extend(one(places, record, wires, map)?);
    }
    Ok(reserved)
}

fn one(
    places: &Places,
    record: &Record,
    wires: &[Wire],
    map: &Wanted,
) -> Result<Vec<Reserved>, Error> {
    // Those of the first network that has one: where its way out is, answers go out.
    let target = |ipv4: bool| {
        let mut addresses = wires.iter().flat_map(|wire| &wire.addresses);
        addresses
            .find(|(one, _)| one.is_ipv4() == ipv4)
            .map(|(one, _)| *one)
    };
    let listening: Vec<IpAddr> = match map.address {
        Some(address) if !address.is_unspecified() => vec![address],
        Some(IpAddr::V4(any)) => vec![any.into()],
        Some(IpAddr::V6(any)) => vec![any.into()],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let mut pairs: Vec<(IpAddr, IpAddr)> = listening
        .into_iter()
        .filter_map(|address| Some((address, target(address.is_ipv4())?)))
        .collect();
    // Whoever says localhost means ::1 first, and is passed on by the monitor, to whichever address there is.
    let local = IpAddr::from(Ipv6Addr::LOCALHOST);
    let all = map.address.is_none() && super::has_ipv6();
    let has_local = pairs.iter().any(|(address, _)| address.is_ipv6());
    if map.protocol != Protocol::Sctp
        && !has_local
        && (all || map.address == Some(local))
        && let Some(own) = target(true)
    {
        pairs.push((local, own));
    }
    if map.address == Some(local) && map.protocol == Protocol::Sctp {
        return Err(Error::Impossible(format!(
            "{}: the kernel does not translate ::1, and soute passes on TCP and UDP alone there",
            told(map)
        )));
    }
    if pairs.is_empty() {
        return Err(Error::Impossible(format!(
            "{}: the container has no address of that family in its networks",
            told(map)
        )));
    }
    // Several are tried where any will do: one that the kernel gave for one family may be somebody's in the other.
    let candidates: Vec<u16> = match map.port {
        PortOfMachine::One(port) => vec![port],
        PortOfMachine::Of(first, last) => (first..=last).collect(),
        PortOfMachine::Any => vec![0; MOST_TRIES],
    };
    let mut last = None;
    for port in candidates {
        match hold_all(&pairs, map.protocol, port) {
            Ok((sockets, port)) => {
                let reserved = pairs
                    .iter()
                    .zip(sockets)
                    .map(|(&(address, container), socket)| Reserved {
                        published: Published {
                            address: match map.address {
                                None if address == local => Some(local),
                                given => given,
                            },
                            protocol: map.protocol,
                            port,
                            to: SocketAddr::new(container, map.container),
                            owner: format!("{} {}", record.name, short(&record.id)),
                            local: false,
                        },
                        socket,
                    });
                return Ok(reserved.collect());
            }
            Err((address, e)) if e.errno() == Errno::ADDRINUSE => last = Some((address, port, e)),
            Err((address, e)) => return Err(refused(places, map, address, port, e)),
        }
    }
    match (last, map.port) {
        (Some((address, port, e)), PortOfMachine::One(_)) => {
            Err(refused(places, map, address, port, e))
        }
        _ => Err(Error::Impossible(format!("{}: no port is free", told(map)))),
    }
}

/// The port, or a free one if it is 0, at each of the addresses. An error of one of them says of which.
fn hold_all(
    pairs: &[(IpAddr, IpAddr)],
    protocol: Protocol,
    mut port: u16,
) -> Result<(Vec<OwnedFd>, u16), (IpAddr, CallError)> {
    let mut sockets = Vec::new();
    for &(address, _) in pairs {
        let (socket, given) = hold(address, protocol, port).map_err(|e| (address, e))?;
        port = given;
        sockets.push(socket);
    }
    Ok((sockets, port))
}

/// A socket at the address, and the port that it has. By one of TCP nobody is let in until somebody serves it, and others
/// cannot take its port, although it does not wait for what connections before have left (TIME-WAIT).
pub(crate) fn hold(
    address: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Result<(OwnedFd, u16), CallError> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let family = soute_sys::net::family(address);
    let called = |call: &str, e: Errno| {
        let to = SocketAddr::new(address, port);
        CallError::new(format!("{call}({to}/{})", protocol), e)
    };
    // The kernel loads the module of a protocol that is asked for.
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))
        .map_err(|e| called("socket", e))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).map_err(|e| called("IPV6_V6ONLY", e))?;
    }
    if protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true).map_err(|e| called("SO_REUSEADDR", e))?;
    }
    bind(&socket, &SocketAddr::new(address, port)).map_err(|e| called("bind", e))?;
    if protocol == Protocol::Tcp {
        listen(&socket, 128).map_err(|e| called("listen", e))?;
    }
    let given = getsockname(&socket)
        .and_then(SocketAddr::try_from)
        .map_err(|e| called("getsockname", e))?;
    Ok((socket, given.port()))
}

/// Why the port cannot be had, in words.
fn refused(places: &Places, map: &Wanted, address: IpAddr, port: u16, e: CallError) -> Error {
    let why = match e.errno() {
        // Containers have this kernel, too.
        Errno::PROTONOSUPPORT if map.protocol == Protocol::Sctp => {
            "this kernel has no SCTP, so that nothing in a container could serve it (module sctp, CONFIG_IP_SCTP)"
                .to_owned()
        }
        Errno::ADDRNOTAVAIL => format!("{address} is no address of this machine"),
        Errno::ADDRINUSE => match owner(places, map, port) {
            Some(owner) => format!("port {port}/{} is {owner}", map.protocol),
            None => format!("port {port}/{} is taken", map.protocol),
        },
        _ => e.to_string(),
    };
    Error::Impossible(format!("{}: {why}", told(map)))
}

/// Whose a port is: a container's, or that of a program of the machine.
fn owner(places: &Places, map: &Wanted, port: u16) -> Option<String> {
    let same = |other: &Published| other.port == port && other.protocol == map.protocol;
    let container = super::all_noted(places)
        .into_iter()
        .find(|(_, Noted { published, .. })| published.iter().any(same));
    match container {
        Some((id, _)) => Some(format!(
            "container {}'s",
            crate::ids::name_of(places, &id)
                .ok()
                .flatten()
                .unwrap_or_else(|| short(&id).to_owned())
        )),
        None => holder::of(map.protocol, port),
    }
}

/// As `--publish` has it.
pub(super) fn told(map: &Wanted) -> String {
    let address = match map.address {
        Some(IpAddr::V6(address)) => format!("[{address}]:"),
        Some(IpAddr::V4(address)) => format!("{address}:"),
        None => String::new(),
    };
    let port = match map.port {
        PortOfMachine::One(port) => format!("{port}:"),
        PortOfMachine::Of(first, last) => format!("{first}-{last}:"),
        PortOfMachine::Any if map.address.is_some() => ":".to_owned(),
        PortOfMachine::Any => String::new(),
    };
    format!("-p {address}{port}{}/{}", map.container, map.protocol)
}
