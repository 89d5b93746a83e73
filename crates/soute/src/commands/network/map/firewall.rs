//! What stands in packets' way: chains of nftables that hook in, soute's own and others', and what nftables does not see.

use serde::Serialize;
use soute_network::nft::{Family, Hook, Nftables, SeenChain};
use soute_network::ruleset;

/// The rules of one network namespace, as far as they are told.
#[derive(Debug, Default, Serialize)]
pub struct Firewall {
    /// Whether packets of IPv4 go through the machine.
    pub forwards_ipv4: bool,
    /// Whether packets of IPv6 do.
    pub forwards_ipv6: bool,
    /// Tables with a chain that hooks in, soute's own first.
    pub tables: Vec<Table>,
    /// Tables of legacy iptables that are in use: their rules are not told.
    pub legacy: Vec<String>,
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    pub family: String,
    pub name: String,
    /// Whether soute made it, and puts it back.
    pub own: bool,
    /// Those of its chains that packets come to from a hook; of soute's own, all.
    pub chains: Vec<Chain>,
}

/// A chain.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    pub name: String,
    /// None: packets come to it from other chains alone.
    pub hook: Option<HookedIn>,
    /// What soute's rules are for, in their order.
    pub rules: Vec<String>,
}

/// Where a chain stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct HookedIn {
    /// `filter`, `nat` or `route`.
    #[serde(rename = "type")]
    pub kind: String,
    pub hook: String,
    /// The lowest comes first.
    pub priority: i32,
    /// What becomes of packets that no rule decides on: `accept` or `drop`.
    pub policy: &'static str,
}

impl Firewall {
    /// Of the caller's network namespace.
    pub fn read() -> Self {
        let mut firewall = Self {
            forwards_ipv4: is_on("/proc/sys/net/ipv4/ip_forward"),
            forwards_ipv6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
            ..Self::default()
        };
        for file in ["ip_tables_names", "ip6_tables_names"] {
            // Not there where nobody uses them.
            let names = std::fs::read_to_string(format!("/proc/self/net/{file}"));
            let program = file.split_once('_').map_or("", |(program, _)| program);
            let names = names.unwrap_or_default();
            let tables = names.lines().map(|name| format!("{program} {name}"));
            firewall.legacy.extend(tables);
        }
        let seen = Nftables::open().and_then(|mut nftables| {
            let chains = nftables.chains(Family::UNSPEC)?;
            let own = chains.iter().any(is_own);
            let rules = match own {
                true => nftables.rules(ruleset::TABLE)?,
                false => Vec::new(),
            };
            Ok((chains, rules))
        });
        match seen {
            Ok((chains, rules)) => {
                let rules: Vec<(String, String)> = rules
                    .into_iter()
                    .map(|rule| (rule.chain, rule.comment.unwrap_or_default()))
                    .collect();
                firewall.tables = tables(&chains, &rules);
            }
            // Who may not see the rules is told so once.
            Err(why) if rustix::process::geteuid().is_root() => {
                firewall.notes.push(format!("nftables: {why}"));
            }
            Err(_) => {}
        }
        if !firewall.legacy.is_empty() {
            firewall.notes.push(format!(
                "legacy iptables has rules that are not seen here: {}",
                firewall.legacy.join(", ")
            ));
        }
        firewall
    }

    /// Chains of others that translate addresses before a packet's way is chosen: they may lead ports anywhere.
    pub fn foreign_forwards(&self) -> Vec<String> {
        let foreign = self.tables.iter().filter(|table| !table.own);
        let chains = foreign.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
        let forwards = |(_, chain): &(&Table, &Chain)| {
            let hook = chain.hook.as_ref();
            hook.is_some_and(|hook| {
                hook.kind == "nat" && ["prerouting", "output"].contains(&hook.hook.as_str())
            })
        };
        let named = chains.filter(forwards);
        let mut names: Vec<String> = named
            .map(|(table, chain)| format!("{} {} {}", table.family, table.name, chain.name))
            .collect();
        let legacy = self.legacy.iter().filter(|table| table.ends_with(" nat"));
        names.extend(legacy.map(|table| format!("legacy {table}")));
        names
    }
}

fn is_on(setting: &str) -> bool {
    std::fs::read_to_string(setting).is_ok_and(|value| value.trim() == "1")
}

fn is_own(chain: &SeenChain) -> bool {
    chain.family == ruleset::TABLE.family && chain.table == ruleset::TABLE.name
}

fn tables(chains: &[SeenChain], rules: &[(String, String)]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for chain in chains {
        let own = is_own(chain);
        let hook = chain.base.as_ref().map(|base| HookedIn {
            kind: base.kind.clone(),
            hook: hook(chain.family, base.hook),
            priority: base.priority,
            policy: if base.drops { "drop" } else { "accept" },
        });
        if hook.is_none() && !own {
            continue;
        }
        let rules = rules.iter().filter(|(of, _)| own && *of == chain.name);
        let chain_of = Chain {
            name: chain.name.clone(),
            hook,
            rules: rules.map(|(_, comment)| comment.clone()).collect(),
        };
        let family = chain.family.to_string();
        let known = tables
            .iter_mut()
            .find(|table| table.family == family && table.name == chain.table);
        match known {
            Some(table) => table.chains.push(chain_of),
            None => tables.push(Table {
                family,
                name: chain.table.clone(),
                own,
                chains: vec![chain_of],
            }),
        }
    }
    tables.sort_by_key(|table| !table.own);
    tables
}

/// nft(8)'s word for it.
fn hook(family: Family, number: u32) -> String {
    let named = match family.to_string().as_str() {
        "inet" | "ip" | "ip6" | "bridge" => Hook::numbered(number),
        _ => None,
    };
    named.map_or_else(|| format!("hook {number}"), |hook| hook.name().to_owned())
}

#[cfg(test)]
mod tests {
    use soute_network::nft::SeenBase;

    use super::*;

    fn chain(
        family: Family,
        table: &str,
        name: &str,
        base: Option<(&str, u32, bool)>,
    ) -> SeenChain {
        SeenChain {
            family,
            table: table.into(),
            name: name.into(),
            base: base.map(|(kind, hook, drops)| SeenBase {
                kind: kind.into(),
                hook,
                priority: -1,
                drops,
            }),
        }
    }

    #[test]
    fn chains_that_may_lead_ports_elsewhere_are_named() {
        let chains = [
            chain(Family::IPV4, "nat", "PREROUTING", Some(("nat", 0, false))),
            chain(Family::IPV4, "nat", "POSTROUTING", Some(("nat", 4, false))),
            chain(Family::INET, "raw", "in", Some(("filter", 0, false))),
            chain(Family::INET, "soute", "prerouting", Some(("nat", 0, false))),
        ];
        let firewall = Firewall {
            tables: tables(&chains, &[]),
            legacy: vec!["ip nat".into(), "ip6 filter".into()],
            ..Firewall::default()
        };
        assert_eq!(
            firewall.foreign_forwards(),
            ["ip nat PREROUTING", "legacy ip nat"]
        );
    }

    #[test]
    fn tables_that_hook_in_are_named_and_own_rules_by_what_they_are_for() {
        let chains = [
            chain(Family::IPV4, "filter", "FORWARD", Some(("filter", 2, true))),
            chain(Family::IPV4, "filter", "DOCKER", None),
            chain(Family::INET, "soute", "publish", None),
            chain(Family::INET, "soute", "forward", Some(("filter", 2, false))),
            chain(Family(5), "dev", "in", Some(("filter", 0, false))),
        ];
        let rules = [("forward".to_owned(), "answers".to_owned())];
        let tables = tables(&chains, &rules);
        assert!(tables[0].own);
        assert_eq!(tables[0].chains[1].rules, ["answers"]);
        assert_eq!(tables[0].chains[0].hook, None);
        let foreign = &tables[1];
        assert_eq!((foreign.family.as_str(), foreign.chains.len()), ("ip", 1));
        let hook = foreign.chains[0].hook.as_ref().unwrap();
        assert_eq!((hook.hook.as_str(), hook.policy), ("forward", "drop"));
        assert_eq!(tables[2].chains[0].hook.as_ref().unwrap().hook, "hook 0");
    }
}
