//! From an expression to a program of the kernel's: what each question asks of which bytes.

use std::net::IpAddr;

use soute_sys::packet::{MAX_INSTRUCTIONS, SockFilter};

use super::program::{Field, Is, Label, Node, Program, RET_K, check};
use super::{Carried, End, Expr, Filter, Network, Test, TooLong};
use crate::capture::packet::{Hardware, LOOPBACK, OUTGOING};
use crate::subnet::{number, width};
use crate::{Protocol, Subnet};

/// What the kernel knows of a packet beside its bytes: loads from SKF_AD_OFF, -0x1000, on.
const ANCILLARY: u32 = 0xffff_f000;
const PROTOCOL: u32 = ANCILLARY;
const PACKET_TYPE: u32 = ANCILLARY + 4;
const HARDWARE: u32 = ANCILLARY + 28;
const VLAN_TAG: u32 = ANCILLARY + 44;
const VLAN_PRESENT: u32 = ANCILLARY + 48;

/// Bytes of an Ethernet header. A tag of a VLAN is not in the packet: the kernel takes it out.
const ETHERNET: u32 = 14;

/// IANA's registry of EtherTypes.
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const VLAN: u32 = 0x8100;
const PROVIDERS_VLAN: u32 = 0x88a8;

const ICMP: u32 = 1;
const ICMP6: u32 = 58;
/// A header of IPv6 between its own and what it carries.
const FRAGMENT: u32 = 44;

/// The program for packets that `filter` wants, or all, cut to `snaplen` bytes, of interfaces of one kind or any.
///
/// Packets whose bytes it cannot read ([`Hardware::Other`]) it wants without a filter alone. What a loopback interface
/// sends comes back on it, and is not wanted twice.
pub fn compile(
    filter: Option<&Filter>,
    snaplen: u32,
    only: Option<Hardware>,
) -> Result<Vec<SockFilter>, TooLong> {
    let mut program = Program::default();
    let drop = program.put(RET_K, 0);
    let want = program.put(RET_K, snaplen);
    let begin = match (filter, only) {
        (None, _) => want,
        (Some(_), Some(Hardware::Other(_))) => drop,
        (Some(Filter(expr)), Some(Hardware::Raw)) => program.expr(expr, Link::Raw, want, drop),
        (Some(Filter(expr)), Some(Hardware::Ethernet)) => {
            program.expr(expr, Link::Ethernet, want, drop)
        }
        (Some(Filter(expr)), None) => {
            let raw = program.expr(expr, Link::Raw, want, drop);
            let raw = program.node(&hardware(Hardware::Raw), raw, drop);
            let ethernet = program.expr(expr, Link::Ethernet, want, drop);
            program.node(&hardware(Hardware::Ethernet), ethernet, raw)
        }
    };
    let twice = Node::All(vec![
        check(Field::Word(PACKET_TYPE), Is::Equal, OUTGOING.into()),
        check(Field::Word(HARDWARE), Is::Equal, LOOPBACK.into()),
    ]);
    program.node(&twice, drop, begin);
    match program.len() {
        0..=MAX_INSTRUCTIONS => Ok(program.finish()),
        length => Err(TooLong(length)),
    }
}

fn hardware(wanted: Hardware) -> Node {
    let all = Hardware::KNOWN.iter();
    let all = all.filter(|(_, hardware)| *hardware == wanted);
    let numbers = all.map(|(number, _)| (*number).into()).collect();
    Node::OneOf(Field::Word(HARDWARE), numbers)
}

/// What stands before the network protocol's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Ethernet,
    Raw,
}

impl Program {
    fn expr(&mut self, expr: &Expr, link: Link, yes: Label, no: Label) -> Label {
        match expr {
            Expr::Both(first, second) => {
                let second = self.expr(second, link, yes, no);
                self.expr(first, link, second, no)
            }
            Expr::Either(first, second) => {
                let second = self.expr(second, link, yes, no);
                self.expr(first, link, yes, second)
            }
            Expr::Not(expr) => self.expr(expr, link, no, yes),
            Expr::Is(test) => self.node(&test.node(link), yes, no),
        }
    }
}

impl Network {
    fn ether_type(self) -> u32 {
        match self {
            Self::Ipv4 => IPV4,
            Self::Ipv6 => IPV6,
            Self::Arp => 0x0806,
            Self::Rarp => 0x8035,
        }
    }

    fn node(self) -> Node {
        check(Field::Word(PROTOCOL), Is::Equal, self.ether_type())
    }

    /// Where its header has the source's address, and the destination's.
    fn addresses(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (12, 16),
            Self::Ipv6 => (8, 24),
            Self::Arp | Self::Rarp => (14, 24),
        }
    }
}

impl End {
    /// A condition on the source, the destination, or how they are joined.
    fn node(self, mut at: impl FnMut(bool) -> Node) -> Node {
        match self {
            Self::Source => at(true),
            Self::Destination => at(false),
            Self::Any => Node::Any(vec![at(true), at(false)]),
            Self::Both => Node::All(vec![at(true), at(false)]),
        }
    }
}

impl Test {
    fn node(&self, link: Link) -> Node {
        let base = match link {
            Link::Ethernet => ETHERNET,
            Link::Raw => 0,
        };
        match self {
            Self::Network(network) => network.node(),
            Self::Carried(carried) => carrying(*carried, base),
            Self::Address(network, end, subnet) => {
                let networks: &[Network] = match (network, subnet.is_ipv4()) {
                    (Some(network), _) => &[*network],
                    (None, true) => &[Network::Ipv4, Network::Arp, Network::Rarp],
                    (None, false) => &[Network::Ipv6],
                };
                let of = |network: &Network| {
                    let (source, destination) = network.addresses();
                    let ends = end.node(|is_source| {
                        let at = if is_source { source } else { destination };
                        within(*subnet, base + at)
                    });
                    Node::All(vec![network.node(), ends])
                };
                Node::Any(networks.iter().map(of).collect())
            }
            Self::Port(protocol, end, first, last) => {
                ports(*protocol, *end, (*first).into(), (*last).into(), base)
            }
            Self::Ether(..) if link == Link::Raw => Node::Always(false),
            Self::Ether(end, [a, b, c, d, e, f]) => end.node(|is_source| {
                let at = if is_source { 6 } else { 0 };
                Node::All(vec![
                    check(
                        Field::Word(at + 2),
                        Is::Equal,
                        u32::from_be_bytes([*c, *d, *e, *f]),
                    ),
                    check(
                        Field::Half(at),
                        Is::Equal,
                        u16::from_be_bytes([*a, *b]).into(),
                    ),
                ])
            }),
            Self::Greater(length) => check(Field::Length, Is::AtLeast, *length),
            Self::Less(length) => Node::Not(Box::new(check(Field::Length, Is::Above, *length))),
            Self::Vlan(wanted) => {
                let is = |tag: Field| {
                    wanted.map(|wanted| Node::Check(tag, 0xfff, Is::Equal, wanted.into()))
                };
                let present = check(Field::Word(VLAN_PRESENT), Is::AnyOf, 1);
                let taken_out = [present].into_iter().chain(is(Field::Word(VLAN_TAG)));
                // What is sent through an interface that knows no tags has it in the packet.
                let inside = Node::OneOf(Field::Word(PROTOCOL), vec![VLAN, PROVIDERS_VLAN]);
                let inside = [inside].into_iter().chain(is(Field::Half(base)));
                match link {
                    Link::Ethernet => Node::Any(vec![
                        Node::All(taken_out.collect()),
                        Node::All(inside.collect()),
                    ]),
                    Link::Raw => Node::All(taken_out.collect()),
                }
            }
        }
    }
}

/// IPv6 may have a fragment's header before what it carries; others are not looked behind, as libpcap does.
fn carrying(carried: Carried, base: u32) -> Node {
    let v4 = |number| {
        let carries = check(Field::Byte(base + 9), Is::Equal, number);
        Node::All(vec![Network::Ipv4.node(), carries])
    };
    let v6 = |number| {
        let direct = check(Field::Byte(base + 6), Is::Equal, number);
        let fragment = Node::All(vec![
            check(Field::Byte(base + 6), Is::Equal, FRAGMENT),
            check(Field::Byte(base + 40), Is::Equal, number),
        ]);
        Node::All(vec![
            Network::Ipv6.node(),
            Node::Any(vec![direct, fragment]),
        ])
    };
    match carried {
        Carried::Icmp => v4(ICMP),
        Carried::Icmp6 => v6(ICMP6),
        Carried::Ports(protocol) => {
            let number = protocol.number().into();
            Node::Any(vec![v6(number), v4(number)])
        }
    }
}

fn ports(protocol: Option<Protocol>, end: End, first: u32, last: u32, base: u32) -> Node {
    let carries = |at| {
        let every = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let wanted = every
            .into_iter()
            .filter(|one| protocol.is_none_or(|wanted| wanted == *one));
        Node::OneOf(
            Field::Byte(at),
            wanted.map(|one| one.number().into()).collect(),
        )
    };
    let range = |field: Field| match first == last {
        true => check(field, Is::Equal, first),
        false => Node::All(vec![
            check(field, Is::AtLeast, first),
            Node::Not(Box::new(check(field, Is::Above, last))),
        ]),
    };
    let offset = |is_source| if is_source { 0 } else { 2 };
    let v6 = Node::All(vec![
        Network::Ipv6.node(),
        carries(base + 6),
        end.node(|is_source| range(Field::Half(base + 40 + offset(is_source)))),
    ]);
    let v4 = Node::All(vec![
        Network::Ipv4.node(),
        carries(base + 9),
        // Only the first fragment has ports.
        Node::Not(Box::new(check(Field::Half(base + 6), Is::AnyOf, 0x1fff))),
        end.node(|is_source| range(Field::Behind(offset(is_source), base))),
    ]);
    Node::Any(vec![v6, v4])
}

/// Whether the address at `at` is one of the subnet.
fn within(subnet: Subnet, at: u32) -> Node {
    let address: IpAddr = subnet.first();
    let bits = width(address);
    let mask = match bits - u32::from(subnet.prefix()) {
        128 => 0,
        host => u128::MAX << host,
    };
    let word = |number: u128, shift: u32| (number >> shift) as u32;
    let words = (0..bits / 32).filter_map(|place| {
        let shift = bits - 32 - 32 * place;
        let (mask, value) = (word(mask, shift), word(number(address), shift));
        (mask != 0).then(|| Node::Check(Field::Word(at + 4 * place), mask, Is::Equal, value))
    });
    Node::All(words.collect())
}
