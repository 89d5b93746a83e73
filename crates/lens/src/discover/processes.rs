//! Namespaces with somebody in them.

use super::Discovery;
use crate::proc::{Look, NamespaceLinks, Proc};
use crate::{Error, Kind, NamespaceId, Thread};

/// The links that say where the next child will be, with the kind and that kind's link.
const FOR_CHILDREN: [(Kind, &str); 2] = [
    (Kind::Pid, "pid_for_children"),
    (Kind::Time, "time_for_children"),
];

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    // Ascending, so that each namespace's list is sorted.
    for pid in proc.pids()? {
        let links = match proc.links(pid)? {
            Look::Seen(links) => links,
            Look::Gone => continue,
            // hidepid=1: listed, but closed.
            Look::Hidden => {
                found.processes += 1;
                found.hidden.push(pid);
                continue;
            }
        };
        process(pid, &links, found)?;
    }
    Ok(())
}

fn process(pid: u32, links: &NamespaceLinks<'_>, found: &mut Discovery) -> Result<(), Error> {
    let mut own: [Option<NamespaceId>; 8] = [None; 8];
    for (kind, own) in Kind::ALL.into_iter().zip(&mut own) {
        match links.namespace(kind.name())? {
            Look::Seen(id) => {
                found.entry(kind, id).processes.push(pid);
                *own = Some(id);
            }
            // Ended, a zombie, or a kind that the kernel was built without.
            Look::Gone => {}
            Look::Hidden => {
                found.processes += 1;
                found.hidden.push(pid);
                return Ok(());
            }
        }
    }
    if own.iter().all(Option::is_none) {
        return Ok(());
    }
    found.processes += 1;
    let own = |kind: Kind| {
        Kind::ALL
            .iter()
            .zip(own)
            .find(|(k, _)| **k == kind)
            .and_then(|(_, id)| id)
    };

    for (kind, link) in FOR_CHILDREN {
        if let Look::Seen(id) = links.namespace(link)?
            && Some(id) != own(kind)
        {
            found.entry(kind, id).for_children_of.push(pid);
        }
    }

    if !links.has_extra_threads()? {
        return Ok(());
    }
    let Look::Seen(folder) = links.process()? else {
        return Ok(());
    };
    let Look::Seen(threads) = folder.threads()? else {
        return Ok(());
    };
    for tid in threads.into_iter().filter(|tid| *tid != pid) {
        let Look::Seen(thread) = folder.thread(tid)? else {
            continue;
        };
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_per_thread()) {
            if let Look::Seen(id) = thread.namespace(kind.name())?
                && Some(id) != own(kind)
            {
                found.entry(kind, id).threads.push(Thread { pid, tid });
            }
        }
    }
    Ok(())
}
