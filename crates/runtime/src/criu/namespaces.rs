//! The network namespace of a path: not the container's, and so neither written nor made.

use soute_sys::{CallError, Called as _};

use crate::plan::{Namespace, Namespaces};

/// The name by which images know it. runc's: images of a container of its are restored, too.
pub(super) const NAME: &str = "extRootNetNS";

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
