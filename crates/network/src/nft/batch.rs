//! Changes, all of which are made at once or none (linux/netfilter/nfnetlink.h, `NFNL_MSG_BATCH_BEGIN`).

use rustix::io::Errno;
use soute_sys::netlink::{Failed, Refusal, Writer, flags, put};
use soute_sys::{CallError, Called};

use super::element::{Element, userdata};
use super::objects::{Chain, Rule, Set, Table};
use super::types::{self, Family};
use super::{NFTABLES, Nftables, header, kind, message};

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_BATCH_GENID: u16 = 1;

pub(super) const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
pub(super) const NFTA_TABLE_HANDLE: u16 = 4;
const NFT_TABLE_F_OWNER: u32 = 2;
pub(super) const NFTA_TABLE_USERDATA: u16 = 6;

pub(super) const NFTA_CHAIN_TABLE: u16 = 1;
pub(super) const NFTA_CHAIN_NAME: u16 = 3;
pub(super) const NFTA_CHAIN_HOOK: u16 = 4;
pub(super) const NFTA_CHAIN_POLICY: u16 = 5;
pub(super) const NFTA_CHAIN_TYPE: u16 = 7;
pub(super) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(super) const NFTA_HOOK_PRIORITY: u16 = 2;

pub(super) const NFTA_RULE_TABLE: u16 = 1;
pub(super) const NFTA_RULE_CHAIN: u16 = 2;
pub(super) const NFTA_RULE_HANDLE: u16 = 3;
pub(super) const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_RULE_USERDATA: u16 = 7;

pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
pub(super) const NFTA_SET_FLAGS: u16 = 3;
pub(super) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(super) const NFTA_SET_KEY_LEN: u16 = 5;
pub(super) const NFTA_SET_DATA_TYPE: u16 = 6;
pub(super) const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;

pub(super) const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;

/// A list of elements is one attribute, whose length has 16 bits. An element has less than 512 bytes.
const LONGEST_LIST: usize = 0xf000;

/// One message, and what it is called in an error.
#[derive(Debug, Clone)]
struct Change {
    message: u16,
    flags: u16,
    body: Writer,
    told: String,
    /// Of a list of elements: where each ends in the body, and how it is called.
    elements: Vec<(usize, String)>,
}

/// Changes to one table, in their order.
#[derive(Debug, Clone)]
pub struct Batch {
    table: Table,
    changes: Vec<Change>,
    sets: u32,
}

impl Batch {
    /// No changes yet.
    pub fn new(table: Table) -> Self {
        Self {
            table,
            changes: Vec::new(),
            sets: 0,
        }
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Does what another batch for the same table does, behind this one.
    pub fn append(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.sets += other.sets;
    }

    /// Makes the table; one that is there stays as it is.
    pub fn add_table(&mut self, comment: &str) {
        self.table(0, 0, comment);
    }

    /// Makes a table that nobody else changes, and that goes when the socket by which it was made is closed, however its
    /// process ends (`NFT_TABLE_F_OWNER`).
    ///
    /// # Errors
    /// On [`Nftables::commit`]: EEXIST, it is there; EOPNOTSUPP or EINVAL, the kernel is older than Linux 5.12.
    pub fn add_owned_table(&mut self, comment: &str) {
        self.table(flags::CREATE | flags::EXCL, NFT_TABLE_F_OWNER, comment);
    }

    fn table(&mut self, flags: u16, table_flags: u32, comment: &str) {
        let name = self.table.name;
        self.change(message::NEWTABLE, flags, "NFT_MSG_NEWTABLE", "", |body| {
            body.text(NFTA_TABLE_NAME, name)
                .be32(NFTA_TABLE_FLAGS, table_flags)
                .bytes(NFTA_TABLE_USERDATA, &userdata(comment));
        });
    }

    /// Deletes the table with all that is in it.
    pub fn delete_table(&mut self) {
        let name = self.table.name;
        self.change(message::DELTABLE, 0, "NFT_MSG_DELTABLE", "", |body| {
            body.text(NFTA_TABLE_NAME, name);
        });
    }

    /// Makes a chain.
    pub fn add_chain(&mut self, chain: &Chain) {
        let table = self.table.name;
        let new = flags::CREATE;
        self.change(
            message::NEWCHAIN,
            new,
            "NFT_MSG_NEWCHAIN",
            chain.name,
            |body| {
                body.text(NFTA_CHAIN_TABLE, table)
                    .text(NFTA_CHAIN_NAME, chain.name);
                let Some(base) = chain.base else { return };
                body.text(NFTA_CHAIN_TYPE, base.kind.name());
                // NF_ACCEPT
                body.be32(NFTA_CHAIN_POLICY, 1);
                body.nest(NFTA_CHAIN_HOOK, |hook| {
                    hook.be32(NFTA_HOOK_HOOKNUM, base.hook as u32)
                        .bytes(NFTA_HOOK_PRIORITY, &base.priority.to_be_bytes());
                });
            },
        );
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, set: &Set) {
        self.sets += 1;
        let (table, id) = (self.table.name, self.sets);
        let new = flags::CREATE;
        self.change(message::NEWSET, new, "NFT_MSG_NEWSET", set.name, |body| {
            body.text(NFTA_SET_TABLE, table)
                .text(NFTA_SET_NAME, set.name)
                .be32(NFTA_SET_FLAGS, set.flags())
                .be32(NFTA_SET_KEY_TYPE, types::number(set.key))
                .be32(NFTA_SET_KEY_LEN, types::length(set.key) as u32);
            if let Some((kind, length)) = set.data() {
                body.be32(NFTA_SET_DATA_TYPE, kind)
                    .be32(NFTA_SET_DATA_LEN, length);
            }
            body.be32(NFTA_SET_ID, id);
            if set.has_intervals_of_fields() {
                body.nest(NFTA_SET_DESC, |desc| {
                    desc.nest(NFTA_SET_DESC_CONCAT, |fields| {
                        for field in set.key {
                            fields.nest(NFTA_LIST_ELEM, |entry| {
                                entry.be32(NFTA_SET_FIELD_LEN, field.length() as u32);
                            });
                        }
                    });
                });
            }
            body.bytes(NFTA_SET_USERDATA, &set.userdata());
        });
    }

    /// Puts a rule behind the others of its chain.
    pub fn add_rule(&mut self, rule: &Rule) {
        let table = self.table.name;
        let new = flags::CREATE | flags::APPEND;
        let told = format!("{} {:?}", rule.chain, rule.comment);
        self.change(message::NEWRULE, new, "NFT_MSG_NEWRULE", &told, |body| {
            body.text(NFTA_RULE_TABLE, table)
                .text(NFTA_RULE_CHAIN, rule.chain)
                .nest(NFTA_RULE_EXPRESSIONS, |list| {
                    for expression in &rule.expressions {
                        expression.put(list);
                    }
                })
                .bytes(NFTA_RULE_USERDATA, &userdata(&rule.comment));
        });
    }

    /// Adds elements. One that is there already is an error (EEXIST) if they are to be new; else only if it leads
    /// elsewhere.
    pub fn add_elements<'e>(
        &mut self,
        set: &Set,
        new: bool,
        elements: impl IntoIterator<Item = &'e Element>,
    ) {
        let flags = if new {
            flags::CREATE | flags::EXCL
        } else {
            flags::CREATE
        };
        self.elements(
            message::NEWSETELEM,
            flags,
            "NFT_MSG_NEWSETELEM",
            set,
            elements,
        );
    }

    /// Deletes elements. One that is not there is an error (ENOENT).
    pub fn delete_elements<'e>(
        &mut self,
        set: &Set,
        elements: impl IntoIterator<Item = &'e Element>,
    ) {
        self.elements(message::DELSETELEM, 0, "NFT_MSG_DELSETELEM", set, elements);
    }

    fn elements<'e>(
        &mut self,
        message: u16,
        flags: u16,
        name: &str,
        set: &Set,
        elements: impl IntoIterator<Item = &'e Element>,
    ) {
        let table = self.table.name;
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            let mut ends = Vec::new();
            self.change(message, flags, name, set.name, |body| {
                body.text(NFTA_SET_ELEM_LIST_TABLE, table)
                    .text(NFTA_SET_ELEM_LIST_SET, set.name);
                let before = body.len();
                body.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                    while list.len() < LONGEST_LIST
                        && let Some(element) = elements.next()
                    {
                        element.put(list);
                        // Behind the list's own header.
                        ends.push((before + 4 + list.len(), set.shown(element)));
                    }
                });
            });
            if let Some(change) = self.changes.last_mut() {
                change.elements = ends;
            }
        }
    }

    fn change(
        &mut self,
        message: u16,
        flags: u16,
        name: &str,
        what: &str,
        fill: impl FnOnce(&mut Writer),
    ) {
        let mut body = Writer::new(&header(self.table.family, 0));
        fill(&mut body);
        let space = if what.is_empty() { "" } else { " " };
        let Table {
            family,
            name: table,
        } = self.table;
        self.changes.push(Change {
            message,
            flags,
            body,
            told: format!("{name}({family} {table}{space}{what})"),
            elements: Vec::new(),
        });
    }

    /// All messages' bodies one after the other: what the batch is known by.
    pub(crate) fn bytes(&self) -> rustix::io::Result<Vec<u8>> {
        let bodies = self
            .changes
            .iter()
            .map(|change| change.body.clone().finish());
        Ok(bodies.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl Change {
    /// As an error names it: of a list of elements, with the one that the kernel points at, or the only one.
    fn told(&self, refusal: &Refusal) -> String {
        const HEADER: usize = 16;
        let at = refusal.offset.map(|offset| offset as usize);
        let element = match self.elements.as_slice() {
            [(_, only)] => Some(only),
            several => several
                .iter()
                .find(|(end, _)| at.is_some_and(|at| at >= HEADER && at < HEADER + end))
                .map(|(_, element)| element),
        };
        match element {
            Some(element) => format!("{} {{ {element} }}", self.told),
            None => self.told.clone(),
        }
    }
}

impl Nftables {
    /// Makes all changes of a batch, or none.
    ///
    /// With a `generation` ([`Self::generation`]), only if the rules are still those that it was told for.
    ///
    /// # Errors
    /// The first change that the kernel refused, by its message's name; ERESTART: the rules are other ones by now.
    pub fn commit(&mut self, batch: &Batch, generation: Option<u32>) -> Result<(), CallError> {
        let Some(last) = batch.changes.len().checked_sub(1) else {
            return Ok(());
        };
        let call = || format!("sendmsg(a batch of {} changes)", batch.changes.len());
        let count = u32::try_from(batch.changes.len())
            .ok()
            .and_then(|count| count.checked_add(2))
            .ok_or_else(|| CallError::new(call(), Errno::MSGSIZE))?;
        let first = self.0.numbers(count);
        let mut bytes = Vec::new();
        let mut number = first..;
        let mut add = |kind, flags, body: &[u8]| {
            let number = number.next().unwrap_or_default();
            put(&mut bytes, kind, flags | flags::REQUEST, number, body).called(call)
        };
        let mut begin = Writer::new(&header(Family::UNSPEC, NFTABLES));
        if let Some(generation) = generation {
            begin.be32(NFNL_BATCH_GENID, generation);
        }
        let begin = begin.finish().called(call)?;
        add(NFNL_MSG_BATCH_BEGIN, 0, &begin)?;
        for (index, change) in batch.changes.iter().enumerate() {
            // One acknowledgement, for the last: a thousand would not fit in the socket's buffer.
            let ack = if index == last { flags::ACK } else { 0 };
            let body = change
                .body
                .clone()
                .finish()
                .called(|| change.told.clone())?;
            add(kind(change.message), change.flags | ack, &body)?;
        }
        add(NFNL_MSG_BATCH_END, 0, &header(Family::UNSPEC, NFTABLES))?;
        self.0
            .converse(&bytes, first, first + count - 2, &call, &mut |_| Ok(()))
            .map_err(|e| match e {
                Failed::Call(e) => e,
                Failed::Refused(refusal) => {
                    let index = refusal.sequence.wrapping_sub(first).wrapping_sub(1);
                    match batch.changes.get(index as usize) {
                        Some(change) => refusal.of(&change.told(&refusal)),
                        // The batch as a whole: no right to it, another generation, or what only its end has shown.
                        None => refusal.of(&format!("NFNL_MSG_BATCH_BEGIN({})", batch.table)),
                    }
                }
            })
    }
}
