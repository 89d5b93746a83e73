//! Kernel parameters that a container may have its own way.

use soute_runtime::plan::{Namespace, Namespaces};

use crate::error::Error;
use crate::request::Request;

/// Parameters of the IPC namespace (ipc_namespaces(7)); all below fs.mqueue besides.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks `--sysctl`: only what a namespace of the container's own holds may be set. Anything else would change the
/// machine (CVE-2022-0811 set kernel.core_pattern by way of a value).
pub(super) fn check(
    request: &Request,
    namespaces: &Namespaces,
) -> Result<Vec<(String, String)>, Error> {
    request
        .sysctls
        .iter()
        .map(|(name, value)| {
            let refuse = |why: &str| Err(Error::Impossible(format!("--sysctl {name}: {why}")));
            let clean = !name.is_empty()
                && name
                    .split('.')
                    .all(|part| !part.is_empty() && part != ".." && !part.contains('/'))
                && !value.contains(['\n', '\0']);
            if !clean {
                return refuse("not the name of a kernel parameter, or a value of several lines");
            }
            if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
                return if matches!(namespaces.ipc, Namespace::New) {
                    Ok((name.clone(), value.clone()))
                } else {
                    refuse("the container shares its IPC namespace")
                };
            }
            if name.starts_with("net.") {
                return if matches!(namespaces.net, Namespace::New) {
                    Ok((name.clone(), value.clone()))
                } else {
                    refuse("the container shares its network namespace")
                };
            }
            refuse("not a parameter of a namespace, so it would change the whole machine")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str, namespaces: &Namespaces) -> bool {
        let request = Request {
            sysctls: [(name.to_owned(), value.to_owned())].into(),
            ..Request::default()
        };
        check(&request, namespaces).is_ok()
    }

    #[test]
    fn only_what_a_namespace_holds() {
        let own = Namespaces::default();
        assert!(with("net.ipv4.ip_forward", "1", &own));
        assert!(with("kernel.shmmax", "1", &own));
        assert!(with("fs.mqueue.msg_max", "1", &own));
        for (name, value) in [
            ("kernel.core_pattern", "|/x"),
            ("vm.swappiness", "1"),
            ("net..x", "1"),
            ("net.ipv4/../../kernel.core_pattern", "1"),
            ("", ""),
            ("kernel.shmmax", "1\nx"),
        ] {
            assert!(!with(name, value, &own), "{name}");
        }
        let shared = Namespaces {
            net: Namespace::Host,
            ipc: Namespace::Host,
            ..Namespaces::default()
        };
        assert!(!with("net.ipv4.ip_forward", "1", &shared));
        assert!(!with("kernel.shmmax", "1", &shared));
    }
}
