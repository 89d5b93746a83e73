//! What there is: our own table, to know whether it is as it should be, and other tables' chains, to know which of them
//! stand in a packet's way.

use std::collections::BTreeSet;

use rustix::io::Errno;
use soute_sys::netlink::{Malformed, Message, Writer, flags};
use soute_sys::{CallError, Called};

use super::batch::{
    NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE,
    NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_HANDLE, NFTA_RULE_TABLE, NFTA_RULE_USERDATA, NFTA_SET_DATA_LEN, NFTA_SET_DATA_TYPE,
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_FLAGS,
    NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_SET_TABLE, NFTA_TABLE_HANDLE,
    NFTA_TABLE_NAME, NFTA_TABLE_USERDATA,
};
use super::element::{Element, comment};
use super::objects::{NFT_SET_INTERVAL, Set, Table};
use super::program::{Contents, Program, Sets};
use super::types::{self, Family, Type};
use super::{Nftables, header, kind, message};

const NFTA_GEN_ID: u16 = 1;

/// More entries in a dump than anybody has: what asks for more memory than that is refused.
const MOST: usize = 1 << 20;
/// How often a set is asked for its elements before what it told last is taken.
const MOST_DUMPS: usize = 16;

/// A table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTable {
    /// Whose packets it sees.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// What its maker says of it.
    pub comment: Option<String>,
    /// Its number, which no other table of this network namespace has had or will have.
    pub handle: u64,
}

/// A chain that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChain {
    /// Its table's family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// If packets come to it from a hook.
    pub base: Option<SeenBase>,
}

/// Where a base chain that is there stands, and what it does with packets that none of its rules decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBase {
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// The hook, which is [`super::Hook`]'s number in the families `inet`, `ip` and `ip6`.
    pub hook: u32,
    /// Among the chains of that hook: the lowest comes first.
    pub priority: i32,
    /// Whether it drops them.
    pub drops: bool,
}

/// A rule that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRule {
    /// The chain that it is in.
    pub chain: String,
    /// What its maker says of it.
    pub comment: Option<String>,
}

/// A rule that is there, as a reader is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// What its maker says of it.
    pub comment: Option<String>,
    /// What it does, in nft(8)'s language; none if it has something that is not known here.
    pub text: Option<String>,
}

/// A set or map that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSet {
    /// Its name.
    pub name: String,
    flags: u32,
    key: (u32, u32),
    data: Option<(u32, u32)>,
}

impl SeenSet {
    /// Whether it is made like this one.
    pub fn is(&self, set: &Set) -> bool {
        self.name == set.name
            && self.flags == set.flags()
            && self.key == (types::number(set.key), types::length(set.key) as u32)
            && self.data == set.data()
    }
}

impl Nftables {
    /// The number that the rules have, of all tables together: any change by anybody gives them another.
    ///
    /// # Errors
    /// EINVAL: the kernel has netfilter, but no nf_tables (nfnetlink_rcv_msg).
    pub fn generation(&mut self) -> Result<u32, CallError> {
        let call = || "NFT_MSG_GETGEN()".to_owned();
        let mut generation = None;
        let body = header(Family::UNSPEC, 0);
        self.0.ask(
            kind(message::GETGEN),
            flags::ACK,
            &body,
            &call,
            &mut |heard| {
                if heard.kind == kind(message::NEWGEN) {
                    let read = heard.split::<4>().and_then(|(_, attributes)| {
                        attributes
                            .find(NFTA_GEN_ID)?
                            .map(|id| id.be32())
                            .transpose()
                    });
                    generation = read.map_err(|e| e.of(&call()))?;
                }
                Ok(())
            },
        )?;
        generation.ok_or_else(|| CallError::new(call(), Errno::BADMSG))
    }

    /// The table, if it is there.
    pub fn table(&mut self, table: Table) -> Result<Option<SeenTable>, CallError> {
        let mut body = Writer::new(&header(table.family, 0));
        body.text(NFTA_TABLE_NAME, table.name);
        let call = || format!("NFT_MSG_GETTABLE({table})");
        let body = body.finish().called(call)?;
        let mut found = None;
        let asked = self.0.ask(
            kind(message::GETTABLE),
            flags::ACK,
            &body,
            &call,
            &mut |heard| {
                if heard.kind == kind(message::NEWTABLE) {
                    found = Some(read_table(heard).map_err(|e| e.of(&call()))?);
                }
                Ok(())
            },
        );
        match asked {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The chains of all tables of a family; of [`Family::UNSPEC`], of all families.
    pub fn chains(&mut self, family: Family) -> Result<Vec<SeenChain>, CallError> {
        let body = Writer::new(&header(family, 0));
        let call = || format!("NFT_MSG_GETCHAIN({family})");
        self.all(
            message::GETCHAIN,
            message::NEWCHAIN,
            body,
            &call,
            &read_chain,
        )
    }

    /// The rules of a table, those of a chain in their order.
    pub fn rules(&mut self, table: Table) -> Result<Vec<SeenRule>, CallError> {
        let mut body = Writer::new(&header(table.family, 0));
        body.text(NFTA_RULE_TABLE, table.name);
        let call = || format!("NFT_MSG_GETRULE({table})");
        self.all(message::GETRULE, message::NEWRULE, body, &call, &read_rule)
    }

    /// One rule, by its number in its table. `None`: it is not there, or no longer.
    pub fn rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        handle: u64,
    ) -> Result<Option<RuleText>, CallError> {
        let mut body = Writer::new(&header(family, 0));
        body.text(NFTA_RULE_TABLE, table)
            .text(NFTA_RULE_CHAIN, chain)
            .bytes(NFTA_RULE_HANDLE, &handle.to_be_bytes());
        let call = || format!("NFT_MSG_GETRULE({family} {table} {chain} {handle})");
        let body = body.finish().called(call)?;
        let mut found = None;
        let asked = self.0.ask(
            kind(message::GETRULE),
            flags::ACK,
            &body,
            &call,
            &mut |heard| {
                if heard.kind == kind(message::NEWRULE) {
                    found = Some(read_text(heard).map_err(|e| e.of(&call()))?);
                }
                Ok(())
            },
        );
        match asked {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The rules of anybody's table as what they do, and the chain of each; those of a chain in their order.
    pub fn programs(
        &mut self,
        family: Family,
        table: &str,
    ) -> Result<Vec<(String, Program)>, CallError> {
        let mut body = Writer::new(&header(family, 0));
        body.text(NFTA_RULE_TABLE, table);
        let call = || format!("NFT_MSG_GETRULE({family} {table})");
        let (ask, answer) = (message::GETRULE, message::NEWRULE);
        self.all(ask, answer, body, &call, &read_program)
    }

    /// What is in those of these sets of anybody's table that may hold ports, or protocols and ports: in no others of
    /// thousands of addresses.
    pub fn contents(
        &mut self,
        family: Family,
        table: &str,
        wanted: &[&str],
    ) -> Result<Sets, CallError> {
        let mut contents = Sets::new();
        if wanted.is_empty() {
            return Ok(contents);
        }
        let mut body = Writer::new(&header(family, 0));
        body.text(NFTA_SET_TABLE, table);
        let call = || format!("NFT_MSG_GETSET({family} {table})");
        let (ask, answer) = (message::GETSET, message::NEWSET);
        for set in self.all(ask, answer, body, &call, &read_set)? {
            let key = set.key.1 as usize;
            if !wanted.contains(&set.name.as_str()) || ![1, 2, 4, 8].contains(&key) {
                continue;
            }
            // ipv4_addr
            if set.key.0 == Type::Ipv4Addr.number() {
                continue;
            }
            let elements = self.elements_of(family, table, &set.name)?;
            let known = Contents {
                intervals: set.flags & NFT_SET_INTERVAL != 0,
                key,
                elements: elements.unwrap_or_default(),
            };
            contents.insert(set.name, known);
        }
        Ok(contents)
    }

    /// The sets and maps of a table.
    pub fn sets(&mut self, table: Table) -> Result<Vec<SeenSet>, CallError> {
        let mut body = Writer::new(&header(table.family, 0));
        body.text(NFTA_SET_TABLE, table.name);
        let call = || format!("NFT_MSG_GETSET({table})");
        self.all(message::GETSET, message::NEWSET, body, &call, &read_set)
    }

    /// The elements of a set or map. `None`: there is no such set, or no table.
    pub fn elements(&mut self, table: Table, set: &Set) -> Result<Option<Vec<Element>>, CallError> {
        self.elements_of(table.family, table.name, set.name)
    }

    fn elements_of(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
    ) -> Result<Option<Vec<Element>>, CallError> {
        let call = || format!("NFT_MSG_GETSETELEM({family} {table} {set})");
        let (ask, answer) = (message::GETSETELEM, message::NEWSETELEM);
        let mut elements = BTreeSet::new();
        // A hash table that grows or shrinks meanwhile is gone through in another order from one message to the next, and some
        // elements are told twice instead of others (nft_rhash_walk); the kernel says nothing of it.
        for _ in 0..MOST_DUMPS {
            let mut body = Writer::new(&header(family, 0));
            body.text(NFTA_SET_ELEM_LIST_TABLE, table)
                .text(NFTA_SET_ELEM_LIST_SET, set);
            let lists = match self.all(ask, answer, body, &call, &read_elements) {
                Ok(lists) => lists,
                Err(e) if e.errno() == Errno::NOENT => return Ok(None),
                Err(e) => return Err(e),
            };
            let told: usize = lists.iter().map(Vec::len).sum();
            elements = lists.into_iter().flatten().collect();
            if elements.len() == told {
                break;
            }
        }
        Ok(Some(elements.into_iter().collect()))
    }

    /// The element with the key of `like`, if there is one.
    pub fn element(
        &mut self,
        table: Table,
        set: &Set,
        like: &Element,
    ) -> Result<Option<Element>, CallError> {
        let mut body = Writer::new(&header(table.family, 0));
        let key = Element {
            data: None,
            comment: None,
            ..like.clone()
        };
        body.text(NFTA_SET_ELEM_LIST_TABLE, table.name)
            .text(NFTA_SET_ELEM_LIST_SET, set.name)
            .nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| key.put(list));
        let call = || {
            let key = super::show(set.key, &like.key);
            format!("NFT_MSG_GETSETELEM({table} {} {{ {key} }})", set.name)
        };
        let body = body.finish().called(call)?;
        let mut found = Vec::new();
        let asked = self.0.ask(
            kind(message::GETSETELEM),
            flags::ACK,
            &body,
            &call,
            &mut |heard| {
                if heard.kind == kind(message::NEWSETELEM) {
                    found.extend(read_elements(heard).map_err(|e| e.of(&call()))?);
                }
                Ok(())
            },
        );
        match asked {
            Err(e) if e.errno() == Errno::NOENT => Ok(None),
            other => other.map(|()| found.pop()),
        }
    }

    fn all<T>(
        &mut self,
        ask: u16,
        answer: u16,
        body: Writer,
        call: &dyn Fn() -> String,
        read: &dyn Fn(&Message<'_>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, CallError> {
        let body = body.finish().called(call)?;
        let heard = std::cell::Cell::new(0);
        self.0.dump(kind(ask), &body, call, &|message| {
            if message.kind != kind(answer) {
                return Ok(None);
            }
            heard.set(heard.get() + 1);
            if heard.get() > MOST {
                return Err(CallError::new(call(), Errno::TOOBIG));
            }
            read(message).map(Some).map_err(|e| e.of(&call()))
        })
    }
}

pub(super) fn read_table(message: &Message<'_>) -> Result<SeenTable, Malformed> {
    let (header, attributes) = message.split::<4>()?;
    let mut table = SeenTable {
        family: Family(header[0]),
        name: String::new(),
        comment: None,
        handle: 0,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_TABLE_HANDLE => table.handle = attribute.be64()?,
            NFTA_TABLE_NAME => table.name = attribute.text()?,
            NFTA_TABLE_USERDATA => table.comment = comment(&attribute),
            _ => {}
        }
    }
    Ok(table)
}

pub(super) fn read_chain(message: &Message<'_>) -> Result<SeenChain, Malformed> {
    let (header, attributes) = message.split::<4>()?;
    let mut chain = SeenChain {
        family: Family(header[0]),
        table: String::new(),
        name: String::new(),
        base: None,
    };
    let (mut kind, mut hook, mut drops) = (String::new(), None, false);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_CHAIN_TABLE => chain.table = attribute.text()?,
            NFTA_CHAIN_NAME => chain.name = attribute.text()?,
            NFTA_CHAIN_TYPE => kind = attribute.text()?,
            // NF_DROP is 0.
            NFTA_CHAIN_POLICY => drops = attribute.be32()? == 0,
            NFTA_CHAIN_HOOK => {
                let bad = Malformed::new("a chain's hook");
                let find = |kind| attribute.nested().find(kind)?.ok_or(bad);
                let priority = find(NFTA_HOOK_PRIORITY)?.exactly()?;
                hook = Some((
                    find(NFTA_HOOK_HOOKNUM)?.be32()?,
                    i32::from_be_bytes(priority),
                ));
            }
            _ => {}
        }
    }
    chain.base = hook.map(|(hook, priority)| SeenBase {
        kind,
        hook,
        priority,
        drops,
    });
    Ok(chain)
}

pub(super) fn read_rule(message: &Message<'_>) -> Result<SeenRule, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let mut rule = SeenRule {
        chain: String::new(),
        comment: None,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_RULE_CHAIN => rule.chain = attribute.text()?,
            NFTA_RULE_USERDATA => rule.comment = comment(&attribute),
            _ => {}
        }
    }
    Ok(rule)
}

pub(super) fn read_program(message: &Message<'_>) -> Result<(String, Program), Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let (mut chain, mut program) = (String::new(), Program::default());
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_RULE_CHAIN => chain = attribute.text()?,
            NFTA_RULE_EXPRESSIONS => program = Program::read(attribute.nested()),
            _ => {}
        }
    }
    Ok((chain, program))
}

pub(super) fn read_text(message: &Message<'_>) -> Result<RuleText, Malformed> {
    let (header, attributes) = message.split::<4>()?;
    let mut rule = RuleText {
        comment: None,
        text: None,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_RULE_EXPRESSIONS => {
                rule.text = super::decode::text(Family(header[0]), attribute.nested());
            }
            NFTA_RULE_USERDATA => rule.comment = comment(&attribute),
            _ => {}
        }
    }
    Ok(rule)
}

pub(super) fn read_set(message: &Message<'_>) -> Result<SeenSet, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let mut name = String::new();
    // What is zero is left out.
    let [mut flags, mut key_type, mut key_length, mut data_length] = [0; 4];
    let mut data_type = None;
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_SET_NAME => name = attribute.text()?,
            NFTA_SET_FLAGS => flags = attribute.be32()?,
            NFTA_SET_KEY_TYPE => key_type = attribute.be32()?,
            NFTA_SET_KEY_LEN => key_length = attribute.be32()?,
            NFTA_SET_DATA_TYPE => data_type = Some(attribute.be32()?),
            NFTA_SET_DATA_LEN => data_length = attribute.be32()?,
            _ => {}
        }
    }
    Ok(SeenSet {
        name,
        flags,
        key: (key_type, key_length),
        data: data_type.map(|kind| (kind, data_length)),
    })
}

pub(super) fn read_elements(message: &Message<'_>) -> Result<Vec<Element>, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    match attributes.find(NFTA_SET_ELEM_LIST_ELEMENTS)? {
        Some(list) => list.nested().map(|entry| Element::read(&entry?)).collect(),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nft::Arriving;

    /// Attributes whose types and lengths are mostly such that they are looked into.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let attribute =
            (0u16..14, 0usize..24, any::<[u8; 24]>()).prop_map(|(kind, length, bytes)| {
                let mut writer = Writer::default();
                writer.nest(kind, |inner| {
                    inner.bytes(1, &bytes[..length]).be32(2, 7);
                });
                writer.bytes(kind, &bytes[..length]);
                writer.finish().unwrap()
            });
        let attributes = proptest::collection::vec(attribute, 0..8).prop_map(|all| {
            let mut body = vec![1, 0, 0, 0];
            body.extend(all.concat());
            body
        });
        prop_oneof![attributes, proptest::collection::vec(any::<u8>(), 0..64)]
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(body in bodies()) {
            let message = Message { kind: 0, flags: 0, sequence: 0, body: &body };
            let _ = (read_table(&message), read_chain(&message), read_rule(&message));
            let _ = (read_set(&message), read_elements(&message), read_text(&message));
            if let Ok((_, program)) = read_program(&message) {
                let packet = Arriving { ipv4: true, protocol: 6, port: 80, address: None };
                let _ = program.run(packet, &Sets::new());
            }
        }
    }
}
