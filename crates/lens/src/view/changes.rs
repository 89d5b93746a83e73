//! What has come and what has gone between two looks: `soute ns watch`.

use std::collections::HashSet;

use super::list::{List, Row};

/// Namespaces of two lists that are in one of them only. One whose number was given to another meanwhile is not told from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'l> {
    /// Those that were not there before.
    pub appeared: Vec<&'l Row>,
    /// Those that are not there any more, as they were seen last.
    pub gone: Vec<&'l Row>,
}

impl List {
    /// From `before` to this one.
    pub fn since<'l>(&'l self, before: &'l Self) -> Changes<'l> {
        Changes {
            appeared: without(self, before),
            gone: without(before, self),
        }
    }
}

fn without<'l>(list: &'l List, other: &List) -> Vec<&'l Row> {
    let key = |row: &Row| (row.kind, row.dev, row.ns);
    let there: HashSet<_> = other.namespaces.iter().map(key).collect();
    let rows = list.namespaces.iter();
    rows.filter(|row| !there.contains(&key(row))).collect()
}
