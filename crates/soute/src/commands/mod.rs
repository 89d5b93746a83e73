//! The commands, one file each.

mod completion;
mod man;
mod version;

use crate::cli::Entry;

/// All commands, in the order in which help lists them.
pub const TABLE: &[Entry] = &[
    Entry::new::<version::Version>("version", "Print soute's version and the kernel's"),
    Entry::new::<completion::Completion>("completion", "Print the completion script of a shell")
        .hidden(),
    Entry::new::<man::Man>("man", "Write the manual pages into a folder").hidden(),
];
