//! What is put into nf_tables, as nft(8) shows it; and what nft(8) puts there, as it is read. Needs root and `nft`.

#[path = "../common/mod.rs"]
mod common;

use common::{nft, nft_script};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::{Value, json};
use soute_network::nft::{
    Base, Batch, Chain, ChainKind, Compare, Ct, Data, Element, Expr, Family, Fib, Header, Hook,
    Key, Listener, Mapped, Meta, Nat, Nftables, Reg, Rule, Set, Table, Type, Verdict,
};

fn main() {
    common::run(&[
        ("a_table_is_made_and_deleted", a_table_is_made_and_deleted),
        ("chains_are_shown", chains_are_shown),
        (
            "sets_are_shown_with_their_elements",
            sets_are_shown_with_their_elements,
        ),
        ("every_expression_is_shown", every_expression_is_shown),
        ("elements_read_back", elements_read_back),
        (
            "a_thousand_elements_go_in_one_batch",
            a_thousand_elements_go_in_one_batch,
        ),
        (
            "a_batch_fails_as_a_whole_and_names_the_change",
            a_batch_fails_as_a_whole_and_names_the_change,
        ),
        (
            "the_element_at_fault_is_named",
            the_element_at_fault_is_named,
        ),
        (
            "a_batch_for_other_rules_is_refused",
            a_batch_for_other_rules_is_refused,
        ),
        ("foreign_chains_are_read", foreign_chains_are_read),
        (
            "a_listener_hears_of_its_table_alone",
            a_listener_hears_of_its_table_alone,
        ),
        ("without_rights_it_is_refused", without_rights_it_is_refused),
    ])
    .exit();
}

const TABLE: Table = Table {
    family: Family::INET,
    name: "t",
};

const PORTS: Set = Set {
    name: "ports",
    key: &[Type::Ipv4Addr, Type::InetProto, Type::InetService],
    to: Mapped::Values(&[Type::Ipv4Addr, Type::InetService]),
    intervals: false,
};

const BRIDGES: Set = Set {
    name: "bridges",
    key: &[Type::Ifname],
    to: Mapped::Nothing,
    intervals: false,
};

fn port(n: u16) -> Element {
    let key = Key::new().address([10, 0, 0, 1].into()).protocol(6).port(n);
    Element::to(key, Key::new().address([10, 0, 0, 2].into()).port(n))
}

/// A batch that begins with the table.
fn batch() -> Batch {
    let mut batch = Batch::new(TABLE);
    batch.add_table("a test's");
    batch
}

fn commit(batch: &Batch) -> Nftables {
    let mut net = Nftables::open().unwrap();
    net.commit(batch, None).unwrap();
    net
}

/// All of one kind that `nft -j list ruleset` shows.
fn shown(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&nft("-j list ruleset")).unwrap();
    let entries = all["nftables"].as_array().unwrap().iter();
    entries
        .filter_map(|entry| entry.get(kind).cloned())
        .collect()
}

fn a_table_is_made_and_deleted() {
    let mut net = Nftables::open().unwrap();
    assert_eq!(net.table(TABLE).unwrap(), None);
    let mut net_2 = commit(&batch());
    let seen = net_2.table(TABLE).unwrap().unwrap();
    assert_eq!(
        (seen.name.as_str(), seen.comment.as_deref()),
        ("t", Some("a test's"))
    );
    let told = nft("list ruleset");
    assert!(
        told.contains("table inet t") && told.contains("comment \"a test's\""),
        "{told}"
    );
    let mut gone = Batch::new(TABLE);
    gone.delete_table();
    net.commit(&gone, None).unwrap();
    assert_eq!(nft("list ruleset"), "");
    let e = net.commit(&gone, None).unwrap_err();
    assert_eq!(
        e.to_string(),
        format!("NFT_MSG_DELTABLE(inet t): {}", Errno::NOENT)
    );
}

fn chains_are_shown() {
    let mut batch = batch();
    let base = |kind, hook, priority| {
        Some(Base {
            kind,
            hook,
            priority,
        })
    };
    let chains = [
        ("a", None),
        ("b", base(ChainKind::Filter, Hook::Forward, -300)),
        ("c", base(ChainKind::Nat, Hook::Postrouting, 100)),
        ("d", base(ChainKind::Filter, Hook::Input, 7)),
    ];
    for (name, base) in chains {
        batch.add_chain(&Chain { name, base });
    }
    let mut net = commit(&batch);
    let shown: Vec<_> = shown("chain")
        .iter()
        .map(|c| json!([c["name"], c["type"], c["hook"], c["prio"], c["policy"]]))
        .collect();
    assert_eq!(
        shown,
        [
            json!(["a", null, null, null, null]),
            json!(["b", "filter", "forward", -300, "accept"]),
            json!(["c", "nat", "postrouting", 100, "accept"]),
            json!(["d", "filter", "input", 7, "accept"]),
        ]
    );
    let seen = net.chains(Family::INET).unwrap();
    assert_eq!(seen.len(), 4);
    let c = seen.iter().find(|chain| chain.name == "c").unwrap();
    let base = c.base.as_ref().unwrap();
    assert_eq!(
        (base.kind.as_str(), base.priority, base.drops),
        ("nat", 100, false)
    );
    assert_eq!(Hook::numbered(base.hook), Some(Hook::Postrouting));
}

fn sets_are_shown_with_their_elements() {
    let subnets = Set {
        name: "subnets",
        key: &[Type::Ipv4Addr, Type::Ifname],
        to: Mapped::Nothing,
        intervals: true,
    };
    let ranges = Set {
        name: "ranges",
        key: &[Type::Ipv4Addr],
        to: Mapped::Nothing,
        intervals: true,
    };
    let verdicts = Set {
        name: "verdicts",
        key: &[Type::Ifname],
        to: Mapped::Verdicts,
        intervals: false,
    };
    let families = Set {
        name: "families",
        key: &[Type::NfProto],
        to: Mapped::Nothing,
        intervals: false,
    };
    let ports6 = Set {
        name: "ports6",
        key: &[Type::InetProto, Type::InetService],
        to: Mapped::Values(&[Type::Ipv6Addr, Type::InetService]),
        intervals: false,
    };
    let mut batch = batch();
    batch.add_chain(&Chain {
        name: "c",
        base: None,
    });
    for set in [
        &PORTS, &BRIDGES, &subnets, &ranges, &verdicts, &families, &ports6,
    ] {
        batch.add_set(set);
    }
    let mut named = Element::new(Key::new().interface("br0"));
    named.set_comment("hello");
    batch.add_elements(&PORTS, true, &[port(80)]);
    batch.add_elements(&BRIDGES, true, &[named]);
    let key = |n| {
        Key::new()
            .address([10, 1, 0, n].into())
            .interface("br0")
            .finish()
    };
    let subnet = Element {
        key: key(0),
        key_end: Some(key(255)),
        ..Element::default()
    };
    batch.add_elements(&subnets, true, &[subnet]);
    let at = |c, is_end| Element {
        is_end,
        ..Element::new(Key::new().address([10, 1, c, 0].into()))
    };
    // Neighbours: the end of one is where the next begins.
    let intervals = [at(0, false), at(1, true), at(1, false), at(2, true)];
    batch.add_elements(&ranges, true, &intervals);
    let verdict = |name: &str, verdict| Element {
        data: Some(Data::Verdict(verdict)),
        ..Element::new(Key::new().interface(name))
    };
    let all = [
        verdict("br0", Verdict::Jump("c".into())),
        verdict("br1", Verdict::Drop),
    ];
    batch.add_elements(&verdicts, true, &all);
    batch.add_elements(&families, true, &[Element::new(Key::new().protocol(10))]);
    let ipv6 = Key::new().address("fd00::7".parse().unwrap()).port(81);
    let element = Element::to(Key::new().protocol(17).port(80), ipv6);
    batch.add_elements(&ports6, true, &[element]);
    commit(&batch);

    let told = nft("list ruleset");
    for part in [
        "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
        "elements = { 10.0.0.1 . tcp . 80 : 10.0.0.2 . 80 }",
        "type ifname\n",
        "elements = { \"br0\" comment \"hello\" }",
        "type ipv4_addr . ifname\n\t\tflags interval",
        "elements = { 10.1.0.0/24 . \"br0\" }",
        "elements = { 10.1.0.0/24, 10.1.1.0/24 }",
        "type ifname : verdict",
        "\"br0\" : jump c",
        "\"br1\" : drop",
        "type nf_proto",
        "elements = { ipv6 }",
        "elements = { udp . 80 : fd00::7 . 81 }",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

fn every_expression_is_shown() {
    let verdicts = Set {
        name: "verdicts",
        key: &[Type::Ifname],
        to: Mapped::Verdicts,
        intervals: false,
    };
    let mut batch = batch();
    batch.add_set(&PORTS);
    batch.add_set(&BRIDGES);
    batch.add_set(&verdicts);
    for (name, kind, hook) in [
        ("pre", ChainKind::Nat, Hook::Prerouting),
        ("post", ChainKind::Nat, Hook::Postrouting),
        ("fwd", ChainKind::Filter, Hook::Forward),
    ] {
        let base = Some(Base {
            kind,
            hook,
            priority: 0,
        });
        batch.add_chain(&Chain { name, base });
    }
    batch.add_chain(&Chain {
        name: "c",
        base: None,
    });
    let first = Reg::word(0);
    let ipv4 = || {
        [
            Expr::Meta(Meta::Nfproto, first),
            Expr::Cmp(first, Compare::Equal, vec![2]),
        ]
    };
    let address = |offset, to| Expr::Payload {
        base: Header::Network,
        offset,
        length: 4,
        to,
    };
    let mut rule = |chain, expressions: Vec<Expr>| {
        batch.add_rule(&Rule {
            chain,
            expressions,
            comment: "x y".into(),
        });
    };
    let nat = |kind, port| Expr::Nat {
        kind,
        family: Family::IPV4,
        address: first,
        port,
        flags: 8,
    };
    let mut published = ipv4().to_vec();
    published.extend([
        address(16, first),
        Expr::Meta(Meta::L4proto, Reg::word(1)),
        Expr::Payload {
            base: Header::Transport,
            offset: 2,
            length: 2,
            to: Reg::word(2),
        },
        Expr::Map {
            from: first,
            map: "ports",
            to: first,
        },
        nat(Nat::Destination, Some(Reg::word(1))),
    ]);
    rule("pre", published);
    let local = 2u32.to_ne_bytes().to_vec();
    rule(
        "pre",
        vec![
            Expr::Fib(Fib::DestinationType, first),
            Expr::Cmp(first, Compare::Equal, local.clone()),
            Expr::Fib(Fib::SourceType, first),
            Expr::Cmp(first, Compare::Unequal, local),
            Expr::Counter,
            Expr::Verdict(Verdict::Goto("c".into())),
        ],
    );
    let mut masquerade = ipv4().to_vec();
    masquerade.extend([
        address(12, first),
        Expr::Bitwise {
            reg: first,
            mask: vec![255, 255, 255, 0],
            xor: vec![0; 4],
        },
        Expr::Cmp(first, Compare::Equal, vec![10, 1, 0, 0]),
        Expr::Meta(Meta::Oifname, first),
        Expr::NotInSet(first, "bridges"),
        Expr::Masquerade,
    ]);
    rule("post", masquerade);
    let mut source = ipv4().to_vec();
    source.extend([
        Expr::Immediate(first, vec![10, 1, 2, 3]),
        nat(Nat::Source, None),
    ]);
    rule("post", source);
    for (ct, bits) in [(Ct::State, 6u32), (Ct::Status, 0x20)] {
        rule(
            "fwd",
            vec![
                Expr::Ct(ct, first),
                Expr::Bitwise {
                    reg: first,
                    mask: bits.to_ne_bytes().to_vec(),
                    xor: vec![0; 4],
                },
                Expr::Cmp(first, Compare::Unequal, vec![0; 4]),
                Expr::Verdict(Verdict::Accept),
            ],
        );
    }
    let mut bridge = b"bridge".to_vec();
    bridge.resize(16, 0);
    rule(
        "fwd",
        vec![
            Expr::Meta(Meta::Iifkind, first),
            Expr::Cmp(first, Compare::Equal, bridge.clone()),
            Expr::Meta(Meta::Oifkind, first),
            Expr::Cmp(first, Compare::Equal, bridge),
            Expr::Verdict(Verdict::Return),
        ],
    );
    rule(
        "fwd",
        vec![
            Expr::Meta(Meta::Iifname, first),
            Expr::VerdictMap(first, "verdicts"),
        ],
    );
    rule("c", vec![Expr::Verdict(Verdict::Drop)]);
    commit(&batch);

    let told = nft("list ruleset");
    for part in [
        "dnat ip to ip daddr . meta l4proto . th dport map @ports persistent comment \"x y\"",
        "fib daddr type local fib saddr type != local counter packets 0 bytes 0 goto c",
        "ip saddr 10.1.0.0/24 oifname != @bridges masquerade",
        "snat ip to 10.1.2.3 persistent",
        "ct state established,related accept",
        "ct status dnat accept",
        "meta iifkind \"bridge\" meta oifkind \"bridge\" return",
        "iifname vmap @verdicts",
        "\t\tdrop comment",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

fn elements_read_back() {
    let mut batch = batch();
    batch.add_set(&PORTS);
    let mut elements: Vec<Element> = (1..=3000).map(port).collect();
    elements[7].set_comment("seven");
    batch.add_elements(&PORTS, true, &elements);
    let mut net = commit(&batch);
    let mut seen = net.elements(TABLE, &PORTS).unwrap().unwrap();
    seen.sort();
    elements.sort();
    assert_eq!(seen, elements);
    assert_eq!(
        net.element(TABLE, &PORTS, &port(77)).unwrap(),
        Some(port(77))
    );
    assert_eq!(net.element(TABLE, &PORTS, &port(3001)).unwrap(), None);
    assert_eq!(net.elements(TABLE, &BRIDGES).unwrap(), None);
    let sets = net.sets(TABLE).unwrap();
    assert!(sets.len() == 1 && sets[0].is(&PORTS) && !sets[0].is(&BRIDGES));
}

fn a_thousand_elements_go_in_one_batch() {
    let mut all = batch();
    all.add_set(&PORTS);
    // More than a socket's send buffer holds, and more acknowledgements than its receive buffer would.
    let elements: Vec<Element> = (1..=20_000).map(port).collect();
    all.add_elements(&PORTS, true, &elements);
    let mut net = commit(&all);
    assert_eq!(net.elements(TABLE, &PORTS).unwrap().unwrap().len(), 20_000);
    let mut fewer = Batch::new(TABLE);
    fewer.delete_elements(&PORTS, &elements[..19_990]);
    net.commit(&fewer, None).unwrap();
    assert_eq!(net.elements(TABLE, &PORTS).unwrap().unwrap().len(), 10);
}

fn a_batch_fails_as_a_whole_and_names_the_change() {
    let mut bad = batch();
    bad.add_set(&PORTS);
    bad.add_rule(&Rule {
        chain: "nowhere",
        expressions: vec![Expr::Masquerade],
        comment: "to outside".into(),
    });
    bad.add_set(&BRIDGES);
    let mut net = Nftables::open().unwrap();
    let e = net.commit(&bad, None).unwrap_err();
    assert_eq!(e.errno(), Errno::NOENT);
    assert!(
        e.to_string()
            .starts_with("NFT_MSG_NEWRULE(inet t nowhere \"to outside\")"),
        "{e}"
    );
    assert_eq!(nft("list ruleset"), "");
    // What is left of the answers is not taken for answers to what comes next.
    net.commit(&batch(), None).unwrap();
    assert!(net.table(TABLE).unwrap().is_some());
}

fn the_element_at_fault_is_named() {
    let mut first = batch();
    first.add_set(&PORTS);
    first.add_elements(&PORTS, true, &[port(1500)]);
    let mut net = commit(&first);
    let mut more = Batch::new(TABLE);
    let elements: Vec<Element> = (1000..2000).map(port).collect();
    more.add_elements(&PORTS, true, &elements);
    let e = net.commit(&more, None).unwrap_err();
    assert_eq!(e.errno(), Errno::EXIST);
    assert!(e.call().contains("{ 10.0.0.1 . tcp . 1500 }"), "{e}");
    assert_eq!(net.elements(TABLE, &PORTS).unwrap().unwrap().len(), 1);
    // Not new, and the same: nothing to do. Leading elsewhere: no.
    let mut again = Batch::new(TABLE);
    again.add_elements(&PORTS, false, &elements);
    net.commit(&again, None).unwrap();
    let mut other = Batch::new(TABLE);
    let elsewhere = Element {
        data: port(7).data,
        ..port(1500)
    };
    other.add_elements(&PORTS, false, &[elsewhere]);
    assert_eq!(net.commit(&other, None).unwrap_err().errno(), Errno::EXIST);
}

fn a_batch_for_other_rules_is_refused() {
    let mut net = Nftables::open().unwrap();
    let generation = net.generation().unwrap();
    nft_script("add table ip other");
    let e = net.commit(&batch(), Some(generation)).unwrap_err();
    assert_eq!(e.errno(), Errno::RESTART);
    assert!(
        e.to_string().contains("NFNL_MSG_BATCH_BEGIN(inet t)"),
        "{e}"
    );
    let generation = net.generation().unwrap();
    net.commit(&batch(), Some(generation)).unwrap();
}

fn foreign_chains_are_read() {
    nft_script(
        "table ip filter {
            chain FORWARD { type filter hook forward priority 0; policy drop; ip saddr 1.2.3.4 accept
 }
            chain other { counter
 }
        }
        table bridge b { chain c { type filter hook forward priority -200;
 }
 }
        table ip6 n { chain c { type nat hook prerouting priority dstnat;
 }
 }",
    );
    let mut net = Nftables::open().unwrap();
    let seen = net.chains(Family::UNSPEC).unwrap();
    assert_eq!(seen.len(), 4);
    let forward = seen.iter().find(|chain| chain.name == "FORWARD").unwrap();
    let base = forward.base.as_ref().unwrap();
    assert_eq!(
        (forward.family, forward.table.as_str()),
        (Family::IPV4, "filter")
    );
    assert_eq!(
        (base.hook, base.priority, base.drops),
        (Hook::Forward as u32, 0, true)
    );
    let other = seen.iter().find(|chain| chain.name == "other").unwrap();
    assert_eq!(other.base, None);
    let table = Table {
        family: Family::IPV4,
        name: "filter",
    };
    let rules = net.rules(table).unwrap();
    let chains: Vec<_> = rules.iter().map(|rule| rule.chain.as_str()).collect();
    assert_eq!(chains, ["FORWARD", "other"]);
    assert_eq!(net.chains(Family::IPV6).unwrap().len(), 1);
}

fn a_listener_hears_of_its_table_alone() {
    let mut listener = Listener::open(TABLE).unwrap();
    assert!(!listener.changed().unwrap());
    let waits = |listener: &Listener| {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        let none = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&none)).unwrap() != 0
    };
    assert!(!waits(&listener));
    nft_script("add table ip t; add table inet tt; add chain inet tt c");
    assert!(waits(&listener) && !listener.changed().unwrap());
    assert!(!waits(&listener));
    for change in [
        "add table inet t",
        "add chain inet t c",
        "add set inet t s { type inet_service; }",
        "add element inet t s { 80 }",
        "add rule inet t c counter",
        "flush chain inet t c",
        "delete element inet t s { 80 }",
        "flush ruleset",
    ] {
        nft_script(change);
        assert!(listener.changed().unwrap(), "{change}");
        assert!(!listener.changed().unwrap());
    }
    // Of other tables, whoever asks.
    nft_script("add table ip t; add chain ip t c; add rule ip t c counter");
    assert!(!listener.lost(false).unwrap());
    nft_script("delete table ip t");
    assert!(listener.lost(true).unwrap() && !listener.lost(true).unwrap());
    // More news than there is room for: it may have been among what is lost.
    let mut elements = batch();
    elements.add_set(&PORTS);
    let ports: Vec<Element> = (1..=20_000).map(port).collect();
    elements.add_elements(&PORTS, true, &ports);
    commit(&elements);
    assert!(listener.changed().unwrap());
    assert!(!listener.changed().unwrap());
}

fn without_rights_it_is_refused() {
    rustix::thread::set_thread_res_uid(
        rustix::process::Uid::from_raw(65534),
        rustix::process::Uid::from_raw(65534),
        rustix::process::Uid::from_raw(65534),
    )
    .unwrap();
    let mut net = Nftables::open().unwrap();
    let e = net.commit(&batch(), None).unwrap_err();
    assert_eq!(e.errno(), Errno::PERM);
    assert!(e.to_string().contains("inet t"), "{e}");
}
