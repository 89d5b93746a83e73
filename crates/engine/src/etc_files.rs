//! /etc/hosts, /etc/hostname and /etc/resolv.conf: the container's own, over whatever the image has.

use std::net::IpAddr;

use soute_runtime::plan::MountSource;

use crate::networks::Wires;
use crate::record::Record;
use crate::request::{Network, Request};

/// Where they are in a container.
const HOSTS: &str = "/etc/hosts";
const HOSTNAME: &str = "/etc/hostname";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps the servers that it asks itself (systemd-resolved.service(8)).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// All of them.
pub(crate) const PATHS: [&str; 3] = [RESOLV_CONF, HOSTNAME, HOSTS];

/// What the machine itself has there.
#[derive(Debug, Default)]
pub(crate) struct MachineFiles {
    hosts: String,
    hostname: String,
    resolv_conf: String,
}

impl MachineFiles {
    /// Reads those that `request` needs; one that is not there is empty.
    pub(crate) fn read(request: &Request) -> Self {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        match &request.network {
            Network::Container(_) => Self::default(),
            network => Self {
                hosts: match network {
                    Network::Host => file(HOSTS),
                    _ => String::new(),
                },
                hostname: machine_hostname(),
                resolv_conf: match network {
                    Network::Networks(_) => reachable(&file(RESOLV_CONF), || file(RESOLVED)),
                    _ => file(RESOLV_CONF),
                },
            },
        }
    }
}

/// The files for one start: where, and what. With another container's network come that one's files.
pub(crate) fn files(
    record: &Record,
    machine: &MachineFiles,
    networks: &Wires,
) -> Vec<(&'static str, MountSource)> {
    let request = &record.request;
    if let Network::Container(_) = request.network {
        let same = |path: &'static str| {
            let path_there = path.to_owned();
            (path, MountSource::Neighbours { path: path_there })
        };
        return PATHS.map(same).to_vec();
    }
    let shared = request.network == Network::Host;
    let hostname = record.hostname.as_ref().unwrap_or(&machine.hostname);
    [
        (RESOLV_CONF, resolv_conf(request, &machine.resolv_conf)),
        (HOSTNAME, format!("{hostname}\n")),
        (
            HOSTS,
            hosts(request, shared.then_some(machine.hosts.as_str()))
                + &own_names(networks, hostname, &record.name),
        ),
    ]
    .map(|(path, content)| (path, MountSource::File { content }))
    .to_vec()
}

/// The name that the machine goes by.
pub(crate) fn machine_hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The container's own names at the addresses that it has in its networks.
fn own_names(networks: &Wires, hostname: &str, name: &str) -> String {
    let names = match name == hostname {
        true => hostname.to_owned(),
        false => format!("{hostname} {name}"),
    };
    networks
        .addresses()
        .map(|address| format!("{address}\t{names}\n"))
        .collect()
}

fn hosts(request: &Request, machine: Option<&str>) -> String {
    let mut text = machine.map_or_else(
        || {
            "127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\n\
             ff02::2\tip6-allrouters\n"
                .to_owned()
        },
        str::to_owned,
    );
    for (name, address) in &request.extra_hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

/// A resolv.conf for a network of its own: without the servers that only the machine reaches, on its loopback. Where
/// there are no others, those that the one on loopback asks.
fn reachable(machine: &str, upstream: impl FnOnce() -> String) -> String {
    let is_local = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver")
            && words
                .next()
                .and_then(|address| address.parse::<IpAddr>().ok())
                .is_some_and(|address| address.is_loopback())
    };
    let without = |text: &str| -> String {
        let lines = text.lines().filter(|line| !is_local(line));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let left = without(machine);
    let has_server = |text: &str| text.lines().any(|line| line.starts_with("nameserver"));
    match has_server(&left) {
        true => left,
        false => {
            let upstream = without(&upstream());
            let servers = upstream
                .lines()
                .filter(|line| line.starts_with("nameserver"));
            left + &servers.map(|line| format!("{line}\n")).collect::<String>()
        }
    }
}

/// The machine's, with what `--dns` and its kin replace.
fn resolv_conf(request: &Request, machine: &str) -> String {
    let mut text = String::new();
    let kept = |keyword: &str| {
        machine
            .lines()
            .filter(|l| l.split_whitespace().next() == Some(keyword))
            .map(|l| format!("{l}\n"))
            .collect::<String>()
    };
    if request.dns.is_empty() {
        text.push_str(&kept("nameserver"));
    }
    for server in &request.dns {
        text.push_str(&format!("nameserver {server}\n"));
    }
    match request.dns_search.as_slice() {
        [] => text.push_str(&kept("search")),
        // "." is how Docker's users say: none at all.
        [dot] if dot == "." => {}
        domains => text.push_str(&format!("search {}\n", domains.join(" "))),
    }
    if request.dns_options.is_empty() {
        text.push_str(&kept("options"));
    } else {
        text.push_str(&format!("options {}\n", request.dns_options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_flags_replace_the_machines() {
        let machine = "# hi\nnameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n";
        assert_eq!(
            resolv_conf(&Request::default(), machine),
            "nameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n"
        );
        let request = Request {
            dns: vec!["192.0.2.53".parse().unwrap()],
            dns_search: vec![".".into()],
            ..Request::default()
        };
        assert_eq!(
            resolv_conf(&request, machine),
            "nameserver 192.0.2.53\noptions ndots:2\n"
        );
    }

    #[test]
    fn servers_on_loopback_are_the_machines_alone() {
        let stub = "nameserver 127.0.0.53\noptions edns0\nsearch lan\n";
        let upstream = || "# by systemd\nnameserver 192.0.2.1\nsearch other\n".to_owned();
        assert_eq!(
            reachable(stub, upstream),
            "options edns0\nsearch lan\nnameserver 192.0.2.1\n"
        );
        let mixed = "nameserver ::1\nnameserver 192.0.2.2\n";
        assert_eq!(reachable(mixed, upstream), "nameserver 192.0.2.2\n");
        assert_eq!(reachable(stub, String::new), "options edns0\nsearch lan\n");
    }

    #[test]
    fn added_hosts_come_last() {
        let request = Request {
            extra_hosts: vec![("db".into(), "192.0.2.7".parse().unwrap())],
            ..Request::default()
        };
        let text = hosts(&request, None);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("192.0.2.7\tdb\n"));
    }
}
