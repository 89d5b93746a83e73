//! Which of the machine's own input chains keep a port from outside.
//!
//! What a published port translates never crosses them: to have their say all the same, they are asked here what they would
//! do with the first packet of a connection from anywhere. A rule that asks for more than is known of such a packet (an
//! interface, a source) decides nothing: what only some may reach is closed to others. A rule for the very port that drops
//! some of what comes, by a limit say, closes it: nobody keeps to that limit for what is translated.

use std::collections::HashMap;

use soute_sys::CallError;

use crate::foreign::{self, DEEPEST};
use crate::nft::{Arriving, Family, Hook, Nftables, Program, SeenChain, Sets, Verdict};

/// More rules than a packet meets on its way.
const MOST: usize = 1 << 16;
/// The machine's input chains but those of the table `soute`, and all that they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The base chains.
    chains: Vec<SeenChain>,
    tables: HashMap<(u8, String), Rules>,
}

/// What is in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rules {
    chains: foreign::Rules,
    sets: Sets,
}

impl Inputs {
    /// Those of a network namespace, as they are now.
    pub fn read(nftables: &mut Nftables) -> Result<Self, CallError> {
        let mut inputs = Self {
            chains: foreign::base_chains(nftables, Hook::Input)?,
            ..Self::default()
        };
        for chain in &inputs.chains {
            let key = (chain.family.0, chain.table.clone());
            if inputs.tables.contains_key(&key) {
                continue;
            }
            let chains = foreign::rules_around(nftables, chain)?;
            let all = chains.values().flatten();
            let asked: Vec<&str> = all.flat_map(Program::sets).collect();
            let sets = nftables.contents(chain.family, &chain.table, &asked)?;
            inputs.tables.insert(key, Rules { chains, sets });
        }
        Ok(inputs)
    }

    /// The chain that drops what comes to a port from anywhere. `None`: none does.
    pub fn closes(&self, packet: Arriving) -> Option<&SeenChain> {
        self.chains.iter().find(|chain| {
            let base = chain.base.as_ref();
            let sees = match chain.family {
                Family::IPV4 => packet.ipv4,
                Family::IPV6 => !packet.ipv4,
                _ => true,
            };
            let Some(rules) = self.tables.get(&(chain.family.0, chain.table.clone())) else {
                return false;
            };
            let mut left = MOST;
            let drops = || base.is_some_and(|base| base.drops);
            sees && rules
                .judge(&chain.name, packet, false, DEEPEST, &mut left)
                .map_or_else(drops, |passes| !passes)
        })
    }
}

impl Rules {
    /// Whether the packet passes by this chain. `None`: it does not say. `named`: what led here was for the very port.
    fn judge(
        &self,
        chain: &str,
        packet: Arriving,
        named: bool,
        deep: usize,
        left: &mut usize,
    ) -> Option<bool> {
        for program in self.chains.get(chain).into_iter().flatten() {
            *left = left.saturating_sub(1);
            if *left == 0 || deep == 0 {
                return Some(false);
            }
            let Some(ruling) = program.run(packet, &self.sets) else {
                continue;
            };
            // No port has that number.
            let other = Arriving { port: 0, ..packet };
            let named = named || program.run(other, &self.sets).is_none();
            let passes = match &ruling.verdict {
                Verdict::Accept => Some(true),
                Verdict::Drop => Some(false),
                Verdict::Return => None,
                Verdict::Jump(to) | Verdict::Goto(to) => {
                    self.judge(to, packet, named, deep - 1, left)
                }
            };
            if !ruling.always {
                if named && passes == Some(false) {
                    return passes;
                }
                continue;
            }
            let goes_on = matches!(ruling.verdict, Verdict::Jump(_)) && passes.is_none();
            if !goes_on {
                return passes;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use soute_sys::netlink::{Attributes, Writer};

    use super::*;
    use crate::nft::{
        Compare, Contents, Ct, Data, Element, Expr, Fib, Header, Key, Meta, Reg, SeenBase,
    };

    const AT: Reg = Reg::word(0);

    fn program(expressions: &[Expr]) -> Program {
        let mut list = Writer::default();
        for expression in expressions {
            expression.put(&mut list);
        }
        Program::read(Attributes::new(&list.finish().unwrap()))
    }

    fn is(compare: Compare, value: &[u8]) -> Expr {
        Expr::Cmp(AT, compare, value.to_vec())
    }

    fn payload(base: Header, offset: u32, length: u32) -> Expr {
        Expr::Payload {
            base,
            offset,
            length,
            to: AT,
        }
    }

    fn protocol(number: u8) -> Vec<Expr> {
        vec![Expr::Meta(Meta::L4proto, AT), is(Compare::Equal, &[number])]
    }

    fn port(number: u16) -> Vec<Expr> {
        vec![
            payload(Header::Transport, 2, 2),
            is(Compare::Equal, &number.to_be_bytes()),
        ]
    }

    fn state(bits: u32) -> Vec<Expr> {
        vec![
            Expr::Ct(Ct::State, AT),
            Expr::Bitwise {
                reg: AT,
                mask: bits.to_ne_bytes().to_vec(),
                xor: vec![0; 4],
            },
            is(Compare::Unequal, &[0; 4]),
        ]
    }

    fn verdict(verdict: Verdict) -> Vec<Expr> {
        vec![Expr::Counter, Expr::Verdict(verdict)]
    }

    /// One table of `family`, its base chain `input` with that policy, and these rules.
    fn inputs(family: Family, drops: bool, rules: &[(&str, Vec<Vec<Expr>>)]) -> Inputs {
        let mut all = Rules::default();
        for (chain, parts) in rules {
            let chain = all.chains.entry((*chain).to_owned()).or_default();
            chain.push(program(&parts.concat()));
        }
        Inputs {
            chains: vec![SeenChain {
                family,
                table: "filter".into(),
                name: "input".into(),
                base: Some(SeenBase {
                    kind: "filter".into(),
                    hook: Hook::Input as u32,
                    priority: 0,
                    drops,
                }),
            }],
            tables: [((family.0, "filter".to_owned()), all)].into(),
        }
    }

    fn tcp(ipv4: bool) -> Arriving {
        Arriving {
            ipv4,
            protocol: 6,
            port: 8080,
            address: None,
        }
    }

    fn is_closed(rules: &[(&str, Vec<Vec<Expr>>)]) -> bool {
        let inputs = inputs(Family::INET, true, rules);
        assert_eq!(
            inputs.closes(tcp(true)).is_some(),
            inputs.closes(tcp(false)).is_some()
        );
        inputs.closes(tcp(true)).is_some()
    }

    #[test]
    fn a_policy_is_of_its_family_alone() {
        for (family, ipv4, ipv6) in [
            (Family::IPV4, true, false),
            (Family::IPV6, false, true),
            (Family::INET, true, true),
        ] {
            let inputs = inputs(family, true, &[]);
            assert_eq!(inputs.closes(tcp(true)).is_some(), ipv4);
            assert_eq!(inputs.closes(tcp(false)).is_some(), ipv6);
        }
        assert!(inputs(Family::INET, false, &[]).closes(tcp(true)).is_none());
        assert!(Inputs::default().closes(tcp(true)).is_none());
    }

    #[test]
    fn a_rule_that_says_no_more_than_the_port_decides() {
        let accept = || verdict(Verdict::Accept);
        let opens = |parts: Vec<Vec<Expr>>| !is_closed(&[("input", parts)]);
        assert!(opens(vec![accept()]));
        assert!(opens(vec![protocol(6), accept()]));
        assert!(opens(vec![protocol(6), port(8080), accept()]));
        assert!(opens(vec![protocol(6), port(8080), state(8 | 2), accept()]));
        let local = vec![
            Expr::Fib(Fib::DestinationType, AT),
            is(Compare::Equal, &2u32.to_ne_bytes()),
        ];
        assert!(opens(vec![local, port(8080), accept()]));

        assert!(!opens(vec![protocol(17), port(8080), accept()]));
        assert!(!opens(vec![protocol(6), port(8081), accept()]));
        assert!(!opens(vec![
            protocol(6),
            port(8080),
            state(2 | 4),
            accept()
        ]));
        // Who comes by which interface, and from where, is not known, nor is the port that it comes from.
        let by_lo = vec![Expr::Meta(Meta::Iifname, AT), is(Compare::Equal, b"lo")];
        assert!(!opens(vec![by_lo, accept()]));
        let source = vec![payload(Header::Network, 12, 1), is(Compare::Equal, &[10])];
        assert!(!opens(vec![source, port(8080), accept()]));
        let sport = vec![
            payload(Header::Transport, 0, 2),
            is(Compare::Equal, &8080u16.to_be_bytes()),
        ];
        assert!(!opens(vec![sport, accept()]));
    }

    #[test]
    fn rules_are_asked_in_their_order_through_jumps() {
        let accept = || verdict(Verdict::Accept);
        let jump = |to: &str| vec![verdict(Verdict::Jump(to.into()))];
        assert!(!is_closed(&[
            ("input", jump("before")),
            ("before", jump("user")),
            ("user", vec![protocol(6), port(8080), accept()]),
        ]));
        // Nobody goes there.
        assert!(is_closed(&[("user", vec![accept()])]));
        assert!(is_closed(&[
            ("input", vec![protocol(17), jump("user").concat()]),
            ("user", vec![accept()]),
        ]));
        assert!(is_closed(&[
            ("input", vec![port(8080), verdict(Verdict::Drop)]),
            ("input", vec![accept()]),
        ]));
        assert!(is_closed(&[
            ("input", vec![verdict(Verdict::Goto("user".into()))]),
            ("input", vec![accept()]),
        ]));
        assert!(is_closed(&[
            ("input", jump("user")),
            ("user", vec![verdict(Verdict::Return)]),
            ("user", vec![accept()]),
        ]));
        // What goes round and round, which the kernel lets nobody make.
        assert!(is_closed(&[("input", jump("input"))]));
        // A drop at the end is as good as a policy.
        let dropping = [("input", vec![verdict(Verdict::Drop)])];
        assert!(
            inputs(Family::INET, false, &dropping)
                .closes(tcp(true))
                .is_some()
        );
    }

    /// As `ufw limit` has it: some are dropped, and then all are let in.
    #[test]
    fn a_limit_of_the_very_port_closes_it() {
        let limited = |to: Verdict| [vec![Expr::AtMost(6)], verdict(to)].concat();
        let accept = || vec![verdict(Verdict::Accept)];
        let ours = || [protocol(6), port(8080)].concat();
        let others = || [protocol(6), port(22)].concat();
        let closes = |first: Vec<Expr>| is_closed(&[("input", vec![first]), ("input", accept())]);
        assert!(closes([ours(), limited(Verdict::Drop)].concat()));
        assert!(!closes([others(), limited(Verdict::Drop)].concat()));
        // One of all that comes, or one that drops nothing.
        assert!(!closes(limited(Verdict::Drop)));
        assert!(!closes([ours(), limited(Verdict::Accept)].concat()));
        assert!(!closes([ours(), limited(Verdict::Return)].concat()));
        // It lets in, up to the limit, what nothing else does.
        assert!(is_closed(&[(
            "input",
            vec![ours(), limited(Verdict::Accept)]
        )]));
        // Wherever it leads, and whatever led there.
        let to = |words: Vec<Expr>| [words, verdict(Verdict::Jump("limits".into()))].concat();
        let by_jump = |first: Vec<Expr>, then: Vec<Expr>| {
            is_closed(&[
                ("input", vec![first]),
                ("input", accept()),
                ("limits", vec![then]),
            ])
        };
        assert!(by_jump(
            to([ours(), vec![Expr::AtMost(6)]].concat()),
            verdict(Verdict::Drop)
        ));
        assert!(by_jump(to(ours()), limited(Verdict::Drop)));
        assert!(!by_jump(to(protocol(6)), limited(Verdict::Drop)));
        // What was loaded before is not what is compared after something that may have loaded something else.
        let stale = [
            vec![Expr::Meta(Meta::L4proto, AT), Expr::AtMost(6)],
            vec![is(Compare::Equal, &[6])],
            verdict(Verdict::Drop),
        ];
        assert!(!closes([ours(), stale.concat()].concat()));
    }

    /// A port of one address is for that alone.
    #[test]
    fn the_address_is_known_if_the_port_has_one() {
        let to = |address: &[u8], offset, length| {
            vec![
                payload(Header::Network, offset, length),
                is(Compare::Equal, address),
            ]
        };
        let four = [192, 0, 2, 1];
        let six = "2001:db8::1"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets();
        for (family, rule, own, other) in [
            (Family::IPV4, to(&four, 16, 4), "192.0.2.1", "192.0.2.5"),
            (Family::IPV6, to(&six, 24, 16), "2001:db8::1", "2001:db8::2"),
        ] {
            let rules = [("input", vec![rule, port(8080), verdict(Verdict::Accept)])];
            let inputs = inputs(family, true, &rules);
            let is_closed = |address: Option<&str>| {
                let address = address.map(|address| address.parse().unwrap());
                let packet = Arriving {
                    address,
                    ..tcp(family == Family::IPV4)
                };
                inputs.closes(packet).is_some()
            };
            assert!(!is_closed(Some(own)));
            assert!(is_closed(Some(other)));
            assert!(is_closed(None));
        }
    }

    #[test]
    fn ports_are_found_in_sets_and_intervals() {
        let lookup = vec![payload(Header::Transport, 2, 2), Expr::InSet(AT, "ports")];
        let rules = [("input", vec![lookup, verdict(Verdict::Accept)])];
        let element = |port: u16, is_end| Element {
            is_end,
            ..Element::new(Key::new().port(port))
        };
        let closed = |intervals, elements: Vec<Element>| {
            let mut inputs = inputs(Family::INET, true, &rules);
            for table in inputs.tables.values_mut() {
                let contents = Contents {
                    intervals,
                    key: 2,
                    elements: elements.clone(),
                };
                table.sets.insert("ports".into(), contents);
            }
            inputs.closes(tcp(true)).is_some()
        };
        assert!(closed(false, vec![]));
        assert!(!closed(
            false,
            vec![element(22, false), element(8080, false)]
        ));
        assert!(closed(
            false,
            vec![element(22, false), element(8081, false)]
        ));
        let from_to =
            |first, end| vec![element(0, true), element(end, true), element(first, false)];
        assert!(!closed(true, from_to(8000, 8081)));
        assert!(closed(true, from_to(8000, 8080)));
        assert!(!closed(
            true,
            [from_to(8000, 8080), from_to(8080, 8090)].concat()
        ));
        assert!(!closed(true, vec![element(8000, false)]));
        // One that is not known, such as of addresses.
        assert!(
            inputs(Family::INET, true, &rules)
                .closes(tcp(true))
                .is_some()
        );
        let mut led = element(8080, false);
        led.data = Some(Data::Value(vec![1]));
        assert!(!closed(false, vec![led]));
    }
}
