//! What things are called in what is said.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use soute_sys::net::IcmpError;

use crate::nft::Said;

use super::{Known, Recorded, Way, What};

pub(super) fn said(said: &Said) -> String {
    match said {
        Said::Continue => "continue".to_owned(),
        Said::Accept => "accept".to_owned(),
        Said::Drop => "drop".to_owned(),
        Said::Stolen => "stolen".to_owned(),
        Said::Queue => "queue".to_owned(),
        Said::Return => "return".to_owned(),
        Said::Jump(chain) => format!("jump {chain}"),
        Said::Goto(chain) => format!("goto {chain}"),
        Said::Other(code) => format!("verdict {code}"),
    }
}

/// The probe, or its answer, at the beginning of a sentence's rest.
pub(super) fn whose(way: Way) -> &'static str {
    match way {
        Way::Request => "",
        Way::Answer => "the answer is ",
    }
}

/// What stopped a packet.
pub(super) fn stopper(what: &What) -> Option<String> {
    match what {
        What::Policy {
            table,
            chain,
            verdict: "drop",
        } => Some(format!("chain {chain} of table {table}: policy drop")),
        What::Rule {
            table,
            chain,
            handle,
            text,
            comment,
            verdict,
        } if verdict == "drop" => {
            let comment = comment.as_ref().map(|comment| format!(" {comment:?}"));
            let text = match text {
                Some(text) => format!(": {text}"),
                None => format!(" (nft -a list chain {table} {chain})"),
            };
            Some(format!(
                "rule {handle}{} of chain {chain} of table {table}{text}",
                comment.unwrap_or_default()
            ))
        }
        _ => None,
    }
}

/// The container that has an address.
pub(super) fn known(recorded: &Recorded, address: IpAddr) -> Option<&Known> {
    recorded.known.iter().find(|known| known.address == address)
}

/// Who has an address, with its port.
pub(super) fn who(recorded: &Recorded, place: Option<&str>, at: SocketAddr) -> String {
    match (known(recorded, at.ip()), place) {
        (Some(known), _) => format!("container {} {at}", known.name),
        (None, Some(place)) => format!("{place} {at}"),
        (None, None) => at.to_string(),
    }
}

/// What an ICMP message means (RFC 792, 1122, 1812; RFC 4443).
pub(crate) fn icmp(told: &IcmpError, ipv4: bool) -> &'static str {
    match (ipv4, told.kind, told.code) {
        (true, 3, 0) => "network unreachable",
        (true, 3, 1) => "host unreachable",
        (true, 3, 2) => "protocol unreachable",
        (true, 3, 3) | (false, 1, 4) => "port unreachable",
        (true, 3, 4) | (false, 2, _) => "packet too big",
        (true, 3, 9 | 10 | 13) | (false, 1, 1) => "prohibited by an administrator",
        (true, 11, _) | (false, 3, _) => "too many routers on the way",
        (false, 1, 0) => "no route",
        (false, 1, 3) => "address unreachable",
        (false, 1, 5 | 6) => "refused by a policy",
        _ => "an ICMP error",
    }
}

/// Whether it says that nothing listens there.
pub(crate) fn is_port_unreachable(told: &IcmpError, ipv4: bool) -> bool {
    matches!((ipv4, told.kind, told.code), (true, 3, 3) | (false, 1, 4))
}

/// Why there is no way, as the kernel's error tells.
pub(crate) fn no_route(errno: Errno, forwards: bool) -> String {
    match errno {
        Errno::NETUNREACH => "no route leads there".to_owned(),
        Errno::HOSTUNREACH if !forwards => "forwarding is off".to_owned(),
        Errno::HOSTUNREACH => "a route says that it is unreachable".to_owned(),
        Errno::XDEV => {
            "by that interface nothing is expected from that address (rp_filter)".to_owned()
        }
        Errno::ACCESS => "a route prohibits it".to_owned(),
        Errno::INVAL => {
            "a route drops it (blackhole), or the address cannot come by that interface".to_owned()
        }
        other => other.to_string(),
    }
}
