//! `soute network ports`: each socket that waits for whoever comes, and each port that leads to a container.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use soute_engine::Places;
use soute_lens::view::{Align, ContainerName, Survey, Table};
use soute_lens::wiring::sockets::{OpenSocket, Owner, Sockets};
use soute_lens::{Discovery, Kind, Scope};
use soute_network::Protocol;
use soute_network::sockets::Doing;

use super::super::ns::{json, notes, table};
use super::known::{Known, PublishedPort, place_name};
use super::map::firewall::Firewall;
use crate::cli::CommandLine;
use crate::output::{print, visible};

/// Of the machine and of its containers: who waits at which port, and where published ones lead.
#[derive(Debug, Args)]
pub struct PortsArgs {
    /// Those of all other network namespaces too
    #[arg(short, long)]
    all: bool,

    /// Print JSON, with all that is known
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Ports {
    ports: Vec<Port>,
    /// One line for each thing that is missing, and why.
    notes: Vec<String>,
}

/// A port, and what is there.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Port {
    protocol: Protocol,
    state: State,
    address: IpAddr,
    port: u16,
    /// Of an IPv6 socket of all addresses: whether it leaves IPv4 alone.
    only_ipv6: bool,
    /// The number of the interface that the socket is bound to.
    link: Option<u32>,
    /// The inode of the network namespace whose port it is.
    ns: Option<u64>,
    /// What people call that.
    place: String,
    /// Whose process has it, or to whom it leads.
    container: Option<ContainerName>,
    leads_to: Option<Destination>,
    /// Who has the socket; of a published port, who has the one that it leads to.
    owners: Vec<Owner>,
    /// The effective user who made the socket.
    uid: Option<u32>,
    /// By which rule a published port leads there; none: it is missing.
    rule: Option<String>,
    /// Whose a published port is by its rule, also that of another engine.
    #[serde(skip)]
    said_owner: String,
}

/// In ss(8)'s words, as far as it has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It leads to a container.
    Published,
    /// A socket that takes connections.
    Listen,
    /// A socket that takes whatever comes.
    Unconn,
    /// A socket that keeps the port, and takes nothing.
    Bound,
}

/// Where a published port leads.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Destination {
    address: IpAddr,
    port: u16,
    /// The container's interface that has the address.
    interface: Option<String>,
    /// Whether somebody waits there; none: it cannot be seen from here.
    listening: Option<bool>,
}

impl CommandLine for PortsArgs {
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let known = Known::new(places)?;
        super::open_many_files();
        let survey = Survey::new(Scope::ALL)?;
        let sockets = survey.sockets()?;
        let inhabitants = inhabitants(survey.found(), &known);
        let mut ports = ports(&sockets, &known, &inhabitants, self.all);
        for note in known.notes.iter().chain(&sockets.notes) {
            if !ports.notes.contains(note) {
                ports.notes.push(note.clone());
            }
        }
        let others = Firewall::read().foreign_forwards();
        if !others.is_empty() {
            ports.notes.push(format!(
                "where the rules of others lead ports is not told here: {}",
                others.join(", ")
            ));
        }
        let mut text = Vec::new();
        match self.json {
            true => json(&ports, &mut text)?,
            false => table(&as_table(&ports.ports), &mut text)?,
        }
        print(&String::from_utf8_lossy(&text))?;
        if !self.json {
            notes(&ports.notes);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whose the processes and network namespaces are.
#[derive(Debug, Default)]
struct Inhabitants {
    /// The containers' processes.
    processes: HashMap<u32, ContainerName>,
    /// By the inode of a network namespace, the containers whose first process is in it.
    namespaces: HashMap<u64, Vec<ContainerName>>,
}

fn inhabitants(found: &Discovery, known: &Known) -> Inhabitants {
    let mut all = Inhabitants::default();
    let own = found.of_process(std::process::id(), Kind::Pid);
    for container in &known.containers {
        if let Some(net) = found.of_process(container.pid, Kind::Net) {
            let of = all.namespaces.entry(net.id.inode).or_default();
            of.push(container.name.clone());
        }
        let Some(pid) = found.of_process(container.pid, Kind::Pid) else {
            continue;
        };
        // One that shares the machine's processes cannot be told from it.
        if own.is_some_and(|own| own.id == pid.id) {
            continue;
        }
        for id in found.below(pid.id) {
            let processes = found.get(id).map(|namespace| &namespace.processes);
            for process in processes.into_iter().flatten() {
                all.processes.insert(*process, container.name.clone());
            }
        }
    }
    all
}

/// All of them, those of the machine first, by protocol and port.
fn ports(sockets: &Sockets, known: &Known, inhabitants: &Inhabitants, all: bool) -> Ports {
    let here = sockets.namespaces.iter().find(|namespace| namespace.here);
    let here = here.map(|namespace| namespace.ns);
    let none = Vec::new();
    let of = |ns: u64| inhabitants.namespaces.get(&ns).unwrap_or(&none);
    let name = |ns: Option<u64>| {
        let mut namespaces = sockets.namespaces.iter();
        let namespace = namespaces.find(|namespace| Some(namespace.ns) == ns);
        namespace.map_or_else(String::new, |seen| place_name(seen, of(seen.ns)))
    };
    let mut found: Vec<Port> = known
        .published
        .iter()
        .map(|port| published(port, sockets, inhabitants, here, name(here)))
        .collect();
    let shown = |open: &&OpenSocket| {
        let reserves = Some(open.ns) == here && reserves(open, &known.published);
        !reserves && (all || Some(open.ns) == here || inhabitants.namespaces.contains_key(&open.ns))
    };
    for open in sockets.sockets.iter().filter(shown) {
        let container = open
            .owners
            .iter()
            .find_map(|owner| inhabitants.processes.get(&owner.pid));
        // In a network of its own a process that is hidden is the container's too.
        let container = container.or_else(|| of(open.ns).first().filter(|_| Some(open.ns) != here));
        found.push(Port {
            protocol: open.socket.protocol,
            state: match open.socket.doing {
                Doing::Listens => State::Listen,
                Doing::Receives => State::Unconn,
                Doing::Keeps => State::Bound,
            },
            address: open.socket.address,
            port: open.socket.port,
            only_ipv6: open.socket.only_ipv6,
            link: open.socket.link,
            ns: Some(open.ns),
            place: name(Some(open.ns)),
            container: container.cloned(),
            leads_to: None,
            owners: open.owners.clone(),
            uid: Some(open.socket.uid),
            rule: None,
            said_owner: String::new(),
        });
    }
    found.sort_by(|a, b| {
        let key = |port: &Port| {
            (
                port.ns != here,
                port.place.clone(),
                port.protocol,
                port.port,
            )
        };
        key(a).cmp(&key(b)).then(a.address.cmp(&b.address))
    });
    Ports {
        ports: found,
        notes: Vec::new(),
    }
}

/// Whether a socket only keeps a published port from others: a container's monitor holds it.
fn reserves(open: &OpenSocket, published: &[PublishedPort]) -> bool {
    published.iter().any(|port| {
        let same = port.protocol == open.socket.protocol
            && port.port == open.socket.port
            && port.address == open.socket.address;
        let held = port
            .monitor
            .is_some_and(|monitor| open.owners.iter().any(|owner| owner.pid == monitor));
        same && held
    })
}

fn published(
    port: &PublishedPort,
    sockets: &Sockets,
    inhabitants: &Inhabitants,
    here: Option<u64>,
    place: String,
) -> Port {
    let ns = port.container.as_ref().and_then(|container| {
        let mut all = inhabitants.namespaces.iter();
        let (ns, _) = all.find(|(_, of)| of.contains(container))?;
        let mut namespaces = sockets.namespaces.iter();
        let seen = namespaces.find(|seen| seen.ns == *ns)?;
        seen.hidden.is_none().then_some(*ns)
    });
    let mut behind = sockets
        .sockets
        .iter()
        .filter(|open| Some(open.ns) == ns && open.takes(port.protocol, port.to, port.to_port));
    let first = behind.next();
    Port {
        protocol: port.protocol,
        state: State::Published,
        address: port.address,
        port: port.port,
        // IPv4 and IPv6 are published each by itself.
        only_ipv6: port.address.is_ipv6(),
        link: None,
        ns: here,
        place,
        container: port.container.clone(),
        leads_to: Some(Destination {
            address: port.to,
            port: port.to_port,
            interface: port.interface.clone(),
            listening: ns.map(|_| first.is_some()),
        }),
        owners: first.map(|open| open.owners.clone()).unwrap_or_default(),
        uid: None,
        rule: port.rule.clone(),
        said_owner: port.owner.clone(),
    }
}

fn as_table(ports: &[Port]) -> Table {
    let heads = [
        "PROTO",
        "STATE",
        "ADDRESS:PORT",
        "IN",
        "LEADS TO",
        "OWNER",
        "RULE",
    ];
    let mut table = Table::new(heads.map(|head| (head.to_owned(), Align::Left)));
    for port in ports {
        table.row(vec![
            port.protocol.to_string(),
            match port.state {
                State::Published => "PUBLISHED",
                State::Listen => "LISTEN",
                State::Unconn => "UNCONN",
                State::Bound => "BOUND",
            }
            .to_owned(),
            local(port),
            visible(&port.place).into_owned(),
            destination(port),
            owner(port),
            match (port.state, &port.rule) {
                (_, Some(rule)) => visible(rule).into_owned(),
                (State::Published, None) => "missing".to_owned(),
                _ => "-".to_owned(),
            },
        ]);
    }
    table
}

/// As ss(8) has it: `*` for all addresses of both families, and the interface that it is bound to.
fn local(port: &Port) -> String {
    let link = port
        .link
        .map_or_else(String::new, |index| format!("%if{index}"));
    let address = match port.address {
        IpAddr::V6(any) if any.is_unspecified() && !port.only_ipv6 => "*".to_owned(),
        IpAddr::V6(address) => format!("[{address}]"),
        IpAddr::V4(address) => address.to_string(),
    };
    format!("{address}{link}:{}", port.port)
}

fn destination(port: &Port) -> String {
    let Some(to) = &port.leads_to else {
        return "-".to_owned();
    };
    let container = match &port.container {
        Some(container) => format!("{} ", container.name),
        None => String::new(),
    };
    let interface = match &to.interface {
        Some(interface) => format!(" ({interface})"),
        None => String::new(),
    };
    let at = SocketAddr::new(to.address, to.port);
    visible(&format!("{container}{at}{interface}")).into_owned()
}

fn owner(port: &Port) -> String {
    let processes: Vec<String> = port
        .owners
        .iter()
        .take(2)
        .map(|owner| format!("{} ({})", owner.name, owner.pid))
        .collect();
    let more = match port.owners.len() {
        0..=2 => String::new(),
        n => format!(" and {} more", n - 2),
    };
    let processes = match (&port.leads_to, processes.is_empty()) {
        (_, false) => processes.join(", ") + &more,
        (
            Some(Destination {
                listening: Some(false),
                ..
            }),
            _,
        ) => "nobody listens".to_owned(),
        (
            Some(Destination {
                listening: None, ..
            }),
            _,
        ) => "not seen from here".to_owned(),
        _ => "-".to_owned(),
    };
    let container = port
        .container
        .as_ref()
        .map(|container| container.name.as_str());
    let whose = match (container, port.said_owner.as_str()) {
        (Some(name), _) => format!("{name}: "),
        (None, "") => String::new(),
        (None, other) => format!("another engine's {other}: "),
    };
    visible(&format!("{whose}{processes}")).into_owned()
}

#[cfg(test)]
mod tests {
    use soute_lens::wiring::NetworkNamespace;
    use soute_network::sockets::BoundSocket;

    use super::*;

    fn namespace(ns: u64) -> NetworkNamespace {
        NetworkNamespace {
            ns,
            here: ns == 1,
            machine: None,
            nprocs: 1,
            pid: Some(7),
            command: "sleep".into(),
            nsfs: Vec::new(),
            hidden: None,
            links: Vec::new(),
            routes: Vec::new(),
        }
    }

    fn socket(ns: u64, doing: Doing, address: &str, port: u16, owner: (u32, &str)) -> OpenSocket {
        OpenSocket {
            ns,
            socket: BoundSocket {
                protocol: Protocol::Tcp,
                doing,
                address: address.parse().unwrap(),
                port,
                link: None,
                only_ipv6: false,
                uid: 0,
                inode: 5,
            },
            owners: vec![Owner {
                pid: owner.0,
                name: owner.1.into(),
            }],
        }
    }

    fn web() -> ContainerName {
        ContainerName {
            name: "web".into(),
            id: "ab".into(),
        }
    }

    fn known() -> Known {
        Known {
            published: vec![PublishedPort {
                protocol: Protocol::Tcp,
                address: "0.0.0.0".parse().unwrap(),
                port: 8080,
                to: "10.121.0.2".parse().unwrap(),
                to_port: 80,
                container: Some(web()),
                owner: "web ab".into(),
                interface: Some("eth0".into()),
                rule: Some("inet soute any4 { tcp . 8080 : 10.121.0.2 . 80 }".into()),
                monitor: Some(99),
            }],
            ..Known::default()
        }
    }

    fn shown(sockets: Vec<OpenSocket>, all: bool) -> Vec<String> {
        let sockets = Sockets {
            namespaces: vec![namespace(1), namespace(2), namespace(3)],
            sockets,
            notes: Vec::new(),
        };
        let inhabitants = Inhabitants {
            processes: [(4613, web())].into(),
            namespaces: [(2, vec![web()])].into(),
        };
        let ports = ports(&sockets, &known(), &inhabitants, all);
        let text = as_table(&ports.ports).render(None);
        text.lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn a_published_port_hides_the_socket_that_reserves_it_and_tells_who_listens() {
        let rule = "inet soute any4 { tcp . 8080 : 10.121.0.2 . 80 }";
        let reserved = socket(1, Doing::Keeps, "0.0.0.0", 8080, (99, "soute"));
        assert_eq!(
            shown(vec![reserved.clone()], false),
            [format!(
                "tcp PUBLISHED 0.0.0.0:8080 here web 10.121.0.2:80 (eth0) web: nobody listens {rule}"
            )]
        );
        let behind = socket(2, Doing::Listens, "::", 80, (4613, "python3"));
        assert_eq!(
            shown(vec![reserved, behind], false),
            [
                format!(
                    "tcp PUBLISHED 0.0.0.0:8080 here web 10.121.0.2:80 (eth0) web: python3 (4613) {rule}"
                ),
                "tcp LISTEN *:80 web - web: python3 (4613) -".to_owned(),
            ]
        );
    }

    /// Another process than the monitor at a published port is no reservation.
    #[test]
    fn a_socket_of_somebody_elses_at_a_published_port_is_shown() {
        let other = socket(1, Doing::Listens, "0.0.0.0", 8080, (5, "evil\x1b[2J"));
        let lines = shown(vec![other], false);
        assert_eq!(
            lines[1],
            "tcp LISTEN 0.0.0.0:8080 here - evil\\u{1b}[2J (5) -"
        );
    }

    #[test]
    fn other_namespaces_are_shown_when_asked_for() {
        let elsewhere = socket(3, Doing::Listens, "127.0.0.1", 22, (7, "sshd"));
        assert_eq!(shown(vec![elsewhere.clone()], false).len(), 1);
        let lines = shown(vec![elsewhere], true);
        assert_eq!(lines[1], "tcp LISTEN 127.0.0.1:22 sleep (7) - sshd (7) -");
    }

    /// A container that shares the machine's network.
    #[test]
    fn a_containers_process_in_the_machines_network_is_the_containers() {
        let host = socket(1, Doing::Listens, "127.0.0.1", 22, (4613, "sshd"));
        assert_eq!(
            shown(vec![host], false)[0],
            "tcp LISTEN 127.0.0.1:22 here - web: sshd (4613) -"
        );
    }
}
