//! Which of the machine's own forward chains drop whatever no rule of theirs lets pass: by their policy, or by a rule that
//! asks nothing of a packet, as firewalld's last one.

use soute_sys::CallError;

use crate::foreign::{DEEPEST, Rules, base_chains, rules_around};
use crate::nft::{Hook, Nftables, SeenChain, Verdict};

/// How a chain comes to drop the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its policy.
    Policy,
    /// A rule that is for all packets.
    Rule,
}

/// Those of a network namespace, but soute's own.
pub fn dropping(nftables: &mut Nftables) -> Result<Vec<(SeenChain, By)>, CallError> {
    let mut found = Vec::new();
    for chain in base_chains(nftables, Hook::Forward)? {
        if chain.base.as_ref().is_some_and(|base| base.drops) {
            found.push((chain, By::Policy));
        } else if rest(&rules_around(nftables, &chain)?, &chain.name, DEEPEST) == Some(false) {
            found.push((chain, By::Rule));
        }
    }
    Ok(found)
}

/// Whether what no rule is for passes by this chain; `None`: it comes to its end.
fn rest(rules: &Rules, chain: &str, deep: usize) -> Option<bool> {
    for program in rules.get(chain).into_iter().flatten() {
        let Some(verdict) = program.of_all() else {
            continue;
        };
        match verdict {
            Verdict::Accept => return Some(true),
            Verdict::Drop => return Some(false),
            Verdict::Return => return None,
            Verdict::Jump(to) if deep > 0 => {
                let passes = rest(rules, to, deep - 1);
                if passes.is_some() {
                    return passes;
                }
            }
            Verdict::Goto(to) if deep > 0 => return rest(rules, to, deep - 1),
            Verdict::Jump(_) | Verdict::Goto(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::Program;

    fn rules(all: &[(&str, &[Verdict])]) -> Rules {
        let chain = |(name, verdicts): &(&str, &[Verdict])| {
            let programs = verdicts.iter().map(|one| Program::always(one.clone()));
            ((*name).to_owned(), programs.collect())
        };
        all.iter().map(chain).collect()
    }

    #[test]
    fn the_first_rule_for_all_packets_decides() {
        use Verdict::{Accept, Drop, Goto, Jump, Return};
        let to = |name: &str| Jump(name.to_owned());
        for (all, passes) in [
            (&[][..], None),
            (&[("f", &[Drop][..])][..], Some(false)),
            (&[("f", &[Accept, Drop])], Some(true)),
            (&[("f", &[Return, Drop])], None),
            (&[("f", &[to("g"), Drop]), ("g", &[])], Some(false)),
            (&[("f", &[to("g")]), ("g", &[Drop])], Some(false)),
            (&[("f", &[to("g"), Drop]), ("g", &[Accept])], Some(true)),
            (&[("f", &[Goto("g".into()), Drop]), ("g", &[])], None),
            // Round and round, which the kernel lets nobody make.
            (&[("f", &[to("f")])], None),
        ] {
            assert_eq!(rest(&rules(all), "f", DEEPEST), passes, "{all:?}");
        }
    }
}
