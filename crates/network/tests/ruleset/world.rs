//! The machine, its networks, and what is around it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use soute_network::route::{End, Hop, Rtnetlink};
use soute_network::ruleset::{Error, Families, Healed, Network, Published, Ruleset, State};
use soute_network::{Protocol, Subnet};

use crate::common::{Namespace, Process, act_inside, sysctl};

/// Long enough for an answer on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long none is waited for.
const BRIEFLY: Duration = Duration::from_millis(400);
/// What is said where no answer came.
const NOTHING: &str = "no answer";

/// Who forwards asks for neighbours from an address of the link's own (ndisc_solicit). The one that the kernel makes is
/// not used before a second has passed in which nobody claimed it.
pub const ROUTER: &str = "fe80::1/64";

/// ```text
/// outside ── out0 machine br0 ── a, b
///  .2         .1          br1 ── c
///                         br2 ── d   (internal)
/// ```
pub struct World {
    pub table: Ruleset,
    pub outside: Namespace,
    pub a: Namespace,
    pub b: Namespace,
    pub c: Namespace,
    pub d: Namespace,
    _servers: Vec<Process>,
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn network(number: u8) -> Network {
    Network {
        bridge: format!("br{number}"),
        internal: number == 2,
        subnets: vec![
            subnet(&format!("10.1.{number}.0/24")),
            subnet(&format!("fd00:{number}::/64").replace(":0::", "::")),
        ],
        masquerade: Families {
            ipv4: number != 2,
            ipv6: number != 2,
        },
    }
}

/// The three networks, nothing published.
pub fn networks() -> State {
    State {
        networks: (0..3).map(network).collect(),
        ..State::default()
    }
}

/// Port 8080 of all of this machine's addresses, or of one, leads to port 80 there.
pub fn published(at: Option<&str>, port: u16, to: &str) -> Published {
    Published {
        address: at.map(address),
        protocol: Protocol::Tcp,
        port,
        to: SocketAddr::new(address(to), 80),
        owner: "web".into(),
        local: false,
    }
}

/// The same for UDP.
pub fn udp_published(at: Option<&str>, port: u16, to: &str) -> Published {
    Published {
        protocol: Protocol::Udp,
        ..published(at, port, to)
    }
}

/// Makes the table as wanted.
pub fn heal(table: &mut Ruleset, wanted: &State) -> Healed {
    table.heal(|| Ok::<_, Error>(wanted.clone())).unwrap()
}

impl World {
    pub fn new() -> Self {
        for name in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            sysctl(name, "1");
        }
        let mut net = Rtnetlink::open().unwrap();
        let outside = Namespace::new();
        link(&mut net, "out0", None, &outside);
        give(
            &mut net,
            "out0",
            &["192.0.2.1/24", "2001:db8::1/64", ROUTER],
        );
        inside(&outside, &["192.0.2.2/24", "2001:db8::2/64"], &[]);
        for number in 0..3 {
            let name = format!("br{number}");
            let end = End {
                name: &name,
                ..End::default()
            };
            net.make_bridge(&end).unwrap();
            let (v4, v6) = (
                format!("10.1.{number}.1/24"),
                format!("fd00:{number}::1/64"),
            );
            give(&mut net, &name, &[&v4, &v6, ROUTER]);
            sysctl(&format!("net/ipv4/conf/{name}/route_localnet"), "1");
        }
        let mut container = |name: &str, network: u8, number: u8| {
            let namespace = Namespace::new();
            let bridge = net.link(&format!("br{network}")).unwrap().unwrap().index;
            link(&mut net, &format!("to-{name}"), Some(bridge), &namespace);
            let port = net.link(&format!("to-{name}")).unwrap().unwrap().index;
            net.set_hairpin(port, true).unwrap();
            inside(
                &namespace,
                &[
                    &format!("10.1.{network}.{number}/24"),
                    &format!("fd00:{network}::{number}/64"),
                ],
                &[
                    ("0.0.0.0/0", &format!("10.1.{network}.1")),
                    ("::/0", &format!("fd00:{network}::1")),
                ],
            );
            namespace
        };
        let a = container("a", 0, 2);
        let b = container("b", 0, 3);
        let c = container("c", 1, 2);
        let d = container("d", 2, 2);
        let named = [
            ("outside", &outside),
            ("a", &a),
            ("b", &b),
            ("c", &c),
            ("d", &d),
        ];
        let servers = named.map(|(name, namespace)| serve(Some(namespace), name, "[::]:80"));
        let mut table = Ruleset::open().unwrap();
        heal(&mut table, &networks());
        Self {
            table,
            outside,
            a,
            b,
            c,
            d,
            _servers: servers.into(),
        }
    }
}

/// A pair from here, as a port of `bridge`, to `eth0` there.
pub fn link(net: &mut Rtnetlink, name: &str, bridge: Option<u32>, to: &Namespace) {
    let network = to.network();
    let here = End {
        name,
        ..End::default()
    };
    let there = End {
        name: "eth0",
        namespace: Some(network.as_fd()),
        ..End::default()
    };
    net.make_veth(&here, bridge, &there).unwrap();
}

/// Gives an interface addresses with the lengths of their prefixes.
pub fn give(net: &mut Rtnetlink, name: &str, addresses: &[&str]) {
    let link = net.link(name).unwrap().unwrap().index;
    net.set_up(link, true).unwrap();
    for text in addresses {
        let (own, prefix) = text.split_once('/').unwrap();
        net.add_address(link, address(own), prefix.parse().unwrap())
            .unwrap();
    }
}

/// Addresses of `eth0` there, and routes by routers.
pub fn inside(namespace: &Namespace, addresses: &[&str], routes: &[(&str, &str)]) {
    let mut net = Rtnetlink::open_in(namespace.network().as_fd()).unwrap();
    give(&mut net, "eth0", addresses);
    for (to, gateway) in routes {
        let hop = Hop {
            gateway: Some(address(gateway)),
            link: None,
        };
        net.add_route(subnet(to), hop).unwrap();
    }
}

/// A server there, or here, that answers each connection and datagram with its name and its client's address.
pub fn serve(namespace: Option<&Namespace>, name: &'static str, at: &'static str) -> Process {
    let (said, process) = act_inside(
        namespace,
        || {
            let tcp = TcpListener::bind(at).unwrap();
            let udp = UdpSocket::bind(at).unwrap();
            let answer = move |client: SocketAddr| format!("{name} {}", client.ip().to_canonical());
            std::thread::spawn(move || {
                for stream in tcp.incoming() {
                    let mut stream = stream.unwrap();
                    let client = stream.peer_addr().unwrap();
                    let _ = stream.write_all(answer(client).as_bytes());
                }
            });
            std::thread::spawn(move || {
                loop {
                    let (_, client) = udp.recv_from(&mut [0; 16]).unwrap();
                    let _ = udp.send_to(answer(client).as_bytes(), client);
                }
            });
            "ready".into()
        },
        || loop {
            std::thread::park();
        },
    );
    assert_eq!(said, "ready", "{name}");
    process
}

/// What is asked of a server, and how long for.
type Ask<'a> = &'a dyn Fn(&str, Duration) -> std::io::Result<String>;

fn by_tcp(to: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.parse().unwrap(), patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

fn by_udp(to: &str, patience: Duration) -> std::io::Result<String> {
    by_udp_from(0, to, patience)
}

fn by_udp_from(port: u16, to: &str, patience: Duration) -> std::io::Result<String> {
    let to: SocketAddr = to.parse().unwrap();
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, port))?;
    // Connected: an answer from anywhere else is none.
    socket.connect(to)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(b"?")?;
    let mut said = [0; 100];
    let length = socket.recv(&mut said)?;
    Ok(String::from_utf8_lossy(&said[..length]).into_owned())
}

fn ask(from: Option<&Namespace>, to: &str, ask: Ask<'_>, patience: Duration) -> String {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    let act = || match ask(to, patience) {
        Err(e) if [TimedOut, WouldBlock].contains(&e.kind()) => NOTHING.into(),
        Err(e) => e.to_string(),
        Ok(said) => said,
    };
    act_inside(from, act, || {}).0
}

/// What a server answers to who is there, or here.
pub fn tcp(from: Option<&Namespace>, to: &str) -> String {
    ask(from, to, &by_tcp, PATIENCE)
}

/// The same by UDP.
pub fn udp(from: Option<&Namespace>, to: &str) -> String {
    ask(from, to, &by_udp, PATIENCE)
}

/// The same from one port each time.
pub fn udp_from(from: Option<&Namespace>, port: u16, to: &str) -> String {
    let by = |to: &str, patience| by_udp_from(port, to, patience);
    ask(from, to, &by, PATIENCE)
}

/// Nobody answers there.
#[track_caller]
pub fn unreached(from: &Namespace, to: &str) {
    let both: [Ask<'_>; 2] = [&by_tcp, &by_udp];
    for by in both {
        assert_eq!(ask(Some(from), to, by, BRIEFLY), NOTHING, "{to}");
    }
}
