//! From events to passages: one packet's way through one network namespace.

use std::net::SocketAddr;

use crate::nft::{Event, Family, Hook, Packet, TracedHeader};

use super::{Recorded, Seen, Way};

/// What the names of tables that trace begin with; the process's number follows.
pub(super) const PREFIX: &str = "soute-why-";
/// The chains of the table that traces: at the beginning and at the end of each hook, so that it is seen which hooks a
/// packet has come through, and with which addresses.
pub(super) const FIRST: [(&str, Hook); 5] = [
    ("prerouting", Hook::Prerouting),
    ("input", Hook::Input),
    ("forward", Hook::Forward),
    ("output", Hook::Output),
    ("postrouting", Hook::Postrouting),
];
/// Where connections are known, for packets whose ports are not the probe's.
pub(super) const TRACKED: [(&str, Hook); 2] = [
    ("prerouting-tracked", Hook::Prerouting),
    ("output-tracked", Hook::Output),
];
pub(super) const LAST: [(&str, Hook); 5] = [
    ("prerouting-end", Hook::Prerouting),
    ("input-end", Hook::Input),
    ("forward-end", Hook::Forward),
    ("output-end", Hook::Output),
    ("postrouting-end", Hook::Postrouting),
];

/// RFC 9293
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// One packet's way through one network namespace.
#[derive(Debug)]
pub(super) struct Passage<'r> {
    pub(super) seen: &'r Seen,
    pub(super) way: Way,
    /// The packet as it came.
    pub(super) packet: Packet,
    /// The interface by which it came; none: it is from here.
    pub(super) by: Option<u32>,
    pub(super) events: Vec<&'r Event>,
}

/// How far a packet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) hook: Hook,
    /// To the end of that hook.
    pub(super) through: bool,
}

impl Passage<'_> {
    /// How far it came.
    pub(super) fn stage(&self) -> Option<Stage> {
        let mut marks = self.events.iter().rev();
        marks.find_map(|event| mark(self.seen, event))
    }

    /// As it was last seen.
    pub(super) fn last(&self) -> Packet {
        let mut packets = self.events.iter().rev();
        packets
            .find_map(|event| event.packet)
            .unwrap_or(self.packet)
    }

    /// As it was when it came to the end of this hook.
    pub(super) fn after(&self, hook: Hook) -> Option<Packet> {
        let through = Stage {
            hook,
            through: true,
        };
        let mut events = self.events.iter();
        let event = events.find(|event| mark(self.seen, event) == Some(through))?;
        event.packet
    }

    /// The interface by which it was to leave.
    pub(super) fn out(&self) -> Option<u32> {
        self.events.iter().rev().find_map(|event| event.oif)
    }
}

/// What an event of the table that traces says of how far a packet has come.
pub(super) fn mark(seen: &Seen, event: &Event) -> Option<Stage> {
    if event.family != Family::INET || event.table != seen.table {
        return None;
    }
    let in_row = |row: &[(&str, Hook)]| {
        let found = row.iter().find(|(name, _)| *name == event.chain);
        found.map(|(_, hook)| *hook)
    };
    let early = in_row(&FIRST).or_else(|| in_row(&TRACKED));
    let stage = |through| move |hook| Stage { hook, through };
    early
        .map(stage(false))
        .or_else(|| in_row(&LAST).map(stage(true)))
}

/// The passages of the probe and of its answer, each packet that was sent again once, in the order of their way.
pub(super) fn passages(recorded: &Recorded) -> Vec<Passage<'_>> {
    let of = |seen| of_place(recorded, seen);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for seen in &recorded.places {
        there.extend(of(seen).into_iter().filter(|one| one.way == Way::Request));
    }
    for seen in recorded.places.iter().rev() {
        back.extend(of(seen).into_iter().filter(|one| one.way == Way::Answer));
    }
    there.extend(back);
    there
}

fn of_place<'r>(recorded: &Recorded, seen: &'r Seen) -> Vec<Passage<'r>> {
    let mut all: Vec<Passage<'_>> = Vec::new();
    for events in groups(seen) {
        let Some((packet, by)) = events
            .iter()
            .find_map(|event| Some((event.packet?, event.iif)))
        else {
            continue;
        };
        let Some(way) = way(recorded, &packet) else {
            continue;
        };
        let again = all.iter().any(|one| {
            one.way == way && one.by == by && start(one.seen, &one.events) == start(seen, &events)
        });
        if !again {
            all.push(Passage {
                seen,
                way,
                packet,
                by,
                events,
            });
        }
    }
    all
}

/// The events of each packet.
fn groups(seen: &Seen) -> Vec<Vec<&Event>> {
    // With the number that the packet has by now: one that comes in has another behind prerouting.
    let mut groups: Vec<(u32, Vec<&Event>)> = Vec::new();
    for event in &seen.events {
        // A packet that is sent again may have the number of the first one.
        let same = |(id, group): &&mut (u32, Vec<&Event>)| {
            *id == event.id && !begins_again(seen, group, event)
        };
        if let Some((_, group)) = groups.iter_mut().rev().find(same) {
            group.push(event);
            continue;
        }
        let goes_on = |(_, group): &&mut (u32, Vec<&Event>)| goes_on(seen, group, event);
        match groups.iter_mut().find(goes_on) {
            Some((id, group)) => {
                *id = event.id;
                group.push(event);
            }
            None => groups.push((event.id, vec![event])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Whether an event is the first of the hook behind the one that a group has come through, of the same packet.
fn goes_on(seen: &Seen, group: &[&Event], event: &Event) -> bool {
    let last = group.iter().rev().find_map(|event| mark(seen, event));
    let (Some(last), Some(next)) = (last, mark(seen, event)) else {
        return false;
    };
    let follows = matches!(
        (last.hook, next.hook),
        (Hook::Prerouting, Hook::Input | Hook::Forward)
            | (Hook::Forward | Hook::Output, Hook::Postrouting)
    );
    let packet = group.iter().rev().find_map(|event| event.packet);
    last.through && !next.through && follows && packet == event.packet
}

fn start(seen: &Seen, events: &[&Event]) -> Option<Hook> {
    let mut marks = events.iter();
    marks
        .find_map(|event| mark(seen, event))
        .map(|stage| stage.hook)
}

fn begins_again(seen: &Seen, group: &[&Event], event: &Event) -> bool {
    let Some(stage) = mark(seen, event) else {
        return false;
    };
    let is_start = matches!(stage.hook, Hook::Prerouting | Hook::Output) && !stage.through;
    let before = group.iter().rev().find_map(|event| mark(seen, event));
    // Two rules of one chain, or two chains of one hook, are no new beginning.
    let new = |event: &Event| {
        event.packet.is_some() && FIRST.iter().any(|(name, _)| *name == event.chain)
    };
    is_start
        && before.is_some_and(|before| before.hook != stage.hook || before.through || new(event))
}

/// Whether a packet is the probe or what came back: of a connection, what opens it and the first answer to that.
fn way(recorded: &Recorded, packet: &Packet) -> Option<Way> {
    let port = recorded.port;
    match packet.header {
        TracedHeader::Tcp {
            source,
            destination,
            flags,
        } => match flags & (SYN | RST | ACK) {
            SYN if source == port => Some(Way::Request),
            flags if destination == port && (flags & RST != 0 || flags == SYN | ACK) => {
                Some(Way::Answer)
            }
            // Its source port was changed on the way: only connections tell, and the answer has the changed one.
            SYN if packet.to() == recorded.to => Some(Way::Request),
            flags if source == recorded.to.port() && flags & (SYN | RST) != 0 => Some(Way::Answer),
            _ => None,
        },
        TracedHeader::Ports {
            source,
            destination,
        } => {
            if source == port {
                Some(Way::Request)
            } else if destination == port || source == recorded.to.port() {
                Some(Way::Answer)
            } else {
                None
            }
        }
        // Errors alone are traced.
        TracedHeader::Icmp { .. } => Some(Way::Answer),
        TracedHeader::Unknown => None,
    }
}

/// A change of an address or a port.
pub(super) fn changes(
    before: &Packet,
    now: &Packet,
) -> impl Iterator<Item = (&'static str, SocketAddr, SocketAddr)> {
    let source = ("source", before.from(), now.from());
    let destination = ("destination", before.to(), now.to());
    [source, destination]
        .into_iter()
        .filter(|(_, before, now)| before != now)
}
