use soute_sys::netlink::Writer;

use super::*;
use crate::nft::{Compare, Ct, Expr, Fib, Header, Meta, Nat, Reg, Verdict};

fn told(family: Family, expressions: &[Expr]) -> Option<String> {
    let mut list = Writer::default();
    for expression in expressions {
        expression.put(&mut list);
    }
    let bytes = list.finish().unwrap();
    text(family, Attributes::new(&bytes))
}

fn field(base: Header, offset: u32, length: u32) -> Expr {
    Expr::Payload {
        base,
        offset,
        length,
        to: Reg::word(0),
    }
}

fn is(bytes: &[u8]) -> Expr {
    Expr::Cmp(Reg::word(0), Compare::Equal, bytes.to_vec())
}

#[test]
fn common_rules_are_told_in_nfts_language() {
    let first = Reg::word(0);
    let l4proto = |number| [Expr::Meta(Meta::L4proto, first), is(&[number])];
    let nfproto = |number| [Expr::Meta(Meta::Nfproto, first), is(&[number])];
    let drop = [Expr::Counter, Expr::Verdict(Verdict::Drop)];
    let dport = field(Header::Transport, 2, 2);
    let bits = |ct, bits: u32| {
        let (mask, xor) = (bits.to_ne_bytes().to_vec(), vec![0; 4]);
        let reg = first;
        let bitwise = Expr::Bitwise { reg, mask, xor };
        let some = Expr::Cmp(first, Compare::Unequal, vec![0; 4]);
        [Expr::Ct(ct, first), bitwise, some]
    };
    let mut lo = b"lo".to_vec();
    lo.resize(16, 0);
    for (family, expressions, text) in [
        (
            Family::INET,
            [&l4proto(6)[..], &[dport.clone(), is(&[0, 80])], &drop].concat(),
            "tcp dport 80 counter drop",
        ),
        (
            Family::INET,
            [
                &nfproto(2)[..],
                &[field(Header::Network, 16, 4), is(&[10, 0, 0, 1])],
                &drop,
            ]
            .concat(),
            "ip daddr 10.0.0.1 counter drop",
        ),
        (
            Family::IPV4,
            [&[field(Header::Network, 12, 2), is(&[10, 9])], &drop[1..]].concat(),
            "ip saddr 10.9.0.0/16 drop",
        ),
        (
            Family::INET,
            [
                &bits(Ct::State, 2 | 4)[..],
                &[Expr::Verdict(Verdict::Accept)],
            ]
            .concat(),
            "ct state established,related accept",
        ),
        (
            Family::INET,
            vec![
                Expr::Meta(Meta::Iifname, first),
                Expr::Cmp(first, Compare::Unequal, lo),
                Expr::Verdict(Verdict::Jump("a".into())),
            ],
            "iifname != \"lo\" jump a",
        ),
        (
            Family::INET,
            vec![
                Expr::Meta(Meta::Iifname, first),
                Expr::Meta(Meta::Oifname, Reg::word(4)),
                Expr::InSet(first, "within"),
            ],
            "iifname . oifname @within",
        ),
        (
            Family::INET,
            vec![
                Expr::Fib(Fib::DestinationType, first),
                is(&2u32.to_ne_bytes()),
            ],
            "fib daddr type local",
        ),
        (
            Family::IPV4,
            vec![
                Expr::Immediate(first, vec![10, 0, 0, 2]),
                Expr::Immediate(Reg::word(1), vec![0, 80]),
                Expr::Nat {
                    kind: Nat::Destination,
                    family: Family::IPV4,
                    address: first,
                    port: Some(Reg::word(1)),
                    flags: 0,
                },
            ],
            "dnat ip to 10.0.0.2:80",
        ),
    ] {
        assert_eq!(told(family, &expressions).as_deref(), Some(text));
    }
}

#[test]
fn what_is_not_known_makes_the_rule_unknown() {
    // Whose header it is, nobody has said.
    let expressions = [field(Header::Network, 12, 4), is(&[10, 0, 0, 1])];
    assert_eq!(told(Family::INET, &expressions), None);
    // A comparison of what was never loaded.
    assert_eq!(told(Family::IPV4, &[is(&[1])]), None);
    let mut list = Writer::default();
    list.nest(1, |expression| {
        expression.text(NFTA_EXPR_NAME, "match");
    });
    let bytes = list.finish().unwrap();
    assert_eq!(text(Family::IPV4, Attributes::new(&bytes)), None);
}
