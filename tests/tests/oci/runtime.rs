//! The programs that are compared.

use std::process::Command;

use crate::place;

/// An OCI runtime, by its command line. All of them take runc's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Ours, through `soute runtime`.
    Soute,
    /// The fastest peer.
    Crun,
    /// The reference: where the peers differ, a case asks for what it does.
    Runc,
}

impl Runtime {
    /// In the order of the table's columns.
    pub const ALL: [Self; 3] = [Self::Soute, Self::Crun, Self::Runc];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Soute => "soute",
            Self::Crun => "crun",
            Self::Runc => "runc",
        }
    }

    /// The program, to be given flags and a subcommand.
    pub fn command(self) -> Command {
        match self {
            Self::Soute => {
                let mut command = Command::new(place::soute());
                command.arg("runtime");
                command
            }
            Self::Crun | Self::Runc => Command::new(self.name()),
        }
    }
}
