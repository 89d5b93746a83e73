//! News of changes to the rules, by whomever.

use std::os::fd::{AsFd, BorrowedFd};

use soute_sys::CallError;
use soute_sys::netlink::{Protocol, Socket};

use super::objects::Table;
use super::{NFTABLES, message};

/// `NFNLGRP_NFTABLES` is group 7.
const GROUP: u32 = 1 << 6;
/// The attribute that names the table, in all messages but the one that tells the generation, which has a number there.
const TABLE: u16 = 1;

/// Hears what becomes of one table. It is waited on with poll(2), for POLLIN.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    table: Table,
}

impl Listener {
    /// In the caller's network namespace, from now on.
    pub fn open(table: Table) -> Result<Self, CallError> {
        let socket = Socket::listen(Protocol::Netfilter, GROUP)?;
        Ok(Self { socket, table })
    }

    /// Whether something about the table has changed since it was last asked, or may have: news that came too fast are
    /// lost. It does not wait.
    ///
    /// The caller's own changes are news, too.
    pub fn changed(&mut self) -> Result<bool, CallError> {
        self.hear_of(&|is_ours, _| is_ours)
    }

    /// As [`Self::changed`], of all but elements that were added: whether what was there is there still is to be looked at.
    /// With `others`, of whatever becomes of other tables as well.
    pub fn lost(&mut self, others: bool) -> Result<bool, CallError> {
        self.hear_of(&|is_ours, message| {
            message != message::NEWGEN
                && if is_ours {
                    message != message::NEWSETELEM
                } else {
                    others
                }
        })
    }

    /// What `matters` is told whether the news is of the table, and which it is.
    fn hear_of(&mut self, matters: &dyn Fn(bool, u16) -> bool) -> Result<bool, CallError> {
        let table = self.table;
        let mut heard = false;
        let whole = self.socket.hear(&mut |message| {
            let named = message.split::<4>().and_then(|(header, attributes)| {
                let name = attributes.find(TABLE)?.map(|name| name.text());
                Ok(header[0] == table.family.0 && name.transpose()?.as_deref() == Some(table.name))
            });
            // What cannot be read may be about it.
            heard |= message.kind >> 8 == NFTABLES
                && matters(named.unwrap_or(true), message.kind & 0xff);
        })?;
        Ok(heard || !whole)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
