//! `--sysctl`

use soute_runtime::plan::{Namespace, Namespaces};
use soute_runtime::sysctls;

use crate::error::Error;
use crate::request::Request;

/// Checks that each is a parameter of a namespace that the container has for itself.
pub(super) fn check(
    request: &Request,
    namespaces: &Namespaces,
) -> Result<Vec<(String, String)>, Error> {
    for (name, value) in &request.sysctls {
        let joined = |namespace: &Namespace| matches!(namespace, Namespace::Join(_));
        let others = match name.starts_with("net.") {
            true => joined(&namespaces.net),
            false => joined(&namespaces.ipc),
        };
        let checked = match others {
            true => Err("the container joins a namespace that is not its own"),
            false => sysctls::check(name, value, namespaces),
        };
        checked.map_err(|why| Error::Impossible(format!("--sysctl {name}: {why}")))?;
    }
    Ok(request.sysctls.clone().into_iter().collect())
}
