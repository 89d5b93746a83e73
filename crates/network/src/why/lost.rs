//! Where a packet that no rule has stopped was seen last, and what the usual reasons are.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::Protocol;
use crate::nft::Hook;
use crate::route::{Decision, LinkFlags, Question, Reached, RouteKind};

use super::explain::{decision, forwards};
use super::passage::{Passage, Stage};
use super::verdict::said;
use super::watch::link;
use super::{End, Recorded, Verdict, Way, tell};

/// The verdict on a probe that nothing came back of, and that no rule has stopped.
pub(super) fn lost(
    recorded: &Recorded,
    passages: &[Passage<'_>],
    at: SocketAddr,
    delivered: Option<&str>,
) -> Verdict {
    let there = tell::who(recorded, delivered, at);
    let answer = passages.iter().rfind(|one| one.way == Way::Answer);
    if let Some(answer) = answer {
        return last_seen(recorded, answer);
    }
    let request = passages.iter().rfind(|one| one.way == Way::Request);
    match (request, delivered) {
        (None, _) => said(
            End::Lost,
            "the probe was not seen on its way at all".to_owned(),
            ["a filter of sockets or cgroups (BPF) may have dropped it"],
        ),
        (Some(_), Some(_)) => said(
            End::Silence,
            format!("reaches {there}, and nothing came back"),
            match recorded.protocol {
                _ if request.and_then(decision).is_some_and(is_for_many) => {
                    ["it is an address of all on a link (broadcast), to which nobody can connect"]
                }
                Protocol::Udp => [""],
                _ => [
                    "the program's queue of new connections is full, or a filter of its own drops it",
                ],
            },
        ),
        (Some(request), None) => last_seen(recorded, request),
    }
}

fn is_for_many((_, decision): (Question, &Result<Decision, Errno>)) -> bool {
    matches!(decision, Ok(decision) if decision.kind == RouteKind::Many)
}

/// The verdict on a probe that routing has stopped, if it did: whoever did it may have said so.
pub(super) fn unrouted_request(passages: &[Passage<'_>]) -> Option<Verdict> {
    let request = passages.iter().rfind(|one| one.way == Way::Request)?;
    let routed = Stage {
        hook: Hook::Prerouting,
        through: true,
    };
    (request.stage() == Some(routed)).then(|| unrouted(request, "it"))
}

/// The verdict on a probe that was seen last here, and did not leave.
pub(super) fn stopped_unseen(recorded: &Recorded, passages: &[Passage<'_>]) -> Option<Verdict> {
    let request = passages.iter().rfind(|one| one.way == Way::Request)?;
    let left = Stage {
        hook: Hook::Postrouting,
        through: true,
    };
    (request.stage() != Some(left)).then(|| last_seen(recorded, request))
}

/// The verdict on a probe that could not be handed to a neighbour, which its sender's own machine has told it.
pub(super) fn unclaimed_request(recorded: &Recorded, passages: &[Passage<'_>]) -> Option<Verdict> {
    let request = passages.iter().rfind(|one| one.way == Way::Request)?;
    let left = Stage {
        hook: Hook::Postrouting,
        through: true,
    };
    let stage = request.stage().filter(|stage| *stage == left);
    stage.and_then(|_| unclaimed(recorded, request, "it"))
}

fn last_seen(recorded: &Recorded, passage: &Passage<'_>) -> Verdict {
    let place = &passage.seen.name;
    let it = match passage.way {
        Way::Request => "it",
        Way::Answer => "the answer",
    };
    let Some(Stage { hook, through }) = passage.stage() else {
        return said(End::Lost, format!("{it} was lost in {place}"), [""]);
    };
    let name = hook.name();
    if !through {
        let legacy = match passage.seen.unseen.is_empty() {
            true => "something that tracing does not show drops it there",
            false => {
                "a rule of legacy iptables may drop it there: 'iptables-legacy -vnL' counts packets"
            }
        };
        let text =
            format!("{it} was seen last at the beginning of {name} in {place}, and not at its end");
        return said(End::Lost, text, [legacy]);
    }
    match hook {
        Hook::Prerouting => unrouted(passage, it),
        Hook::Forward | Hook::Output => said(
            End::Lost,
            format!("{it} was seen last at the end of {name} in {place}, and did not leave"),
            ["it is too big for the interface, or has come through too many routers"],
        ),
        Hook::Input => said(End::Silence, format!("{it} was delivered in {place}"), [""]),
        Hook::Postrouting => left(recorded, passage, it),
    }
}

/// It came in, and the routing table had no place for it.
fn unrouted(passage: &Passage<'_>, it: &str) -> Verdict {
    let seen = passage.seen;
    let packet = passage.after(Hook::Prerouting).unwrap_or(passage.packet);
    let (place, to, ipv4) = (&seen.name, packet.destination, packet.destination.is_ipv4());
    let asked = decision(passage).map(|(_, decision)| decision);
    let no = |why: &str, hint: &str| {
        let text = format!("{it} is dropped by routing in {place}: {why}");
        said(End::NoRoute, text, [hint])
    };
    match asked {
        Some(Err(Errno::XDEV)) => no(
            "by that interface nothing is expected from its source address",
            "rp_filter: net.ipv4.conf.*.rp_filter=2 takes it if any route leads back",
        ),
        Some(Err(Errno::NETUNREACH)) => no(
            &format!("no route leads to {to}"),
            "'ip route' lists the routes",
        ),
        _ if !forwards(seen, ipv4)
            && !matches!(asked, Some(Ok(decision)) if decision.kind == RouteKind::Local) =>
        {
            let setting = if ipv4 {
                "net.ipv4.ip_forward"
            } else {
                "net.ipv6.conf.all.forwarding"
            };
            no(
                &format!("{setting} is 0, nothing is forwarded"),
                &format!("'sysctl -w {setting}=1' turns it on"),
            )
        }
        Some(Err(errno)) => no(&tell::no_route(*errno, true), ""),
        Some(Ok(decision))
            if !matches!(
                decision.kind,
                RouteKind::Unicast | RouteKind::Local | RouteKind::Many
            ) =>
        {
            no(
                &format!("the route to {to} drops packets"),
                "'ip route' lists the routes",
            )
        }
        _ => said(
            End::Lost,
            format!(
                "{it} was seen last at the end of prerouting in {place}, and then neither forwarded nor delivered"
            ),
            [
                "the usual reasons are rp_filter, a source address that cannot be, forwarding that is off for that interface",
            ],
        ),
    }
}

/// Nobody on the link has the address that it was to be handed to.
fn unclaimed(recorded: &Recorded, passage: &Passage<'_>, it: &str) -> Option<Verdict> {
    let seen = passage.seen;
    let out = link(seen, passage.out()?)?;
    let next = next(passage);
    let neighbour = seen
        .neighbours
        .iter()
        .find(|one| one.address == next && out.index == one.link)?;
    if !matches!(neighbour.reached, Reached::Failed | Reached::Incomplete) {
        return None;
    }
    let how = if next.is_ipv4() {
        "ARP"
    } else {
        "neighbour discovery"
    };
    let (place, name) = (&seen.name, &out.name);
    let whose = tell::known(recorded, next).map(|known| format!(" of container {}", known.name));
    let whose = whose.unwrap_or_default();
    Some(said(
        End::Lost,
        format!(
            "{it} leaves {place} by {name}, but nobody there has the address {next}{whose} ({how} is not answered)"
        ),
        ["it is not running, or has another address, or is on another link"],
    ))
}

/// Who a packet is handed to: a router, or its destination.
fn next(passage: &Passage<'_>) -> std::net::IpAddr {
    decision(passage)
        .and_then(|(_, decision)| decision.as_ref().ok())
        .and_then(|decision| decision.hop.gateway)
        .unwrap_or_else(|| passage.last().destination)
}

/// It left, and was not seen again.
fn left(recorded: &Recorded, passage: &Passage<'_>, it: &str) -> Verdict {
    if let Some(unclaimed) = unclaimed(recorded, passage, it) {
        return unclaimed;
    }
    let seen = passage.seen;
    let place = &seen.name;
    let (to, next) = (passage.last().destination, next(passage));
    let out = passage.out().and_then(|index| link(seen, index));
    let name = out.map_or_else(|| "an interface".to_owned(), |out| out.name.clone());
    if let Some(out) = out.filter(|out| !out.flags.has(LinkFlags::LOWER_UP)) {
        return said(
            End::Lost,
            format!("{it} leaves {place} by {}, which has no carrier", out.name),
            ["the other end of it is down, or not there"],
        );
    }
    let whose = tell::known(recorded, to);
    let towards = match whose {
        Some(known) => format!("towards container {}", known.name),
        None if next != to => format!("by the router {next}"),
        None => format!("towards {to}"),
    };
    said(
        End::Lost,
        format!("{it} leaves {place} by {name} {towards}, and nothing came back"),
        match whose {
            Some(_) => [
                "'soute network check' from that container, and 'nft list ruleset' in it, tell more",
            ],
            None => ["what drops it is beyond this machine, or the other side is silent"],
        },
    )
}
