//! From which NUMA nodes memory comes (set_mempolicy(2)).

use std::str::FromStr;

use rustix::io::Errno;
use soute_sys::attributes::{mempolicy, set_mempolicy};

use super::super::failure::Failure;
use super::{Numbers, unknown};

/// `linux.memoryPolicy`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `mode`
    pub mode: MemoryMode,
    /// `nodes`; empty or missing: none.
    pub nodes: Option<Numbers>,
    /// `flags`
    pub flags: Vec<MemoryFlag>,
}

/// A mode of set_mempolicy(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryMode {
    /// `MPOL_DEFAULT`
    Default,
    /// `MPOL_BIND`
    Bind,
    /// `MPOL_INTERLEAVE`
    Interleave,
    /// `MPOL_WEIGHTED_INTERLEAVE`
    WeightedInterleave,
    /// `MPOL_PREFERRED`
    Preferred,
    /// `MPOL_PREFERRED_MANY`
    PreferredMany,
    /// `MPOL_LOCAL`
    Local,
}

/// A flag of set_mempolicy(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryFlag {
    /// `MPOL_F_NUMA_BALANCING`
    NumaBalancing,
    /// `MPOL_F_RELATIVE_NODES`
    RelativeNodes,
    /// `MPOL_F_STATIC_NODES`
    StaticNodes,
}

impl MemoryPolicy {
    pub(super) fn check(&self) -> Result<(), Failure> {
        use MemoryMode::{Bind, Default, Interleave, Local, PreferredMany, WeightedInterleave};
        let why = match (self.mode, &self.nodes) {
            (Default | Local, Some(_)) => "this mode takes no nodes",
            (Bind | Interleave | WeightedInterleave | PreferredMany, None) => {
                "this mode needs at least one node"
            }
            _ => return Ok(()),
        };
        Err(Failure::setup(self.name(), why))
    }

    fn name(&self) -> String {
        let nodes = self.nodes.as_ref().map(Numbers::to_string);
        format!(
            "the memory policy {:?} of nodes {:?}",
            self.mode,
            nodes.unwrap_or_default()
        )
    }

    pub(super) fn apply(&self) -> Result<(), Failure> {
        let mode = match self.mode {
            MemoryMode::Default => mempolicy::DEFAULT,
            MemoryMode::Bind => mempolicy::BIND,
            MemoryMode::Interleave => mempolicy::INTERLEAVE,
            MemoryMode::WeightedInterleave => mempolicy::WEIGHTED_INTERLEAVE,
            MemoryMode::Preferred => mempolicy::PREFERRED,
            MemoryMode::PreferredMany => mempolicy::PREFERRED_MANY,
            MemoryMode::Local => mempolicy::LOCAL,
        };
        let mode = self.flags.iter().fold(mode, |all, flag| {
            all | match flag {
                MemoryFlag::NumaBalancing => mempolicy::NUMA_BALANCING,
                MemoryFlag::RelativeNodes => mempolicy::RELATIVE_NODES,
                MemoryFlag::StaticNodes => mempolicy::STATIC_NODES,
            }
        });
        let nodes = self.nodes.as_ref().map_or(&[][..], Numbers::words);
        set_mempolicy(mode, nodes).map_err(|e| {
            let hint = match e.errno() {
                Errno::NOSYS => " (this kernel has no NUMA)",
                Errno::INVAL => {
                    " (a node is not on this machine or not in the cgroup's cpuset, or the mode and its flags do not \
                     go together or are newer than this kernel)"
                }
                _ => "",
            };
            Failure::setup(self.name(), format_args!("{e}{hint}"))
        })
    }
}

impl FromStr for MemoryMode {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "MPOL_DEFAULT" => Self::Default,
            "MPOL_BIND" => Self::Bind,
            "MPOL_INTERLEAVE" => Self::Interleave,
            "MPOL_WEIGHTED_INTERLEAVE" => Self::WeightedInterleave,
            "MPOL_PREFERRED" => Self::Preferred,
            "MPOL_PREFERRED_MANY" => Self::PreferredMany,
            "MPOL_LOCAL" => Self::Local,
            other => return Err(unknown("memoryPolicy.mode", other)),
        })
    }
}

impl FromStr for MemoryFlag {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "MPOL_F_NUMA_BALANCING" => Self::NumaBalancing,
            "MPOL_F_RELATIVE_NODES" => Self::RelativeNodes,
            "MPOL_F_STATIC_NODES" => Self::StaticNodes,
            other => return Err(unknown("memoryPolicy.flags", other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_nodes_belong_together() {
        let policy = |mode, nodes: Option<&str>| MemoryPolicy {
            mode,
            nodes: nodes.map(|n| n.parse().unwrap()),
            flags: Vec::new(),
        };
        policy(MemoryMode::Default, Some("0")).check().unwrap_err();
        policy(MemoryMode::Local, Some("0")).check().unwrap_err();
        policy(MemoryMode::Bind, None).check().unwrap_err();
        policy(MemoryMode::Bind, Some("0")).check().unwrap();
        // Without nodes it means the local one (set_mempolicy(2)).
        policy(MemoryMode::Preferred, None).check().unwrap();
    }

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!("MPOL_PREFERRED_MANY".parse(), Ok(MemoryMode::PreferredMany));
        assert_eq!("MPOL_F_STATIC_NODES".parse(), Ok(MemoryFlag::StaticNodes));
        "MPOL_MAX".parse::<MemoryMode>().unwrap_err();
        "MPOL_F_NODE".parse::<MemoryFlag>().unwrap_err();
    }
}
