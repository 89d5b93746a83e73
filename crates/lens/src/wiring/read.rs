//! What each namespace tells of itself, by a socket in it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use soute_network::route::Rtnetlink;
use soute_sys::CallError;

use super::ties::{order, resolve, wanted};
use super::{Interface, NetworkNamespace, Way, Wiring};
use crate::proc::Look;
use crate::text::{lossy, visible};
use crate::view::{Survey, kept_by};
use crate::{Bound, Error, Kind, Namespace, NamespaceId};

/// How often a namespace's first process may end before another is taken for it.
const TRIES: usize = 4;

/// Network namespaces, kept for as long as one looks: what is known of each, and, at the same place, a descriptor. `None`: it
/// has gone, or cannot be opened.
type Held = (Vec<NetworkNamespace>, Vec<Option<OwnedFd>>);

/// For an inode and a number that its namespace has for another, that one's inode.
type Numbers = HashMap<(u64, i32), u64>;

impl Survey {
    /// The links of all network namespaces, and what ties them. The caller has one thread.
    ///
    /// A namespace that cannot be entered is there without links, and says why.
    ///
    /// # Errors
    /// The caller's own cannot be read.
    pub fn wiring(&self) -> Result<Wiring, Error> {
        let (mut all, fds) = self.network_namespaces()?;
        let mut numbers = Numbers::new();
        // The caller's own needs no entering, which not everybody may.
        if let Some(own) = all.iter().position(|namespace| namespace.here) {
            let mut socket = Rtnetlink::open()?;
            look(&mut socket, &mut all[own])?;
            ask(&mut socket, own, &all, &fds, &mut numbers);
        }
        let (theirs, open) = others(&all, &fds);
        Rtnetlink::open_in_each(&open, |number, opened| {
            let at = theirs[number];
            let read = opened.and_then(|mut socket| {
                look(&mut socket, &mut all[at])?;
                ask(&mut socket, at, &all, &fds, &mut numbers);
                Ok(())
            });
            if let Err(e) = read {
                all[at].hidden = Some(e.to_string());
            }
        })?;
        resolve(&mut all, &numbers);
        let mut notes = self.notes();
        notes.extend(hidden(&all));
        Ok(Wiring {
            namespaces: all,
            notes,
        })
    }

    /// All that were found, the caller's own first, none of them read yet.
    pub(super) fn network_namespaces(&self) -> Result<Held, Error> {
        let own = self.proc.myself()?.namespace(Kind::Net.name())?.seen();
        let mut all = Vec::new();
        for namespace in self.found().of_kind(Kind::Net) {
            // The rest is shown all the same; that it is hidden is said.
            let (fd, why) = match crate::discover::open(&self.proc, namespace) {
                Ok(Some(fd)) => (Some(fd), None),
                Ok(None) => (None, Some("it has gone, or cannot be opened".to_owned())),
                Err(Error::Call(e)) => (None, Some(e.to_string())),
                Err(e) => return Err(e),
            };
            let mut described = self.describe_network(namespace, own)?;
            described.hidden = why.filter(|_| !described.here);
            all.push((described, fd));
        }
        all.sort_by_key(|(namespace, _)| (!namespace.here, namespace.ns));
        Ok(all.into_iter().unzip())
    }

    fn describe_network(
        &self,
        namespace: &Namespace,
        own: Option<NamespaceId>,
    ) -> Result<NetworkNamespace, Error> {
        let mut first = None;
        for pid in namespace.processes.iter().take(TRIES) {
            if let Look::Seen(process) = self.process(*pid)? {
                first = Some(process);
                break;
            }
        }
        let here = |bound: &&Bound| bound.seen_by.is_none();
        Ok(NetworkNamespace {
            ns: namespace.id.inode,
            here: Some(namespace.id) == own,
            machine: self.machine().basis(namespace),
            nprocs: namespace.processes.len(),
            pid: first.as_ref().map(|process| process.pid()),
            command: match &first {
                Some(process) => lossy(&process.stat.comm),
                None => kept_by(namespace, self.found()),
            },
            nsfs: namespace
                .bound
                .iter()
                .filter(here)
                .map(|bound| lossy(bound.path.as_os_str().as_bytes()))
                .collect(),
            hidden: None,
            links: Vec::new(),
            routes: Vec::new(),
        })
    }
}

fn look(socket: &mut Rtnetlink, namespace: &mut NetworkNamespace) -> Result<(), CallError> {
    let links = socket.links()?;
    let addresses = socket.addresses()?;
    namespace.links = links
        .iter()
        .map(|link| Interface::new(link, &addresses))
        .collect();
    namespace.links.sort_by_key(|link| link.index);
    namespace.routes = socket.routes()?.iter().map(Way::from).collect();
    Ok(())
}

/// The places of those that have to be entered, and can be, with their descriptors.
pub(super) fn others<'f>(
    all: &[NetworkNamespace],
    fds: &'f [Option<OwnedFd>],
) -> (Vec<usize>, Vec<BorrowedFd<'f>>) {
    let both = all.iter().zip(fds).enumerate();
    both.filter(|(_, (namespace, _))| !namespace.here)
        .filter_map(|(at, (_, fd))| Some((at, fd.as_ref()?.as_fd())))
        .unzip()
}

/// Asks the kernel which namespaces the numbers stand for that the one at `at`, in which `socket` is, uses for others. What it
/// does not tell stays unknown.
fn ask(
    socket: &mut Rtnetlink,
    at: usize,
    all: &[NetworkNamespace],
    fds: &[Option<OwnedFd>],
    numbers: &mut Numbers,
) {
    let namespace = &all[at];
    let mut left = wanted(namespace);
    if left.is_empty() {
        return;
    }
    for other in order(namespace, all) {
        let Some(fd) = &fds[other] else { continue };
        if let Ok(Some(number)) = socket.netnsid(fd.as_fd())
            && left.remove(&number)
        {
            numbers.insert((namespace.ns, number), all[other].ns);
            if left.is_empty() {
                return;
            }
        }
    }
}

/// One line for each reason for which namespaces are not shown.
pub(super) fn hidden(namespaces: &[NetworkNamespace]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for namespace in namespaces {
        let Some(why) = &namespace.hidden else {
            continue;
        };
        let ns = namespace.ns.to_string();
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, list)) => list.push(ns),
            None => reasons.push((why, vec![ns])),
        }
    }
    let line = |(why, list): (&str, Vec<String>)| {
        let these = match &list[..] {
            [one] => format!("network namespace {one} is"),
            many => format!("{} network namespaces are", many.len()),
        };
        format!("{these} not looked into: {}", visible(why.as_bytes()))
    };
    reasons.into_iter().map(line).collect()
}
