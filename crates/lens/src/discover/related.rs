//! Owners and parents of what was found: some of them are found only so, having nobody in them.

use std::os::fd::OwnedFd;

use super::{Discovery, bound, sockets};
use crate::proc::{Look, Proc};
use crate::relations::{Related, identity, owner, owner_uid, parent, reopen};
use crate::{Error, Kind, Namespace, NamespaceId};

/// How many of those in a namespace are tried: all may have left since, but that many at once hardly ever.
const TRIES: usize = 4;

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    let ids: Vec<NamespaceId> = found.namespaces.keys().copied().collect();
    for id in ids {
        let Some(namespace) = found.get(id) else {
            continue;
        };
        let kind = namespace.kind;
        if let Some(fd) = open(proc, namespace)? {
            ask(kind, id, fd, found)?;
        }
    }
    Ok(())
}

/// Asks for the relations of `id`, then for those of the namespaces that only this has shown, and so on.
fn ask(kind: Kind, id: NamespaceId, fd: OwnedFd, found: &mut Discovery) -> Result<(), Error> {
    let mut questions = vec![(kind, id, fd)];
    while let Some((kind, id, fd)) = questions.pop() {
        let (owner, parent) = (owner(&fd, kind, id)?, parent(&fd, kind, id)?);
        let entry = found.entry(kind, id);
        entry.owner = owner.relation();
        entry.parent = parent.relation();
        if kind == Kind::User {
            entry.owner_uid = owner_uid(&fd)?;
        }
        for (kind, related) in [(Kind::User, owner), (kind, parent)] {
            if let Related::Is(id, fd) = related
                && found.get(id).is_none()
            {
                found.entry(kind, id);
                questions.push((kind, id, fd));
            }
        }
    }
    Ok(())
}

/// A descriptor of `namespace`, by way of whoever keeps it; `None`: all of them have gone.
pub(crate) fn open(proc: &Proc, namespace: &Namespace) -> Result<Option<OwnedFd>, Error> {
    let name = namespace.kind.name();
    let mut ways: Vec<(u32, String)> = Vec::new();
    ways.extend(
        namespace
            .processes
            .iter()
            .take(TRIES)
            .map(|pid| (*pid, format!("ns/{name}"))),
    );
    ways.extend(
        namespace
            .threads
            .iter()
            .take(TRIES)
            .map(|thread| (thread.pid, format!("task/{}/ns/{name}", thread.tid))),
    );
    ways.extend(
        namespace
            .for_children_of
            .iter()
            .take(TRIES)
            .map(|pid| (*pid, format!("ns/{name}_for_children"))),
    );
    ways.extend(
        namespace
            .descriptors
            .iter()
            .take(TRIES)
            .map(|descriptor| (descriptor.pid, format!("fd/{}", descriptor.fd))),
    );
    for (pid, path) in ways {
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        // A descriptor's number may by now be of another file, whose opening could act or block.
        if let Look::Seen(link) = folder.open_link(&path)?
            && let Some(fd) = reopen(&link)?
            && identity(&fd)? == namespace.id
        {
            return Ok(Some(fd));
        }
    }
    for socket in namespace.sockets.iter().take(TRIES) {
        if let Ok(Some((id, fd))) = sockets::of(socket.pid, socket.fd)
            && id == namespace.id
        {
            return Ok(Some(fd));
        }
    }
    bound::open(proc, namespace)
}
