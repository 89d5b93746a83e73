//! /etc/hosts, /etc/hostname and /etc/resolv.conf: the container's own, over whatever the image has.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, ResolveFlags};
use soute_runtime::idmap::IdMaps;
use soute_runtime::plan::MountSource;
use soute_sys::Called;

use crate::error::{Error, io};
use crate::networks::{Wire, names};
use crate::record::Record;
use crate::request::{HostAddress, Network, Request};

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
    /// It is that of the very network which the container is in, and names only what that reaches.
    fits: bool,
}

/// Where ip-netns(8) keeps the files of the network namespaces that it names.
const OF_NAMESPACES: &str = "/etc/netns";

impl MachineFiles {
    /// Reads those that `request` needs; one that is not there is empty.
    pub(crate) fn read(request: &Request) -> Self {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let machines = |hosts: bool| Self {
            hosts: if hosts { file(HOSTS) } else { String::new() },
            hostname: machine_hostname(),
            resolv_conf: file(RESOLV_CONF),
            fits: request.network == Network::Host,
        };
        match &request.network {
            Network::Container(_) => Self::default(),
            Network::Host => machines(true),
            Network::None | Network::Networks(_) => machines(false),
            Network::Namespace(path) => {
                let mut files = machines(true);
                let Some(folder) = of_namespace(path) else {
                    return files;
                };
                let own = |path: &str| {
                    let name = path.trim_start_matches("/etc/");
                    std::fs::read_to_string(folder.join(name)).ok()
                };
                if let Some(hosts) = own(HOSTS) {
                    files.hosts = hosts;
                }
                if let Some(resolv_conf) = own(RESOLV_CONF) {
                    (files.resolv_conf, files.fits) = (resolv_conf, true);
                }
                files
            }
        }
    }
}

/// The folder of the files that are for a named network namespace instead of the machine's: of /run/netns/blue,
/// /etc/netns/blue.
fn of_namespace(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    let named = ["/run/netns", "/var/run/netns"];
    named
        .iter()
        .any(|folder| parent == Path::new(folder))
        .then(|| Path::new(OF_NAMESPACES).join(path.file_name().unwrap_or_default()))
}

/// The files for one start: where, and what. With another container's network come that one's files. `gateways`: the
/// machine, as the container sees it.
pub(crate) fn files(
    record: &Record,
    machine: &MachineFiles,
    wires: &[Wire],
    gateways: &[IpAddr],
) -> Vec<(&'static str, MountSource)> {
    if let Network::Container(_) = record.request.network {
        let same = |path: &'static str| {
            let path_there = path.to_owned();
            (path, MountSource::Neighbours { path: path_there })
        };
        return PATHS.map(same).to_vec();
    }
    let hostname = record.hostname.as_ref().unwrap_or(&machine.hostname);
    let own = texts(record, machine, wires, gateways);
    let own = own.into_iter().chain([(HOSTNAME, format!("{hostname}\n"))]);
    own.map(|(path, content)| (path, MountSource::File { content }))
        .collect()
}

/// The files that tell of the networks that the container is in.
fn texts(
    record: &Record,
    machine: &MachineFiles,
    wires: &[Wire],
    gateways: &[IpAddr],
) -> [(&'static str, String); 2] {
    let request = &record.request;
    let resolv_conf = match request.network {
        Network::Networks(_) if wires.iter().any(|wire| names::are_in(&wire.network)) => {
            by_own_server(request, &machine.resolv_conf)
        }
        Network::Networks(_) | Network::Namespace(_) if !machine.fits => {
            let upstream = || std::fs::read_to_string(RESOLVED).unwrap_or_default();
            resolv_conf(request, &reachable(&machine.resolv_conf, upstream))
        }
        _ => resolv_conf(request, &machine.resolv_conf),
    };
    let shared = matches!(request.network, Network::Host | Network::Namespace(_));
    let hostname = record.hostname.as_ref().unwrap_or(&machine.hostname);
    let hosts = hosts(request, shared.then_some(machine.hosts.as_str()), gateways)
        + &own_names(wires, hostname, &record.name);
    [(RESOLV_CONF, resolv_conf), (HOSTS, hosts)]
}

/// Writes the files of a container that runs anew, now that it is in other networks: `pid` is its first process.
///
/// # Errors
/// One of them is none of ours any more, or read-only.
pub(crate) fn rewrite(
    pid: i32,
    record: &Record,
    machine: &MachineFiles,
    wires: &[Wire],
    gateways: &[IpAddr],
) -> Result<(), Error> {
    let owner = record.id_maps.as_ref().and_then(IdMaps::root);
    let owner = owner.unwrap_or((0, 0)).0;
    let root = crate::networks::root_of(pid)?;
    for (path, text) in texts(record, machine, wires, gateways) {
        let mut file = own_file(root.as_fd(), path, owner)?;
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()));
        io("writing, in the container,", path.as_ref(), written)?;
    }
    Ok(())
}

/// Opens one of them in a container. Whatever the container has put there instead is left alone: what is written to is a
/// file in memory that is its own already.
fn own_file(root: BorrowedFd<'_>, path: &str, owner: u32) -> Result<std::fs::File, Error> {
    let call = || format!("openat2({path:?}) in the container");
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let file = soute_runtime::mounts::openat2(root, path, flags, within).called(call)?;
    let stat = rustix::fs::fstat(&file).called(call)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    let in_memory = rustix::fs::fstatfs(&file).called(call)?.f_type == tmpfs();
    match kind.is_file() && in_memory && stat.st_uid == owner {
        true => Ok(file.into()),
        false => Err(Error::Impossible(format!(
            "{path} in the container is not the file that was made for it"
        ))),
    }
}

/// `TMPFS_MAGIC` (linux/magic.h)
fn tmpfs() -> rustix::fs::FsWord {
    0x0102_1994
}

/// The name that the machine goes by.
pub(crate) fn machine_hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The container's own names at the addresses that it has in its networks.
fn own_names(wires: &[Wire], hostname: &str, name: &str) -> String {
    let names = match name == hostname {
        true => hostname.to_owned(),
        false => format!("{hostname} {name}"),
    };
    let addresses = wires.iter().flat_map(|wire| &wire.addresses);
    addresses
        .map(|(address, _)| format!("{address}\t{names}\n"))
        .collect()
}

fn hosts(request: &Request, machine: Option<&str>, gateways: &[IpAddr]) -> String {
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
        let addresses = match address {
            HostAddress::Address(address) => std::slice::from_ref(address),
            HostAddress::HostGateway => gateways,
        };
        for address in addresses {
            text.push_str(&format!("{address}\t{name}\n"));
        }
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

/// One that leads to the container's own name server, which asks the machine's or those of `--dns`.
fn by_own_server(request: &Request, machine: &str) -> String {
    let mut own = request.clone();
    // Those on the container's loopback only it can ask, when its name server knows nothing.
    own.dns.retain(IpAddr::is_loopback);
    own.dns.insert(0, soute_network::dns::ADDRESS.into());
    let mut text = resolv_conf(&own, machine);
    if !text.contains("ndots:") {
        // A neighbour's name is looked up as it is before any domain is tried behind it.
        text.push_str("options ndots:0\n");
    }
    text
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
            extra_hosts: vec![
                ("machine".into(), HostAddress::HostGateway),
                ("db".into(), "192.0.2.7".parse().unwrap()),
            ],
            ..Request::default()
        };
        let gateways = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap());
        let text = hosts(&request, None, &gateways);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("\n10.0.0.1\tmachine\nfd00::1\tmachine\n192.0.2.7\tdb\n"));
    }

    #[test]
    fn a_named_namespace_may_have_files_of_its_own() {
        let folder = |path: &str| of_namespace(Path::new(path));
        let blue = Some(PathBuf::from("/etc/netns/blue"));
        assert_eq!(folder("/run/netns/blue"), blue);
        assert_eq!(folder("/var/run/netns/blue"), blue);
        for path in ["/proc/7/ns/net", "/run/netns", "/run/netns/a/b"] {
            assert_eq!(folder(path), None, "{path}");
        }
    }
}
