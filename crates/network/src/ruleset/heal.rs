//! Whether the table is as it should be, and making it so.

use crate::nft::{Hook, SeenChain, SeenRule, Set};

use super::elements::Elements;
use super::rules::rules;
use super::skeleton::{self, CHAINS, SETS};
use super::{Error, Ruleset, TABLE};

/// What [`Ruleset::heal`] and [`Ruleset::ensure`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healed {
    /// All is as it should be.
    Nothing,
    /// Elements were added or deleted.
    Elements,
    /// There was no table.
    Made,
    /// A chain, a rule or a set was not as it should be: the table was made anew.
    Remade,
}

/// What was seen.
pub(super) struct Seen {
    /// When.
    generation: u32,
    /// Whether there is a table of that name.
    pub(super) is_there: bool,
    /// Whether its chains, rules and sets are as they should be.
    pub(super) whole: bool,
    /// Its sets and maps that are as they should be: of another version's, keys and values mean something else.
    sets: Vec<&'static Set>,
    /// What is in these.
    elements: Elements,
}

impl Ruleset {
    pub(super) fn look(&mut self) -> Result<Seen, Error> {
        let mut seen = Seen {
            generation: self.generation()?,
            is_there: false,
            whole: false,
            sets: Vec::new(),
            elements: Elements::default(),
        };
        let Some(table) = self.0.table(TABLE)? else {
            return Ok(seen);
        };
        seen.is_there = true;
        let sets = self.0.sets(TABLE)?;
        let good = |set: &&&'static Set| sets.iter().any(|seen| seen.is(set));
        seen.sets = SETS.iter().filter(good).copied().collect();
        seen.whole = table.comment.as_deref() == Some(skeleton::comment().as_str())
            && (seen.sets.len(), sets.len()) == (SETS.len(), SETS.len())
            && chains_are_whole(&self.0.chains(TABLE.family)?)
            && rules_are_whole(&self.0.rules(TABLE)?);
        Ok(seen)
    }

    pub(super) fn look_into<'s>(&mut self, seen: &'s mut Seen) -> Result<&'s Elements, Error> {
        for set in &seen.sets {
            // If it is gone by now, so is the generation.
            let found = self.0.elements(TABLE, set)?.unwrap_or_default();
            seen.elements.insert(set, found);
        }
        Ok(&seen.elements)
    }

    /// Makes of what was seen what is wanted, unless others change anything meanwhile.
    pub(super) fn repair(&mut self, seen: &Seen, wanted: &Elements) -> Result<Healed, Error> {
        let (batch, done) = if seen.whole {
            let batch = seen.elements.batch_to(wanted);
            let done = if batch.is_empty() {
                Healed::Nothing
            } else {
                Healed::Elements
            };
            (batch, done)
        } else {
            let mut batch = skeleton::batch();
            batch.append(Elements::default().batch_to(wanted));
            let done = if seen.is_there {
                Healed::Remade
            } else {
                Healed::Made
            };
            (batch, done)
        };
        self.0.commit(&batch, Some(seen.generation))?;
        Ok(done)
    }
}

fn chains_are_whole(seen: &[SeenChain]) -> bool {
    let ours: Vec<_> = seen
        .iter()
        .filter(|chain| chain.table == TABLE.name)
        .collect();
    let like = |chain: &crate::nft::Chain| {
        ours.iter().any(|seen| {
            let base = match (&seen.base, chain.base) {
                (None, None) => true,
                (Some(seen), Some(base)) => {
                    seen.kind == base.kind.name()
                        && Hook::numbered(seen.hook) == Some(base.hook)
                        && seen.priority == base.priority
                        && !seen.drops
                }
                _ => false,
            };
            seen.name == chain.name && base
        })
    };
    ours.len() == CHAINS.len() && CHAINS.iter().all(like)
}

/// By their comments, each in its place: what a rule does, nobody changes without making it another.
fn rules_are_whole(seen: &[SeenRule]) -> bool {
    let wanted = rules();
    CHAINS.iter().all(|chain| {
        let wanted = wanted.iter().filter(|rule| rule.chain == chain.name);
        let seen = seen.iter().filter(|rule| rule.chain == chain.name);
        wanted
            .map(|rule| Some(rule.comment.as_str()))
            .eq(seen.map(|rule| rule.comment.as_deref()))
    })
}
