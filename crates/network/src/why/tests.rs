//! Recorded events and what is said of them.

use std::net::IpAddr;

use rustix::io::Errno;
use soute_sys::net::IcmpError;

use super::*;
use crate::nft::{Hook, Met, Packet, Said, SeenBase, TracedHeader};
use crate::route::{Hop, LinkFlags, Reached, RouteKind, State};

const TABLE: &str = "soute-why-1";
const PORT: u16 = 40000;
const CLIENT: &str = "10.121.0.2:40000";
const WEB: &str = "10.121.0.3:80";
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;

fn packet(from: &str, to: &str, flags: u8) -> Packet {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    Packet {
        source: from.ip(),
        destination: to.ip(),
        protocol: 6,
        header: TracedHeader::Tcp {
            source: from.port(),
            destination: to.port(),
            flags,
        },
    }
}

fn event(id: u32, table: &str, chain: &str, met: Met, packet: Option<Packet>) -> Event {
    Event {
        family: Family::INET,
        table: table.to_owned(),
        chain: chain.to_owned(),
        met,
        id,
        packet,
        iif: None,
        oif: None,
    }
}

const ACCEPTS: Met = Met::Policy { drops: false };

/// A packet enters a hook; the first of all is seen by a rule that has it traced.
fn enters(id: u32, hook: &str, packet: Packet) -> Vec<Event> {
    vec![
        event(id, TABLE, hook, Met::Rule(9, Said::Continue), Some(packet)),
        event(id, TABLE, hook, Met::Last, None),
        event(id, TABLE, hook, ACCEPTS, None),
    ]
}

/// It comes to its end.
fn leaves(id: u32, hook: &str, packet: Packet) -> Vec<Event> {
    let chain = format!("{hook}-end");
    vec![
        event(id, TABLE, &chain, Met::Last, Some(packet)),
        event(id, TABLE, &chain, ACCEPTS, None),
    ]
}

fn by(iif: Option<u32>, oif: Option<u32>, mut events: Vec<Event>) -> Vec<Event> {
    for event in events.iter_mut().filter(|event| event.packet.is_some()) {
        (event.iif, event.oif) = (iif, oif);
    }
    events
}

/// Through one hook, without a change.
fn through(id: u32, hook: &str, packet: Packet) -> Vec<Event> {
    [enters(id, hook, packet), leaves(id, hook, packet)].concat()
}

fn link(index: u32, name: &str, kind: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        hardware: 1,
        flags: LinkFlags(LinkFlags::UP | LinkFlags::LOWER_UP),
        mtu: 1500,
        master: None,
        kind: Some(kind.to_owned()),
        link_index: None,
        link_netnsid: None,
        address: Vec::new(),
        state: State::Up,
        tag: None,
    }
}

fn chain(table: &str, name: &str, hook: Hook, drops: bool) -> SeenChain {
    SeenChain {
        family: Family::INET,
        table: table.to_owned(),
        name: name.to_owned(),
        base: Some(SeenBase {
            kind: "filter".to_owned(),
            hook: hook as u32,
            priority: 0,
            drops,
        }),
    }
}

fn seen(name: &str, events: Vec<Event>) -> Seen {
    let settings = [("net.ipv4.ip_forward", "1")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Seen {
        name: name.to_owned(),
        table: TABLE.to_owned(),
        chains: vec![
            chain("wall", "f", Hook::Forward, true),
            chain("soute", "forward", Hook::Forward, false),
        ],
        links: vec![link(3, "soute0", "bridge"), link(4, "eth0", "veth")],
        events,
        settings: settings.into(),
        ..Seen::default()
    }
}

fn recorded(outcome: Outcome, places: Vec<Seen>) -> Recorded {
    let known = Known {
        name: "web".to_owned(),
        address: WEB.parse::<SocketAddr>().unwrap().ip(),
        network: "bridge".to_owned(),
        port: "veth7".to_owned(),
    };
    Recorded {
        protocol: Protocol::Tcp,
        from: Some(CLIENT.parse().unwrap()),
        port: PORT,
        to: WEB.parse().unwrap(),
        outcome,
        places,
        known: vec![known],
    }
}

/// The probe on the machine, from a container, until it enters this hook.
fn until_forward() -> Vec<Event> {
    let probe = packet(CLIENT, WEB, SYN);
    let first = by(Some(3), None, through(1, "prerouting", probe));
    [first, by(Some(3), Some(3), enters(1, "forward", probe))].concat()
}

#[track_caller]
fn verdict(recorded: &Recorded, kind: End, words: &str) -> Explanation {
    let explanation = explain(recorded);
    assert_eq!(explanation.verdict.kind, kind, "{explanation:#?}");
    assert!(
        explanation.verdict.text.contains(words),
        "{:?} lacks {words:?}",
        explanation.verdict.text
    );
    explanation
}

#[test]
fn a_policy_that_drops_is_named() {
    let mut events = until_forward();
    let probe = packet(CLIENT, WEB, SYN);
    events.push(event(1, "wall", "f", Met::Last, Some(probe)));
    events.push(event(1, "wall", "f", Met::Policy { drops: true }, None));
    let recorded = recorded(Outcome::Silence, vec![seen("this machine", events)]);
    let told = verdict(
        &recorded,
        End::Stopped,
        "stopped in this machine, hook forward, by chain f of table inet wall: policy drop",
    );
    assert!(told.notes.is_empty());
    // It is told once, although a packet is sent again.
    let mut again = recorded;
    let twice = again.places[0].events.clone();
    again.places[0].events.extend(twice);
    assert_eq!(explain(&again).steps, told.steps);
}

#[test]
fn a_rule_of_soutes_is_named_with_what_to_do() {
    let mut events = until_forward();
    let probe = packet(CLIENT, WEB, SYN);
    events.push(event(
        1,
        "soute",
        "forward",
        Met::Rule(30, Said::Drop),
        Some(probe),
    ));
    let mut place = seen("this machine", events);
    let key = (Family::INET, "soute".to_owned(), "forward".to_owned(), 30);
    let text = RuleText {
        comment: Some("not from network to network".to_owned()),
        text: Some("counter drop".to_owned()),
    };
    place.rules.insert(key, text);
    let told = verdict(
        &recorded(Outcome::Silence, vec![place]),
        End::Stopped,
        "by rule 30 \"not from network to network\" of chain forward of table inet soute: counter drop",
    );
    assert!(told.verdict.hints[0].contains("soute network connect"));
}

#[test]
fn nothing_listens_where_it_is_delivered() {
    let probe = packet(CLIENT, WEB, SYN);
    // A packet that comes in has another number behind prerouting.
    let first = by(Some(4), None, through(1, "prerouting", probe));
    let events = [first, by(Some(4), None, through(2, "input", probe))].concat();
    let place = seen("container web", events);
    let told = verdict(
        &recorded(Outcome::Refused, vec![place]),
        End::Refused,
        "reaches container web 10.121.0.3:80, nothing listens there (RST)",
    );
    assert_eq!(told.steps.last().unwrap().what, What::Delivered);
}

#[test]
fn a_translation_is_a_step_and_the_answers_way_is_told() {
    let published = packet(CLIENT, "10.121.0.1:8080", SYN);
    let probe = packet(CLIENT, WEB, SYN);
    let answer = packet(WEB, CLIENT, SYN_ACK);
    let mut events = by(Some(3), None, enters(1, "prerouting", published));
    events.extend(by(Some(3), None, leaves(1, "prerouting", probe)));
    events.extend(by(Some(3), Some(3), through(1, "forward", probe)));
    events.extend(by(None, Some(3), through(1, "postrouting", probe)));
    events.extend(by(Some(3), None, through(5, "prerouting", answer)));
    let mut recorded = recorded(Outcome::Answered, vec![seen("this machine", events)]);
    recorded.to = "10.121.0.1:8080".parse().unwrap();
    let told = verdict(
        &recorded,
        End::Answered,
        "answered by container web 10.121.0.3:80",
    );
    let translated = What::Translated {
        side: "destination",
        from: "10.121.0.1:8080".parse().unwrap(),
        to: WEB.parse().unwrap(),
    };
    assert!(
        told.steps
            .iter()
            .any(|step| step.what == translated && step.hook == "prerouting")
    );
    let left = What::Left {
        interface: "soute0".to_owned(),
        port: Some("veth7".to_owned()),
        container: Some("web".to_owned()),
    };
    assert!(told.steps.iter().any(|step| step.what == left));
}

#[test]
fn what_tracing_does_not_show_is_said_to_be_unseen() {
    let mut place = seen("this machine", until_forward());
    place.unseen.push("filter of iptables-legacy".to_owned());
    let told = verdict(
        &recorded(Outcome::Silence, vec![place]),
        End::Lost,
        "seen last at the beginning of forward in this machine",
    );
    assert!(told.verdict.hints[0].contains("legacy iptables"));
    assert!(told.notes[0].contains("filter of iptables-legacy"));
}

/// Whoever refuses on the way says what those would say whom it was for.
#[test]
fn a_refusal_on_the_way_is_not_taken_for_an_arrival() {
    let refused = IcmpError {
        kind: 3,
        code: 3,
        from: None,
    };
    for outcome in [Outcome::Refused, Outcome::Icmp(refused)] {
        let place = seen("this machine", until_forward());
        verdict(
            &recorded(outcome, vec![place]),
            End::Stopped,
            "it was seen last at the beginning of forward in this machine",
        );
    }
}

#[test]
fn routing_tells_why_it_drops() {
    let probe = packet(CLIENT, WEB, SYN);
    let events = by(Some(3), None, through(1, "prerouting", probe));
    let question = Question {
        to: probe.destination,
        from: Some(probe.source),
        by: Some(3),
    };
    for (errno, forwards, words) in [
        (
            Errno::XDEV,
            "1",
            "nothing is expected from its source address",
        ),
        (Errno::NETUNREACH, "1", "no route leads to 10.121.0.3"),
        (Errno::HOSTUNREACH, "0", "net.ipv4.ip_forward is 0"),
    ] {
        let mut place = seen("this machine", events.clone());
        place.decisions.push((question, Err(errno)));
        let setting = "net.ipv4.ip_forward".to_owned();
        place.settings.insert(setting, forwards.to_owned());
        let told = verdict(
            &recorded(Outcome::Silence, vec![place]),
            End::NoRoute,
            words,
        );
        assert!(matches!(
            told.steps.last().unwrap().what,
            What::NoRoute { .. }
        ));
    }
    let asked = questions_of(&recorded(
        Outcome::Silence,
        vec![seen("this machine", events)],
    ));
    assert!(asked.contains(&question));
}

fn questions_of(recorded: &Recorded) -> Vec<Question> {
    super::explain::questions(recorded).remove(&0).unwrap()
}

#[test]
fn a_neighbour_that_is_not_there_is_named() {
    let probe = packet(CLIENT, WEB, SYN);
    let mut events = by(None, Some(4), through(1, "output", probe));
    events.extend(by(None, Some(4), through(1, "postrouting", probe)));
    let mut place = seen("container one", events);
    let question = Question {
        to: probe.destination,
        from: None,
        by: None,
    };
    let gateway: IpAddr = "10.121.0.1".parse().unwrap();
    let decision = Decision {
        kind: RouteKind::Unicast,
        hop: Hop {
            gateway: Some(gateway),
            link: Some(4),
        },
        source: None,
    };
    place.decisions.push((question, Ok(decision)));
    place.neighbours.push(Neighbour {
        link: 4,
        address: gateway,
        hardware: Vec::new(),
        reached: Reached::Failed,
    });
    let unreachable = IcmpError {
        kind: 3,
        code: 1,
        from: None,
    };
    for outcome in [Outcome::Silence, Outcome::Icmp(unreachable)] {
        let recorded = recorded(outcome, vec![seen_again(&place)]);
        verdict(
            &recorded,
            End::Lost,
            "nobody there has the address 10.121.0.1",
        );
    }
}

fn seen_again(place: &Seen) -> Seen {
    Seen {
        decisions: place.decisions.clone(),
        neighbours: place.neighbours.clone(),
        ..seen(&place.name, place.events.clone())
    }
}

#[test]
fn what_is_seen_nowhere_is_said_so() {
    let recorded = recorded(Outcome::Silence, vec![seen("this machine", Vec::new())]);
    verdict(&recorded, End::Lost, "not seen on its way at all");
}

#[test]
fn packets_of_others_are_nobodys_steps() {
    let mut stranger = packet("192.0.2.9:5555", "192.0.2.1:22", SYN);
    let mut events = through(7, "prerouting", stranger);
    // Of the probe's connection, but neither its first packet nor the answer to that.
    stranger = packet(CLIENT, WEB, 16);
    events.extend(through(8, "prerouting", stranger));
    // The probe, in the table of another who looks.
    let probe = packet(CLIENT, WEB, SYN);
    events.extend(enters(9, "output", probe));
    events.push(event(9, "soute-why-2", "output", ACCEPTS, Some(probe)));
    let recorded = recorded(Outcome::Answered, vec![seen("this machine", events)]);
    assert!(explain(&recorded).steps.is_empty());
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    fn chains() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "prerouting",
            "prerouting-end",
            "prerouting-tracked",
            "input",
            "input-end",
            "forward",
            "forward-end",
            "output",
            "output-end",
            "postrouting",
            "postrouting-end",
            "f",
        ])
    }

    proptest! {
        #[test]
        fn whatever_is_recorded_is_explained(
            row in proptest::collection::vec(
                (0u32..3, chains(), 0u8..5, any::<Option<(bool, u8)>>(), any::<bool>()), 0..40)
        ) {
            let events = row.into_iter().map(|(id, chain, met, sent, own)| {
                let met = match met {
                    0 => Met::Last,
                    1 => Met::Rule(3, Said::Drop),
                    2 => Met::Return,
                    3 => Met::Policy { drops: true },
                    _ => ACCEPTS,
                };
                let sent = sent.map(|(back, flags)| match back {
                    true => packet(WEB, CLIENT, flags),
                    false => packet(CLIENT, WEB, flags),
                });
                event(id, if own { TABLE } else { "wall" }, chain, met, sent)
            });
            let places = [seen("this machine", events.collect())];
            for outcome in [Outcome::Silence, Outcome::Answered, Outcome::Refused] {
                let recorded = recorded(outcome, places.iter().map(seen_again).collect());
                prop_assert!(!explain(&recorded).verdict.text.is_empty());
                prop_assert!(!questions_of(&recorded).is_empty());
            }
        }
    }
}
