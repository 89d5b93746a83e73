//! Kernel parameters that a container may have its own way.

use crate::plan::{Namespace, Namespaces};

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

/// Whether a parameter may be set: only what a namespace of the container's own holds. Anything else would change the
/// machine (CVE-2022-0811 set kernel.core_pattern by way of a value).
///
/// # Errors
/// Why it may not.
pub fn check(name: &str, value: &str, namespaces: &Namespaces) -> Result<(), &'static str> {
    let clean = !name.is_empty()
        && name
            .split('.')
            .all(|part| !part.is_empty() && part != ".." && !part.contains('/'))
        && !value.contains(['\n', '\0']);
    if !clean {
        return Err("not the name of a kernel parameter, or a value of several lines");
    }
    // A namespace that is joined is another container's as much as this one's, and is its own to both.
    let own = |namespace: &Namespace, shared| match namespace.is_host() {
        true => Err(shared),
        false => Ok(()),
    };
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return own(
            &namespaces.ipc,
            "the container shares the machine's IPC namespace",
        );
    }
    if name.starts_with("net.") {
        return own(
            &namespaces.net,
            "the container shares the machine's network namespace",
        );
    }
    if name == "kernel.domainname" {
        return own(
            &namespaces.uts,
            "the container shares the machine's UTS namespace",
        );
    }
    Err("not a parameter of a namespace, so it would change the whole machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str, namespaces: &Namespaces) -> bool {
        check(name, value, namespaces).is_ok()
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
