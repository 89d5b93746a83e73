//! Descriptors that criu keeps for the container: its network, and the caller's standard files.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use soute_sys::{CallError, Called as _};

use super::namespaces::NAME;
use super::standard::StandardFiles;
use crate::plan::{Namespace, Namespaces};

/// Copies that stay open across execve: nothing else is to be executed while they are there.
#[derive(Debug)]
pub(crate) struct Inherited(Vec<(OwnedFd, String)>);

impl Inherited {
    /// What `standard` has names for, and the network of a path.
    pub(crate) fn new(
        namespaces: &Namespaces,
        standard: &StandardFiles,
    ) -> Result<Self, CallError> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let callers = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let mut inherited = Vec::new();
        for (number, name) in standard.each_once() {
            let copy = rustix::io::dup(callers[number])
                .called(|| format!("dup({number}), which the container is to have"))?;
            inherited.push((copy, name.clone()));
        }
        if let Namespace::Join(network) = &namespaces.net {
            let copy =
                rustix::io::dup(network).called(|| "dup(the network namespace)".to_owned())?;
            inherited.push((copy, NAME.to_owned()));
        }
        Ok(Self(inherited))
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.0.iter().map(|(fd, _)| fd.as_raw_fd()).collect()
    }

    /// The arguments that tell criu of them.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let one = |(fd, name): &(OwnedFd, String)| {
            let number = fd.as_raw_fd();
            ["--inherit-fd".to_owned(), format!("fd[{number}]:{name}")]
        };
        self.0.iter().flat_map(one).collect()
    }
}
