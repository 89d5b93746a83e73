//! Namespaces kept by an open descriptor of their file.

use super::Discovery;
use crate::proc::{Look, Proc};
use crate::{Descriptor, Error};

pub(super) fn discover(proc: &Proc, found: &mut Discovery) -> Result<(), Error> {
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
            let Look::Seen(Some(kind)) = folder.descriptor_namespace(fd)? else {
                continue;
            };
            if let Look::Seen(id) = folder.follow(&format!("fd/{fd}"))? {
                found
                    .entry(kind, id)
                    .descriptors
                    .push(Descriptor { pid, fd });
            }
        }
    }
    Ok(())
}
