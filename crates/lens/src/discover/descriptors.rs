//! Namespaces kept by an open descriptor of their file.

use super::Discovery;
use crate::proc::{Look, Proc};
use crate::{Descriptor, Error, NamespaceId};

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
    // The same for all; the caller's own are always seen.
    let Some(dev) = found.namespaces().next().map(|one| one.id.dev) else {
        return Ok(());
    };
    let myself = std::process::id();
    for pid in proc.pids()? {
        // The caller's own are of its looking.
        if pid == myself {
            continue;
        }
        let Look::Seen(folder) = proc.process(pid)? else {
            continue;
        };
        let Some(descriptors) = found.descriptors_of(&folder, pid)? else {
            continue;
        };
        for fd in descriptors {
            // Its text alone: followed, it may by now lead to another file.
            if let Look::Seen(Some((kind, inode))) = folder.descriptor_namespace(fd)? {
                let namespace = found.entry(kind, NamespaceId { dev, inode });
                namespace.descriptors.push(Descriptor { pid, fd });
            }
        }
    }
    Ok(())
}
