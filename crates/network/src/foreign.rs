//! The machine's own firewall: chains that others have made, and what is in their tables.

use std::collections::HashMap;

use soute_sys::CallError;

use crate::nft::{Family, Hook, Nftables, Program, SeenChain};
use crate::ruleset::TABLE;

/// `NFT_JUMP_STACK_SIZE`
pub(crate) const DEEPEST: usize = 16;

/// A table's rules in their order, by their chains.
pub(crate) type Rules = HashMap<String, Vec<Program>>;

/// The base chains at a hook that IP packets cross, but those of the table `soute`.
pub(crate) fn base_chains(
    nftables: &mut Nftables,
    hook: Hook,
) -> Result<Vec<SeenChain>, CallError> {
    let mut found = Vec::new();
    for family in [Family::INET, Family::IPV4, Family::IPV6] {
        found.extend(nftables.chains(family)?);
    }
    found.retain(|chain| {
        let own = chain.table == TABLE.name && chain.family == TABLE.family;
        let base = chain.base.as_ref();
        base.is_some_and(|base| base.hook == hook as u32) && !own
    });
    Ok(found)
}

/// The rules of the table that a chain is in.
pub(crate) fn rules_around(nftables: &mut Nftables, chain: &SeenChain) -> Result<Rules, CallError> {
    let mut rules = Rules::new();
    for (name, program) in nftables.programs(chain.family, &chain.table)? {
        rules.entry(name).or_default().push(program);
    }
    Ok(rules)
}
