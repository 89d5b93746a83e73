//! The network namespace of a path: not the container's, and so neither written nor made.

use std::os::fd::{AsRawFd as _, OwnedFd};

use soute_sys::{CallError, Called as _};

use crate::plan::{Namespace, Namespaces};

/// The name by which images know it. runc's: images of a container of its are restored, too.
const NAME: &str = "extRootNetNS";

/// The arguments that tell criu to leave it out of the images.
pub(crate) fn external_network(namespaces: &Namespaces) -> Result<Vec<String>, CallError> {
    let Namespace::Join(network) = &namespaces.net else {
        return Ok(Vec::new());
    };
    let stat = rustix::fs::fstat(network).called(|| "fstat(the network namespace)".to_owned())?;
    Ok(vec![
        "--external".to_owned(),
        format!("net[{}]:{NAME}", stat.st_ino),
    ])
}

/// A descriptor that criu is given for it.
#[derive(Debug)]
pub(crate) struct Inherited(Option<OwnedFd>);

impl Inherited {
    /// It stays open across execve; nothing else is to be executed while it is there.
    pub(crate) fn network(namespaces: &Namespaces) -> Result<Self, CallError> {
        let Namespace::Join(network) = &namespaces.net else {
            return Ok(Self(None));
        };
        let copy = rustix::io::dup(network).called(|| "dup(the network namespace)".to_owned())?;
        Ok(Self(Some(copy)))
    }

    /// Its number.
    pub(crate) fn number(&self) -> Option<i32> {
        self.0.as_ref().map(|fd| fd.as_raw_fd())
    }

    /// The arguments that tell criu of it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self.number() {
            Some(number) => vec!["--inherit-fd".to_owned(), format!("fd[{number}]:{NAME}")],
            None => Vec::new(),
        }
    }
}
