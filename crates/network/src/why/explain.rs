//! From what was recorded to steps and a verdict, as pure data.

use std::collections::BTreeMap;

use rustix::io::Errno;

use crate::Protocol;
use crate::nft::{Event, Family, Hook, Met, Packet};
use crate::probe::Outcome;
use crate::route::{Decision, Question, RouteKind};

use super::passage::{PREFIX, Passage, changes, mark, passages};
use super::verdict::verdict;
use super::watch::link;
use super::{Explanation, Recorded, Seen, Step, Way, What, tell};

/// What became of a probe, and why.
pub fn explain(recorded: &Recorded) -> Explanation {
    let passages = passages(recorded);
    let mut steps = Vec::new();
    for passage in &passages {
        walk(recorded, passage, &mut steps);
    }
    if passages.is_empty()
        && let Outcome::Failed(_) = recorded.outcome
        && let Some(seen) = recorded.places.first()
        && let Some((question, Err(errno))) = seen.decisions.first()
    {
        steps.push(Step {
            way: Way::Request,
            place: seen.name.clone(),
            hook: "routing".to_owned(),
            what: What::NoRoute {
                to: question.to,
                why: tell::no_route(*errno, true),
            },
        });
    }
    let verdict = verdict(recorded, &passages, &steps);
    Explanation {
        protocol: recorded.protocol,
        place: recorded
            .places
            .first()
            .map(|seen| seen.name.clone())
            .unwrap_or_default(),
        from: recorded.from,
        to: recorded.to,
        steps,
        verdict,
        notes: notes(recorded),
    }
}

/// What of the routing table is to be asked, for each place by its number.
pub(super) fn questions(recorded: &Recorded) -> BTreeMap<usize, Vec<Question>> {
    let mut all: BTreeMap<usize, Vec<Question>> = BTreeMap::new();
    // The first, even if nothing was seen: perhaps there is no way from there.
    all.entry(0).or_default().push(Question {
        to: recorded.to.ip(),
        from: None,
        by: None,
    });
    for passage in passages(recorded) {
        let mut places = recorded.places.iter();
        let Some(index) = places.position(|seen| std::ptr::eq(seen, passage.seen)) else {
            continue;
        };
        let questions = all.entry(index).or_default();
        let question = question(&passage);
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    all
}

/// What was asked of the routing table for a packet.
pub(super) fn question(passage: &Passage<'_>) -> Question {
    let hook = match passage.by {
        Some(_) => Hook::Prerouting,
        None => Hook::Output,
    };
    let packet = passage.after(hook).unwrap_or_else(|| passage.last());
    Question {
        to: packet.destination,
        from: passage.by.map(|_| packet.source),
        by: passage.by,
    }
}

pub(super) fn decision<'s>(
    passage: &Passage<'s>,
) -> Option<(Question, &'s Result<Decision, Errno>)> {
    let question = question(passage);
    let mut decisions = passage.seen.decisions.iter();
    let (_, decision) = decisions.find(|(asked, _)| *asked == question)?;
    Some((question, decision))
}

/// What one packet met in one place, put behind `steps`.
fn walk(recorded: &Recorded, passage: &Passage<'_>, steps: &mut Vec<Step>) {
    let seen = passage.seen;
    let mut hook = String::new();
    let mut before: Packet = passage.packet;
    for event in &passage.events {
        let stage = mark(seen, event);
        if let Some(told) = stage
            .map(|stage| stage.hook.name().to_owned())
            .or_else(|| hook_of(seen, event))
        {
            // Whatever changed it did so where it was before.
            translated(passage, &hook, &before, event, steps);
            hook = told;
        }
        before = event.packet.unwrap_or(before);
        let mut step = |hook: &str, what| {
            steps.push(Step {
                way: passage.way,
                place: seen.name.clone(),
                hook: hook.to_owned(),
                what,
            });
        };
        match stage {
            Some(stage) if stage.through && event.is_end() => match stage.hook {
                Hook::Prerouting | Hook::Output => {
                    if let Some(what) = route(passage) {
                        step("routing", what);
                    }
                }
                Hook::Postrouting => {
                    if let Some(what) = left(recorded, passage) {
                        step(&hook, what);
                    }
                }
                Hook::Input => step(&hook, What::Delivered),
                Hook::Forward => {}
            },
            Some(_) => {}
            None => {
                if let Some(what) = met(seen, event) {
                    step(&hook, what);
                }
            }
        }
    }
}

fn translated(
    passage: &Passage<'_>,
    hook: &str,
    before: &Packet,
    event: &Event,
    steps: &mut Vec<Step>,
) {
    let Some(now) = event.packet else { return };
    for (side, from, to) in changes(before, &now) {
        steps.push(Step {
            way: passage.way,
            place: passage.seen.name.clone(),
            hook: hook.to_owned(),
            what: What::Translated { side, from, to },
        });
    }
}

/// The hook of a base chain: packets are told of at its beginning alone.
fn hook_of(seen: &Seen, event: &Event) -> Option<String> {
    event.packet?;
    let mut chains = seen.chains.iter();
    let chain = chains.find(|chain| {
        chain.family == event.family && chain.table == event.table && chain.name == event.chain
    })?;
    let number = chain.base.as_ref()?.hook;
    let name = Hook::numbered(number)?.name();
    match event.family {
        Family::INET | Family::IPV4 | Family::IPV6 => Some(name.to_owned()),
        // A bridge's hooks have the same numbers.
        Family(7) => Some(format!("bridge {name}")),
        other => Some(format!("{other}")),
    }
}

fn met(seen: &Seen, event: &Event) -> Option<What> {
    // Another of these commands looks as well: its chains are no part of the way.
    if event.table.starts_with(PREFIX) {
        return None;
    }
    let table = format!("{} {}", event.family, event.table);
    let chain = event.chain.clone();
    Some(match &event.met {
        Met::Rule(handle, said) => {
            let key = (
                event.family,
                event.table.clone(),
                event.chain.clone(),
                *handle,
            );
            let rule = seen.rules.get(&key);
            What::Rule {
                table,
                chain,
                handle: *handle,
                text: rule.and_then(|rule| rule.text.clone()),
                comment: rule.and_then(|rule| rule.comment.clone()),
                verdict: tell::said(said),
            }
        }
        Met::Policy { drops } => What::Policy {
            table,
            chain,
            verdict: if *drops { "drop" } else { "accept" },
        },
        Met::Return | Met::Last => return None,
    })
}

/// What the routing table says, unless the packet has shown that it was otherwise.
fn route(passage: &Passage<'_>) -> Option<What> {
    let (question, decision) = decision(passage)?;
    let stage = passage.stage()?;
    let went_on = !matches!(stage.hook, Hook::Prerouting | Hook::Output);
    let to = question.to;
    match decision {
        Err(errno) if !went_on => {
            let why = tell::no_route(*errno, forwards(passage.seen, to.is_ipv4()));
            Some(What::NoRoute { to, why })
        }
        Ok(decision) => match decision.kind {
            RouteKind::Local => Some(What::Route {
                to,
                gateway: None,
                interface: None,
            }),
            RouteKind::Unicast | RouteKind::Many => Some(What::Route {
                to,
                gateway: decision.hop.gateway,
                interface: decision
                    .hop
                    .link
                    .and_then(|index| link(passage.seen, index))
                    .map(|link| link.name.clone()),
            }),
            _ if went_on => None,
            other => Some(What::NoRoute {
                to,
                why: format!("a route of the kind {other:?}").to_lowercase(),
            }),
        },
        Err(_) => None,
    }
}

/// Whether a place passes on what is not for it.
pub(super) fn forwards(seen: &Seen, ipv4: bool) -> bool {
    let setting = match ipv4 {
        true => "net.ipv4.ip_forward",
        false => "net.ipv6.conf.all.forwarding",
    };
    seen.settings.get(setting).is_none_or(|value| value != "0")
}

fn left(recorded: &Recorded, passage: &Passage<'_>) -> Option<What> {
    let out = link(passage.seen, passage.out()?)?;
    let known = tell::known(recorded, passage.last().destination);
    let is_bridge = out.kind.as_deref() == Some("bridge");
    let known = known.filter(|known| is_bridge || known.port == out.name);
    Some(What::Left {
        interface: out.name.clone(),
        port: known.filter(|_| is_bridge).map(|known| known.port.clone()),
        container: known.map(|known| known.name.clone()),
    })
}

fn notes(recorded: &Recorded) -> Vec<String> {
    let mut notes = Vec::new();
    for seen in &recorded.places {
        let name = &seen.name;
        if !seen.unseen.is_empty() {
            notes.push(format!(
                "{name} has tables of legacy iptables, whose rules tracing does not show: {}",
                seen.unseen.join(", ")
            ));
        }
        if seen.cut {
            notes.push(format!(
                "{name}: more was told than could be kept, and some steps may be missing"
            ));
        }
    }
    if recorded.protocol == Protocol::Udp && recorded.outcome == Outcome::Silence {
        notes.push("UDP: a program that has nothing to say to the probe is silent, too".to_owned());
    }
    notes
}
