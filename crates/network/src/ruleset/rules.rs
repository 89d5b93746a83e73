//! The rules of the table.

use crate::nft::{Compare, Ct, Expr, Family, Fib, Header, Meta, Nat, Reg, Rule, Verdict};

/// IPv4's and IPv6's headers: their family, where source and destination stand, and how long they are.
struct Ip {
    family: Family,
    source: u32,
    destination: u32,
    length: u32,
}

const IPV4: Ip = Ip {
    family: Family::IPV4,
    source: 12,
    destination: 16,
    length: 4,
};
const IPV6: Ip = Ip {
    family: Family::IPV6,
    source: 8,
    destination: 24,
    length: 16,
};

const FIRST: Reg = Reg::word(0);

/// All rules, in their chains' order.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |chain, comment: &str, parts: &[Vec<Expr>]| {
        rules.push(Rule {
            chain,
            expressions: parts.concat(),
            comment: comment.to_owned(),
        });
    };

    // What has been translated does not come here with its new address: this is before translation.
    rule(
        "guard",
        "127.0.0.0/8 is not reached from outside",
        &[not_from_lo(), loopback(IPV4.destination), drop()],
    );
    // As the kernel does by itself, until a bridge has route_localnet.
    rule(
        "guard",
        "nothing outside has an address of 127.0.0.0/8",
        &[not_from_lo(), loopback(IPV4.source), drop()],
    );

    for (comment, key) in [
        (
            "local ports of one address",
            local_of_one(&IPV4, "local_ports4"),
        ),
        (
            "local ports of all addresses",
            local_of_all(&IPV4, "local_any4"),
        ),
        (
            "local ports of one address, IPv6",
            local_of_one(&IPV6, "local_ports6"),
        ),
        (
            "local ports of all addresses, IPv6",
            local_of_all(&IPV6, "local_any6"),
        ),
    ] {
        rule(
            "prerouting",
            comment,
            &[
                not_from_lo(),
                vec![Expr::NotInSet(FIRST, "bridges")],
                key,
                vec![Expr::Verdict(Verdict::Return)],
            ],
        );
    }
    for chain in ["prerouting", "output"] {
        let jump = Expr::Verdict(Verdict::Jump("publish".into()));
        rule(
            chain,
            "published ports are this machine's",
            &[to_this_machine(), vec![jump]],
        );
    }
    rule(
        "publish",
        "ports of one address",
        &[one_address(&IPV4, "ports4")],
    );
    rule(
        "publish",
        "ports of all addresses",
        &[all_addresses(&IPV4, "any4")],
    );
    rule(
        "publish",
        "ports of one address, IPv6",
        &[one_address(&IPV6, "ports6")],
    );
    rule(
        "publish",
        "ports of all addresses, IPv6",
        // No answer would come back to ::1, whatever the kernel is told (route_localnet is IPv4's alone): connections to it
        // are passed on by a monitor.
        &[not_to_local(), all_addresses(&IPV6, "any6")],
    );

    rule("forward", "answers", &[is_answer(), accept()]);
    rule(
        "forward",
        "within a network",
        &[
            vec![
                Expr::Meta(Meta::Iifname, FIRST),
                Expr::Meta(Meta::Oifname, Reg::word(4)),
                Expr::InSet(FIRST, "within"),
            ],
            accept(),
        ],
    );
    // Before published ports: those of other networks are outside, too.
    rule(
        "forward",
        "not out of internal networks",
        &[from("internal"), drop()],
    );
    rule(
        "forward",
        "to published ports",
        &[is_translated(), to("bridges"), accept()],
    );
    rule(
        "forward",
        "not from network to network",
        &[from("bridges"), to("bridges"), drop()],
    );
    rule("forward", "out of networks", &[from("bridges"), accept()]);
    rule("forward", "not into networks", &[to("bridges"), drop()]);
    rule(
        "forward",
        "bridges of others",
        &[
            kind_is_bridge(Meta::Iifkind),
            kind_is_bridge(Meta::Oifkind),
            vec![Expr::Verdict(Verdict::Return)],
        ],
    );
    rule(
        "forward",
        "this machine forwards for networks alone",
        &[
            vec![
                Expr::Meta(Meta::Nfproto, FIRST),
                Expr::InSet(FIRST, "closed"),
            ],
            drop(),
        ],
    );

    rule(
        "postrouting",
        "from this machine by 127.0.0.1",
        &[loopback(IPV4.source), to("bridges"), masquerade()],
    );
    for (ip, comment, set) in [
        (&IPV4, "back into a network by a published port", "subnets4"),
        (
            &IPV6,
            "back into a network by a published port, IPv6",
            "subnets6",
        ),
    ] {
        let behind = Reg::word((ip.length / 4) as u8);
        rule(
            "postrouting",
            comment,
            &[
                is_translated(),
                source(ip),
                vec![Expr::Meta(Meta::Oifname, behind), Expr::InSet(FIRST, set)],
                masquerade(),
            ],
        );
    }
    rule(
        "postrouting",
        "from networks to outside",
        &[
            vec![
                Expr::Meta(Meta::Nfproto, FIRST),
                Expr::Meta(Meta::Iifname, Reg::word(1)),
                Expr::InSet(FIRST, "masqueraded"),
                Expr::Meta(Meta::Oifname, FIRST),
                Expr::NotInSet(FIRST, "bridges"),
            ],
            masquerade(),
        ],
    );
    rules
}

fn accept() -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Accept)]
}

fn drop() -> Vec<Expr> {
    vec![Expr::Counter, Expr::Verdict(Verdict::Drop)]
}

fn masquerade() -> Vec<Expr> {
    vec![Expr::Masquerade]
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

fn not_from_lo() -> Vec<Expr> {
    vec![
        Expr::Meta(Meta::Iifname, FIRST),
        Expr::Cmp(FIRST, Compare::Unequal, padded("lo")),
    ]
}

fn family(family: Family) -> Vec<Expr> {
    vec![
        Expr::Meta(Meta::Nfproto, FIRST),
        Expr::Cmp(FIRST, Compare::Equal, vec![family.0]),
    ]
}

/// IPv4, and the first byte of the address there is 127.
fn loopback(offset: u32) -> Vec<Expr> {
    let mut expressions = family(Family::IPV4);
    expressions.push(Expr::Payload {
        base: Header::Network,
        offset,
        length: 1,
        to: FIRST,
    });
    expressions.push(Expr::Cmp(FIRST, Compare::Equal, vec![127]));
    expressions
}

fn to_this_machine() -> Vec<Expr> {
    // RTN_LOCAL
    let local = 2u32.to_ne_bytes().to_vec();
    vec![
        Expr::Fib(Fib::DestinationType, FIRST),
        Expr::Cmp(FIRST, Compare::Equal, local),
    ]
}

fn source(ip: &Ip) -> Vec<Expr> {
    address(ip, ip.source)
}

fn destination(ip: &Ip) -> Vec<Expr> {
    address(ip, ip.destination)
}

fn address(ip: &Ip, offset: u32) -> Vec<Expr> {
    let mut expressions = family(ip.family);
    expressions.push(Expr::Payload {
        base: Header::Network,
        offset,
        length: ip.length,
        to: FIRST,
    });
    expressions
}

/// The address, the protocol and the port, to registers.
fn port_of_one(ip: &Ip) -> Vec<Expr> {
    let mut expressions = destination(ip);
    expressions.extend(port((ip.length / 4) as u8));
    expressions
}

/// The protocol and the port.
fn port_of_all(ip: &Ip) -> Vec<Expr> {
    let mut expressions = family(ip.family);
    expressions.extend(port(0));
    expressions
}

fn local_of_one(ip: &Ip, set: &'static str) -> Vec<Expr> {
    let mut expressions = port_of_one(ip);
    expressions.push(Expr::InSet(FIRST, set));
    expressions
}

fn local_of_all(ip: &Ip, set: &'static str) -> Vec<Expr> {
    let mut expressions = port_of_all(ip);
    expressions.push(Expr::InSet(FIRST, set));
    expressions
}

fn one_address(ip: &Ip, map: &'static str) -> Vec<Expr> {
    let mut expressions = port_of_one(ip);
    expressions.extend(translate(ip, map));
    expressions
}

fn not_to_local() -> Vec<Expr> {
    let local = std::net::Ipv6Addr::LOCALHOST.octets().to_vec();
    let mut expressions = destination(&IPV6);
    expressions.push(Expr::Cmp(FIRST, Compare::Unequal, local));
    expressions
}

fn all_addresses(ip: &Ip, map: &'static str) -> Vec<Expr> {
    let mut expressions = port_of_all(ip);
    expressions.extend(translate(ip, map));
    expressions
}

/// The protocol and its port to registers, from this one on. Of a protocol without ports whatever stands there is loaded,
/// and found in no map, as its number is in none.
fn port(word: u8) -> Vec<Expr> {
    vec![
        Expr::Meta(Meta::L4proto, Reg::word(word)),
        Expr::Payload {
            base: Header::Transport,
            offset: 2,
            length: 2,
            to: Reg::word(word + 1),
        },
    ]
}

fn translate(ip: &Ip, map: &'static str) -> Vec<Expr> {
    vec![
        Expr::Map {
            from: FIRST,
            map,
            to: FIRST,
        },
        Expr::Nat {
            kind: Nat::Destination,
            family: ip.family,
            address: FIRST,
            port: Some(Reg::word((ip.length / 4) as u8)),
            flags: 0,
        },
    ]
}

/// Some of these bits are set.
fn any_of(ct: Ct, bits: u32) -> Vec<Expr> {
    vec![
        Expr::Ct(ct, FIRST),
        Expr::Bitwise {
            reg: FIRST,
            mask: bits.to_ne_bytes().to_vec(),
            xor: vec![0; 4],
        },
        Expr::Cmp(FIRST, Compare::Unequal, vec![0; 4]),
    ]
}

fn is_answer() -> Vec<Expr> {
    // NF_CT_STATE_BIT of IP_CT_ESTABLISHED and of IP_CT_RELATED
    any_of(Ct::State, 2 | 4)
}

fn is_translated() -> Vec<Expr> {
    // IPS_DST_NAT
    any_of(Ct::Status, 0x20)
}

fn from(set: &'static str) -> Vec<Expr> {
    vec![Expr::Meta(Meta::Iifname, FIRST), Expr::InSet(FIRST, set)]
}

fn to(set: &'static str) -> Vec<Expr> {
    vec![Expr::Meta(Meta::Oifname, FIRST), Expr::InSet(FIRST, set)]
}

fn kind_is_bridge(meta: Meta) -> Vec<Expr> {
    vec![
        Expr::Meta(meta, FIRST),
        Expr::Cmp(FIRST, Compare::Equal, padded("bridge")),
    ]
}
