//! Which namespaces are the machine's initial ones, or stand for them as seen from here.

use serde::Serialize;

use crate::proc::{Look, Proc};
use crate::{Discovery, Error, Kind, Namespace, NamespaceId};

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It is the machine's initial namespace: its inode is the one that the kernel fixes for that, or the kernel's own
    /// threads are in it.
    Initial,
    /// The initial one is out of sight (the caller is in a container): it is that of the first process here.
    FirstProcess,
    /// The first process is hidden too: it is the caller's own.
    Caller,
}

/// What "the machine's" means for each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine([Option<(NamespaceId, Basis)>; 8]);

impl Machine {
    /// From what was found and, on kernels that number the initial mount and network namespace like any other, from
    /// kthreadd.
    pub fn new(proc: &Proc, found: &Discovery) -> Result<Self, Error> {
        let kernel = kernel_threads(proc)?;
        let of_process = |pid: Option<u32>, kind| -> Option<NamespaceId> {
            found.of_process(pid?, kind).map(|namespace| namespace.id)
        };
        let caller = Some(std::process::id());
        Ok(Self(Kind::ALL.map(|kind| {
            let fixed = found
                .of_kind(kind)
                .find(|namespace| namespace.has_initial_inode());
            fixed
                .map(|namespace| (namespace.id, Basis::Initial))
                .or_else(|| Some((of_process(kernel, kind)?, Basis::Initial)))
                .or_else(|| Some((of_process(Some(1), kind)?, Basis::FirstProcess)))
                .or_else(|| Some((of_process(caller, kind)?, Basis::Caller)))
        })))
    }

    /// The machine's namespace of `kind`, and how that is known. `None`: a kind that this kernel lacks.
    pub fn namespace(&self, kind: Kind) -> Option<(NamespaceId, Basis)> {
        Kind::ALL
            .iter()
            .zip(self.0)
            .find(|(k, _)| **k == kind)
            .and_then(|(_, known)| known)
    }

    /// How `namespace` is known to be the machine's; `None`: it is not.
    pub fn basis(&self, namespace: &Namespace) -> Option<Basis> {
        self.namespace(namespace.kind)
            .filter(|(id, _)| *id == namespace.id)
            .map(|(_, basis)| basis)
    }

    #[cfg(test)]
    pub(crate) fn of(known: [Option<(NamespaceId, Basis)>; 8]) -> Self {
        Self(known)
    }
}

/// kthreadd, where the caller sees it: in the initial pid namespace alone. It never leaves the initial namespaces.
fn kernel_threads(proc: &Proc) -> Result<Option<u32>, Error> {
    const KTHREADD: u32 = 2;
    let Look::Seen(folder) = proc.process(KTHREADD)? else {
        return Ok(None);
    };
    let stat = folder.stat()?.seen();
    Ok(stat
        .filter(|stat| stat.kernel_thread && stat.parent == 0)
        .map(|_| KTHREADD))
}
