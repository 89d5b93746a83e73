//! Sends the probe and records what becomes of it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use soute_sys::{CallError, Called, inside};

use crate::Protocol;
use crate::nft::{
    Batch, Chain, ChainKind, Compare, Ct, Event, Expr, Family, Header, Hook, Met, Meta, Nftables,
    Reg, Rule, Table, Tracer,
};
use crate::probe::{Outcome, Probe, timespec};
use crate::route::{Link, Rtnetlink};

use super::explain::questions;
use super::passage::{FIRST, LAST, PREFIX, TRACKED};
use super::{Recorded, Request, Seen};

/// Before everything: what iptables' raw table does before defragmentation stands at the same place, -450.
const BEFORE_ALL: i32 = -450;
/// Behind connection tracking (-200), before anything is translated (-100).
const WHERE_TRACKED: i32 = -199;
/// Before a connection is confirmed, which is the last.
const AFTER_ALL: i32 = i32::MAX - 1;
/// Packets a second that are traced: the other side may send as many as it likes.
const MOST_PACKETS: u32 = 100;
/// Events that are kept of each place.
const MOST_EVENTS: usize = 4096;
/// The kernel tells a little later than it does.
const SETTLE: Duration = Duration::from_millis(50);
/// Longest file under /proc that is read.
const LONGEST: u64 = 1 << 16;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no nf_tables, or will not trace.
    #[error("packets cannot be traced in {place}")]
    Trace {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: CallError,
    },
    /// The probe cannot be made.
    #[error("no probe can be sent from {place}")]
    Probe {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: CallError,
    },
    /// Something that is asked of the kernel.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// One place while it is watched.
struct Watched {
    rules: Nftables,
    tracer: Tracer,
    seen: Seen,
}

/// Sends the probe, waits for an answer, and tells all that was seen of both. The caller has one thread
/// ([`soute_sys::process::fork`]).
///
/// # Errors
/// The kernel is older than Linux 5.12 or has no nf_tables; no CAP_NET_ADMIN.
pub fn watch(request: &Request<'_>) -> Result<Recorded, Error> {
    let start = request.places.first();
    let from = start.and_then(|place| place.namespace);
    let mut probe =
        Probe::new(from, request.protocol, request.to).map_err(|source| Error::Probe {
            place: start.map(|place| place.name.clone()).unwrap_or_default(),
            source,
        })?;
    let name = format!("{PREFIX}{}", std::process::id());
    // A table's name is a constant everywhere else; this is one for as long as the process lives.
    let table = Table {
        family: Family::INET,
        name: Box::leak(name.into_boxed_str()),
    };
    let mut watched = Vec::new();
    for place in &request.places {
        let one =
            trace(table, place.namespace, &probe, request).map_err(|source| Error::Trace {
                place: place.name.clone(),
                source,
            })?;
        watched.push(Watched {
            seen: Seen {
                name: place.name.clone(),
                table: table.name.to_owned(),
                ..one.seen
            },
            ..one
        });
    }
    probe.send();
    let outcome = listen(&probe, &mut watched, Instant::now() + request.timeout)?;
    let mut recorded = Recorded {
        protocol: request.protocol,
        from: probe.from().filter(|from| !from.ip().is_unspecified()),
        port: probe.port(),
        to: request.to,
        outcome,
        places: Vec::new(),
        known: request.known.clone(),
    };
    // The end of the connection is not to be traced as well.
    for (mut one, place) in watched.into_iter().zip(&request.places) {
        one.look_up_rules()?;
        let mut seen = one.seen;
        look_around(&mut seen, place.namespace)?;
        recorded.places.push(seen);
    }
    drop(probe);
    ask(&mut recorded, request)?;
    Ok(recorded)
}

/// Has the probe's packets traced in one place.
fn trace(
    table: Table,
    namespace: Option<BorrowedFd<'_>>,
    probe: &Probe,
    request: &Request<'_>,
) -> Result<Watched, CallError> {
    let mut rules = match namespace {
        Some(other) => Nftables::open_in(other)?,
        None => Nftables::open()?,
    };
    let before = rules.chains(Family::UNSPEC)?;
    let tracer = Tracer::open(namespace)?;
    let is_nat =
        |chain: &crate::nft::SeenChain| chain.base.as_ref().is_some_and(|base| base.kind == "nat");
    let legacy = read(namespace, "/proc/self/net/ip_tables_names").unwrap_or_default()
        + &read(namespace, "/proc/self/net/ip6_tables_names").unwrap_or_default();
    // Where nothing is translated, connections need not be known, and asking for them would have them kept track of.
    let translates = before.iter().any(is_nat) || legacy.lines().any(|name| name == "nat");
    let batch = batch(
        table,
        request.protocol,
        probe.port(),
        request.to.port(),
        translates,
    );
    rules.commit(&batch, None)?;
    let seen = Seen {
        chains: rules.chains(Family::UNSPEC)?,
        ..Seen::default()
    };
    Ok(Watched {
        rules,
        tracer,
        seen,
    })
}

fn chain(name: &'static str, hook: Hook, priority: i32) -> Chain {
    Chain::base(name, ChainKind::Filter, hook, priority)
}

fn batch(table: Table, protocol: Protocol, own: u16, to: u16, translates: bool) -> Batch {
    let mut batch = Batch::new(table);
    batch.add_owned_table("soute network why: it is gone in a moment");
    for (name, hook) in FIRST {
        batch.add_chain(&chain(name, hook, BEFORE_ALL));
    }
    for (name, hook) in LAST {
        batch.add_chain(&chain(name, hook, AFTER_ALL));
    }
    let reg = Reg::word(0);
    let is = |value: &[u8]| Expr::Cmp(reg, Compare::Equal, value.to_vec());
    let field = |offset| Expr::Payload {
        base: Header::Transport,
        offset,
        length: 2,
        to: reg,
    };
    let of = |number: u8| [Expr::Meta(Meta::L4proto, reg), is(&[number])];
    let traced = [
        Expr::AtMost(MOST_PACKETS),
        Expr::Immediate(reg, vec![1]),
        Expr::Trace(reg),
    ];
    let port = own.to_be_bytes();
    // The port in the packet that an ICMP message is about stands behind ICMP's header and that packet's IP header.
    let known_by = [
        (protocol.number(), 0, "from the probe's port"),
        (protocol.number(), 2, "to the probe's port"),
        (1, 8 + 20, "about the probe"),
        (58, 8 + 40, "about the probe, IPv6"),
    ];
    for chain in ["prerouting", "output"] {
        for (number, offset, comment) in known_by {
            let same = [field(offset), is(&port)];
            batch.add_rule(&Rule {
                chain,
                expressions: [&of(number)[..], &same, &traced].concat(),
                comment: comment.to_owned(),
            });
        }
    }
    if translates {
        for (name, hook) in TRACKED {
            batch.add_chain(&chain(name, hook, WHERE_TRACKED));
            let same = [
                Expr::Ct(Ct::OriginalSourcePort, reg),
                is(&port),
                Expr::Ct(Ct::OriginalDestinationPort, reg),
                is(&to.to_be_bytes()),
            ];
            batch.add_rule(&Rule {
                chain: name,
                expressions: [&same[..], &traced].concat(),
                comment: "of the probe's connection".to_owned(),
            });
        }
    }
    batch
}

/// Hears all places until something became of the probe, or until `deadline`.
fn listen(probe: &Probe, watched: &mut [Watched], deadline: Instant) -> Result<Outcome, CallError> {
    let mut outcome = None;
    let mut end = deadline;
    loop {
        for one in watched.iter_mut() {
            let seen = &mut one.seen;
            seen.cut |= !one.tracer.hear(MOST_EVENTS, &mut seen.events)?;
        }
        if outcome.is_none() {
            outcome = probe.outcome();
            if outcome.is_some() {
                end = end.min(Instant::now() + SETTLE);
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(outcome.unwrap_or(Outcome::Silence));
        }
        let mut waited: Vec<PollFd<'_>> = watched
            .iter()
            .map(|one| PollFd::new(&one.tracer, PollFlags::IN))
            .collect();
        if outcome.is_none() {
            waited.push(PollFd::from_borrowed_fd(probe.as_fd(), probe.wanted()));
        }
        match poll(&mut waited, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(CallError::new("poll(what is traced)", e)),
        }
    }
}

impl Watched {
    /// The texts of the rules that were met.
    fn look_up_rules(&mut self) -> Result<(), CallError> {
        let seen = &mut self.seen;
        for Event {
            family,
            table,
            chain,
            met,
            ..
        } in &seen.events
        {
            let Met::Rule(handle, _) = *met else { continue };
            let key = (*family, table.clone(), chain.clone(), handle);
            if *table == seen.table || seen.rules.contains_key(&key) {
                continue;
            }
            if let Some(text) = self.rules.rule(*family, table, chain, handle)? {
                seen.rules.insert(key, text);
            }
        }
        Ok(())
    }
}

/// What there is in a place besides: interfaces, tables that are not seen, settings.
fn look_around(seen: &mut Seen, namespace: Option<BorrowedFd<'_>>) -> Result<(), CallError> {
    seen.links = rtnetlink(namespace)?.links()?;
    for (file, program) in [
        ("ip_tables_names", "iptables-legacy"),
        ("ip6_tables_names", "ip6tables-legacy"),
    ] {
        let names = read(namespace, &format!("/proc/self/net/{file}")).unwrap_or_default();
        let names = names.lines().map(|name| format!("{name} of {program}"));
        seen.unseen.extend(names);
    }
    let settings = [
        "net/ipv4/ip_forward",
        "net/ipv6/conf/all/forwarding",
        "net/ipv4/conf/all/rp_filter",
        "net/bridge/bridge-nf-call-iptables",
    ];
    for setting in settings {
        if let Some(value) = read(namespace, &format!("/proc/sys/{setting}")) {
            let name = setting.replace('/', ".");
            seen.settings.insert(name, value.trim().to_owned());
        }
    }
    Ok(())
}

/// What the kernel would do with the packets that were seen, and what it knows of whom they were to be handed to.
fn ask(recorded: &mut Recorded, request: &Request<'_>) -> Result<(), CallError> {
    let asked: BTreeMap<usize, _> = questions(recorded);
    for (index, questions) in asked {
        let namespace = request.places.get(index).and_then(|place| place.namespace);
        let mut route = rtnetlink(namespace)?;
        let Some(seen) = recorded.places.get_mut(index) else {
            continue;
        };
        for question in questions {
            let decision = route.decide(question).map_err(|e| e.errno());
            if let Ok(decision) = &decision
                && let Some(link) = decision.hop.link
            {
                let next = decision.hop.gateway.unwrap_or(question.to);
                seen.neighbours.extend(route.neighbour(link, next)?);
            }
            seen.decisions.push((question, decision));
        }
    }
    Ok(())
}

fn rtnetlink(namespace: Option<BorrowedFd<'_>>) -> Result<Rtnetlink, CallError> {
    match namespace {
        Some(other) => Rtnetlink::open_in(other),
        None => Rtnetlink::open(),
    }
}

/// A file of /proc about the network that its reader is in. `None`: there is none, or it cannot be read.
fn read(namespace: Option<BorrowedFd<'_>>, path: &str) -> Option<String> {
    let open = || -> Result<OwnedFd, CallError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).called(|| format!("open({path:?})"))
    };
    let fd = match namespace {
        // Which network it is of is settled when it is opened.
        Some(other) => inside::network(other, || Ok([open()?])).map(|[fd]| fd),
        None => open(),
    };
    let mut text = String::new();
    let mut file = std::fs::File::from(fd.ok()?).take(LONGEST);
    file.read_to_string(&mut text).ok()?;
    Some(text)
}

/// The interface of this number in a place.
pub(super) fn link(seen: &Seen, index: u32) -> Option<&Link> {
    seen.links.iter().find(|link| link.index == index)
}
