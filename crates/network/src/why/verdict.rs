//! What became of a probe, in one sentence.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::Protocol;
use crate::nft::Hook;
use crate::probe::Outcome;

use super::lost::{lost, stopped_unseen, unclaimed_request, unrouted_request};
use super::passage::Passage;
use super::{End, Recorded, Step, Verdict, Way, What, tell};

/// The verdict on a probe that has met `steps`.
pub(super) fn verdict(recorded: &Recorded, passages: &[Passage<'_>], steps: &[Step]) -> Verdict {
    let stopped = |way| {
        let mut steps = steps.iter().filter(|step| step.way == way);
        steps.find_map(|step| Some((step, tell::stopper(&step.what)?)))
    };
    let (at, delivered) = destination(recorded, passages);
    let there = tell::who(recorded, delivered, at);
    if recorded.outcome == Outcome::Answered {
        return said(End::Answered, format!("answered by {there}"), []);
    }
    let both = [Way::Request, Way::Answer].map(stopped);
    if let Some((step, stopper)) = both.into_iter().flatten().next() {
        let whose = tell::whose(step.way);
        let place = &step.place;
        return said(
            End::Stopped,
            format!(
                "{whose}stopped in {place}, hook {}, by {stopper}",
                step.hook
            ),
            hints_of(&step.what),
        );
    }
    let ipv4 = recorded.to.is_ipv4();
    if let Outcome::Icmp(_) = recorded.outcome
        && let Some(local) =
            unrouted_request(passages).or_else(|| unclaimed_request(recorded, passages))
    {
        return local;
    }
    match recorded.outcome {
        Outcome::Refused => refusal(recorded, passages, &there, delivered, "RST"),
        Outcome::Icmp(told) if tell::is_port_unreachable(&told, ipv4) => refusal(
            recorded,
            passages,
            &there,
            delivered,
            "ICMP port unreachable",
        ),
        Outcome::Icmp(told) => {
            let from = told.from.map(|from| format!("{from} answers: "));
            let (from, meaning) = (from.unwrap_or_default(), tell::icmp(&told, ipv4));
            let text = format!(
                "{from}{meaning} (ICMP type {}, code {})",
                told.kind, told.code
            );
            said(End::Stopped, text, [])
        }
        Outcome::Failed(
            errno @ (Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::XDEV
            | Errno::ACCESS
            | Errno::INVAL),
        ) => said(
            End::NoRoute,
            format!(
                "no way from {} to {}: {}",
                start(recorded),
                at.ip(),
                tell::no_route(errno, true)
            ),
            ["'ip route get' in that network namespace tells which route it is"],
        ),
        Outcome::Failed(errno) => said(
            End::Lost,
            format!("not sent from {}: {errno}", start(recorded)),
            [],
        ),
        Outcome::Silence | Outcome::Answered => lost(recorded, passages, at, delivered),
    }
}

/// Somebody says that nothing listens: whom it was for, or who is on the way and says the same.
fn refusal(
    recorded: &Recorded,
    passages: &[Passage<'_>],
    there: &str,
    delivered: Option<&str>,
    how: &str,
) -> Verdict {
    if delivered.is_some() {
        let text = format!("reaches {there}, nothing listens there ({how})");
        return said(End::Refused, text, []);
    }
    if let Some(stopped) = stopped_unseen(recorded, passages) {
        return Verdict {
            kind: End::Stopped,
            text: format!("refused on the way ({how}): {}", stopped.text),
            ..stopped
        };
    }
    let what = match recorded.protocol {
        Protocol::Udp => "it",
        _ => "the connection",
    };
    said(
        End::Refused,
        format!("{there} refuses {what} ({how})"),
        ["nothing listens there, or a firewall beyond this machine answers so"],
    )
}

fn start(recorded: &Recorded) -> &str {
    recorded.places.first().map_or("here", |seen| &seen.name)
}

/// Where the probe goes to after all translations, and the place where it was delivered.
fn destination<'r>(
    recorded: &'r Recorded,
    passages: &[Passage<'r>],
) -> (SocketAddr, Option<&'r str>) {
    let mut there = passages.iter().filter(|one| one.way == Way::Request);
    let last = there.next_back();
    let at = last.map_or(recorded.to, |passage| passage.last().to());
    let delivered = last.filter(|passage| {
        let stage = passage.stage();
        stage.is_some_and(|stage| stage.hook == Hook::Input && stage.through)
    });
    (at, delivered.map(|passage| passage.seen.name.as_str()))
}

pub(super) fn said<const N: usize>(kind: End, text: String, hints: [&str; N]) -> Verdict {
    Verdict {
        kind,
        text,
        hints: hints
            .into_iter()
            .map(str::to_owned)
            .filter(|hint| !hint.is_empty())
            .collect(),
    }
}

/// What to do about a rule or a policy.
fn hints_of(what: &What) -> [&'static str; 1] {
    match what {
        What::Rule { table, comment, .. } if table == "inet soute" => match comment.as_deref() {
            Some("not from network to network") => [
                "soute keeps networks apart: join both containers to one with 'soute network connect', or publish a port",
            ],
            Some("not into networks") => {
                ["soute lets nobody in but by published ports: 'soute run -p'"]
            }
            Some("not out of internal networks") => {
                ["the network was made with --internal: it has no way out"]
            }
            Some("this machine forwards for networks alone") => [
                "soute turned forwarding on for its own networks; 'sysctl -w net.ipv4.ip_forward=1' before soute starts makes the machine a router for all",
            ],
            _ => [""],
        },
        What::Policy { .. } => ["a rule of that chain that accepts it would let it pass"],
        _ => [""],
    }
}
